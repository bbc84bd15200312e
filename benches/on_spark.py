"""The main job on Spark against its plain SQL form, on one log in one session; and what travels, for the sizing guide.

    make test-engines   # once, for the environment
    PYTHONPATH=$PWD/python .venv-engines/bin/python benches/on_spark.py --rows 2M

The SQL form does what the job cannot do without: three votes at most of a user for a (query, document), counts and
users by (query, document), clicks expected by position, what was skipped above a last click, positives, and negatives
that no click speaks against, ten a query. It does no robots, sessions, normalisation, scrubbing, click models, alike
queries or training rows.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

import hardneg_fast as hn
from hardneg_fast import spark
from make_log import make_log

CONFIG = hn.Config(read=hn.ReadConfig(columns={"position": "rank"}, position_base="1"))

VOTES = """
    SELECT user_id, session_id, query, doc_id, rank, clicked FROM (
        SELECT *, row_number() OVER (
            PARTITION BY user_id, query, doc_id ORDER BY clicked DESC, timestamp, session_id, rank) AS vote
        FROM log)
    WHERE vote <= 3"""
CELLS = """
    SELECT query, doc_id, rank, count(*) AS impressions, count_if(clicked) AS clicks FROM votes
    GROUP BY query, doc_id, rank"""
PAIRS = """
    SELECT query, doc_id, count(*) AS users, count_if(clicked) AS users_clicked, sum(impressions) AS impressions,
           sum(clicks) AS clicks
    FROM (SELECT query, doc_id, count(*) AS impressions, count_if(clicked) AS clicks, bool_or(clicked) AS clicked
          FROM votes GROUP BY user_id, query, doc_id)
    GROUP BY query, doc_id"""
SKIPS = """
    SELECT query, doc_id, count(*) AS skips, sum(11 - rank) AS evidence
    FROM votes JOIN (SELECT session_id, query, max(rank) AS last FROM votes WHERE clicked GROUP BY session_id, query)
    USING (session_id, query)
    WHERE NOT clicked AND rank < last
    GROUP BY query, doc_id"""
EXPECTED = """
    SELECT query, doc_id, sum(impressions * ctr) AS expected
    FROM cells JOIN (SELECT rank, sum(clicks) / sum(impressions) AS ctr FROM cells GROUP BY rank) USING (rank)
    GROUP BY query, doc_id"""
NEGATIVES = """
    WITH pair AS (
        SELECT *, (clicks + 1) / (expected + 1) AS coec
        FROM pairs JOIN expected USING (query, doc_id) LEFT JOIN skips USING (query, doc_id)),
    positive AS (SELECT query, doc_id AS pos_id FROM pair WHERE coec > 1 AND users_clicked >= 1),
    negative AS (
        SELECT query, doc_id AS neg_id, skips, evidence,
               row_number() OVER (PARTITION BY query ORDER BY xxhash64(query, doc_id)) AS place
        FROM pair WHERE skips > 0 AND users_clicked = 0 AND coec < 1)
    SELECT query, pos_id, neg_id, skips, evidence, place FROM negative JOIN positive USING (query) WHERE place <= 10"""


def ours(log: DataFrame, key: Callable[[], hn.Key], out: str) -> None:
    spark.mine(log, f"{out}/ours", privacy=hn.Privacy.none(), key=key, config=CONFIG, overwrite=True)


def sql(session: SparkSession, log: DataFrame, out: str, *, counts: bool = False, kept: bool = True) -> None:
    """`kept` says whether what several tables are made of is cached, or left to Spark's reuse of shuffles."""
    log.createOrReplaceTempView("log")
    votes = session.sql(VOTES)
    votes = votes.persist() if kept else votes
    votes.createOrReplaceTempView("votes")
    cells = session.sql(CELLS)
    cells = cells.persist() if kept else cells
    cells.createOrReplaceTempView("cells")
    for name, query in (("pairs", PAIRS), ("skips", SKIPS), ("expected", EXPECTED)):
        session.sql(query).createOrReplaceTempView(name)
    if counts:
        for name in ("cells", "pairs", "skips"):
            session.table(name).write.mode("overwrite").parquet(f"{out}/{name}")
    else:
        session.sql(NEGATIVES).write.mode("overwrite").parquet(f"{out}/negatives")
    if kept:
        votes.unpersist()
        cells.unpersist()


def cpu() -> float:
    """Seconds of CPU of this process and all below it so far: the JVM of Spark, and its Python workers."""
    ticks, parents = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            after = stat.read_text().rpartition(")")[2].split()
            pid = int(stat.parent.name)
            # With those of children that ended.
            parents[pid], ticks[pid] = int(after[1]), sum(map(int, after[11:15]))

    def below(pid: int) -> bool:
        while pid not in (0, os.getpid()):
            pid = parents.get(pid, 0)
        return pid != 0

    return sum(spent for pid, spent in ticks.items() if below(pid)) / os.sysconf("SC_CLK_TCK")


def travelled(path: str, key: hn.Key, parts: int) -> dict[str, float]:
    """Bytes that go over the wire, and rows that they are of."""
    table = pq.read_table(path)
    rows = hn.split(table, parts, key=key, config=CONFIG).read_all()
    of = [rows.filter(pc.equal(rows["part"], i)) for i in range(parts)]
    made, pairs = 0, 0
    for i, blocks in enumerate(of):
        tables = ("queries", "cells", "pairs", "preferences")
        counts = hn.count(blocks, part=(i, parts), key=key, config=CONFIG, tables=tables)
        pairs += counts.sizes["pairs"]
        made += hn.split(counts, parts, key=key).read_all()["block"].nbytes
    return {
        "rows": table.num_rows,
        "row bytes": rows["block"].nbytes / table.num_rows,
        "pairs of parts": pairs,
        "count bytes a pair": made / pairs,
        "count bytes a row": made / table.num_rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", default="2M")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--travelled", action="store_true", help="also count the bytes that are shuffled")
    args = parser.parse_args()
    rows = int(float(args.rows.rstrip("M")) * 1e6)
    path = Path(".cache/benches") / f"spark-{args.rows}.parquet"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        make_log(path, rows, 7)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    session = session.config("spark.sql.shuffle.partitions", args.partitions).config("spark.driver.memory", "4g")
    session = session.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    with tempfile.TemporaryDirectory() as folder:
        hn.Key.ephemeral().save(f"{folder}/hn.key")
        key = partial(hn.Key.load, f"{folder}/hn.key")
        log = session.read.parquet(str(path))
        jobs = {
            "ours, whole job": lambda: ours(log, key, folder),
            "SQL, whole job": lambda: sql(session, log, folder),
            "SQL, nothing cached": lambda: sql(session, log, folder, kept=False),
            "SQL, counts alone": lambda: sql(session, log, folder, counts=True),
        }
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
        for again in range(args.repeats + 1):
            for name, job in jobs.items():
                start, spent = time.perf_counter(), cpu()
                job()
                seconds, spent = time.perf_counter() - start, cpu() - spent
                print(f"{name:20} {seconds:7.1f} s, {spent:7.1f} s CPU{'' if again else '  (warming up)'}", flush=True)
                if again:
                    taken[name].append((seconds, spent))
        for name, runs in taken.items():
            seconds, spent = (statistics.median(each) for each in zip(*runs, strict=True))
            print(f"{name:20} {seconds:7.1f} s, {spent:7.1f} s CPU: medians of {len(runs)}")
        if args.travelled:
            print(travelled(str(path), key(), args.partitions))
    session.stop()


if __name__ == "__main__":
    main()

"""The workloads through our public functions with a configuration: nothing here exists for a benchmark alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import hardneg_fast as hn

UNLIMITED = 2**31 - 1


def _config(threads: int) -> hn.Config:
    """Everything that the workloads do not ask for is switched off: bounding, robots, page lengths, satisfaction."""
    return hn.Config(
        threads=threads,
        # A page is a (session, query): times would split it, and dwell times say nothing here.
        read=hn.ReadConfig(columns={"position": "rank", "timestamp": "", "dwell_ms": ""}),
        count=hn.CountConfig(max_votes=0, robots="keep", min_page_length=1, max_position=65_535, satisfied_dwell_ms=0),
    )


def _write(table: pa.Table, out: str) -> None:
    pq.write_table(table, out, compression="zstd")


def w2(log: str, out: str, threads: int) -> None:
    counts = hn.count(log, config=_config(threads), tables=("pairs",))
    columns = {
        "query": "query",
        "doc_id": "doc_id",
        "impressions": "impressions",
        "clicks": "clicks",
        "users_shown": "users",
        "position_sum": "ranks",
    }
    _write(pa.table(counts.pairs).select(list(columns)).rename_columns(columns), out)


def w4(log: str, out: str, threads: int) -> None:
    counts = hn.count(log, config=_config(threads), tables=("pairs",))
    select = hn.SelectConfig(
        rules=("skipped",),
        positive_users=2,
        positive_coec=0,
        max_positives_per_query=UNLIMITED,
        own_positive="users",
        own_positive_users=2,
        abandoned="keep",
        alpha=1,
        negative_coec=1e300,
        min_impressions=3,
        max_ctr_upper=0.5,
        order="skip_weight",
        max_negatives_per_query=8,
        max_queries_per_document=UNLIMITED,
        carry=("skip_weight", "skips"),
    )
    evidence = hn.evidence(hn.release(counts, privacy=hn.Privacy.none()))
    selected = hn.select(evidence, config=select)
    negatives = pa.table(selected.negatives).select(["query", "neg_id", "skip_weight", "skips"])
    negatives = negatives.rename_columns(["query", "negative", "evidence", "skips"])
    # Negatives stand by query, then by place: a place is the distance from the query's first row.
    code = negatives["query"].combine_chunks().dictionary_encode().indices.to_numpy()
    row = np.arange(len(code))
    first = np.maximum.accumulate(np.where(np.diff(code, prepend=-1) != 0, row, 0))
    negatives = negatives.append_column("rank", pa.array(row - first + 1))
    positives = pa.table(selected.positives).select(["query", "doc_id"]).rename_columns(["query", "positive"])
    joined = positives.join(negatives, "query", join_type="inner")
    _write(joined.select(["query", "positive", "negative", "evidence", "skips", "rank"]), out)


OURS = {"W2": w2, "W4": w4}

"""The same log gives the same bytes: whatever the threads, batches, order of rows, format and key."""

from __future__ import annotations

import datetime
import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hardneg_fast as hn
import strategies

APRIL = datetime.datetime(2026, 4, 1, tzinfo=datetime.UTC)
CONFIG = hn.Config(
    seed=3,
    threads=1,
    # Thinned, so that a sampling decision that hangs on order shows; loose, so that there is something to compare.
    count=hn.CountConfig(until=APRIL, half_life_days=90),
    select=hn.SelectConfig(positive_coec=0.5, alpha=1.0, negative_coec=0.9, num_negatives=2, refill="random"),
)
PRIVACY = {"k_users": hn.Privacy.k_users(3), "none": hn.Privacy.none()}
TABLES = ("negatives", "positives", "triplets", "queries", "documents")


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sim")
    hn.simulate(folder / "log", impressions=60_000, seed=11)
    return folder / "log" / "log.parquet"


def files(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def mined(log: object, out: Path, mode: str, config: hn.Config = CONFIG, **more) -> dict[str, bytes]:
    hn.mine(log, out, privacy=PRIVACY[mode], config=config, **more)
    return files(out)


@pytest.fixture(scope="module", params=PRIVACY)
def expected(request, log, tmp_path_factory) -> tuple[str, dict[str, bytes]]:
    out = tmp_path_factory.mktemp("first") / "out"
    found = mined(log, out, request.param, documents=None)
    assert json.loads(found["report.json"])["select"]["rows"] > 100, "nothing to compare"
    assert {f"{name}/train-00000-of-00001.parquet" for name in TABLES} <= found.keys()
    return request.param, found


def shuffled(table: pa.Table, seed: int) -> pa.Table:
    return table.take(pa.array(random.Random(seed).sample(range(len(table)), len(table)), pa.int64()))


@pytest.mark.parametrize("name", ["again", "threads_2", "threads_7", "batch_1000", "batch_1000000"])
def test_threads_and_batches_of_a_file(name, log, expected, tmp_path):
    mode, first = expected
    kind, _, n = name.partition("_")
    config = {
        "again": CONFIG,
        "threads": replace(CONFIG, threads=int(n or 0)),
        "batch": replace(CONFIG, threads=2, read=hn.ReadConfig(batch_rows=int(n or 1))),
    }[kind]
    assert mined(log, tmp_path / "out", mode, config) == first


def test_keys_leave_no_trace(log, expected, tmp_path):
    mode, first = expected
    keys = [None, None, hn.Key(bytes(32)), hn.Key(bytes(range(32)))]
    for i, key in enumerate(keys):
        assert mined(log, tmp_path / str(i), mode, key=key) == first, i


def test_documents_and_overwriting(log, tmp_path):
    texts = log.with_name("documents.parquet")
    first = mined(log, tmp_path / "one", "none", documents=texts)
    table = shuffled(pq.read_table(texts), 5)
    assert mined(log, tmp_path / "two", "none", replace(CONFIG, threads=2), documents=table) == first
    assert mined(log, tmp_path / "two", "k_users", overwrite=True) != first
    assert mined(log, tmp_path / "two", "none", documents=pl.from_arrow(table), overwrite=True) == first


def test_seeds_matter(log, expected, tmp_path):
    mode, first = expected
    assert mined(log, tmp_path / "out", mode, replace(CONFIG, seed=4)) != first


def as_input(kind: str, log: Path, folder: Path) -> object:
    table = pq.read_table(log)
    if kind == "csv":
        pacsv.write_csv(table, folder / "log.csv")
        return folder / "log.csv"
    if kind == "ndjson":
        pl.read_parquet(log).with_columns(pl.col("timestamp").cast(pl.String)).write_ndjson(folder / "log.ndjson")
        return folder / "log.ndjson"
    if kind == "parts":
        for i in range(7):
            pq.write_table(table.slice(i * 9_000, 9_000), folder / f"part{i}.parquet", row_group_size=777)
        return folder
    return {
        "table": lambda: table,
        "table_1000": lambda: strategies.rebatch(table, 1_000),
        "shuffled": lambda: shuffled(table, 1),
        "shuffled_again": lambda: strategies.rebatch(shuffled(table, 2), 999),
        "reader": lambda: table.to_reader(1_000),
        "polars": lambda: pl.read_parquet(log),
        "lazy": lambda: pl.scan_parquet(log),
        "pandas": lambda: table.to_pandas(),
        "duckdb": lambda: duckdb.connect().read_parquet(str(log)),
        "columns_reversed": lambda: table.select(table.column_names[::-1]),
    }[kind]()


KINDS = [
    "csv",
    "ndjson",
    "parts",
    "table",
    "table_1000",
    "shuffled",
    "shuffled_again",
    "reader",
    "polars",
    "lazy",
    "pandas",
]


@pytest.mark.parametrize("kind", [*KINDS, "duckdb", "columns_reversed"])
def test_formats_and_row_order(kind, log, expected, tmp_path):
    mode, first = expected
    (tmp_path / "in").mkdir()
    found = mined(as_input(kind, log, tmp_path / "in"), tmp_path / "out", mode, replace(CONFIG, threads=2))
    for name, content in first.items():
        if name.startswith("report."):
            continue
        assert found[name] == content, name
    ours, theirs = (json.loads(f["report.json"]) for f in (found, first))
    # How the log came in is told, and may differ; nothing else may.
    assert {k for k in ours if ours[k] != theirs[k]} <= {"input"}
    assert ours["input"]["rows"] == theirs["input"]["rows"]


@settings(max_examples=60)
@given(data=st.data(), log=strategies.logs(), select=strategies.select_configs(), k=st.sampled_from([None, 2]))
def test_any_log(data, log, select, k):
    count = data.draw(strategies.count_configs(log.columns))
    config = hn.Config(count=count, select=select, threads=1, seed=5, read=hn.ReadConfig(position_base="1"))
    table = strategies.to_table(log.rows, log.columns)
    variants = {
        "threads": (table, replace(config, threads=3)),
        "again": (table, config),
        "shuffled": (shuffled(table, len(table)), replace(config, threads=2)),
        "batches": (strategies.rebatch(table, 2), replace(config, threads=2)),
    }

    def outcome(table: pa.Table, config: hn.Config) -> object:
        try:
            r = hn.mine(table, privacy=hn.Privacy.none() if k is None else hn.Privacy.k_users(k), config=config)
        except hn.HardnegError as error:
            return type(error), str(error)
        return r.negatives.to_pylist(), r.triplets.to_pylist(), r.queries.to_pylist(), r.report, r.privacy

    first = outcome(table, config)
    for name, variant in variants.items():
        assert outcome(*variant) == first, name


def test_no_file_tells_when_or_where(log, expected, tmp_path):
    _, first = expected
    for name, content in first.items():
        for told in (str(tmp_path.parent), str(log.parent), log.name, Path.cwd().name + "/", "threads", "batch_rows"):
            assert told.encode() not in content, (name, told)


MACHINE = """
import sys
from hardneg_fast import cli
log, key, batch = sys.argv[1:]
how = ["--key", key, "--epoch", "2026", "--read.batch-rows", batch]
runs = {
    "safe": ["anonymize", "--k-users", "3", "--scrub.action", "token", "--reversible", "session_id", "--manifest", "m"],
    "times": ["anonymize", "--time", "keep"],
    "pages": ["anonymize", "--time", "keep", "--query-text", "keep"],
    "mined": ["mine", "--k-users", "3", "--select.alpha", "1"],
}
for out, (command, *options) in runs.items():
    given = how if command == "anonymize" else ["--key", key, "--read.batch-rows", batch]
    assert cli.main([command, log, "-o", out, *given, *options]) == 0, out
"""


def test_two_machines_with_one_key_write_the_same_bytes(tmp_path):
    """Nothing of the machine is in what is written: not its threads, batches, folders, time zone or language."""
    hn.simulate(tmp_path / "sim", impressions=20_000, seed=3)
    log = tmp_path / "log.parquet"
    # Row groups unlike any batch, and times whose zone has to be taken for UTC.
    table = pq.read_table(tmp_path / "sim" / "log.parquet")
    naive = table["timestamp"].cast(pa.timestamp("us")).cast(pa.string())
    table = table.set_column(table.column_names.index("timestamp"), "timestamp", naive)
    pq.write_table(table, log, row_group_size=3_001)
    hn.Key(bytes(range(32))).save(tmp_path / "key")
    machines = [
        {"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C", "HARDNEG_THREADS": "1", "batch": "65536"},
        {"PYTHONHASHSEED": "7", "TZ": "Asia/Kathmandu", "LC_ALL": "C.UTF-8", "HARDNEG_THREADS": "3", "batch": "777"},
    ]
    made = []
    for i, machine in enumerate(machines):
        home = tmp_path / f"machine{i}"
        (home / "tmp").mkdir(parents=True)
        batch = machine.pop("batch")
        env = {**os.environ, **machine, "TMPDIR": str(home / "tmp"), "HOME": str(home)}
        command = [sys.executable, "-c", MACHINE, str(log), str(tmp_path / "key"), batch]
        done = subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        made.append(files(home))
    assert {"safe", "m", "times", "pages", "mined/privacy.json"} <= made[0].keys()
    assert pq.read_metadata(tmp_path / "machine0" / "safe").num_rows > 1_000
    for name, content in made[0].items():
        if name == "mined/report.json":  # it says with which batches the log was read
            continue
        assert made[1][name] == content, name
    assert made[0].keys() == made[1].keys()

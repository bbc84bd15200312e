"""The benchmarks' checks: they let equal results pass, and find each kind of difference."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

FOLDER = Path(__file__).parents[1] / "benches"
ROWS = 20_000
WORKLOADS = {"W1": "log", "W2": "pairs", "W3": "bounded", "W4": "negatives", "W5": "related"}


@pytest.fixture(scope="module", autouse=True)
def benches() -> Iterator[None]:
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log, and the tables of each workload from two engines, in the folders `one` and `two`."""
    folder = tmp_path_factory.mktemp("benches")
    module("make_log").make_log(folder / "log.parquet", ROWS)
    duckdb, polars = module("peers.on_duckdb"), module("peers.on_polars")
    runs = {
        "one": {**duckdb.RUNS["duckdb"], "W1": duckdb.w1_all},
        "two": {**polars.RUNS["polars"], **duckdb.RUNS["duckdb_minn"], "W1": duckdb.w1_dict},
    }
    for engine, by_workload in runs.items():
        out = folder / engine
        out.mkdir()
        for workload in WORKLOADS:
            by_workload[workload](module("setting").Setting(str(folder / "log.parquet"), out, 2, None, folder))
    return folder


def differences(made: Path, scratch: Path, workload: str, **folders: Path) -> list[str]:
    checker = module("checks").Checker(made / "log.parquet", scratch, 2)
    found: list[str] = checker.check(workload, {"one": made / "one", "two": made / "two"} | folders)
    return found


@pytest.mark.parametrize("workload", [*WORKLOADS])
def test_ours_is_what_peers_give(made: Path, tmp_path: Path, workload: str) -> None:
    out = tmp_path / "ours"
    out.mkdir()
    module("ours").OURS[workload](module("setting").Setting(str(made / "log.parquet"), out, 2, None, tmp_path))
    assert pq.ParquetFile(out / f"{WORKLOADS[workload]}.parquet").metadata.num_rows > 0
    assert differences(made, tmp_path, workload, ours=out) == []


def changed(made: Path, scratch: Path, workload: str, column: str, change: object) -> Path:
    """Tables of an engine, with one column of a workload's table changed."""
    out = scratch / "three"
    out.mkdir()
    for path in (made / "one").iterdir():
        table = pq.read_table(path)
        if path.stem == WORKLOADS[workload]:
            table = table.set_column(table.schema.get_field_index(column), column, change(table[column]))  # type: ignore[operator]
        pq.write_table(table, out / path.name)
    return out


def last(column: pa.ChunkedArray, value: object) -> pa.Array:
    return pa.array([*column.to_pylist()[:-1], value], type=column.type)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_engines_agree(made: Path, tmp_path: Path, workload: str) -> None:
    assert pq.read_metadata(made / "one" / f"{WORKLOADS[workload]}.parquet").num_rows > 100
    assert differences(made, tmp_path, workload) == []


@pytest.mark.parametrize(
    ("workload", "column", "change"),
    [
        ("W1", "dwell_ms", lambda c: last(c, 7)),
        ("W1", "user_id", lambda c: last(c, "0" * 32)),  # a row moves to another user
        ("W1", "session_id", lambda c: pa.chunked_array([pa.array(["0" * 32] * len(c))])),  # all sessions are one
        ("W2", "users", lambda c: pc.add(c, 1)),
        ("W3", "impressions", lambda c: last(c, c[-1].as_py() + 1)),  # more than the bound allows
        ("W3", "clicks", lambda c: pc.multiply(c, 0)),  # votes chosen by their clicks
        ("W3", "query", lambda c: last(c, "no such query")),
        ("W4", "evidence", lambda c: last(c, 7_777)),
        ("W5", "cosine", lambda c: last(c, c[-1].as_py() - 2e-9)),
    ],
)
def test_a_difference_is_found(made: Path, tmp_path: Path, workload: str, column: str, change: object) -> None:
    (said,) = differences(made, tmp_path, workload, three=changed(made, tmp_path, workload, column, change))
    assert "three" in said


def test_raw_identifiers_are_found(made: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    pq.write_table(pq.read_table(made / "log.parquet"), raw / "log.parquet")
    (said,) = differences(made, tmp_path, "W1", raw=raw)
    assert "raw identifiers" in said


def test_a_run_is_watched(made: Path, tmp_path: Path) -> None:
    guard, out = module("guard"), tmp_path / "out"
    out.mkdir()
    setting = module("setting").Setting(str(made / "log.parquet"), out, 2, None, tmp_path)
    spent = guard.run("duckdb", "W2", setting, guard.Limits(memory=1 << 33, seconds=300.0))
    assert spent.failed == ""
    assert spent.cpu > 0
    assert spent.rss > 1 << 20
    assert "GB of anonymous memory" in guard.run("duckdb", "W2", setting, guard.Limits(1 << 20, 300.0)).failed
    assert "not done after" in guard.run("duckdb", "W2", setting, guard.Limits(1 << 33, 0.0)).failed
    assert "Error" in guard.run("duckdb", "no such workload", setting, guard.Limits(1 << 33, 300.0)).failed


def test_figures_are_medians_and_failures_are_last() -> None:
    spent = module("guard").Spent
    runs = {"W2": {"bad": [spent(failed="out of memory")], "ours": [spent(c, 1.0, 1e9, 0.0) for c in (3.0, 1.0, 2.0)]}}
    ours, bad = module("report").table(runs, 1_000_000_000).splitlines()[2:]
    assert ours.startswith("| W2 | ours | 2 | 1 to 3 | 1.00 | 1.00 |")
    assert "failed: out of memory" in bad

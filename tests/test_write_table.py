"""Tables as Parquet files: what readers find is what the table says as Arrow."""

import json
import stat
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hardneg_fast as hn
import strategies
from hardneg_fast import cli

ALL = ("queries", "cells", "pairs", "preferences", "successions", "succession_clicks", "bounded", "pages")


def arrow(table: object) -> pa.Table:
    return pa.table(pa.RecordBatchReader.from_stream(table).read_all())


def counts_of(log: Path, tables: tuple[str, ...] = ALL) -> hn.Counts:
    return hn.count(log, config=hn.Config(count=hn.CountConfig(max_pairs_per_user=3, robots="keep")), tables=tables)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hn.simulate(tmp_path_factory.mktemp("log"), impressions=1_000_000, seed=5).directory / "log.parquet"


@pytest.fixture(scope="module")
def counts(log: Path) -> hn.Counts:
    return counts_of(log)


@pytest.mark.parametrize("name", ALL)
def test_readers_find_what_arrow_says(counts: hn.Counts, name: str, tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    hn.write_table(counts.table(name), path)
    said = arrow(counts.table(name))
    assert said.num_rows > 0
    assert pq.read_table(path).cast(said.schema).equals(said)
    assert duckdb.sql(f"FROM '{path}'").arrow().read_all().cast(said.schema).equals(said)
    assert pl.read_parquet(path).equals(pl.from_arrow(said))


def test_several_row_groups_and_threads_give_the_same_bytes(counts: hn.Counts, tmp_path: Path) -> None:
    written = []
    for threads in (1, 2, 5):
        path = tmp_path / f"{threads}.parquet"
        hn.write_table(counts.cells, path, threads=threads)
        written.append(path.read_bytes())
    assert pq.read_metadata(path).num_row_groups > 1
    assert pq.read_table(path).cast(arrow(counts.cells).schema).equals(arrow(counts.cells))
    assert len(set(written)) == 1


@settings(max_examples=60)
@given(log=strategies.logs())
def test_any_log(log: strategies.Log, tmp_path_factory: pytest.TempPathFactory) -> None:
    counts = hn.count(strategies.to_table(log.rows, log.columns), tables=("pairs", "queries"))
    path = tmp_path_factory.mktemp("any") / "pairs.parquet"
    for table in (counts.pairs, counts.queries):
        hn.write_table(table, path, overwrite=True)
        assert pq.read_table(path).cast(arrow(table).schema).equals(arrow(table))


@settings(max_examples=100)
@given(runs=st.lists(st.tuples(st.integers(0, 300), st.integers(1, 40)), max_size=60))
def test_any_stretches_of_equal_texts(runs: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Documents in an order that `related` gives: runs and lone values in turn, dictionaries of any width."""
    rows = [
        {"query": f"q{at:03}", "doc_id": f"d{(doc + i) % 301}", "clicked": True}
        for at, (doc, n) in enumerate(runs)
        for i in range(n)
    ]
    log = pa.Table.from_pylist(
        rows, schema=pa.schema([("query", pa.string()), ("doc_id", pa.string()), ("clicked", pa.bool_())])
    )
    found = hn.related_queries(log)
    path = tmp_path_factory.mktemp("any") / "documents.parquet"
    for table in (found.related, found.documents):
        hn.write_table(table, path, overwrite=True)
        assert pq.read_table(path).cast(arrow(table).schema).equals(arrow(table))


def test_later_stages_tables_are_written_too(counts: hn.Counts, tmp_path: Path) -> None:
    evidence = hn.evidence(released := hn.release(counts, privacy=hn.Privacy.none()))
    selected = hn.select(evidence)
    tables = [
        released.table(),
        evidence.table(),
        evidence.positions(),
        selected.negatives,
        selected.positives,
        selected.triplets,
    ]
    for i, table in enumerate(tables):
        hn.write_table(table, tmp_path / f"{i}.parquet")
        said = arrow(table)
        assert pq.read_table(tmp_path / f"{i}.parquet").cast(said.schema).equals(said)


def test_columns_are_chosen_ordered_and_renamed(counts: hn.Counts, tmp_path: Path) -> None:
    hn.write_table(counts.pairs, tmp_path / "a.parquet", columns={"clicks": "n", "query": "asked"})
    said = arrow(counts.pairs).select(["clicks", "query"]).rename_columns(["n", "asked"])
    assert pq.read_table(tmp_path / "a.parquet").cast(said.schema).equals(said)
    hn.write_table(counts.pairs, tmp_path / "b.parquet", columns=("doc_id",))
    assert pq.read_schema(tmp_path / "b.parquet").names == ["doc_id"]


@pytest.mark.parametrize("make", [pa.table, pl.from_arrow, pa.Table.to_reader], ids=["table", "frame", "reader"])
def test_any_other_arrow_table(make, tmp_path: Path) -> None:
    """What a package makes of pyarrow, such as an estimate, is written, too."""
    table = pa.table({"position": [1, 2], "text": pa.array(["a", None]).dictionary_encode(), "list": [[1.5], []]})
    hn.write_table(make(table), tmp_path / "a.parquet")
    assert pq.read_table(tmp_path / "a.parquet").to_pydict() == table.to_pydict()
    hn.write_table(make(table), tmp_path / "b.parquet", columns={"list": "n", "position": "p"})
    assert pq.read_table(tmp_path / "b.parquet").to_pydict() == {"n": [[1.5], []], "p": [1, 2]}
    hn.write_table(make(table.slice(0, 0)), tmp_path / "none.parquet")
    assert pq.read_schema(tmp_path / "none.parquet").names == table.column_names
    with pytest.raises(hn.UsageError, match="columns not found"):
        hn.write_table(make(table), tmp_path / "x.parquet", columns=("nothing",))
    assert not (tmp_path / "x.parquet").exists()


def test_an_estimate_is_written_and_given_back(log: Path, tmp_path: Path) -> None:
    found = hn.estimate_propensities(log)
    hn.write_table(found.table, tmp_path / "p.parquet", columns=("position", "propensity"))
    args = [
        "mine",
        str(log),
        "-o",
        str(tmp_path / "out"),
        "--k-users",
        "5",
        "--propensities",
        str(tmp_path / "p.parquet"),
    ]
    assert cli.main(args) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["evidence"]["debias"] == "propensities"
    assert report["config"]["evidence"]["propensities"] == {"positions": len(found.by_position())}


def test_an_empty_table(tmp_path: Path) -> None:
    log = pa.table(
        {"query": pa.array([], pa.string()), "doc_id": pa.array([], pa.string()), "clicked": pa.array([], pa.bool_())}
    )
    hn.write_table(hn.related_queries(log).related, tmp_path / "none.parquet")
    assert pq.read_table(tmp_path / "none.parquet").num_rows == 0


def test_mode_of_the_file(counts: hn.Counts, tmp_path: Path) -> None:
    hn.write_table(counts.queries, tmp_path / "private.parquet", private=True)
    assert stat.S_IMODE((tmp_path / "private.parquet").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (("nothing",), "columns not found"),
        ("query", "columns is a string"),
        (("query", "query"), "twice"),
        ({"query": "x", "users": "x"}, "twice"),
    ],
)
def test_columns_that_cannot_be(counts: hn.Counts, columns: object, says: str, tmp_path: Path) -> None:
    with pytest.raises(hn.UsageError, match=says):
        hn.write_table(counts.queries, tmp_path / "x.parquet", columns=columns)
    assert list(tmp_path.iterdir()) == []


def test_targets_and_tables_that_cannot_be(counts: hn.Counts, tmp_path: Path) -> None:
    with pytest.raises(hn.UsageError, match="not list"):
        hn.write_table([1], tmp_path / "x.parquet")
    (tmp_path / "there.parquet").write_text("mine")
    with pytest.raises(hn.UsageError, match="exists"):
        hn.write_table(counts.queries, tmp_path / "there.parquet")
    assert (tmp_path / "there.parquet").read_text() == "mine"
    with pytest.raises(hn.FileError, match="cannot write"):
        hn.write_table(counts.queries, Path("/proc/nowhere/x.parquet"))

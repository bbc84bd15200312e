"""Related queries equal the naive reference, for any clicks, order, batching, types and thread count."""

from __future__ import annotations

import random
import time

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hardneg_fast as hn
import reference
import strategies

QUERIES = ["red shoes", "shoes", "Red  Shoes", "straße", "hats", "hüte", "x"]
DOCS = [f"d{i}" for i in range(7)]
NONE = hn.Privacy.none()


@st.composite
def related_configs(draw: st.DrawFn) -> hn.RelatedConfig:
    return hn.RelatedConfig(
        top_related=draw(st.integers(0, 4)),
        min_queries_per_document=draw(st.integers(0, 3)),
        max_queries_per_document=draw(st.integers(1, 7)),
        top_documents=draw(st.integers(0, 4)),
    )


def rows_of(found: hn.RelatedQueries) -> tuple[list[tuple], list[tuple]]:
    related, documents = pa.table(found.related), pa.table(found.documents)
    assert related.column_names == ["query", "related_query", "cosine", "rank"]
    assert documents.column_names == ["query", "doc_id", "score", "rank"]
    return tuple([tuple(row.values()) for row in table.to_pylist()] for table in (related, documents))


def summed(rows: list[tuple[str, str, int]]) -> dict[tuple[str, str], int]:
    sums: dict[tuple[str, str], int] = {}
    for query, doc, n in rows:
        sums[query, doc] = sums.get((query, doc), 0) + n
    return sums


TEXT = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
COUNT = [pa.int64(), pa.int8(), pa.uint32(), pa.float64(), pa.string()]


@given(
    rows=st.lists(st.tuples(st.sampled_from(QUERIES), st.sampled_from(DOCS), st.integers(0, 3)), max_size=60),
    config=related_configs(),
    text=st.sampled_from(TEXT),
    kind=st.sampled_from(COUNT),
    size=st.integers(1, 40),
    threads=st.integers(1, 3),
    shuffle=st.randoms(use_true_random=False),
)
@settings(max_examples=150, deadline=None)
def test_counts_equal_the_reference(rows, config, text, kind, size, threads, shuffle):
    expected = reference.related(summed(rows), config)
    shuffle.shuffle(rows)
    columns = [[row[i] for row in rows] for i in range(3)]
    counts = pa.array([str(n) for n in columns[2]]) if kind == pa.string() else pa.array(columns[2], kind)
    arrays = [pa.array(columns[0]).cast(text), pa.array(columns[1]).cast(text), counts]
    if not rows:
        arrays = [pa.array([], text), pa.array([], text), pa.array([], kind)]
    table = pa.table(arrays, ["query", "doc_id", "clicks"])
    batches = pa.Table.from_batches(table.to_batches(max_chunksize=size), table.schema)
    tree = hn.Config(related=config, threads=threads)
    assert rows_of(hn.related_queries(batches, config=tree)) == expected
    # A row a click is the same thing.
    clicked = [(q, d, True) for q, d, n in rows for _ in range(n)] + [(q, d, False) for q, d, _ in rows]
    shuffle.shuffle(clicked)
    flags = {name: [row[i] for row in clicked] for i, name in enumerate(("query", "doc_id", "clicked"))}
    types = pa.schema([("query", pa.string()), ("doc_id", pa.string()), ("clicked", pa.bool_())])
    log = pa.table(flags, types)
    cast = log.cast(pa.schema([("query", text), ("doc_id", text), ("clicked", pa.bool_())]))
    found = hn.related_queries(pa.Table.from_batches(cast.to_batches(max_chunksize=size), cast.schema), config=tree)
    assert rows_of(found) == expected
    assert (found.rows, found.quarantine) == (len(clicked), {})
    assert found.queries == len({q for q, _, is_clicked in clicked if is_clicked})


@settings(max_examples=80, deadline=None)
@given(
    log=strategies.logs(),
    k=st.sampled_from([None, 2, 3]),
    config=related_configs(),
    least=st.sampled_from([1, 1, 2]),
)
def test_releases_equal_the_reference(log, k, config, least):
    if k and "user_id" not in log.columns:
        k = None
    count = hn.CountConfig(max_votes=0, robots="keep", min_page_length=least)
    tree = hn.Config(count=count, read=hn.ReadConfig(position_base="1"))
    counts = hn.count(strategies.to_table(log.rows, log.columns), config=tree)
    released = hn.release(counts, privacy=hn.Privacy.k_users(k) if k else NONE)
    shown = summed([(r["query"], r["doc_id"], int(r["clicks"])) for r in pa.table(released.table()).to_pylist()])
    found = hn.related_queries(released, config=config)
    assert rows_of(found) == reference.related(shown, config), "no more than the released table says"
    assert (found.rows, found.quarantine, found.privacy) == (0, {}, released.privacy)
    assert not k or found.queries % k == 0


def log_of(n: int) -> pa.Table:
    pool = random.Random(5)
    rows = [(pool.choice(QUERIES), pool.choice(DOCS), pool.random() < 0.3) for _ in range(n)]
    columns = dict(zip(("q", "doc_id", "clicked"), map(list, zip(*rows, strict=True)), strict=True))
    return pa.table(columns | {"position": list(range(1, n + 1)), "user_id": ["secret"] * n})


@pytest.mark.parametrize("name", ["log.parquet", "log.arrow", "log.csv", "log.ndjson"])
def test_files_are_logs_and_are_normalised(tmp_path, name):
    log, path = log_of(400), tmp_path / name
    if name.endswith("parquet"):
        pq.write_table(log, path, row_group_size=90)
    elif name.endswith("arrow"):
        with pa.ipc.new_file(path, log.schema) as writer:
            writer.write_table(log)
    elif name.endswith("csv"):
        pl.from_arrow(log).write_csv(path)
    else:
        pl.from_arrow(log).write_ndjson(path)
    config = hn.Config(read=hn.ReadConfig(columns={"query": "q"}, batch_rows=70))
    rows = [(row["q"], row["doc_id"], int(row["clicked"])) for row in log.to_pylist()]
    normal = [(reference.normalize(q), d, n) for q, d, n in rows]
    expected = {text: reference.related(summed(some), config.related) for text, some in ((0, rows), (1, normal))}
    assert expected[0] != expected[1]
    found = hn.related_queries(path, config=config)
    assert rows_of(found) == expected[1]
    assert found.rows == 400
    assert rows_of(hn.related_queries(str(path), config=config, queries="given")) == expected[0]
    assert rows_of(hn.related_queries(log, config=config)) == expected[0], "Arrow objects are taken as they are"
    assert rows_of(hn.related_queries(log, config=config, queries="normalize")) == expected[1]
    assert rows_of(hn.related_queries(pl.from_arrow(log).lazy(), config=config)) == expected[0]


def test_counts_from_files_and_other_shapes(tmp_path):
    pairs = [("a", "1", 2), ("b", "1", 1), ("b", "2", 5)]
    expected = reference.related(summed(pairs), hn.RelatedConfig())
    assert len(expected[0]) == 2
    assert [row[1] for row in expected[1]] == ["2"]
    counts = pa.table({name: [p[i] for p in pairs] for i, name in enumerate(("query", "doc_id", "n"))})
    pq.write_table(counts, tmp_path / "counts.parquet")
    config = hn.Config(read=hn.ReadConfig(columns={"clicks": "n"}))
    assert rows_of(hn.related_queries(tmp_path / "counts.parquet", config=config)) == expected
    pages = pa.table(
        {
            "query": ["a", "a", "b"] + ["b"] * 5,
            "documents": [["1", "2"], ["1"], ["2", "1"]] + [["2"]] * 5,
            "clicks": [[True, False], [True], [False, True]] + [[True]] * 5,
        }
    )
    assert rows_of(hn.related_queries(pages)) == expected
    at = "2024-01-01T12:00:00Z"
    events = [("i", q, d, f"{q}{d}{j}", a) for q, d, n in pairs for j in range(n) for a in ("impression", "click")]
    names = ("user_id", "query", "doc_id", "search_id", "action")
    table = pa.table({name: [e[i] for e in events] for i, name in enumerate(names)} | {"timestamp": [at] * len(events)})
    assert rows_of(hn.related_queries(table)) == expected


def test_rows_set_aside_are_counted():
    log = pa.table(
        {
            "query": ["a", None, "", "x" * 1025, b"\xff", "a", "a", "a", "b", "b"],
            "doc_id": ["1", "1", "1", "1", "1", None, b"\xff", "1", "1", "1"],
            "clicked": ["1", "1", "1", "1", "1", "1", "true", None, "2", "0"],
        },
        schema=pa.schema([("query", pa.binary()), ("doc_id", pa.binary()), ("clicked", pa.string())]),
    )
    found = hn.related_queries(log)
    assert found.quarantine == {
        "null_query": 2,
        "query_too_long": 1,
        "invalid_utf8": 2,
        "null_doc_id": 1,
        "null_clicked": 1,
        "clicked_impossible": 1,
    }
    assert (found.queries, found.related.num_rows, found.rows) == (1, 0, 10)
    counts = pa.table({"query": ["a"] * 4, "doc_id": ["1"] * 4, "clicks": [1.5, -1.0, None, 2.0]})
    assert hn.related_queries(counts).quarantine == {"clicks_impossible": 2, "null_clicks": 1}


def test_refusals():
    log = log_of(5).rename_columns(["query", "doc_id", "clicked", "position", "user_id"])
    with pytest.raises(hn.ColumnError, match="doc_id"):
        hn.related_queries(log.drop(["doc_id"]))
    with pytest.raises(hn.ColumnError, match="clicked"):
        hn.related_queries(log.drop(["clicked"]))
    with pytest.raises(hn.ColumnError, match="leave one aside"):
        hn.related_queries(log.append_column("clicks", [[1] * 5]))
    aside = hn.Config(read=hn.ReadConfig(columns={"clicks": ""}))
    assert hn.related_queries(log.append_column("clicks", [[1] * 5]), config=aside).rows == 5
    with pytest.raises(hn.ColumnError, match="clicks"):
        hn.related_queries(pa.table({"query": ["a"], "doc_id": ["1"], "clicks": [True]}))
    with pytest.raises(hn.UsageError, match="queries is"):
        hn.related_queries(log, queries="raw")
    with pytest.raises(hn.UsageError, match="top_related"):
        hn.related_queries(log, config=hn.RelatedConfig(top_related=-1))
    with pytest.raises(hn.UsageError, match="related"):
        hn.related_queries(log, config=hn.SelectConfig())
    with pytest.raises(hn.DataError, match="squared clicks"):
        hn.related_queries(
            pa.table({"query": ["a", "a", "b", "b"], "doc_id": ["1", "2"] * 2, "clicks": [2**32 - 1] * 4})
        )


def test_progress_can_stop():
    def stop(_stage: str, _rows: int, _done: float | None) -> None:
        raise KeyboardInterrupt

    def slow():
        for batch in log_of(20).rename_columns(["query", "doc_id", "clicked", "p", "u"]).to_batches(max_chunksize=2):
            time.sleep(0.1)
            yield batch

    schema = log_of(1).rename_columns(["query", "doc_id", "clicked", "p", "u"]).schema
    with pytest.raises(KeyboardInterrupt):
        hn.related_queries(pa.RecordBatchReader.from_batches(schema, slow()), progress=stop)

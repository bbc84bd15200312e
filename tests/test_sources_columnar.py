"""Parquet and its kin: projection, dictionaries, nested columns, and files of one log that differ."""

import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import pytest

from hardneg_fast.config import ReadConfig
from hardneg_fast.exceptions import ColumnError
from hardneg_fast.read import open_log

BASE = {"query": ["a", "b"], "doc_id": ["x", "y"], "clicked": [1, 0]}


def parts(tmp_path, *tables):
    for i, table in enumerate(tables):
        pq.write_table(pa.table(table), tmp_path / f"{i}.parquet")
    return tmp_path


def read(log, **options):
    opened = open_log(log, ReadConfig(**options))
    return opened.reader().read_all(), opened


def test_text_comes_as_dictionaries_and_only_what_is_mapped(tmp_path):
    table, log = read(parts(tmp_path, {**BASE, "noise": ["n", "n"]}))
    assert table.schema.names == ["query", "doc_id", "clicked"]
    assert pa.types.is_dictionary(table.schema.field("query").type)
    assert table.to_pylist() == pa.table(BASE).to_pylist()
    assert (log.report.rows_in, log.report.format) == (2, "parquet")
    assert log.reader().read_all().equals(table), "again"


def test_one_column_may_stand_for_two_and_constants_for_none(tmp_path):
    table, log = read(
        parts(tmp_path, BASE), columns={"user_id": "query", "session_id": "query"}, constants={"search_id": "one"}
    )
    assert table["user_id"].to_pylist() == table["session_id"].to_pylist() == ["a", "b"]
    assert table["search_id"].to_pylist() == ["one", "one"]
    assert log.has_pages


@pytest.mark.parametrize("ending", ["parquet", "feather", "orc"])
def test_nested_columns_by_dotted_path(tmp_path, ending):
    table = pa.table({**BASE, "e": [{"o": {"id": "n"}, "p": 1}, {"o": None, "p": 2}], "a.b": ["dot", "dot"]})
    path = tmp_path / f"log.{ending}"
    write = {"parquet": pq.write_table, "feather": pyarrow.feather.write_feather, "orc": pyarrow.orc.write_table}[
        ending
    ]
    write(table, path)
    read_back, _ = read(path, columns={"doc_id": "e.o.id", "position": "e.p", "surface": "a.b"})
    assert read_back["doc_id"].to_pylist() == ["n", None]
    assert read_back["position"].to_pylist() == [1, 2]
    assert read_back["surface"].to_pylist() == ["dot", "dot"], "a name with a dot in it is a name"


def test_files_may_differ_where_it_does_no_harm(tmp_path):
    log = parts(
        tmp_path,
        {**BASE, "position": pa.array([1, 2], pa.int32()), "extra": [1, 2]},
        {"clicked": [1, 0], "position": pa.array([3, 4], pa.int64()), **{k: BASE[k] for k in ("doc_id", "query")}},
    )
    table, _ = read(log)
    assert table["position"].to_pylist() == [1, 2, 3, 4]
    assert table["query"].to_pylist() == ["a", "b"] * 2
    assert pa.types.is_dictionary(table.schema.field("query").type)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"query": ["a"], "doc_id": ["x"]}, r"1.parquet: column 'clicked' not found, but other files"),
        ({**BASE, "clicked": ["1", "0"]}, r"1.parquet: column 'clicked' has type string, in 0.parquet it is int64"),
        ({**BASE, "doc_id": [1, 2]}, r"1.parquet: column 'doc_id' has type int64, in 0.parquet it is string"),
    ],
)
def test_files_that_differ_are_refused_by_name(tmp_path, second, message):
    with pytest.raises(ColumnError, match=message):
        read(parts(tmp_path, BASE, second))


def test_a_column_that_only_later_files_have_is_refused_not_lost(tmp_path):
    with pytest.raises(ColumnError, match=r"0.parquet: column 'user_id' not found"):
        read(parts(tmp_path, BASE, {**BASE, "user_id": ["u", "u"]}))


def test_batches_make_no_difference(tmp_path):
    n = 5_000
    columns = {"query": [f"q{i % 9}" for i in range(n)], "doc_id": list(range(n)), "clicked": [0] * n}
    pq.write_table(pa.table(columns), tmp_path / "log.parquet", row_group_size=1000)
    for batch_rows in (7, 100_000):
        table, _ = read(tmp_path / "log.parquet", batch_rows=batch_rows)
        assert table["doc_id"].to_pylist() == columns["doc_id"]
        assert table["query"].to_pylist() == columns["query"]


def test_streams_of_several_files_must_agree(tmp_path):
    for name, table in (("a", pa.table(BASE)), ("b", pa.table({**BASE, "x": [1, 2]}))):
        with pa.ipc.new_stream(tmp_path / f"{name}.arrows", table.schema) as writer:
            writer.write_table(table)
    assert read(tmp_path / "a.arrows")[0].num_rows == 2
    with pytest.raises(ColumnError, match=r"b.arrows: columns differ from those of a.arrows"):
        read(tmp_path)

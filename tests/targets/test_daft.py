"""Arrow data of Daft, in and out: `make test-targets`, in an environment of its own, for it wants an older pyarrow."""

from __future__ import annotations

import daft
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
from interchange import KEY, by_content, click_log, made_of, results, texts, with_texts

LOG = click_log()


@pytest.fixture(scope="module")
def expected():
    return made_of(lambda: LOG)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    pq.write_table(LOG, path, row_group_size=300)
    return str(path)


def sums(file):
    column = daft.col
    whole = daft.DataType.decimal128(20, 0)
    log = daft.read_parquet(file).with_columns({"page": column("search_id"), "place": column("position")})
    groups = log.groupby("user_id", "page", "query", "doc_id", "place", "timestamp")
    return groups.agg(
        column("search_id").cast(whole).sum().alias("search_id"),
        column("position").cast(whole).sum().alias("position"),
        column("clicked").cast(daft.DataType.int64()).sum().alias("clicked"),
        column("dwell_ms").sum().alias("dwell_ms"),
    ).exclude("page", "place")


PRODUCERS = {
    "from Arrow": lambda _: daft.from_arrow(LOG),
    "Parquet": lambda file: daft.read_parquet(file),
    "sums": sums,
}


@pytest.mark.parametrize("producer", PRODUCERS)
def test_goes_in(producer, file, expected):
    assert made_of(lambda: PRODUCERS[producer](file)) == expected


def test_text_is_large_and_sums_are_decimals(file):
    schema = pa.RecordBatchReader.from_stream(sums(file)).schema
    assert schema.field("query").type == pa.large_string()
    assert pa.types.is_decimal128(schema.field("position").type)


def test_documents_and_columns_go_in(tmp_path):
    wanted = with_texts(texts(), tmp_path / "out")
    assert wanted.num_rows
    assert with_texts(daft.from_arrow(texts()), tmp_path / "out").equals(wanted)
    asked = pa.array(["Mail a@b.ch", None, "Zürich"])
    column = daft.from_arrow(pa.table({"q": asked}))
    assert hn.normalize(column).to_pylist() == ["mail <email>", None, "zürich"]
    assert hn.pseudonymize(column, key=KEY).equals(hn.pseudonymize(asked, key=KEY))


def test_comes_out():
    for name, table in results().items():
        wanted = by_content(pa.table(table()).to_pylist())
        assert (len(wanted) == 0) == (name == "an empty table")
        assert by_content(daft.from_arrow(table()).to_pylist()) == wanted, name

"""Arrow data of every library that has it, in and out, with the real packages: `make test-targets`.

Each library's object goes into `count` and `mine` and gives exactly what pyarrow's table gives, and the library opens
every kind of table that comes out. Daft, which wants an older pyarrow: test_daft.py.
"""

from __future__ import annotations

import arro3.core
import datafusion
import duckdb
import ibis
import nanoarrow
import narwhals
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
from interchange import KEY, SUMS, by_content, click_log, made_of, results, texts, with_texts

LOG = click_log()
TEXT = ("user_id", "query", "doc_id")
QUERIES = tuple(LOG["query"].unique().to_pylist())
ENUM = f"SELECT * REPLACE (CAST(query AS ENUM {QUERIES}) AS query) FROM log ORDER BY 2, 5"  # noqa: S608 - our own log

# Of ibis about the newest duckdb.
pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")


@pytest.fixture(scope="module")
def expected():
    return made_of(lambda: LOG)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    pq.write_table(LOG, path, row_group_size=300)
    return str(path)


def cast(**types):
    """The log with columns of other types."""
    schema = pa.schema([(name, types.get(name, t)) for name, t in zip(LOG.schema.names, LOG.schema.types, strict=True)])
    return LOG.cast(schema)


def encoded():
    table = LOG
    for name in TEXT:
        table = table.set_column(table.schema.get_field_index(name), name, table[name].dictionary_encode())
    return table


def duck(file, sql="FROM log ORDER BY search_id, position", **settings):
    """A relation over the file, in the text layout that the settings ask for."""
    connection = duckdb.connect()
    for name, value in settings.items():
        connection.execute(f"SET {name} = {value}")
    connection.read_parquet(file).create_view("log")
    return connection.sql(sql)


def fusion(file, sql="SELECT * FROM log"):
    context = datafusion.SessionContext()
    context.register_parquet("log", file)
    return context.sql(sql)


def ibis_table(file):
    return ibis.duckdb.connect().read_parquet(file)


def ibis_sums(file):
    groups = ibis_table(file).group_by(
        "user_id", "query", "doc_id", "timestamp", page=lambda t: t.search_id, place=lambda t: t.position
    )
    sums = groups.agg(
        search_id=lambda t: t.search_id.sum().cast("decimal(38, 0)"),
        position=lambda t: t.position.sum().cast("decimal(38, 0)"),
        clicked=lambda t: t.clicked.sum(),
        dwell_ms=lambda t: t.dwell_ms.sum(),
    )
    return sums.drop("page", "place")


# Library and kind → the log; `file` is the log as Parquet.
PRODUCERS = {
    "pyarrow: batch": lambda _: LOG.combine_chunks().to_batches()[0],
    "pyarrow: reader": lambda _: LOG.to_reader(300),
    "pyarrow: slices": lambda _: pa.concat_tables([LOG.slice(0, 777), LOG.slice(777)]),
    "pyarrow: scanner": lambda file: pyarrow.dataset.dataset(file).scanner().to_reader(),
    "pyarrow: views": lambda _: cast(**dict.fromkeys(TEXT, pa.string_view())),
    "pyarrow: large": lambda _: cast(**dict.fromkeys(TEXT, pa.large_string())),
    "pyarrow: bytes": lambda _: cast(**dict.fromkeys(TEXT, pa.binary())),
    "pyarrow: dictionaries": lambda _: encoded(),
    "pyarrow: decimals": lambda _: cast(position=pa.decimal128(38, 0), search_id=pa.decimal128(38, 0)),
    "polars": lambda _: pl.DataFrame(LOG),
    "polars: many chunks": lambda _: pl.concat([pl.DataFrame(LOG[:777]), pl.DataFrame(LOG[777:])], rechunk=False),
    "polars: categories": lambda _: pl.DataFrame(LOG).cast(dict.fromkeys(TEXT, pl.Categorical)),
    "polars: enum": lambda _: pl.DataFrame(LOG).cast({"query": pl.Enum(QUERIES)}),
    "polars: decimals": lambda _: pl.DataFrame(LOG).cast(
        {"search_id": pl.Decimal(38, 0), "position": pl.Decimal(9, 0)}
    ),
    "polars: lazy": lambda file: pl.scan_parquet(file),
    "polars: lazy, categories": lambda file: pl.scan_parquet(file).with_columns(pl.col(*TEXT).cast(pl.Categorical)),
    "polars: struct series": lambda _: pl.DataFrame(LOG).to_struct("log"),
    "duckdb": lambda file: duck(file),
    "duckdb: views": lambda file: duck(file, produce_arrow_string_view=True, arrow_output_version="'1.4'"),
    "duckdb: large": lambda file: duck(file, arrow_large_buffer_size=True),
    "duckdb: enum": lambda file: duck(file, ENUM),
    "duckdb: sums": lambda file: duck(file, f"{SUMS} ORDER BY 2, 5"),
    "duckdb: lossless": lambda file: duck(file, arrow_lossless_conversion=True),
    "duckdb: reader": lambda file: duck(file).to_arrow_reader(300),
    "pandas": lambda _: LOG.to_pandas(),
    "pandas: objects": lambda _: LOG.to_pandas().astype(dict.fromkeys(TEXT, object)),
    "pandas: categories": lambda _: LOG.to_pandas().astype(dict.fromkeys(TEXT, "category")),
    "pandas: nullable": lambda _: LOG.to_pandas().convert_dtypes(),
    "pandas: Arrow types": lambda _: LOG.to_pandas(types_mapper=pd.ArrowDtype),
    "pandas: index": lambda _: LOG.to_pandas().set_index("user_id"),
    "datafusion": lambda file: fusion(file),
    "datafusion: from Arrow": lambda _: datafusion.SessionContext().from_arrow(encoded()),
    "datafusion: sums": lambda file: fusion(file, f"{SUMS} ORDER BY 2, 5"),
    "datafusion: decimals": lambda file: fusion(
        file, f"{SUMS} ORDER BY 2, 5".replace("sum(search_id)", "sum(CAST(search_id AS DECIMAL(20, 0)))")
    ),
    "ibis": ibis_table,
    "ibis: in memory": lambda _: ibis.memtable(LOG),
    "ibis: sums": ibis_sums,
    "narwhals: polars": lambda _: narwhals.from_native(pl.DataFrame(LOG)),
    "narwhals: pandas": lambda _: narwhals.from_native(LOG.to_pandas()),
    "narwhals: pyarrow": lambda _: narwhals.from_native(LOG),
    "narwhals: lazy polars": lambda file: narwhals.from_native(pl.scan_parquet(file)),
    "narwhals: lazy duckdb": lambda file: narwhals.from_native(duck(file)),
    "narwhals: lazy ibis": lambda file: narwhals.from_native(ibis_table(file)),
    "arro3": lambda _: arro3.core.Table.from_arrow(LOG),
    "arro3: batch": lambda _: arro3.core.RecordBatch.from_arrow(LOG.combine_chunks().to_batches()[0]),
    "arro3: reader": lambda _: arro3.core.RecordBatchReader.from_stream(LOG),
    "arro3: views": lambda _: arro3.core.Table.from_arrow(pl.DataFrame(LOG)),
    "arro3: dictionaries": lambda _: arro3.core.Table.from_arrow(encoded()),
    "nanoarrow": lambda _: nanoarrow.Array(LOG),
    "nanoarrow: stream": lambda _: nanoarrow.ArrayStream(LOG),
    "nanoarrow: C array": lambda _: nanoarrow.c_array(LOG.combine_chunks().to_batches()[0]),
    "nanoarrow: C stream": lambda _: nanoarrow.c_array_stream(LOG),
    "nanoarrow: views": lambda _: nanoarrow.ArrayStream(pl.DataFrame(LOG)),  # its Array of long views ends the process
    "nanoarrow: dictionaries": lambda _: nanoarrow.Array(encoded()),
}


@pytest.mark.parametrize("producer", PRODUCERS)
def test_goes_in(producer, file, expected):
    assert made_of(lambda: PRODUCERS[producer](file)) == expected


def test_the_log_tests_something(expected):
    assert {name: len(found) for name, found in expected.items() if len(found) == 0} == {}
    assert expected["quarantine"] == {"null_doc_id": 20}


def test_sums_are_decimals_and_views_are_views(file):
    def types(producer):
        return pa.RecordBatchReader.from_stream(PRODUCERS[producer](file)).schema

    for producer in ("duckdb: sums", "ibis: sums"):
        assert {types(producer).field(name).type for name in ("search_id", "position")} == {pa.decimal128(38, 0)}
    assert types("datafusion: decimals").field("search_id").type == pa.decimal128(30, 0)
    for producer in ("polars", "duckdb: views", "datafusion", "arro3: views", "nanoarrow: views"):
        assert types(producer).field("query").type == pa.string_view(), producer
    for producer in ("pandas", "duckdb: large"):
        assert types(producer).field("query").type == pa.large_string(), producer
    for producer in ("polars: enum", "duckdb: enum", "pandas: categories", "arro3: dictionaries"):
        assert pa.types.is_dictionary(types(producer).field("query").type), producer


REFUSED = {
    "polars: 128-bit integers": (lambda _: pl.DataFrame(LOG).cast({"search_id": pl.Int128}), hn.ColumnError, "128-bit"),
    "polars: floats": (lambda _: pl.DataFrame(LOG).cast({"search_id": pl.Float64}), hn.ColumnError, "lost digits"),
    "polars: series": (lambda _: pl.Series([1]), hn.ColumnError, "no table"),
    "pandas: objects of several kinds": (
        lambda _: LOG.to_pandas().assign(doc_id=lambda frame: [1, *frame.doc_id[1:]]), hn.ColumnError, "several kinds",
    ),
    "duckdb: UUIDs": (
        lambda file: duck(file, "SELECT * REPLACE (uuid() AS doc_id) FROM log", arrow_lossless_conversion=True),
        hn.ColumnError, "cast it to text",
    ),
    "duckdb: over a reader": (
        lambda _: duckdb.connect().from_arrow(LOG.to_reader()), hn.UsageError, "once and not again; pass a table",
    ),
    "duckdb: connection": (lambda _: duckdb.connect().execute("SELECT 1"), hn.UsageError, "to_arrow"),
    "pyarrow: dataset": (lambda file: pyarrow.dataset.dataset(file), hn.UsageError, "to_table"),
    "datafusion: stream": (lambda file: fusion(file).execute_stream(), hn.UsageError, "__arrow_c_stream__"),
}  # fmt: skip


@pytest.mark.parametrize("producer", REFUSED)
def test_is_refused_by_name(producer, file):
    make, error, advice = REFUSED[producer]
    with pytest.raises(error, match=advice):
        hn.count(make(file))


TEXTS = texts()
DOCUMENTS = {
    "polars": lambda: pl.DataFrame(TEXTS),
    "polars: lazy": lambda: pl.LazyFrame(TEXTS),
    "polars: categories": lambda: pl.DataFrame(TEXTS).cast(pl.Categorical),
    "duckdb": lambda: duckdb.connect().from_arrow(TEXTS),
    "pandas": lambda: TEXTS.to_pandas(),
    "pandas: categories": lambda: TEXTS.to_pandas().astype("category"),
    "datafusion": lambda: datafusion.SessionContext().from_arrow(TEXTS),
    "ibis": lambda: ibis.memtable(TEXTS),
    "narwhals": lambda: narwhals.from_native(pl.DataFrame(TEXTS)),
    "narwhals: lazy": lambda: narwhals.from_native(pl.LazyFrame(TEXTS)),
    "arro3": lambda: arro3.core.Table.from_arrow(TEXTS),
    "nanoarrow": lambda: nanoarrow.Array(TEXTS),
}


def test_documents_go_in(tmp_path):
    wanted = with_texts(TEXTS, tmp_path / "out")
    assert wanted.num_rows
    assert wanted["positive"][0].as_py().startswith("Text of ")
    for library, make in DOCUMENTS.items():
        assert with_texts(make(), tmp_path / "out").equals(wanted), library


ASKED = pa.array(["Mail a@b.ch", None, "Zürich"])
COLUMNS = {
    "polars": lambda: pl.Series(ASKED),
    "polars: categories": lambda: pl.Series(ASKED).cast(pl.Categorical),
    "pandas": lambda: pd.Series(ASKED.to_pylist()),
    "pandas: categories": lambda: pd.Series(ASKED.to_pylist(), dtype="category"),
    "duckdb": lambda: duckdb.connect().from_arrow(pa.table({"q": ASKED})),
    "datafusion": lambda: datafusion.SessionContext().from_arrow(pa.table({"q": ASKED})),
    "ibis": lambda: ibis.memtable(pa.table({"q": ASKED})),
    "narwhals": lambda: narwhals.from_native(pl.Series(ASKED), series_only=True),
    "arro3": lambda: arro3.core.Array.from_arrow(ASKED),
    "arro3: chunks": lambda: arro3.core.ChunkedArray.from_arrow(pa.chunked_array([ASKED[:1], ASKED[1:]])),
    "nanoarrow": lambda: nanoarrow.Array(ASKED),
}


@pytest.mark.parametrize("library", COLUMNS)
def test_columns_go_in(library):
    make = COLUMNS[library]
    assert hn.normalize(make()).to_pylist() == ["mail <email>", None, "zürich"]
    assert hn.scrub(make()).equals(hn.scrub(ASKED))
    assert hn.pseudonymize(make(), key=KEY).equals(hn.pseudonymize(ASKED, key=KEY))


CONSUMERS = {
    "pyarrow": lambda t: pa.table(t).to_pylist(),
    "polars": lambda t: pl.DataFrame(t).rows(named=True),
    "duckdb": lambda t: duckdb.connect().from_arrow(t).to_arrow_table().to_pylist(),
    "duckdb: by name": lambda t: duckdb.sql("FROM t").to_arrow_table().to_pylist(),  # noqa: ARG005 - found by its name
    "pandas": lambda t: pa.table(pd.DataFrame.from_arrow(t)).to_pylist(),
    "datafusion": lambda t: datafusion.SessionContext().from_arrow(t).to_pylist(),
    # ibis takes no readers, and no bytes of fixed length, which pseudonyms are.
    "ibis": lambda t: ibis.memtable(pa.table(t) if hasattr(t, "read_next_batch") else t).to_pyarrow().to_pylist(),
    "narwhals: polars": lambda t: narwhals.from_arrow(t, backend="polars").rows(named=True),
    "narwhals: pandas": lambda t: narwhals.from_arrow(t, backend="pandas").to_arrow().to_pylist(),
    "narwhals: pyarrow": lambda t: narwhals.from_arrow(t, backend="pyarrow").rows(named=True),
    "arro3": lambda t: pa.table(arro3.core.Table.from_arrow(t)).to_pylist(),
    "nanoarrow": lambda t: [*nanoarrow.ArrayStream(t).to_pylist()],
}


@pytest.fixture(scope="module")
def tables():
    return results()


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_comes_out(consumer, tables):
    for name, table in tables.items():
        wanted = by_content(pa.table(table()).to_pylist())
        assert (len(wanted) == 0) == (name == "an empty table")
        assert by_content(CONSUMERS[consumer](table())) == wanted, name


def test_tables_come_out_again_and_as_they_are_asked_for(tables):
    table = tables["pairs"]()
    assert pl.DataFrame(table).equals(pl.DataFrame(table))
    for t in (pa.large_string(), pa.string_view()):
        schema = pa.schema(
            [field.with_type(t) if field.type == pa.string() else field for field in pa.table(table).schema]
        )
        assert pa.RecordBatchReader.from_stream(table, schema).read_all().equals(pa.table(table).cast(schema))


def test_pseudonyms_come_out():
    table = pa.table({"user": hn.pseudonymize(ASKED, key=KEY)})
    assert table.schema.field("user").type == pa.binary(16)
    for consumer, opened in CONSUMERS.items():
        given = table.cast(pa.schema({"user": pa.binary()})) if consumer == "ibis" else table
        assert by_content(opened(given)) == by_content(table.to_pylist()), consumer

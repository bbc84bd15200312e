"""Arrow objects of real libraries, streams that can be read once, and types that are refused by name."""

import decimal

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from hardneg_fast.config import ReadConfig
from hardneg_fast.exceptions import ColumnError, DataError, UsageError
from hardneg_fast.read import open_log

COLUMNS = {
    "user_id": ["007", "8", None], "query": ["a", "b", "c"], "doc_id": [1, 2, 3], "position": [1, 2, 3],
    "clicked": [True, False, True],
}  # fmt: skip
ROWS = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]


class OnlyArray:
    """Like the record batch of a library that has no streams."""

    def __arrow_c_array__(self, requested_schema=None):
        return pa.record_batch(COLUMNS).__arrow_c_array__(requested_schema)


class OnlyStream:
    def __arrow_c_stream__(self, requested_schema=None):
        return pa.table(COLUMNS).__arrow_c_stream__(requested_schema)


TABLE = pa.table(COLUMNS)
PRODUCERS = {
    "pyarrow table": lambda: TABLE,
    "pyarrow batch": lambda: pa.record_batch(COLUMNS),
    "polars": lambda: pl.DataFrame(COLUMNS),
    "polars lazy": lambda: pl.DataFrame(COLUMNS).lazy(),
    "duckdb": lambda: duckdb.from_arrow(TABLE),
    "pandas": lambda: pd.DataFrame(COLUMNS),
    "stream only": OnlyStream,
    "array only": OnlyArray,
}


@pytest.mark.parametrize("producer", PRODUCERS)
def test_any_producer_goes_in_and_may_be_read_again(producer):
    log = open_log(PRODUCERS[producer](), ReadConfig())
    assert (log.report.format, log.report.files, log.position_base) == ("arrow", 0, 1)
    for _ in range(2):
        assert log.reader().read_all().to_pylist() == ROWS
        assert log.report.rows_in == 3


def test_types_pass_untouched():
    assert open_log(pl.DataFrame(COLUMNS), ReadConfig()).schema.field("query").type == pa.string_view()
    categories = pd.DataFrame({**COLUMNS, "query": pd.Categorical(["a", "b", "a"])})
    assert pa.types.is_dictionary(open_log(categories, ReadConfig()).schema.field("query").type)


def test_a_stream_is_read_once():
    log = open_log(TABLE.to_reader(1), ReadConfig())
    assert log.reader().read_all().to_pylist() == ROWS
    with pytest.raises(UsageError, match="read only once"):
        log.reader()
    explicit = open_log(TABLE.to_reader(1), ReadConfig(position_base="1"))
    assert explicit.reader().read_all().num_rows == 3
    with pytest.raises(UsageError, match="read only once"):
        explicit.reader()


class ReadNext:
    """Like the streams of nanoarrow: no iterator, and still used up."""

    def __init__(self):
        self.reader = TABLE.to_reader(1)

    def read_next(self):
        return self.reader.read_next_batch()

    def __arrow_c_stream__(self, requested_schema=None):
        return self.reader.__arrow_c_stream__(requested_schema)


def test_streams_of_other_libraries_are_read_once():
    log = open_log(ReadNext(), ReadConfig())
    assert log.reader().read_all().to_pylist() == ROWS
    with pytest.raises(UsageError, match="read only once"):
        log.reader()


def test_what_does_not_look_like_a_stream_and_is_one():
    with duckdb.connect() as db:
        with pytest.raises(UsageError, match="once and not again; pass a table"):
            open_log(db.from_arrow(TABLE.to_reader(1)), ReadConfig())
        explicit = open_log(db.from_arrow(TABLE.to_reader(1)), ReadConfig(position_base="1"))
        assert explicit.reader().read_all().to_pylist() == ROWS


def test_lazy_frames_in_a_wrapper():
    class Wrapper:
        """Like a lazy frame of narwhals."""

        def to_native(self):
            return pl.DataFrame(COLUMNS).lazy()

    assert open_log(Wrapper(), ReadConfig()).reader().read_all().to_pylist() == ROWS


def test_nested_structs_by_dotted_path():
    nested = pl.DataFrame({"e": [{"o": {"id": "x"}}, None], "query": ["a", "b"], "clicked": [1, 0]})
    log = open_log(nested, ReadConfig(columns={"doc_id": "e.o.id"}))
    assert log.reader().read_all()["doc_id"].to_pylist() == ["x", None]
    with pytest.raises(ColumnError, match=r"'e\.o'.*cannot be 'doc_id': name one of its fields"):
        open_log(nested, ReadConfig(columns={"doc_id": "e.o"}))
    with pytest.raises(ColumnError, match=r"available: \['e.o.id', 'query', 'clicked'\]"):
        open_log(nested, ReadConfig(columns={"doc_id": "e.nothing"}))


def test_slices_and_large_tables_keep_every_row():
    table = pa.table({"query": ["q"] * 1000, "doc_id": list(range(1000)), "clicked": [0] * 1000}).slice(100, 850)
    log = open_log(table, ReadConfig(batch_rows=64))
    batches = list(log.reader())
    assert max(batch.num_rows for batch in batches) <= 64
    assert pa.Table.from_batches(batches)["doc_id"].to_pylist() == list(range(100, 950))


def with_type(column, values, t):
    n = len(values)
    base = {"query": ["q"] * n, "doc_id": ["d"] * n, "clicked": [1] * n}
    return pa.table({**base, column: pa.array(values, t)})


TIME = pa.timestamp("ns", "Europe/Zurich")
ACCEPTED = [
    *(("doc_id", ["a", None], t) for t in (pa.string(), pa.large_string(), pa.string_view(), pa.binary())),
    *(("doc_id", [b"a", None], t) for t in (pa.large_binary(), pa.binary_view(), pa.binary(1))),
    *(("user_id", ["a", "a"], pa.dictionary(k, pa.string())) for k in (pa.int8(), pa.uint8(), pa.uint32())),
    ("user_id", [1, 1], pa.dictionary(pa.int32(), pa.int64())), ("query", [7, None], pa.uint64()),
    ("search_id", [decimal.Decimal(2**70), None], pa.decimal128(38, 0)), ("session_id", [None, None], pa.null()),
    *(("position", [1, None], t) for t in (pa.int8(), pa.uint16(), pa.int64(), pa.float16(), pa.float64())),
    *(("clicked", [1, 0], t) for t in (pa.int8(), pa.float32(), pa.int64())), ("clicked", ["0", "1"], pa.string()),
    ("clicked", [True, None], pa.bool_()),
    *(("timestamp", [0, None], t) for t in (pa.date32(), pa.date64(), pa.timestamp("s"), TIME)),
    *(("timestamp", [0, None], t) for t in (pa.int64(), pa.float64())),
    ("timestamp", ["2024-01-01", None], pa.string()), ("propensity", [0.5, None], pa.float32()),
]  # fmt: skip


@pytest.mark.parametrize(("column", "values", "t"), ACCEPTED)
def test_types_that_are_accepted(column, values, t):
    table = with_type(column, values, t)
    read = open_log(table, ReadConfig()).reader().read_all()
    assert read.column(column).equals(table.column(column))


REFUSED = [
    ("query", [["a"]], pa.list_(pa.string()), "it holds lists"),
    ("query", [["a"]], pa.list_view(pa.string()), "plain list"),
    ("query", [["a"]], pa.large_list_view(pa.string()), "plain list"),
    ("doc_id", [{"a": 1}], pa.struct([("a", pa.int64())]), "with a dot"),
    ("doc_id", [[("a", 1)]], pa.map_(pa.string(), pa.int64()), "cast it to text"),
    ("doc_id", [1.0], pa.float64(), "may have lost digits"),
    ("user_id", [1.0], pa.float32(), "may have lost digits"),
    ("dwell_ms", [1], pa.duration("ms"), "number of milliseconds"),
    ("timestamp", [1], pa.time64("us"), "number of milliseconds"),
    ("timestamp", [None], pa.month_day_nano_interval(), "cast it to text"),
    ("position", [0], pa.date32(), "cast it to text"),
    ("position", [True], pa.bool_(), "a number is expected"),
    ("propensity", [decimal.Decimal("0.5")], pa.decimal128(3, 1), "whole number, or a double"),
    ("user_id", [decimal.Decimal(5)], pa.decimal256(40, 0), "whole number, or a double"),
]


@pytest.mark.parametrize(("column", "values", "t", "advice"), REFUSED)
def test_types_that_are_refused_by_name(column, values, t, advice):
    with pytest.raises(ColumnError, match=advice) as caught:
        open_log(with_type(column, values, t), ReadConfig())
    assert repr(column) in str(caught.value)
    assert str(t) in str(caught.value)


def test_uuids_are_ids_of_people_and_no_text():
    uuids = pa.array([bytes(16), bytes(range(16))], pa.binary(16)).cast(pa.uuid())
    for column in ("user_id", "session_id", "search_id"):
        table = with_type(column, [None, None], pa.null())
        table = table.set_column(table.schema.get_field_index(column), column, uuids)
        assert open_log(table, ReadConfig()).reader().read_all()[column].to_pylist() == uuids.to_pylist()
    for column in ("query", "doc_id", "surface"):
        table = with_type(column, ["a", "b"], pa.string())
        table = table.set_column(table.schema.get_field_index(column), column, uuids)
        with pytest.raises(ColumnError, match=f"'{column}'.*bytes that are no text.*cast it to text"):
            open_log(table, ReadConfig())


def test_layouts_that_have_no_plain_constructor():
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array(["a"]))
    union = pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array(["a", "b"]), pa.array([1, 2])])
    for array in (runs, union):
        with pytest.raises(ColumnError, match="'doc_id'"):
            open_log(pa.table({"query": ["q", "q"], "doc_id": array, "clicked": [0, 1]}), ReadConfig())
    wide = pl.DataFrame({"query": ["q"], "clicked": [1], "doc_id": pl.Series([1], dtype=pl.Int128)})
    with pytest.raises(ColumnError, match="128-bit"):
        open_log(wide, ReadConfig())
    with pytest.raises(ColumnError, match="no table"):
        open_log(pa.array([1]), ReadConfig())


def test_doubled_columns():
    table = pa.Table.from_arrays([pa.array(["x"])] * 4, names=["query", "query", "doc_id", "clicked"])
    with pytest.raises(ColumnError, match=r"columns occur more than once: \['query'\]"):
        open_log(table, ReadConfig())


def test_a_producer_that_fails_is_a_named_error_without_its_values():
    def batches():
        yield TABLE.to_batches()[0]
        raise ValueError("could not convert 'secret'")

    class Producer:
        def __arrow_c_stream__(self, requested_schema=None):
            return pa.RecordBatchReader.from_batches(TABLE.schema, batches()).__arrow_c_stream__(requested_schema)

    log = open_log(Producer(), ReadConfig(position_base="1"))
    with pytest.raises(DataError, match="own stream failed") as caught:
        log.reader().read_all()
    assert "secret" not in str(caught.value)
    assert log.error is caught.value

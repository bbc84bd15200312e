"""The core reads Parquet as pyarrow does, whoever wrote the file, and leaves to pyarrow what it cannot read."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardneg_fast import Config, _hardneg
from hardneg_fast.config import ReadConfig
from hardneg_fast.exceptions import DataError, UsageError
from hardneg_fast.parquet import ParquetFile
from hardneg_fast.pipeline.count import count
from hardneg_fast.read import open_log

ROWS = 5_000


def every_type(rows: int = ROWS) -> pa.Table:
    """Columns of all types that logs have, nulls here and there."""
    numbers = [None if i % 7 == 0 else i % 100 for i in range(rows)]
    start = dt.datetime(2026, 1, 1)
    times = pa.array([None if n is None else start + dt.timedelta(seconds=n) for n in numbers], pa.timestamp("us"))
    text = pa.array([None if n is None else f"text {n}" for n in numbers])
    columns: dict[str, Any] = {
        "text": text,
        "required": pa.array([f"unique {i}" for i in range(rows)]),
        "binary": text.cast(pa.binary()),
        "large": text.cast(pa.large_string()),
        "category": text.dictionary_encode(),
        "fixed": pa.array([None if n is None else bytes([n]) * 16 for n in numbers], pa.binary(16)),
        "flag": pa.array([None if n is None else n % 3 == 0 for n in numbers]),
        "date": times.cast(pa.date32()),
        "zoned": times.cast(pa.timestamp("us", "Europe/Berlin")),
        "decimal": pa.array([None if n is None else decimal.Decimal(n) for n in numbers], pa.decimal128(12, 0)),
        "nothing": pa.nulls(rows),
    }
    for kind in (
        pa.int8,
        pa.int16,
        pa.int32,
        pa.int64,
        pa.uint8,
        pa.uint16,
        pa.uint32,
        pa.uint64,
        pa.float32,
        pa.float64,
    ):
        columns[str(kind())] = pa.array(numbers, kind())
    for unit in ("s", "ms", "us", "ns"):
        columns[unit] = times.cast(pa.timestamp(unit))
    inner = pa.StructArray.from_arrays([text, pa.array(numbers)], ["t", "n"], mask=pc.equal(pa.array(range(rows)), 3))
    columns["s"] = pa.StructArray.from_arrays([inner], ["inner"], mask=pc.equal(pa.array(range(rows)), 5))
    return pa.table(columns)


def plain(array: pa.ChunkedArray) -> pa.ChunkedArray:
    """Without dictionaries, large layouts and zones: what the values are."""
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pa.types.is_large_string(array.type):
        array = array.cast(pa.string())
    if pa.types.is_large_binary(array.type):
        array = array.cast(pa.binary())
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.timestamp("ns"))
    return array


def ours(paths: list[Path], columns: list[str], batch_rows: int = 1000) -> pa.Table | None:
    files = _hardneg.parquet_files([str(p) for p in paths])
    log = files and files.columns([(c, c) for c in columns], batch_rows=batch_rows)
    return None if log is None else pa.RecordBatchReader.from_stream(log).read_all()


def check(paths: list[Path], columns: list[str]) -> None:
    expected = pa.concat_tables([pq.ParquetFile(p).read() for p in paths]).flatten().flatten()
    found = ours(paths, columns)
    assert found is not None
    found.validate(full=True)
    for name in columns:
        assert plain(found[name]).equals(plain(expected[name])), name


FLAT = [name for name in every_type(1).column_names if name != "s"]
NESTED = [*FLAT, "s.inner.t", "s.inner.n"]


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "lz4", "zstd"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_equals_pyarrow(tmp_path: Path, codec: str, version: str) -> None:
    path = tmp_path / "log.parquet"
    layout = {"row_group_size": 1700, "data_page_size": 2000, "dictionary_pagesize_limit": 8000}
    pq.write_table(every_type(), path, compression=codec, data_page_version=version, **layout)
    check([path], NESTED)


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
def test_equals_pyarrow_without_dictionaries(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(every_type().select(FLAT), path, use_dictionary=False, column_encoding={"text": encoding})
    check([path], FLAT)


def test_old_timestamps_and_numbers_in_deltas(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    table = every_type().select(["ns", "int64", "double"])
    encodings = {"int64": "DELTA_BINARY_PACKED", "double": "BYTE_STREAM_SPLIT"}
    pq.write_table(table, path, use_deprecated_int96_timestamps=True, use_dictionary=False, column_encoding=encodings)
    check([path], table.column_names)


def test_several_files_and_no_rows(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.parquet" for n in range(3)]
    for n, path in enumerate(paths):
        pq.write_table(every_type().slice(0, 900 * n), path)
    check(paths, NESTED)
    found = ours(paths[:1], NESTED)
    assert found is not None
    assert found.num_rows == 0


def test_files_by_duckdb(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    pq.write_table(every_type().select(FLAT).drop_columns(["nothing"]), tmp_path / "in.parquet")
    names = [n for n in FLAT if n not in ("nothing", "fixed")]
    for version in ("V1", "V2"):
        path = tmp_path / f"{version}.parquet"
        duckdb.sql(
            f"copy (select * exclude (fixed) from '{tmp_path / 'in.parquet'}') to '{path}' "  # noqa: S608
            f"(format parquet, parquet_version {version}, row_group_size 2048)"
        )
        check([path], names)


def test_files_by_polars(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    names = [n for n in FLAT if n not in ("nothing", "fixed")]
    frame = polars.from_arrow(every_type().select(names))
    frame.write_parquet(tmp_path / "log.parquet", row_group_size=1300, data_page_size=1000)
    check([tmp_path / "log.parquet"], names)


@settings(deadline=None, max_examples=40)
@given(
    values=st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", ""]), st.text(max_size=5)), max_size=300),
    group=st.integers(1, 200),
    page=st.integers(1, 200),
    dictionary=st.integers(1, 100),
    version=st.sampled_from(["1.0", "2.0"]),
)
def test_any_text(
    tmp_path_factory: pytest.TempPathFactory,
    values: list[str | None],
    group: int,
    page: int,
    dictionary: int,
    version: str,
) -> None:
    path = tmp_path_factory.mktemp("any") / "log.parquet"
    pq.write_table(
        pa.table({"t": pa.array(values, pa.string())}),
        path,
        row_group_size=group,
        data_page_size=page,
        write_batch_size=3,
        dictionary_pagesize_limit=dictionary,
        data_page_version=version,
    )
    check([path], ["t"])


def test_what_is_no_one_log(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"list": [[1], [2]], "x": [1, 2], "s": [{"y": 1}, {"y": 2}]}), path)
    assert ours([path], ["missing"]) is None
    assert ours([path], ["list.list"]) is None
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"x": ["1"]}), other)
    assert ours([path, other], ["x"]) is None


class Wrapped(pe.KmsClient):  # type: ignore[misc]
    """Keys that are their own names: enough for a file that nobody can read by chance."""

    def __init__(self, _: pe.KmsConnectionConfig) -> None:
        super().__init__()

    def wrap_key(self, key_bytes: bytes, _: str) -> bytes:
        return base64.b64encode(key_bytes)


@pytest.mark.parametrize("plaintext_footer", [False, True])
def test_encrypted_files(tmp_path: Path, plaintext_footer: bool) -> None:
    path = tmp_path / "log.parquet"
    table = pa.table({"x": ["secret", "words"], "y": [1, 2]})
    keys = {"footer_key": "a", "column_keys": {"b": ["x"]}, "plaintext_footer": plaintext_footer}
    factory = pe.CryptoFactory(Wrapped)
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), pe.EncryptionConfiguration(**keys))
    with pq.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    if plaintext_footer:
        with pytest.raises(pa.ArrowInvalid, match="its columns are encrypted"):
            ours([path], ["x"])
    else:
        assert ours([path], ["x"]) is None


def test_a_log_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"x": [1]}), path)
    files = _hardneg.parquet_files([str(path)])
    log = files and files.columns([("x", "x")], batch_rows=10)
    assert log is not None
    assert pa.table(log).num_rows == 1
    with pytest.raises(UsageError, match="read already"):
        pa.table(log)


def log_table(rows: int = 3_000) -> pa.Table:
    return pa.table(
        {
            "user_id": [f"u{i % 40}" for i in range(rows)],
            "session_id": [f"s{i // 10}" for i in range(rows)],
            "query": [f"q{i // 10 % 9}" for i in range(rows)],
            "doc_id": [f"d{i * 7 % 50}" for i in range(rows)],
            "position": [i % 10 + 1 for i in range(rows)],
            "clicked": [i * 13 % 11 == 0 for i in range(rows)],
        }
    )


def test_counts_are_those_of_the_stream(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(log_table(), path, row_group_size=700)
    assert isinstance(open_log(path, ReadConfig()).direct(), _hardneg.ParquetLog)
    direct, streamed = count(path), count(pq.read_table(path))
    for name in ("queries", "pairs", "preferences"):
        assert pa.table(direct.table(name)).equals(pa.table(streamed.table(name)))


def test_constants_and_other_formats_go_through_arrow(tmp_path: Path) -> None:
    pq.write_table(log_table().drop_columns(["clicked"]), tmp_path / "log.parquet")
    config = ReadConfig(constants={"clicked": "1"})
    assert isinstance(open_log(tmp_path / "log.parquet", config).direct(), pa.RecordBatchReader)


def test_a_damaged_file_is_a_named_error(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(log_table(), path, compression="zstd")
    content = bytearray(path.read_bytes())
    content[40:400] = bytes(360)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"log\.parquet"):
        count(path, config=Config(read=ReadConfig(position_base="1")))


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["a", None, "b"], pa.string_view()),
        pa.array([b"a", None, b"b"], pa.binary_view()),
        pa.array([b"ab", None, b"cd"], pa.binary(2)).dictionary_encode(),
        pa.array([decimal.Decimal("1.5"), None, decimal.Decimal("1.5")]).dictionary_encode(),
        pa.ListArray.from_arrays([0, 1, 1], pa.array([decimal.Decimal("1.5")]).dictionary_encode()),
        pa.array([[None], None, []], pa.list_(pa.null())),
        pa.array([{"x": ["a", None]}, None, {"x": []}]),
    ],
    ids=lambda values: str(values.type),
)
def test_tables_in_types_that_the_library_lacks(tmp_path: Path, values: pa.Array) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": values}), path)
    assert ParquetFile(path).read()["x"].to_pylist() == values.to_pylist()

"""What the core reads of Parquet footers is what pyarrow reads, and of damaged ones it is an error with a name."""

from __future__ import annotations

import decimal
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compact import varint, zigzag
from hardneg_fast import _hardneg
from hardneg_fast.config import ReadConfig
from hardneg_fast.exceptions import DataError, FileError, HardnegError
from hardneg_fast.footer import read_footer
from hardneg_fast.read import open_log

DAMAGED = Path(__file__).parent / "data" / "damaged"
"""Files that fuzzing found."""

numbers = st.lists(st.none() | st.integers(-2, 4), max_size=12)
kinds = st.sampled_from([pa.int8(), pa.int32(), pa.int64(), pa.uint8(), pa.uint64(), pa.float32(), pa.float64()])
options = st.fixed_dictionaries(
    {
        "compression": st.sampled_from(["none", "snappy", "zstd", "gzip", "brotli"]),
        "data_page_version": st.sampled_from(["1.0", "2.0"]),
        "write_statistics": st.booleans(),
        "row_group_size": st.integers(1, 12),
        "data_page_size": st.sampled_from([1, 1 << 20]),
    }
)


def written(table: pa.Table, **how: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **how)
    return sink.getvalue().to_pybytes()


def footer(file: bytes) -> _hardneg.ParquetFooter:
    return read_footer(io.BytesIO(file), len(file), "log.parquet")


def all_pages(file: bytes) -> list[list[bytes]]:
    found = footer(file)
    return [list(found.pages(n, file[start : start + size])) for n, (_, start, size) in enumerate(found.chunks())]


@given(numbers, kinds, options, st.sampled_from(["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", None]))
def test_as_pyarrow_reads_it(values: list[int | None], kind: pa.DataType, how: dict[str, Any], coding: str) -> None:
    if pa.types.is_unsigned_integer(kind):
        values = [None if v is None else abs(v) for v in values]
    nested = pa.array([{"d": v} for v in values], pa.struct({"d": pa.int64()}))
    text = pa.array([f"text {v}" for v in values], pa.string())
    table = pa.table({"n": pa.array(values, kind), "t": text, "s": nested})
    dictionaries = {"use_dictionary": False, "column_encoding": {"t": coding}} if coding else {}
    file = written(table, **how, **dictionaries)
    found = footer(file)
    meta = pq.ParquetFile(io.BytesIO(file)).metadata
    theirs = [meta.row_group(g).column(i) for g in range(meta.num_row_groups) for i in range(meta.num_columns)]
    assert [(path, size) for path, _, size in found.chunks()] == [
        (c.path_in_schema, c.total_compressed_size) for c in theirs if c.num_values
    ] or not values
    for path in ("n", "s.d"):
        known = [c.statistics for c in theirs if c.path_in_schema == path]
        expected = all(
            s is not None and (s.min >= 1 if s.has_min_max else s.null_count == n)
            for s, n in zip(known, [c.num_values for c in theirs if c.path_in_schema == path], strict=True)
        )
        assert found.at_least(path, 1) == expected
        if expected:
            assert all(v >= 1 for v in values if v is not None)
    assert not found.at_least("nowhere", 1) or not meta.num_row_groups
    sizes = [c.total_uncompressed_size for c in theirs if c.num_values]
    for pages, size in zip(all_pages(file), sizes, strict=bool(values)):
        # What is left are headers.
        assert size - 100 * len(pages) <= sum(map(len, pages)) < size
        assert pages or not values


@pytest.mark.parametrize("values", [[decimal.Decimal("0.5")], ["1"], [True], [b"\1"]])
def test_statistics_of_other_kinds_say_nothing(values: list[Any]) -> None:
    """Half is 5 tenths in a file, which is no less than 1."""
    assert not footer(written(pa.table({"n": values}), store_decimal_as_integer=True)).at_least("n", 1)


def test_histograms_at_which_pyarrow_ends_the_process() -> None:
    with pytest.raises(DataError, match=r"^log\.parquet: the Parquet footer is damaged"):
        footer((DAMAGED / "histogram.parquet").read_bytes())


def test_types_at_which_pyarrow_ends_the_process() -> None:
    """They have the form of types, and contradict the schema: nobody knows what such a column is."""
    found = footer((DAMAGED / "type_of_column.parquet").read_bytes())
    assert not found.at_least("position", 1)
    with pytest.raises(DataError, match=r"^log\.parquet: its Parquet footer cannot be read here"):
        found.chunks()


@given(st.data())
def test_any_other_footer_is_read_or_refused(data: st.DataObject) -> None:
    table = pa.table({"n": [1, 2], "t": ["a", "b"]})
    file = written(table)
    at = len(file) - 8 - int.from_bytes(file[-8:-4], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(at, len(file) - 1))
        file = file[:place] + bytes([data.draw(st.integers(0, 255))]) + file[place + 1 :]
    try:
        found = footer(file)
        found.at_least("n", 1)
        all_pages(file)
    except HardnegError as error:
        assert "bug" not in str(error)  # noqa: PT017 - both outcomes are right


@pytest.mark.parametrize("file", [b"", b"PAR1", b"\xff\xff\xff\xffPAR1"])
def test_files_that_are_cut_off(file: bytes) -> None:
    with pytest.raises(FileError, match=r"^log\.parquet: damaged, cut short"):
        footer(file)


@pytest.mark.parametrize("cut", [1, 30])
def test_pages_that_are_cut_off(cut: int) -> None:
    file = written(pa.table({"t": [f"text {i}" for i in range(50)]}))
    ((_, start, size),) = footer(file).chunks()
    with pytest.raises(DataError, match="not what its header says"):
        list(footer(file).pages(0, file[start : start + size - cut]))


def listed(elements: list[bytes]) -> bytes:
    return b"\xfc" + varint(len(elements)) + b"".join(elements)


def group(children: int, name: bytes = b"a") -> bytes:
    """A SchemaElement: repetition, name, number of children."""
    return b"\x35\x00\x18" + bytes([len(name)]) + name + b"\x15" + zigzag(children) + b"\0"


LEAF = b"\x15\x02\x25\x02\x18\x01a\0"
SCHEMAS = {
    "children without end": [group(2**31 - 1), LEAF],
    "fewer than none": [group(-1), LEAF],
    "one too few": [group(3), LEAF, LEAF],
    "one too many": [group(1), LEAF, LEAF],
    "groups without bottom": [group(1)] * 20_000 + [LEAF],
    "names without end": [*[group(1, b"x" * 100)] * 90, group(10_000), *[LEAF] * 10_000],
}


def with_schema(elements: list[bytes], *, twice: bool) -> bytes:
    """A good log whose footer lists these columns: pyarrow takes the last list, the core's library the first."""
    n = 30
    table = pa.table({
        "user_id": [f"u{i // 3}" for i in range(n)], "search_id": [f"s{i // 3}" for i in range(n)], "query": ["q"] * n,
        "doc_id": [f"d{i % 3}" for i in range(n)], "position": [i % 3 + 1 for i in range(n)],
        "clicked": [i % 3 == 2 for i in range(n)],
    })  # fmt: skip
    file = written(table)
    at = len(file) - 8 - int.from_bytes(file[-8:-4], "little")
    body = file[at:-8]
    assert body[2] == 0x19, "the second field is the list of columns"
    body = body[:2] + b"\x19" + listed(elements) + (b"\x09\x04" + body[3:] if twice else b"\x16\x00\x19\x0c\x00")
    return file[:at] + body + len(body).to_bytes(4, "little") + b"PAR1"


CHILD = """
import resource, sys
import hardneg_fast as hn
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
try:
    hn.mine(sys.argv[1], privacy=hn.Privacy.none())
except hn.HardnegError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("name", SCHEMAS)
def test_columns_that_cannot_be(name: str, twice: bool, tmp_path: Path) -> None:
    """A footer of a few bytes ended the process: for want of memory, or of stack."""
    file = with_schema(SCHEMAS[name], twice=twice)
    with pytest.raises(DataError, match=r"^log\.parquet: the Parquet footer is damaged"):
        footer(file)
    (tmp_path / "log.parquet").write_bytes(file)
    done = subprocess.run([sys.executable, "-c", CHILD, tmp_path / "log.parquet"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("DataError log.parquet: the Parquet footer is damaged")


def test_two_lists_of_the_same_columns_are_refused() -> None:
    """Readers do not agree which of them holds."""
    with pytest.raises(DataError, match="footer is damaged"):
        footer(with_schema([group(1), LEAF], twice=True))
    assert footer(with_schema([group(1), LEAF], twice=False)).chunks() == []


def test_metadata_that_is_no_text(tmp_path: Path) -> None:
    """It is nothing to the core's library, which is shown the rest."""
    table = pa.table({"query": ["q", "q"], "doc_id": ["a", "b"], "position": [0, 1], "clicked": [False, True]})
    file = written(table.replace_schema_metadata({b"k": b"\xff\xfe"}))
    assert len(footer(file).chunks()) == 4
    (tmp_path / "log.parquet").write_bytes(file)
    log = open_log(tmp_path / "log.parquet", ReadConfig())
    assert log.position_base == 0
    assert log.reader().read_all()["query"].to_pylist() == ["q", "q"]


def test_a_page_that_claims_gigabytes() -> None:
    file = written(pa.table({"t": ["a"] * 50}), compression="zstd", use_dictionary=False)
    ((_, start, size),) = footer(file).chunks()
    chunk = file[start : start + size]
    assert list(footer(file).pages(0, chunk))
    # The second field of a page's header.
    assert chunk[:3] == b"\x15\x00\x15"
    end = next(i for i in range(3, 12) if chunk[i] < 0x80) + 1
    with pytest.raises(DataError, match="not what its header says"):
        list(footer(file).pages(0, chunk[:3] + zigzag(2**31 - 1) + chunk[end:]))

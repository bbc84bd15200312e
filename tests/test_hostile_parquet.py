"""Parquet files made to end the process, to take all memory, or to be read differently by two readers."""

import io
import itertools
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
from compact import INT, LIST, STRUCT, Parquet, Reader, varint, zigzag
from compact import struct as packed
from hardneg_fast import cli
from hardneg_fast.audit.contents import columns
from hardneg_fast.audit.pages import pages
from hardneg_fast.exceptions import DataError, FileError

N = 70_000
MOST = 2**31 - 1
PLAIN, RLE, DELTA_BYTE_ARRAY = 0, 3, 7


def log(rows: int = N, **how: Any) -> bytes:
    table = pa.table({
        "user_id": [f"u{i}" for i in range(rows)], "search_id": [f"s{i // 3}" for i in range(rows)],
        "query": ["q"] * rows, "doc_id": [f"d{i % 3}" for i in range(rows)],
        "position": [i % 3 + 1 for i in range(rows)], "clicked": [i % 3 == 2 for i in range(rows)],
    })  # fmt: skip
    return written(table, **how)


def written(table: pa.Table, **how: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **{"compression": "zstd", "store_schema": False, "write_statistics": False, **how})
    return sink.getvalue()


def delta(numbers: list[int]) -> bytes:
    """Encodings.md of parquet-format, DELTA_BINARY_PACKED, in blocks of 128, each of four parts of one width."""
    out = varint(128) + varint(4) + varint(len(numbers)) + zigzag(numbers[0])
    steps = [b - a for a, b in itertools.pairwise(numbers)]
    for at in range(0, len(steps), 128):
        block = steps[at : at + 128]
        least = min(block)
        width = (max(block) - least).bit_length()
        parts = [block[i : i + 32] for i in range(0, len(block), 32)]
        out += zigzag(least) + bytes([width] * len(parts) + [0] * (4 - len(parts)))
        for part in parts:
            bits = sum((step - least) << (i * width) for i, step in enumerate(part))
            out += bits.to_bytes(4 * width, "little")
    return out


def page(body: bytes, encoding: int, claimed: int | None = None) -> dict[int, Any]:
    kind = {1: (INT, N), 2: (INT, encoding), 3: (INT, 3), 4: (INT, 3)}
    return {1: (INT, 0), 2: (INT, len(body) if claimed is None else claimed), 5: (STRUCT, kind)}


def levels() -> bytes:
    """Of as many values that are all there."""
    run = varint(N << 1) + b"\1"
    return struct.pack("<I", len(run)) + run


def wide_values() -> bytes:
    """Nulls of a fixed length: 2^31 bytes each were taken for them."""
    table = pa.table({"user_id": pa.nulls(N, pa.binary(16)), "query": ["q"] * N, "doc_id": ["d"] * N,
                      "position": [1] * N, "clicked": [False] * N})  # fmt: skip
    file = Parquet(written(table))
    file.schema("user_id")[2] = (INT, MOST)
    return file.bytes()


def repeated_prefix() -> bytes:
    """A text of a megabyte, then as many that are the same as the one before."""
    long = 1 << 20
    body = levels() + delta([0] + [long] * (N - 1)) + delta([long] + [0] * (N - 1)) + b"x" * long
    file = Parquet(log())
    file.replace("user_id", page(body, DELTA_BYTE_ARRAY), pa.compress(body, "zstd", asbytes=True), DELTA_BYTE_ARRAY)
    return file.bytes()


def lengths_without_texts() -> bytes:
    """Sixty million lengths of 0 in a few bytes, twice: what is shared with the value before, and what is not."""
    numbers = varint(1 << 26) + varint(1) + varint(1 << 26) + zigzag(0) + zigzag(0) + b"\0"
    body = levels() + numbers * 2
    header = page(body, DELTA_BYTE_ARRAY)
    header[5][1][1] = (INT, 1 << 26)
    file = Parquet(log())
    file.replace("user_id", header, pa.compress(body, "zstd", asbytes=True), DELTA_BYTE_ARRAY)
    return file.bytes()


def entries_without_texts() -> bytes:
    """A dictionary of sixteen million texts of no length, then of as many as there are bytes."""
    body = bytes(1 << 26)
    kind = {1: (INT, 1 << 26), 2: (INT, PLAIN)}
    file = Parquet(log())
    header = {1: (INT, 2), 2: (INT, len(body)), 7: (STRUCT, kind)}
    file.replace("user_id", header, pa.compress(body, "zstd", asbytes=True), 8)
    return file.bytes()


def long_entries_of_other_codings() -> bytes:
    """Dictionary keys of a column with other codings too, which the library writes out: 70,000 times 28,000 bytes."""
    users = pa.DictionaryArray.from_arrays(pa.array([0] * N, pa.int32()), ["x" * 28_000])
    rows = pq.read_table(io.BytesIO(log()))
    file = Parquet(written(rows.set_column(0, "user_id", users)))
    (chunk,) = file.chunks("user_id")
    chunk[2] = (LIST, (INT, [*chunk[2][1][1], DELTA_BYTE_ARRAY]))
    return file.bytes()


def compressed_beyond() -> bytes:
    """Two gigabytes that say they are a thousand bytes."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "brotli") as out:
        for _ in range(128):
            out.write(bytes(16 << 20))
    file = Parquet(log(compression="brotli"))
    file.replace("user_id", page(b"", PLAIN, claimed=1000), sink.getvalue().to_pybytes(), PLAIN)
    return file.bytes()


def levels_beyond() -> bytes:
    """A page of the second version whose levels are longer than 32 bits can say, together."""
    kind = {1: (INT, N), 2: (INT, 0), 3: (INT, N), 4: (INT, PLAIN), 5: (INT, MOST), 6: (INT, MOST), 7: (1, True)}
    body = b"abcdefgh" * 4
    file = Parquet(log())
    header = {1: (INT, 3), 2: (INT, len(body)), 8: (STRUCT, kind)}
    file.replace("user_id", header, pa.compress(body, "zstd", asbytes=True), PLAIN)
    return file.bytes()


def endless_list() -> bytes:
    """A page of results, one of which has half a thousand million flags, in a few bytes."""
    rows, items = 3, 1 << 29
    table = pa.table({"user_id": ["u"] * rows, "query": ["q"] * rows, "documents": [["a", "b"]] * rows,
                      "clicks": [[True, False]] * rows})  # fmt: skip
    file = Parquet(written(table))
    run = varint(rows << 1) + b"\0" + varint((items - rows) << 1) + b"\1"
    there, flags = varint(items << 1) + b"\3", varint(items << 1) + b"\1"
    body = b"".join(struct.pack("<I", len(part)) + part for part in (run, there, flags))
    header = page(body, RLE)
    header[5][1][1] = (INT, items)
    for chunk in file.chunks("clicks.list.element"):
        chunk[5] = (6, items)
    file.replace("clicks.list.element", header, pa.compress(body, "zstd", asbytes=True), RLE)
    return file.bytes()


def levels_of(*runs: tuple[int, int]) -> bytes:
    """So many times the same level, each below 256."""
    body = b"".join(varint(n << 1) + bytes([level]) for n, level in runs)
    return struct.pack("<I", len(body)) + body


def items_without_end(table: pa.Table, items: int, level: int) -> bytes:
    """The items of the first row are as many as said, and null at a level."""
    rows = table.num_rows
    file = Parquet(written(table, use_dictionary=False))
    body = levels_of((rows, 0), (items - rows, 1)) + levels_of((items, level))
    for chunk in file.chunks():
        header = page(body, PLAIN)
        header[5][1][1] = (INT, items)
        chunk[5] = (6, items)
        name = b".".join(chunk[3][1][1]).decode()
        file.replace(name, header, pa.compress(body, "zstd", asbytes=True), PLAIN)
    return file.bytes()


def structs_without_end() -> bytes:
    return items_without_end(pa.table({"s": [[{f"f{i}": 1 for i in range(20)}]] * 3}), 60_000_000, 2)


def lists_within_lists() -> bytes:
    """Each level has an offset of its own for every item."""
    depth, value, kind = 30, 1, pa.int32()
    for _ in range(depth):
        value, kind = [value], pa.list_(kind)  # type: ignore[assignment]
    return items_without_end(pa.table({"s": pa.array([value] * 3, kind)}), 40_000_000, 2 * depth)


def many_texts_in_one() -> bytes:
    """A struct of forty texts that repeat, each less than a column may."""
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 32_768, pa.int32()), ["x" * 8000])
    return written(pa.table({"s": pa.StructArray.from_arrays([text] * 40, [f"f{i}" for i in range(40)])}))


def many_widths_in_one() -> bytes:
    wide = pa.nulls(32_768, pa.binary(32_000))
    return written(pa.table({"s": pa.StructArray.from_arrays([wide] * 12, [f"f{i}" for i in range(12)])}))


def values_beyond_the_rows() -> bytes:
    """Keys of two thousand million values, in a row group of one: nobody reads them, and they were added up."""
    file = Parquet(written(pa.table({"user_id": ["u"], "query": ["q"], "doc_id": ["d"], "clicked": [False]})))
    body = levels_of((MOST, 1)) + b"\1" + varint(MOST << 1) + b"\0"
    empty = pa.compress(struct.pack("<I", 0), "zstd", asbytes=True)
    packed_body = pa.compress(body, "zstd", asbytes=True)
    header = page(body, 8)
    header[5][1][1] = (INT, MOST)
    dictionary = {1: (INT, 2), 2: (INT, 4), 3: (INT, len(empty)), 7: (STRUCT, {1: (INT, 1), 2: (INT, PLAIN)})}
    (chunk,) = file.chunks("user_id")
    first, at = packed(dictionary) + empty, len(file.body)
    pages = first + packed({3: (INT, len(packed_body)), **header}) + packed_body
    chunk |= {
        2: (LIST, (INT, [3, 8, DELTA_BYTE_ARRAY])), 6: (6, len(pages)), 7: (6, len(pages)), 9: (6, at + len(first)),
        11: (6, at),
    }  # fmt: skip
    file.body += pages
    return file.bytes()


def rows_beyond() -> bytes:
    """Row groups that have more rows together than 64 bits can say."""
    file = Parquet(log(30, row_group_size=10))
    for group in file.groups():
        group[3] = (6, 2**63 - 1)
    return file.bytes()


def other_rows() -> bytes:
    """A footer that counts other rows than its row groups."""
    file = Parquet(log(30))
    file.footer[3] = (6, 2**62)
    return file.bytes()


def changed(field: int, value: int) -> Callable[[], bytes]:
    def make() -> bytes:
        file = Parquet(log(30))
        for chunk in file.chunks():
            chunk[field] = (6, value)
        return file.bytes()

    return make


USERS = {
    "wide values": wide_values,
    "a prefix without end": repeated_prefix,
    "compressed beyond what it says": compressed_beyond,
    "levels beyond 32 bits": levels_beyond,
    "lengths without texts": lengths_without_texts,
    "entries without texts": entries_without_texts,
}
PAGES = USERS | {"a list without end": endless_list}
FOOTERS = {
    "rows beyond 64 bits": rows_beyond,
    "rows of two counts": other_rows,
    "no bytes": changed(7, -1),
    "bytes beyond": changed(7, 2**62),
    "before the file": changed(9, -1),
    "behind the file": changed(9, 2**62),
    "a dictionary before the file": changed(11, -1),
    "a dictionary behind the pages": changed(11, 2**40),
}

CHILD = """
import resource, sys
from pathlib import Path
from types import SimpleNamespace
import pyarrow.fs as pafs
import hardneg_fast as hn
from hardneg_fast.sources import files
resource.setrlimit(resource.RLIMIT_AS, (5 << 30, 5 << 30))
try:
    match sys.argv[1]:
        case "mine elsewhere":
            path = Path(sys.argv[2])
            there = pafs.SubTreeFileSystem(str(path.parent), pafs.LocalFileSystem())
            found = SimpleNamespace(from_uri=lambda uri: (there, path.name))
            files.pafs = SimpleNamespace(**{**vars(pafs), "FileSystem": found})
            hn.mine("s3://bucket/log.parquet", privacy=hn.Privacy.none(), config=hn.Config(threads=2))
        case "audit":
            hn.audit(sys.argv[2])
        case "beside":
            from hardneg_fast.writers.given import given_table
            given_table(sys.argv[2], "documents", (), ("s", "doc_id", "text"))
        case "mine":
            hn.mine(sys.argv[2], privacy=hn.Privacy.none(), config=hn.Config(threads=2))
        case "anonymize":
            hn.anonymize(sys.argv[2], sys.argv[3], key=hn.Key(bytes(32)), query_text="keep", time="keep")
        case "related":
            hn.related_queries(sys.argv[2])
except hn.HardnegError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("how", "make"),
    [(how, make) for how in ("mine", "mine elsewhere", "anonymize") for make in PAGES.values()]
    + [(how, make) for how in ("mine", "anonymize", "related") for make in FOOTERS.values()],
    ids=[f"{how} {name}" for how in ("mine", "mine elsewhere", "anonymize") for name in PAGES]
    + [f"{how} {name}" for how in ("mine", "anonymize", "related") for name in FOOTERS],
)
def test_a_named_error_and_nothing_else(how: str, make: Callable[[], bytes], tmp_path: Path) -> None:
    (tmp_path / "log.parquet").write_bytes(make())
    ask = [sys.executable, "-c", CHILD, how, tmp_path / "log.parquet", tmp_path / "out.parquet"]
    done = subprocess.run(ask, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(("DataError log.parquet: ", "FileError log.parquet: "))
    assert "bug" not in done.stdout


WHOLE = {"structs": structs_without_end, "lists in lists": lists_within_lists, "texts": many_texts_in_one,
         "widths": many_widths_in_one}  # fmt: skip


@pytest.mark.parametrize("make", WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("how", ["audit", "beside"])
def test_columns_with_very_many_values_in_one(how: str, make: Callable[[], bytes], tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(make())
    (tmp_path / "log.parquet").write_bytes(log(30))
    ask = [sys.executable, "-c", CHILD, how, tmp_path / "t.parquet", tmp_path / "log.parquet"]
    done = subprocess.run(ask, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    # An audit reads leaf by leaf, and then these are no more than they may be.
    fits = how == "audit" and make in (many_texts_in_one, many_widths_in_one)
    assert done.stdout.startswith(("DataError ", "FileError ")) != fits


def test_values_beyond_the_rows_of_their_group(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    path.write_bytes(values_beyond_the_rows())
    with pytest.raises(DataError, match=r"log\.parquet: .*not what its header says"):
        hn.mine(path, privacy=hn.Privacy.none())


def test_texts_that_repeat_in_a_table_beside_the_log(tmp_path: Path) -> None:
    """Read whole, it would be seven gigabytes."""
    text = pa.DictionaryArray.from_arrays(pa.array([0] * N, pa.int32()), ["x" * 100_000])
    (tmp_path / "t.parquet").write_bytes(written(pa.table({"doc_id": [f"d{i}" for i in range(N)], "text": text})))
    (tmp_path / "log.parquet").write_bytes(log(30))
    ask = [sys.executable, "-c", CHILD, "beside", tmp_path / "t.parquet", tmp_path / "log.parquet"]
    done = subprocess.run(ask, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "without end" in done.stdout


def test_lists_of_a_row_group_in_one_page_are_no_such_thing(tmp_path: Path) -> None:
    """As DuckDB writes them."""
    path = tmp_path / "log.parquet"
    results = "list_transform(range(50), lambda j: md5((i * 50 + j)::VARCHAR)) AS documents"
    clicks = "list_transform(range(50), lambda j: j = 3) AS clicks"
    rows = f"SELECT 'u' || i AS user_id, 'q' AS query, {results}, {clicks} FROM range(122880) t(i)"  # noqa: S608
    duckdb.sql(f"COPY ({rows}) TO '{path}' (FORMAT parquet)")
    assert sum(batch.num_rows for batch in hn.read(path)) == 50 * 122_880


def test_long_texts_are_no_such_thing(tmp_path: Path) -> None:
    """Documents of 20 KB each, which are what they are."""
    texts = [f"{i} " + "x" * 20_000 for i in range(30_000)]
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"text": texts}), path, compression="zstd", use_dictionary=False)
    assert sum(len(values) for _, _, values in columns(path)) == 30_000


@pytest.mark.parametrize("make", PAGES.values(), ids=PAGES)
def test_an_audit_of_such_pages(make: Callable[[], bytes], tmp_path: Path) -> None:
    (tmp_path / "log.parquet").write_bytes(make())
    ask = [sys.executable, "-c", CHILD, "audit", tmp_path / "log.parquet"]
    done = subprocess.run(ask, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "cannot be read" in done.stdout


def test_long_texts_that_the_library_writes_out(tmp_path: Path) -> None:
    """A copy keeps the dictionary; whoever reads the rows would take two gigabytes for one column."""
    path = tmp_path / "log.parquet"
    path.write_bytes(long_entries_of_other_codings())
    assert path.stat().st_size < 1 << 20
    done = subprocess.run([sys.executable, "-c", CHILD, "mine", path], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("DataError log.parquet: ")


def test_pages_without_values_are_not_unpacked(tmp_path: Path) -> None:
    file = Parquet(log(3000))
    (chunk,) = file.chunks("user_id")
    start, size = chunk[11][1], chunk[7][1]
    empty = pa.compress(bytes(1 << 26), "zstd", asbytes=True)
    kind = {1: (INT, 0), 2: (INT, PLAIN), 3: (INT, 3), 4: (INT, 3)}
    page = packed({1: (INT, 0), 2: (INT, 1 << 26), 3: (INT, len(empty)), 5: (STRUCT, kind)}) + b"\0" * len(empty)
    pages = file.body[start : start + size]
    chunk |= {11: (6, len(file.body)), 9: (6, len(file.body)), 7: (6, size + len(page))}
    # The dictionary comes first, then what would be an error if anybody unpacked it.
    read = Reader(pages)
    read.take(read.struct()[3][1])
    file.body += pages[: read.at] + page + pages[read.at :]
    path = tmp_path / "log.parquet"
    path.write_bytes(file.bytes())
    assert hn.mine(path, privacy=hn.Privacy.none()).report["input"]["rows"] == 3000


BESIDE = """
import resource, sys
import pyarrow as pa
from hardneg_fast.parquet import ParquetFile
resource.setrlimit(resource.RLIMIT_AS, (5 << 30, 5 << 30))
try:
    print(ParquetFile(sys.argv[1]).read(["user_id"]).num_rows)
except (OSError, ValueError, pa.ArrowException) as error:
    print(error)
"""


@pytest.mark.parametrize("make", [*USERS.values(), long_entries_of_other_codings, log])
def test_such_pages_in_a_table_beside_the_log(make: Callable[[], bytes], tmp_path: Path) -> None:
    (tmp_path / "judged.parquet").write_bytes(make())
    done = subprocess.run([sys.executable, "-c", BESIDE, tmp_path / "judged.parquet"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("judged.parquet: " in done.stdout) == (make is not log)
    assert (done.stdout == f"{N}\n") == (make is log)


def test_files_of_very_many_chunks_are_audited_in_time(tmp_path: Path) -> None:
    """Places of chunks were asked for once a chunk: 30,000 took minutes."""
    table = pa.table({f"c{i}": list(range(3000)) for i in range(10)})
    path = tmp_path / "t.parquet"
    path.write_bytes(written(table, row_group_size=1, compression="none", use_dictionary=False))
    assert sum(1 for _ in pages(path)) == 30_000


def test_tables_beside_the_log_at_a_uri(tmp_path: Path) -> None:
    (tmp_path / "log.parquet").write_bytes(log(300))
    texts = tmp_path / "texts.parquet"
    texts.write_bytes(written(pa.table({"doc_id": [f"d{i}" for i in range(3)], "text": ["a", "b", "c"]})))
    mined = [
        hn.mine(tmp_path / "log.parquet", tmp_path / name, privacy=hn.Privacy.none(), documents=given)
        for name, given in (("by path", texts), ("by uri", texts.as_uri()))
    ]
    assert mined[0].report["counts"] == mined[1].report["counts"]


def test_a_text_of_a_dictionary_that_batches_write_out(tmp_path: Path) -> None:
    """Where the coding changes, keys are written out: 30,000 times a megabyte, of a file of a few kilobytes."""
    half = pa.array([0] * 30_000, pa.int32())
    users = pa.chunked_array(
        [
            pa.DictionaryArray.from_arrays(half, ["x" * (1 << 20)]),
            pa.DictionaryArray.from_arrays(pa.array(range(30_000), pa.int32()), [f"u{i}" for i in range(30_000)]),
        ]
    )
    rows = pq.read_table(io.BytesIO(log(60_000)))
    (tmp_path / "log.parquet").write_bytes(written(rows.set_column(0, "user_id", users)))
    done = subprocess.run(
        [sys.executable, "-c", CHILD, "mine", tmp_path / "log.parquet"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "take more than 512 MiB in one batch" in done.stdout


def test_pages_that_only_some_readers_see(tmp_path: Path) -> None:
    """Readers differ on which of two places of a chunk holds: an audit could have looked at the other one."""
    good = Parquet(log(3000))
    other = Parquet(written(pa.table({"query": [f"jane.doe{i % 60}@example.com" for i in range(3000)]})))
    (theirs,), (ours,) = other.chunks("query"), good.chunks("query")
    start, size = theirs[11][1], theirs[7][1]
    ours |= {9: ours[11], 11: (6, len(good.body)), 7: (6, size)}
    good.body += other.body[start : start + size]
    path = tmp_path / "log.parquet"
    path.write_bytes(good.bytes())
    assert "jane.doe3@example.com" in pl.read_parquet(path)["query"].to_list()
    with pytest.raises(DataError, match="footer is damaged"):
        list(pages(path))
    with pytest.raises(DataError, match="footer is damaged"):
        hn.count(path)
    assert cli.main(["audit", str(path)]) == 3


def test_dictionaries_that_are_said_to_begin_with_the_file(tmp_path: Path) -> None:
    """As parquet-mr 1.8 wrote it of columns that have none (PARQUET-1402)."""
    file = Parquet(log(3000, use_dictionary=False))
    for chunk in file.chunks():
        chunk[11] = (6, 0)
    path = tmp_path / "log.parquet"
    path.write_bytes(file.bytes())
    assert duckdb.sql(f"select count(distinct user_id) from '{path}'").fetchall() == [(3000,)]  # noqa: S608
    assert hn.mine(path, privacy=hn.Privacy.none()).report["input"]["rows"] == 3000
    hn.anonymize(path, tmp_path / "out.parquet", key=hn.Key(bytes(32)), query_text="keep", time="keep")
    assert list(pages(path))


def hadoop(file: bytes) -> bytes:
    """The same file with LZ4 blocks framed as Hadoop does, in two blocks where there is enough."""
    old = Parquet(file)
    new = b"PAR1"
    for chunk in old.chunks():
        at = min(chunk[field][1] for field in (9, 11) if field in chunk)
        end, start, places = at + chunk[7][1], len(new), {}
        while at < end:
            read = Reader(old.body, at)
            header = read.struct()
            content = pa.decompress(read.take(header[3][1]), header[2][1], "lz4_raw", asbytes=True)
            framed = b""
            for part in (content[:100], content[100:]):
                block = pa.compress(part, "lz4_raw", asbytes=True)
                framed += struct.pack(">II", len(part), len(block)) + block
            places.setdefault(11 if header[1][1] == 2 else 9, (6, len(new)))
            new += packed(header | {3: (INT, len(framed))}) + framed
            at = read.at
        chunk.pop(16, None)
        chunk |= {4: (INT, 5), 7: (6, len(new) - start), **places}
    old.body = new
    return old.bytes()


def test_lz4_as_hadoop_frames_it(tmp_path: Path) -> None:
    path, plain = tmp_path / "log.parquet", tmp_path / "plain.parquet"
    plain.write_bytes(log(3000, compression="none"))
    path.write_bytes(hadoop(log(3000, compression="lz4")))
    assert pq.read_table(path).equals(pq.read_table(plain))
    assert hn.mine(path, privacy=hn.Privacy.none()).report["input"]["rows"] == 3000
    assert list(pages(path)) == list(pages(plain))
    hn.anonymize(path, tmp_path / "out.parquet", key=hn.Key(bytes(32)), query_text="keep", time="keep")
    assert {name for name, _ in pages(tmp_path / "out.parquet")} >= {"user_id", "query"}


@pytest.mark.parametrize("codec", ["brotli", "zstd", "gzip", "snappy", "lz4", "none"])
def test_a_page_of_thirty_megabytes_that_are_all_the_same(codec: str, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(written(pa.table({"t": ["a" * (30 << 20)]}), compression=codec, use_dictionary=False))
    ((_, content),) = pages(path)
    assert content.count(b"a") == 30 << 20


def test_tables_beside_the_log_are_looked_at_too(tmp_path: Path) -> None:
    (tmp_path / "log.parquet").write_bytes(log(300))
    table = pa.table({"doc_id": ["d1"], "text": ["t"]})
    file = Parquet(written(table))
    file.footer[3] = (6, 7)
    (tmp_path / "documents.parquet").write_bytes(file.bytes())
    with pytest.raises(
        FileError, match=r"documents 'documents.parquet' cannot be read \(documents.parquet: the Parquet footer is"
    ):
        hn.mine(tmp_path / "log.parquet", privacy=hn.Privacy.none(), documents=tmp_path / "documents.parquet")


def test_texts_in_delta_coding_of_many_row_groups(tmp_path: Path) -> None:
    rows = pq.read_table(io.BytesIO(log(3000)))
    coding = dict.fromkeys(["user_id", "query", "doc_id"], "DELTA_LENGTH_BYTE_ARRAY")
    path, plain = tmp_path / "log.parquet", tmp_path / "plain.parquet"
    path.write_bytes(written(rows, use_dictionary=False, column_encoding=coding, row_group_size=100))
    plain.write_bytes(written(rows))
    assert pa.table(hn.count(path).pairs).equals(pa.table(hn.count(plain).pairs))

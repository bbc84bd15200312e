"""Parquet files made to end the process, to take all memory, or to be read differently by two readers."""

import io
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
from compact import INT, STRUCT, Parquet, Reader
from compact import struct as packed
from hardneg_fast import cli
from hardneg_fast.audit.contents import columns
from hardneg_fast.audit.pages import pages
from hardneg_fast.exceptions import DataError, FileError
from hostile_parquet import (
    PLAIN,
    N,
    changed,
    compressed_beyond,
    endless_list,
    entries_without_texts,
    lengths_without_texts,
    levels_beyond,
    lists_within_lists,
    log,
    long_entries_of_other_codings,
    many_texts_in_one,
    many_widths_in_one,
    other_rows,
    repeated_prefix,
    rows_beyond,
    structs_without_end,
    values_beyond_the_rows,
    wide_values,
    written,
)

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

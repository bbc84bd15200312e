"""Paths to files: what is found, what is decompressed, and what is refused by name."""

import bz2
import gzip
import lzma
import zipfile

import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import pytest

from hardneg_fast.config import ReadConfig
from hardneg_fast.exceptions import DataError, FileError, UsageError
from hardneg_fast.read import open_log

CSV = b"query,doc_id,clicked\nred shoes,007,1\nblue hat,8,0\n"
TSV = CSV.replace(b",", b"\t")
NDJSON = b'{"query": "red shoes", "doc_id": "007", "clicked": 1}\n{"query": "blue hat", "doc_id": 8, "clicked": 0}\n'
ROWS = [{"query": "red shoes", "doc_id": "007", "clicked": "1"}, {"query": "blue hat", "doc_id": "8", "clicked": "0"}]
TABLE = pa.table({"query": ["red shoes", "blue hat"], "doc_id": ["007", "8"], "clicked": ["1", "0"]})


def read(log, **options):
    return open_log(log, ReadConfig(**options)).reader().read_all().to_pylist()


def packed(codec):
    def pack(data):
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, codec) as stream:
            stream.write(data)
        return sink.getvalue().to_pybytes()

    return pack


@pytest.mark.parametrize(("ending", "content"), [("csv", CSV), ("tsv", TSV), ("ndjson", NDJSON), ("jsonl", NDJSON)])
@pytest.mark.parametrize(
    ("codec", "pack"),
    [("", bytes), (".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zst", packed("zstd")),
     (".lz4", packed("lz4"))],
)  # fmt: skip
def test_text_is_read_whatever_its_compression(tmp_path, ending, content, codec, pack):
    path = tmp_path / f"log.{ending}{codec}"
    path.write_bytes(pack(content))
    assert read(path) == ROWS
    nameless = tmp_path / "log"
    nameless.write_bytes(pack(content))
    assert read(nameless) == ROWS, "by content"


def test_columnar_files_are_read(tmp_path):
    pq.write_table(TABLE, tmp_path / "a.parquet")
    pyarrow.feather.write_feather(TABLE, tmp_path / "a.feather")
    pyarrow.orc.write_table(TABLE, tmp_path / "a.orc")
    with pa.ipc.new_stream(tmp_path / "a.arrows", TABLE.schema) as writer:
        writer.write_table(TABLE)
    for path in sorted(tmp_path.iterdir()):
        assert read(path) == ROWS, path.name
        path.rename(tmp_path / "nameless")
        assert read(tmp_path / "nameless") == ROWS, path.name


@pytest.mark.parametrize("name", ["log.csv", "log.tsv", "log.ndjson", "log.txt"])
def test_parquet_under_another_name_is_parquet(tmp_path, name):
    pq.write_table(TABLE, tmp_path / name)
    assert read(tmp_path / name) == ROWS
    # What is said of it holds all the same.
    (tmp_path / "odd").write_bytes(CSV.replace(b"query", b"PAR1"))
    assert [row["doc_id"] for row in read(tmp_path / "odd", format="csv", columns={"query": "PAR1"})] == ["007", "8"]


def test_directories_globs_and_lists(tmp_path):
    (tmp_path / "day=1").mkdir()
    for name in ("day=1/b.csv", "day=1/a.csv"):
        (tmp_path / name).write_bytes(CSV)
    (tmp_path / "_SUCCESS").write_bytes(b"")
    (tmp_path / "day=1/.a.csv.crc").write_bytes(b"\0")
    assert read(tmp_path) == ROWS * 2
    assert read(f"{tmp_path}/**/*.csv") == ROWS * 2
    assert read([tmp_path / "day=1/a.csv", str(tmp_path / "day=1/b.csv")]) == ROWS * 2
    assert read([f"{tmp_path}/day=1/*.csv", f"{tmp_path}/day=1/a.csv"]) == ROWS * 2, "one file named twice is one file"
    assert read((tmp_path / "day=1/a.csv").as_uri()) == ROWS
    report = open_log(tmp_path, ReadConfig()).report
    assert (report.files, report.format) == (2, "csv")


def test_zips_of_one_or_several_members(tmp_path):
    path = tmp_path / "log.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.ndjson", NDJSON)
        archive.writestr("b", NDJSON)
    assert read(path) == ROWS * 2
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("c.csv", CSV)
    with pytest.raises(DataError, match=r"mixes formats: \['csv', 'ndjson'\]"):
        read(path)


def test_empty_parts_are_left_out(tmp_path):
    (tmp_path / "a.csv").write_bytes(CSV)
    (tmp_path / "b.csv").write_bytes(b"")
    assert read(tmp_path) == ROWS


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "a.csv: empty"),
        ("a.csv.gz", gzip.compress(b"", mtime=0), "a.csv.gz: empty"),
        ("a.csv.gz", gzip.compress(CSV * 1000, mtime=0)[:-9], "a.csv.gz: damaged, cut short"),
        ("a.ndjson.gz", gzip.compress(NDJSON * 1000, mtime=0)[:-9], "a.ndjson.gz: damaged, cut short"),
        ("a.csv.xz", lzma.compress(CSV * 1000)[:-9], "a.csv.xz: damaged, cut short"),
        ("a.zip", b"PK\x03\x04 but no more", "a.zip: damaged, cut short"),
        ("a.parquet", CSV, "a.parquet: damaged, cut short"),
        ("a.parquet.gz", gzip.compress(b"PAR1", mtime=0), "a.parquet.gz: parquet inside gzip"),
        ("a.feather", CSV, "a.feather: damaged"),
        ("noise", b"\x01\x02\x03\x04", "noise: format not recognised"),
        ("a.csv", b"query,doc_id,clicked,\xff\n", "a.csv: damaged"),
    ],
)
def test_bad_files_are_refused_by_base_name(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read(path)
    assert message in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_truncated_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(TABLE, path)
    for size in (3, 50, path.stat().st_size - 1):
        path.write_bytes(path.read_bytes()[:size])
        with pytest.raises(FileError, match=r"a\.parquet: damaged, cut short"):
            read(path)


def test_what_is_not_there(tmp_path):
    (tmp_path / "dir.csv").mkdir()
    for log, message in (
        (tmp_path / "none.csv", "none.csv: no such file"),
        (tmp_path / "none/*.csv", r"\*.csv: no file matches"),
        (tmp_path / "dir.csv", "dir.csv: a directory without data files"),
        ("nowhere://bucket/log.csv", "nowhere://: not an address"),
    ):
        with pytest.raises(FileError, match=message):
            read(str(log))
    for log in ([], 7, None, [TABLE]):
        with pytest.raises(UsageError, match="a log is a path"):
            read(log)


def test_a_named_format_wins_over_the_ending(tmp_path):
    path = tmp_path / "log.txt"
    path.write_bytes(TSV.replace(b"red shoes", b"red, shoes"))
    assert read(path)[0]["query"] == "red, shoes"
    path = tmp_path / "log.csv"
    path.write_bytes(NDJSON)
    assert read(path, format="ndjson") == ROWS


def test_other_files_of_a_folder_are_not_said_to_be_of_a_format(tmp_path):
    pq.write_table(TABLE, tmp_path / "a.parquet")
    (tmp_path / "README.md").write_text("what this is")
    with pytest.raises(
        DataError, match=r"README.md: format not recognised .* name the files that are: 'DIR/\*.parquet'"
    ):
        read(tmp_path)
    assert read(str(tmp_path / "*.parquet")) == ROWS

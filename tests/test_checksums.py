"""A byte that changed in a Parquet page: where pages carry checksums, all our readers look at them and say so."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
from hardneg_fast import cli
from hardneg_fast.config import ReadConfig

ROWS = 6_000
SAYS = r"log\.parquet.*(checksum|damaged)"
KEY = hn.Key(bytes(range(32)))


def log() -> pa.Table:
    """Every column of which can change without making its page unreadable."""
    return pa.table(
        {
            "user_id": [f"u{i // 20:03d}" for i in range(ROWS)],
            "search_id": [f"s{i // 10:05d}" for i in range(ROWS)],
            "query": [f"query {i // 10 % 40:02d}" for i in range(ROWS)],
            "doc_id": [f"d{i % 200:03d}" for i in range(ROWS)],
            "position": pa.array([i % 10 + 1 for i in range(ROWS)], pa.int32()),
            "clicked": pa.array([int(i % 7 == 0) for i in range(ROWS)], pa.int64()),
            "dwell_ms": pa.array([1000 * (i % 9) for i in range(ROWS)], pa.int64()),
        }
    )


def written(path: Path, table: pa.Table, *, checksums: bool, **options: Any) -> Path:
    pq.write_table(table, path, write_page_checksum=checksums, row_group_size=2_500, compression="none", **options)
    return path


def changed(path: Path, column: str, *, dictionary: bool = False) -> Path:
    """Changes the last byte of the last data page of a column's first chunk, or of its dictionary page."""
    meta = pq.ParquetFile(path).metadata.row_group(0)
    chunk = next(c for c in map(meta.column, range(meta.num_columns)) if c.path_in_schema == column)
    begin = chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset
    at = (chunk.data_page_offset if dictionary else begin + chunk.total_compressed_size) - 1
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    return path


LAYOUTS: dict[str, dict[str, Any]] = {
    "coded": {},
    "plain": {"use_dictionary": False},
    "second version": {"data_page_version": "2.0"},
    "deltas": {
        "use_dictionary": False,
        "column_encoding": {"query": "DELTA_BYTE_ARRAY", "clicked": "DELTA_BINARY_PACKED"},
    },
}
READERS: dict[str, ReadConfig] = {"the core": ReadConfig(), "as a stream": ReadConfig(constants={"surface": "web"})}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("column", ["query", "clicked"])
def test_counting_refuses_a_changed_page(reader: str, layout: str, column: str, tmp_path: Path) -> None:
    config = hn.Config(read=READERS[reader], threads=2)
    path = written(tmp_path / "log.parquet", log(), checksums=True, **LAYOUTS[layout])
    assert pa.table(hn.count(path, config=config).table("pairs")).num_rows > 0
    changed(path, column)
    with pytest.raises(hn.DataError, match=SAYS):
        hn.count(path, config=config)


def test_counting_refuses_a_changed_dictionary(tmp_path: Path) -> None:
    path = changed(written(tmp_path / "log.parquet", log(), checksums=True), "query", dictionary=True)
    with pytest.raises(hn.DataError, match=r"log\.parquet: .*a page is not what its checksum says"):
        hn.count(path)


def test_without_checksums_nobody_can_tell(tmp_path: Path) -> None:
    """What docs/RELIABILITY.md says: other counts come, and nothing is said. With checksums the same byte is found."""
    options = {"use_dictionary": False}
    silent = written(tmp_path / "silent.parquet", log(), checksums=False, **options)
    before = pa.table(hn.count(silent).table("pairs"))
    assert not pa.table(hn.count(changed(silent, "query")).table("pairs")).equals(before)
    with pytest.raises(hn.DataError, match=SAYS):
        hn.count(changed(written(tmp_path / "log.parquet", log(), checksums=True, **options), "query"))


@pytest.mark.parametrize(
    ("column", "dictionary"), [("user_id", True), ("user_id", False), ("doc_id", False), ("query", True)]
)
@pytest.mark.parametrize("text", ["keep", "normalise"])
def test_copies_refuse_changed_pages(column: str, dictionary: bool, text: str, tmp_path: Path) -> None:
    """By pages that are not decoded, and decoded."""
    path = written(tmp_path / "log.parquet", log(), checksums=True)
    options: dict[str, Any] = {"key": KEY, "query_text": text, "time": "keep"}
    hn.anonymize(path, tmp_path / "whole.parquet", **options)
    with pytest.raises(hn.DataError, match=SAYS):
        hn.anonymize(changed(path, column, dictionary=dictionary), tmp_path / "out.parquet", **options)
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("text", ["keep", "normalise"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_copies_carry_checksums(version: str, text: str, dictionary: bool, tmp_path: Path) -> None:
    """Whether the log had them or not: readers then find what changes later."""
    path = written(
        tmp_path / "log.parquet", log(), checksums=False, data_page_version=version, use_dictionary=dictionary
    )
    out = tmp_path / "out.parquet"
    hn.anonymize(path, out, key=KEY, query_text=text, time="keep")
    whole = pq.ParquetFile(out, page_checksum_verification=True).read()
    assert whole.num_rows == ROWS
    for column in whole.column_names:
        content = out.read_bytes()
        changed(out, column)
        with pytest.raises((OSError, pa.ArrowException), match="CRC checksum"):
            pq.ParquetFile(out, page_checksum_verification=True).read([column])
        out.write_bytes(content)


def test_tables_given_beside_a_log(tmp_path: Path) -> None:
    documents = pa.table({"doc_id": [f"d{i:03d}" for i in range(200)], "text": [f"text {i:03d}" for i in range(200)]})
    path = changed(written(tmp_path / "documents.parquet", documents, checksums=True, use_dictionary=False), "text")
    with pytest.raises(hn.FileError, match=r"documents\.parquet' cannot be read"):
        hn.mine(log(), tmp_path / "out", privacy=hn.Privacy.none(), documents=path)


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mined")
    hn.simulate(folder / "sim", impressions=20_000, seed=3)
    hn.mine(folder / "sim" / "log.parquet", folder / "out", privacy=hn.Privacy.none())
    return folder / "out"


def _features(out: Path, here: Path) -> None:
    table = pa.table(
        {"query_id": ["0"] * 50, "doc_id": [f"d{i:03d}" for i in range(50)], "f": [i / 3 for i in range(50)]}
    )
    path = changed(written(here / "features.parquet", table, checksums=True, use_dictionary=False), "f")
    hn.export(out, here / "lightgbm", to="lightgbm", features=path)


def _audit(out: Path, _here: Path) -> None:
    changed(next((out / "negatives").glob("*.parquet")), "neg_id")
    hn.audit(out)


@pytest.mark.parametrize("use", [_features, _audit])
def test_what_reads_datasets(use: Callable[[Path, Path], None], mined: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(mined, tmp_path / "out"))
    with pytest.raises(hn.FileError, match=r"cannot be read"):
        use(out, tmp_path)


def test_explain_names_a_changed_table(mined: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = Path(shutil.copytree(mined, tmp_path / "out"))
    query = pq.read_table(out / "negatives")["query"][0].as_py()
    assert cli.main(["explain", str(out), "--query", query]) == 0
    changed(next((out / "negatives").glob("*.parquet")), "rule")
    capsys.readouterr()
    assert cli.main(["explain", str(out), "--query", query]) == 3
    assert "negatives cannot be read" in capsys.readouterr().err

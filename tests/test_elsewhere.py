"""Logs and tables on other file systems read as those that are here do, part by part."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hardneg_fast as hn
from hardneg_fast import _hardneg, parquet
from hardneg_fast.elsewhere import AHEAD, Elsewhere
from hardneg_fast.sources import files

pytestmark = pytest.mark.usefixtures("there", "log")

SECRET = "token=abc"  # noqa: S105 - what addresses can hold


class Handler(pafs.FileSystemHandler):  # type: ignore[misc]
    """Files of a folder; `trouble` is asked before each is opened or read."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.trouble = folder, lambda: None

    def get_type_name(self) -> str:
        return "there"

    def open_input_file(self, path: str) -> pa.NativeFile:
        self.trouble()
        return pa.PythonFile(Slow(self.folder / path, self), mode="r")

    def get_file_info(self, paths: list[str]) -> list[pafs.FileInfo]:
        found = pafs.LocalFileSystem().get_file_info([str(self.folder / path) for path in paths])
        return [
            pafs.FileInfo(path, type=info.type, size=info.size, mtime_ns=info.mtime_ns)
            for path, info in zip(paths, found, strict=True)
        ]

    def get_file_info_selector(self, selector: pafs.FileSelector) -> list[pafs.FileInfo]:
        names = [str(path.relative_to(self.folder)) for path in (self.folder / selector.base_dir).iterdir()]
        return self.get_file_info(names)

    def open_input_stream(self, path: str) -> pa.NativeFile:
        return self.open_input_file(path)

    def nothing(self, *_: Any) -> None:
        pytest.fail("a log is only read")

    normalize_path = staticmethod(lambda path: path)
    copy_file = create_dir = delete_dir = delete_dir_contents = delete_file = delete_root_dir_contents = nothing
    move = open_append_stream = open_output_stream = nothing


class Slow:
    """A file that is read, with what may be wrong with it."""

    def __init__(self, path: Path, handler: Handler) -> None:
        self._file, self._handler = path.open("rb"), handler
        self.closed = False

    def read(self, n: int = -1) -> bytes:
        self._handler.trouble()
        return self._file.read(n)

    def __del__(self) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Handler:
    """A file system that `there://` leads to, the files of which are those of `tmp_path`."""
    handler = Handler(tmp_path)
    found = SimpleNamespace(from_uri=lambda uri: (pafs.PyFileSystem(handler), uri.partition("://")[2]))
    for module in (files, parquet):
        monkeypatch.setattr(module, "pafs", SimpleNamespace(**{**vars(pafs), "FileSystem": found}))
    return handler


@pytest.fixture
def log(tmp_path: Path) -> Path:
    n = 3000
    rows = pa.table({
        "user_id": [f"u{i // 10 % 97}" for i in range(n)], "search_id": [f"s{i // 10}" for i in range(n)],
        "query": [f"q{i // 10 % 11}" for i in range(n)], "doc_id": [f"d{i * 7 % 13}" for i in range(n)],
        "position": [i % 10 + 1 for i in range(n)], "clicked": [i % 10 == 2 for i in range(n)],
    })  # fmt: skip
    pq.write_table(rows, tmp_path / "log.parquet", row_group_size=400)
    return tmp_path / "log.parquet"


def counted(log: Any, config: hn.Config | None = None) -> pa.Table:
    table = pa.table(hn.count(log, config=config).table("pairs"))
    return table.sort_by([(name, "ascending") for name in table.column_names])


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_counts_are_those_of_a_log_that_is_here(log: Path, threads: int) -> None:
    config = hn.Config(threads=threads)
    here, far = (counted(path, config) for path in (log, "there://log.parquet"))
    assert here.equals(far)
    assert here.num_rows > 100
    assert pa.table(hn.read(log)).equals(pa.table(hn.read("there://log.parquet")))


def test_files_of_a_folder_with_types_that_differ(log: Path, tmp_path: Path) -> None:
    rows = pq.read_table(log)
    (tmp_path / "days").mkdir()
    for name, kind in (("a", pa.int64()), ("b", pa.int32())):
        typed = rows.set_column(4, "position", rows["position"].cast(kind))
        pq.write_table(typed, tmp_path / "days" / f"{name}.parquet")
    read = pa.table(hn.read("there://days"))
    assert read.equals(pa.table(hn.read(tmp_path / "days")))
    assert read.num_rows == 2 * rows.num_rows


def test_tables_beside_the_log(log: Path, tmp_path: Path) -> None:
    texts = pa.table({"doc_id": [f"d{i}" for i in range(13)], "text": [f"text {i}" for i in range(13)]})
    pq.write_table(texts, tmp_path / "texts.parquet")
    mined = [
        hn.mine(log, privacy=hn.Privacy.none(), documents=documents).report["counts"]
        for documents in (tmp_path / "texts.parquet", "there://texts.parquet")
    ]
    assert mined[0] == mined[1]


def failing(error: BaseException, after: int) -> Callable[[], None]:
    left = iter(range(after))

    def trouble() -> None:
        if next(left, None) is None:
            raise error

    return trouble


@pytest.mark.parametrize("after", [0, 3, 12, 20])
@pytest.mark.parametrize(
    "error",
    [
        OSError(f"GET s3://bucket/log?{SECRET}"),
        RuntimeError(SECRET),
        PermissionError(SECRET),
    ],
)
def test_what_goes_wrong_is_named_and_quotes_no_address(there: Handler, error: BaseException, after: int) -> None:
    there.trouble = failing(error, after)
    with pytest.raises(hn.DataError, match=r"log\.parquet: ") as caught:
        hn.count("there://log.parquet")
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value.__context__)


def test_what_is_no_exception_is_not_waited_for(there: Handler) -> None:
    """As those file systems raise that are asynchronous within."""
    there.trouble = failing(asyncio.CancelledError(SECRET), 12)
    with pytest.raises(hn.DataError, match=r"log\.parquet: cannot be read from where it lies$"):
        hn.count("there://log.parquet")


@pytest.mark.parametrize("rows", [2999, 3000])
def test_a_file_that_is_written_meanwhile(log: Path, there: Handler, rows: int) -> None:
    """With as many bytes, too, where its file system says when."""
    asked = []

    def trouble() -> None:
        asked.append(1)
        if len(asked) == 9:
            pq.write_table(pq.read_table(log).slice(0, rows), log, row_group_size=400)

    there.trouble = trouble
    with pytest.raises(hn.DataError, match=r"log\.parquet: "):
        hn.count("there://log.parquet")


def test_threads_that_cannot_be_had(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any, **__: Any) -> None:
        raise RuntimeError("can't start new thread")

    expected = counted(log)
    monkeypatch.setattr("hardneg_fast.elsewhere.threading.Thread", none)
    assert counted("there://log.parquet").equals(expected)


parts = st.lists(st.tuples(st.integers(0, 90), st.integers(0, 10)), max_size=4)


@settings(deadline=None, max_examples=40)
@given(calls=st.lists(st.tuples(parts, parts), min_size=1, max_size=12))
def test_any_parts_in_any_order(tmp_path_factory: pytest.TempPathFactory, calls: list[Any]) -> None:
    """Guessed right or wrong: the bytes of what was asked for, and no more row groups held than there may be."""
    folder = tmp_path_factory.mktemp("there")
    data = bytes(range(100))
    (folder / "file").write_bytes(data)
    file = Elsewhere(pafs.SubTreeFileSystem(str(folder), pafs.LocalFileSystem()), "file", 100)
    for wanted, ahead in calls:
        assert file(wanted, ahead) == [data[at : at + length] for at, length in wanted]
        assert len(file._ahead) <= AHEAD


def test_the_next_row_group_is_fetched_while_one_is_decoded(log: Path) -> None:
    size = log.stat().st_size
    fetch = Elsewhere(pafs.SubTreeFileSystem(str(log.parent), pafs.LocalFileSystem()), log.name, size)
    asked: list[tuple[Any, Any]] = []

    def told(wanted: Any, ahead: Any) -> list[bytes]:
        asked.append((wanted, ahead))
        return fetch(wanted, ahead)

    opened = _hardneg.parquet_files([(log.name, size, told)])
    assert opened is not None
    batches = opened.columns([(name, name) for name in ("user_id", "doc_id")], batch_rows=100)
    assert batches is not None
    assert sum(batch.num_rows for batch in batches) == 3000
    groups = [(wanted, ahead) for wanted, ahead in asked if len(wanted) == 2]
    assert len(groups) == 8
    assert [ahead for _, ahead in groups] == [wanted for wanted, _ in groups[1:]] + [[]]
    assert not fetch._ahead


def test_whoever_asks_again_after_an_error_hears_of_it_again(there: Handler) -> None:
    there.trouble = failing(OSError(), 14)
    batches = parquet.ParquetFile("there://log.parquet").batches(["user_id", "doc_id"], 100)
    for _ in range(2):
        with pytest.raises(hn.DataError, match="cannot be read from where it lies"):
            sum(batch.num_rows for batch in batches)


FEW_HANDLES = """
import resource, sys
import pyarrow.fs as pafs
from hardneg_fast import _hardneg
from hardneg_fast.elsewhere import Elsewhere
there = pafs.SubTreeFileSystem(sys.argv[1], pafs.LocalFileSystem())
size = there.get_file_info("log.parquet").size
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
opened = _hardneg.parquet_files([("log.parquet", size, Elsewhere(there, "log.parquet", size)) for _ in range(200)])
columns = [(name, name) for name in ("user_id", "query", "doc_id")]
print(sum(batch.num_rows for batch in opened.columns(columns, batch_rows=1000)))
"""


def test_more_files_than_a_process_may_hold_open(log: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FEW_HANDLES, log.parent], capture_output=True, text=True)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "600000\n")

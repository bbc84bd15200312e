"""Directories appear whole or not at all."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hardneg_fast.exceptions import FileError, UsageError
from hardneg_fast.writers import atomic
from hardneg_fast.writers.atomic import whole_directory, whole_file

MINE = ("folder", "stale", "half", "other")


def fill(target: Path, text: str, **options) -> None:
    with whole_directory(target, **options) as partial:
        (partial / "folder").mkdir()
        (partial / "folder" / "file").write_text(text)


def test_appears_with_ordinary_permissions(tmp_path):
    old = os.umask(0o022)
    try:
        fill(tmp_path / "a" / "b", "new")
    finally:
        os.umask(old)
    assert (tmp_path / "a" / "b" / "folder" / "file").read_text() == "new"
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o755
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_is_hidden_and_private_until_whole(tmp_path):
    with whole_directory(tmp_path / "secretname") as partial:
        assert not (tmp_path / "secretname").exists()
        assert partial.parent == tmp_path
        assert partial.name.startswith(".")
        assert "secretname" not in partial.name
        assert partial.stat().st_mode & 0o777 == 0o700


def test_empty_directory_is_taken_and_a_full_one_refused(tmp_path):
    (tmp_path / "out").mkdir()
    fill(tmp_path / "out", "one")
    with pytest.raises(UsageError, match="not empty"):
        fill(tmp_path / "out", "two")
    assert (tmp_path / "out" / "folder" / "file").read_text() == "one"


@pytest.mark.parametrize("exchange", ["system", "two renames"])
def test_overwrite_swaps(tmp_path, monkeypatch, exchange):
    if exchange == "two renames":
        monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    fill(tmp_path / "out", "one")
    (tmp_path / "out" / "stale").write_text("")
    fill(tmp_path / "out", "two", replaceable=MINE)
    assert (tmp_path / "out" / "folder" / "file").read_text() == "two"
    assert not (tmp_path / "out" / "stale").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_directory_that_holds_anything_else_is_never_replaced(tmp_path):
    fill(tmp_path / "out", "one")
    (tmp_path / "out" / "log.parquet").write_text("the only copy")
    with pytest.raises(UsageError, match="which was not made here"):
        fill(tmp_path / "out", "two", replaceable=MINE)
    assert (tmp_path / "out" / "log.parquet").read_text() == "the only copy"


def test_failure_leaves_the_old(tmp_path):
    fill(tmp_path / "out", "one")
    with pytest.raises(ZeroDivisionError), whole_directory(tmp_path / "out", replaceable=MINE) as partial:
        (partial / "half").write_text(str(1 / 0))
    assert (tmp_path / "out" / "folder" / "file").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_failed_swap_brings_the_old_back(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    fill(tmp_path / "out", "one")
    rename = Path.rename

    def broken(self, target):
        if self.name.endswith(".partial") and Path(target).name == "out" and not (self / "folder/file").exists():
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", broken)
    with (
        pytest.raises(FileError, match="No space left"),
        whole_directory(tmp_path / "out", replaceable=MINE) as partial,
    ):
        (partial / "other").write_text("two")
    assert (tmp_path / "out" / "folder" / "file").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_came_meanwhile_is_not_replaced(tmp_path):
    with pytest.raises(UsageError, match="not empty"), whole_directory(tmp_path / "out"):
        fill(tmp_path / "out", "theirs")
    assert (tmp_path / "out" / "folder" / "file").read_text() == "theirs"


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    fill(tmp_path / "link", "one")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "folder" / "file").read_text() == "one"


@pytest.mark.parametrize("below", ["", "out"])
def test_a_file_in_the_way_is_named(tmp_path, below):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="file"):
        fill(tmp_path / "file" / below, "one", replaceable=MINE)


def test_full_disk_is_named(tmp_path):
    with pytest.raises(FileError, match="out: No space left"), whole_directory(tmp_path / "out"):
        raise OSError(28, "No space left on device")
    assert not any(tmp_path.iterdir())


def test_killed_run_leaves_the_target(tmp_path):
    fill(tmp_path / "out", "one")
    code = """
import sys, time
from pathlib import Path
from hardneg_fast.writers.atomic import whole_directory, whole_file
with whole_directory(Path(sys.argv[1]), replaceable=("folder",)) as partial:
    (partial / "half").write_text("")
    print("ready", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "out")], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["folder"]


def test_a_folder_that_may_not_be_looked_into_is_named(tmp_path, monkeypatch):
    def closed(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", closed)
    with pytest.raises(FileError, match=r"out\.counts: Permission denied"), whole_file(tmp_path / "out.counts"):
        pass

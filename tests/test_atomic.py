"""Directories appear whole or not at all."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hardneg_fast.exceptions import FileError, UsageError
from hardneg_fast.owners import resolved
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
        (hidden,) = tmp_path.iterdir()
        assert hidden.samefile(partial)
        assert hidden.name.startswith(".")
        assert "secretname" not in hidden.name
        assert hidden.stat().st_mode & 0o777 == 0o700


def test_empty_directory_is_taken_and_a_full_one_refused(tmp_path):
    (tmp_path / "out").mkdir()
    fill(tmp_path / "out", "one")
    with pytest.raises(UsageError, match="not empty"):
        fill(tmp_path / "out", "two")
    assert (tmp_path / "out" / "folder" / "file").read_text() == "one"


@pytest.mark.parametrize("exchange", ["system", "two renames"])
def test_an_interrupt_while_what_was_there_is_removed_leaves_the_new(tmp_path, monkeypatch, exchange):
    if exchange == "two renames":
        monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    fill(tmp_path / "out", "one")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as within:
        within.setattr(atomic.shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fill(tmp_path / "out", "two", replaceable=("folder",))
    assert (tmp_path / "out" / "folder" / "file").read_text() == "two"


def test_where_nothing_can_be_made_is_named():
    with pytest.raises(FileError, match="cannot write /proc/x"), whole_file(Path("/proc/x")):
        pass
    with pytest.raises(FileError, match="cannot write /proc/x"), whole_directory(Path("/proc/x")):
        pass


def test_absolute_paths_lead_somewhere_without_a_current_folder(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert resolved(tmp_path / "out") == tmp_path / "out"


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


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def swapped(folder: Path, to: Path) -> None:
    """What another writer of a shared folder can do: take away what is being written, and put a link in its place."""
    (hidden,) = folder.glob(".*.partial")
    hidden.rename(folder / "taken")
    hidden.symlink_to(to)


@pytest.fixture
def team(tmp_path: Path) -> Path:
    """A folder that anybody may write to, without the sticky bit."""
    folder = tmp_path / "team"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is written to such folders")
def test_a_link_in_the_place_of_a_file_opens_nothing(tmp_path: Path, team: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("my own")
    mine.chmod(0o600)

    def attacked() -> None:
        with whole_file(team / "out") as partial:
            swapped(team, mine)
            partial.write_text("new")

    with pytest.raises(FileError, match="somebody else put something"):
        attacked()
    assert (mine.read_text(), mode(mine)) == ("my own", 0o600)
    assert not (team / "out").exists()
    assert mode(team / "taken") == 0o666 & ~atomic._umask()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is written to such folders")
def test_a_link_in_the_place_of_a_directory_opens_nothing(tmp_path: Path, team: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o700)
    (mine / "letter").write_text("my own")

    def attacked() -> None:
        with whole_directory(team / "out") as partial:
            swapped(team, mine)
            (partial / "file").write_text("new")

    with pytest.raises(FileError, match="somebody else put something"):
        attacked()
    assert ([path.name for path in mine.iterdir()], mode(mine)) == (["letter"], 0o700)
    assert not (team / "out").exists()
    assert not any((team / "taken").iterdir()), "what was begun is removed, wherever it is"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is written to such folders")
@pytest.mark.parametrize("whole", [whole_file, whole_directory])
def test_what_is_exchanged_at_the_last_moment_is_named(whole, tmp_path: Path, team: Path, monkeypatch) -> None:
    rename = Path.rename

    def at_last(self: Path, target: Path) -> Path:
        rename(self, team / "taken")
        self.symlink_to(tmp_path)
        return rename(self, target)

    with pytest.raises(FileError, match="somebody else put something"), whole(team / "out"):
        monkeypatch.setattr(Path, "rename", at_last)
    assert tmp_path.exists()


@pytest.mark.parametrize("whole", [whole_file, whole_directory])
def test_nothing_private_where_anybody_may_replace_it(whole, team: Path, monkeypatch) -> None:
    with pytest.raises(UsageError, match=r"out: anybody may replace .* chmod \+t"), whole(team / "out", private=True):
        pass
    check = atomic.check_file if whole is whole_file else atomic.check_directory
    with pytest.raises(UsageError, match="anybody may replace"):
        check(team / "out", private=True)
    assert not any(team.iterdir())
    monkeypatch.setattr(atomic, "_has_ways", lambda: False)  # a system where nothing is written by its handle
    with pytest.raises(UsageError, match="anybody may replace"), whole(team / "out"):
        pass
    team.chmod(0o1777)
    with whole(team / "out", private=True):
        pass
    assert mode(team / "out") in (0o600, 0o700)


def test_what_others_named_like_a_leftover_is_not_swept(team: Path) -> None:
    kept = team / ("." + "0" * 16 + ".partial")
    kept.mkdir()
    (kept / "results").write_text("renamed by somebody else")
    with whole_file(team / "out"):
        pass
    assert (kept / "results").exists()


def test_all_of_a_private_directory_is_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        fill(tmp_path / "out", "exact", private=True)
    finally:
        os.umask(old)
    assert [mode(tmp_path / "out" / part) for part in ("", "folder", "folder/file")] == [0o700, 0o700, 0o600]


def planted(link: Path, to: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link of somebody else."""
    link.symlink_to(to)
    if os.geteuid() == 0:
        os.chown(link, 65_534, 65_534, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 65_534)


@pytest.mark.parametrize("whole", [whole_file, whole_directory])
def test_links_of_others_are_not_followed(whole, tmp_path: Path, team: Path, monkeypatch) -> None:
    team.chmod(0o1777)
    (tmp_path / "loot").mkdir()
    planted(team / "out", tmp_path / "loot" / "priv", monkeypatch)
    with pytest.raises(UsageError, match=r"out: 'out' is a link that somebody else made"), whole(team / "out"):
        pass
    with pytest.raises(UsageError, match="link that somebody else made"):
        atomic.check_directory(team / "out")
    assert not any((tmp_path / "loot").iterdir())


def test_links_of_others_on_the_way(tmp_path: Path, team: Path, monkeypatch) -> None:
    (tmp_path / "loot").mkdir()
    planted(team / "way", tmp_path / "loot", monkeypatch)
    with pytest.raises(UsageError, match="'way' is a link"):
        resolved(team / "way" / "out")
    team.chmod(0o755)  # a link in a folder of one's own, or of an administrator's, was made by one who may
    assert resolved(team / "way" / "out") == tmp_path.resolve() / "loot" / "out"


def test_resolved_as_the_system_does(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "up").symlink_to("../a/b/..")
    (tmp_path / "abs").symlink_to(tmp_path / "a" / "up")
    (tmp_path / "dangling").symlink_to("nowhere/at/all")
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    for path in [
        ".",
        "..",
        "abs/x",
        "abs/../x",
        "a/up/b/../../c",
        "dangling/../x",
        "nowhere/../x",
        "file/x",
        "/",
        "/..",
    ]:
        assert str(resolved(Path(path))) == os.path.realpath(path), path
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(FileError, match="one"), whole_file(tmp_path / "one"):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it can only be read by setting it")
def test_the_umask_is_not_set_to_be_read(monkeypatch) -> None:
    """Another thread's files would have the modes of that moment."""
    old = os.umask(0o027)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "umask", lambda _mask: pytest.fail("set"))
            assert atomic._umask() == 0o027
        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError))
            assert atomic._umask() == 0o027
            assert os.umask(0o027) == 0o027
    finally:
        os.umask(old)

"""A long job that is killed, interrupted, or runs out of something: what stays behind, and what it says."""

from __future__ import annotations

import os
import pty
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
from hardneg_fast.writers.atomic import whole_directory, whole_file

SMALL = "8MB"
# The command takes 64 MB at least; a test with a log for that would take minutes.
CHILD = """
import sys
from hardneg_fast import options
options.LEAST_MEMORY = 0
from hardneg_fast.cli import main
code = main(sys.argv[1:])
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1], flush=True)
sys.exit(code)
"""
IMPORTS = """
import hardneg_fast as hn
for name in hn.__all__:
    getattr(hn, name)
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sim") / "log"
    hn.simulate(folder, impressions=600_000, seed=3)
    return folder / "log.parquet"


class Job:
    """`mine` with a budget that it cannot keep without spilling, in a folder of its own."""

    def __init__(self, log: Path, folder: Path, *more: str) -> None:
        self.out, self.spill = folder / "results" / "out", folder / "spill"
        self.out.parent.mkdir(exist_ok=True)
        self.spill.mkdir(exist_ok=True)
        memory = () if "--memory" in more else ("--memory", SMALL)
        self.args = [
            "mine",
            str(log),
            "-o",
            str(self.out),
            "--no-privacy",
            "--spill-dir",
            str(self.spill),
            *memory,
            *more,
        ]

    def start(self, before: Callable[[], None] | None = None) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", CHILD, *self.args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=before,
        )

    def run(self, before: Callable[[], None] | None = None) -> tuple[int, str, str]:
        with self.start(before) as child:
            out, said = child.communicate(timeout=300)
        return child.returncode, out.decode(), said.decode()

    def spills(self, child: subprocess.Popen[bytes]) -> bool:
        """Whether the process has its spill open, which has no name."""
        try:
            return any(str(self.spill) in str(link.readlink()) for link in Path(f"/proc/{child.pid}/fd").iterdir())
        except OSError:
            return False

    def files(self) -> dict[str, bytes]:
        return {str(p.relative_to(self.out)): p.read_bytes() for p in sorted(self.out.rglob("*")) if p.is_file()}

    def left(self) -> list[str]:
        return [path.name for folder in (self.spill, self.out.parent) for path in folder.iterdir() if path != self.out]


def test_twenty_kills_leave_no_spill_and_no_output(log: Path, tmp_path: Path) -> None:
    job = Job(log, tmp_path)
    begun = time.monotonic()
    assert job.run()[0] == 0
    whole, takes = job.files(), time.monotonic() - begun
    again = Job(log, tmp_path, "--overwrite")
    moments = random.Random(7)
    killed, spilling, partial = 0, 0, 0
    for _ in range(20):
        with again.start() as child:
            time.sleep(moments.uniform(0, takes))
            spilling += again.spills(child)
            killed += child.poll() is None
            child.kill()
        assert list(again.spill.iterdir()) == []
        assert again.files() == whole, "the earlier result is there, untouched or written again"
        hidden = [name for name in again.left() if not (name.startswith(".") and name.endswith(".partial"))]
        assert hidden == []
        partial += len(again.left())
    assert killed >= 10
    assert spilling >= 3
    # Whatever the last one left goes with the next.
    assert again.run()[0] == 0
    assert again.files() == whole
    assert again.left() == []


def test_interrupted_at_any_moment(log: Path, tmp_path: Path) -> None:
    job = Job(log, tmp_path)
    begun = time.monotonic()
    assert job.run()[0] == 0
    whole, takes = job.files(), time.monotonic() - begun
    again = Job(log, tmp_path, "--overwrite")
    interrupted = 0
    for tenth in range(3, 10):
        with again.start() as child:
            time.sleep(takes * tenth / 10)
            child.send_signal(signal.SIGINT)
            _, said = child.communicate(timeout=60)
        if child.returncode == 0:
            continue  # it was faster
        assert child.returncode in (130, -signal.SIGINT, 1), said  # the last two while Python itself still starts
        if child.returncode == 130:
            interrupted += 1
            assert said.decode().endswith("hardneg-fast: interrupted; nothing was written\n")
        assert again.files() == whole
        assert again.left() == []
    assert interrupted >= 3


class EnoughError(Exception):
    """What a caller may raise."""


@pytest.mark.parametrize("stage", ["reading", "bounding", "counting"])
def test_what_the_caller_raises_stops_the_job(log: Path, tmp_path: Path, stage: str) -> None:
    seen: list[tuple[str, int, float | None]] = []

    def progress(*at: object) -> None:
        seen.append(at)
        if at[0] == stage:
            raise EnoughError

    with pytest.raises(EnoughError):
        hn.mine(log, tmp_path / "out", privacy=hn.Privacy.none(), config=hn.Config(threads=1), progress=progress)
    assert list(tmp_path.iterdir()) == []
    assert all(done is not None and 0 <= done <= 1 for _, _, done in seen)


def missing(job: Job) -> None:
    job.spill.rmdir()


def closed(job: Job) -> None:
    job.spill.rmdir()
    job.spill.write_text("a file, no folder")


@pytest.mark.parametrize("spoil", [missing, closed])
def test_a_spill_folder_that_cannot_be_used(log: Path, tmp_path: Path, spoil: Callable[[Job], None]) -> None:
    job = Job(log, tmp_path)
    spoil(job)
    code, _, said = job.run()
    assert code == hn.FileError.exit_code, said
    assert str(job.spill) in said
    assert "--spill-dir" in said
    assert not job.out.exists()
    assert list(job.out.parent.iterdir()) == []


def test_a_spill_that_outgrows_its_disk(log: Path, tmp_path: Path) -> None:
    job = Job(log, tmp_path)
    code, _, said = job.run(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000)))
    assert code == hn.FileError.exit_code, said
    assert str(job.spill) in said
    assert "--spill-dir" in said
    assert list(job.spill.iterdir()) == []
    assert not job.out.exists()
    assert job.left() == []


def test_an_output_that_outgrows_its_disk(log: Path, tmp_path: Path) -> None:
    job = Job(log, tmp_path, "--memory", "1GB")
    code, _, said = job.run(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)))
    assert code == hn.FileError.exit_code, said
    assert "out" in said
    assert not job.out.exists()
    assert job.left() == []


def test_inputs_that_vanish_or_shrink(log: Path, tmp_path: Path) -> None:
    """After the job has looked at all footers, the second file goes, or loses its end."""
    for spoil in (lambda path: path.unlink(), lambda path: os.truncate(path, path.stat().st_size // 3)):
        folder = tmp_path / "log"
        folder.mkdir(exist_ok=True)
        table = pq.read_table(log)
        for i in range(2):
            pq.write_table(table, folder / f"{i}.parquet", row_group_size=20_000)
        spoilt = False

        def progress(*_: object, spoil=spoil, folder=folder) -> None:
            nonlocal spoilt
            if not spoilt:
                spoilt = True
                spoil(folder / "1.parquet")

        with pytest.raises((hn.FileError, hn.DataError), match=r"1\.parquet"):
            hn.mine(
                folder,
                tmp_path / "out",
                privacy=hn.Privacy.none(),
                config=hn.Config(threads=1),
                progress=progress,
            )
        assert spoilt
        assert not (tmp_path / "out").exists()


def test_a_small_budget_changes_nothing_but_the_memory(log: Path, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "large").mkdir()
    # Few negatives: those are held until they are written, whatever the budget.
    few = ("--select.max-attractiveness", "0.3")
    small, large = Job(log, tmp_path / "small", *few), Job(log, tmp_path / "large", *few, "--memory", "2GB")
    code, peak, _ = small.run()
    assert (code, large.run()[0]) == (0, 0)
    assert small.files() == large.files()
    held = int(peak.split()[-1]) - int(subprocess.check_output([sys.executable, "-c", IMPORTS]))
    # The budget, and the row groups in work.
    assert held <= 8_000 + 150_000, f"{held} kB"


def test_progress_on_a_terminal(log: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    args = [
        sys.executable,
        "-m",
        "hardneg_fast",
        "mine",
        str(log),
        "-o",
        str(tmp_path / "out"),
        "--no-privacy",
        "--threads",
        "1",
    ]
    with subprocess.Popen(args, stderr=theirs, stdout=subprocess.DEVNULL) as child:
        os.close(theirs)
        said = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # how a terminal says that the other end is gone
                break
            said += piece
    os.close(ours)
    assert child.returncode == 0
    assert re.search(rb"\r(reading|bounding|counting) rows=\d+ rows_per_s=\d+", said)
    assert b"\r" + b" " * 70 + b"\r" in said, "and the line is wiped in the end"


def test_what_a_living_run_has_begun_is_not_swept(tmp_path: Path) -> None:
    with whole_directory(tmp_path / "one") as first, whole_file(tmp_path / "two") as second:
        with whole_directory(tmp_path / "three"):
            assert first.exists()
            assert second.exists()
        second.write_text("kept")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "three", "two"]


def test_only_our_own_leftovers_are_swept(tmp_path: Path) -> None:
    (tmp_path / ("." + "0" * 16 + ".partial")).mkdir()
    (tmp_path / ("." + "1" * 16 + ".partial")).write_text("half a file")
    kept = [".partial", ".notes.partial", "." + "2" * 15 + ".partial", "x" + "3" * 16 + ".partial"]
    for name in kept:
        (tmp_path / name).write_text("somebody's")
    (tmp_path / ("." + "4" * 16 + ".partial")).symlink_to(tmp_path / ".partial")
    with whole_file(tmp_path / "out") as partial:
        partial.write_text("new")
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "out", "." + "4" * 16 + ".partial"}

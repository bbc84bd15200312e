"""One run in a child process that is watched: its memory, the bytes it writes, the time it takes."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from child import field
from setting import Setting

LOOK_SECONDS = 0.02
DISK_LEFT = 4 << 30
ENGINE_SHARE = 0.75  # of a cap: what the engine is told; the rest is what engines do not count


@dataclass(frozen=True)
class Limits:
    """What a run is stopped at."""

    memory: int
    """Bytes of anonymous memory: what the system could not drop, as a file's pages can be."""
    seconds: float


@dataclass
class Spent:
    """What a run took, or why it failed."""

    cpu: float = 0.0
    wall: float = 0.0
    rss: float = 0.0
    spilled: float = 0.0
    failed: str = ""


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def watch(child: subprocess.Popen[bytes], limits: Limits, spill: Path, seen: Spent) -> str:
    """Waits for the child, or stops it and says why. Keeps in `seen` what was seen last."""
    started = time.monotonic()
    while child.poll() is None:
        proc = f"/proc/{child.pid}"
        try:
            anonymous = field(f"{proc}/status", "RssAnon") + field(f"{proc}/status", "RssShmem")
            seen.rss = field(f"{proc}/status", "VmHWM") * 1024
            seen.spilled = field(f"{proc}/io", "write_bytes")
        except (OSError, RuntimeError):  # between its end and our asking
            anonymous = 0
        seen.wall = time.monotonic() - started
        why = ""
        if anonymous * 1024 > limits.memory:
            why = f"stopped at {anonymous * 1024 / 1e9:.2f} GB of anonymous memory"
        elif seen.wall > limits.seconds:
            why = f"not done after {limits.seconds:.0f} s"
        elif shutil.disk_usage(spill).free < DISK_LEFT:
            why = "stopped because the disk was nearly full"
        if why:
            child.kill()
            child.wait()
            return why
        time.sleep(LOOK_SECONDS)
    return ""


def reason(code: int, complaint: str) -> str:
    """Why a child that ended by itself did not succeed, on one line."""
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    said = next((line for line in reversed(lines) if "Error" in line or "xception" in line), lines[-1] if lines else "")
    return said.replace("|", "/")[:200] or f"exit code {code}"


def run(engine: str, workload: str, setting: Setting, limits: Limits) -> Spent:
    """One run; tables are in `setting.out` afterwards."""
    with tempfile.TemporaryDirectory(prefix="spill-", dir=setting.out.parent) as spill, tempfile.TemporaryFile() as out:
        asked = dataclasses.asdict(setting) | {"out": str(setting.out), "spill": spill}
        command = [sys.executable, str(Path(__file__).with_name("child.py")), engine, workload, json.dumps(asked)]
        seen = Spent()
        with tempfile.TemporaryFile() as err:
            child = subprocess.Popen(command, stdout=out, stderr=err)
            try:
                seen.failed = watch(child, limits, Path(spill), seen)
            finally:
                child.kill()
                child.wait()
            out.seek(0)
            err.seek(0)
            printed, complaint = out.read().decode(), err.read().decode(errors="replace")
        if not seen.failed and child.returncode != 0:
            seen.failed = reason(child.returncode, complaint)
        if not seen.failed:
            spent = json.loads(printed.splitlines()[-1])
            seen.cpu, seen.wall, seen.rss, seen.spilled = (spent[name] for name in ("cpu", "wall", "rss", "written"))
        # What was written and is not the output went to temporary files, gone or not.
        seen.spilled = max(0.0, seen.spilled - size_of(setting.out))
        return seen

"""Runs that something goes wrong in: killed, out of disk, memory, threads or permissions, with inputs that change.

    python tests/campaign/faults.py --runs 200 --seed 1

After each, what stands at the target is whole or as it was, the message names what is wrong, nothing is left behind
that the next run does not take away, and the next run works. Root is needed for small disks.
"""

from __future__ import annotations

import argparse
import collections
import ctypes
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import hardneg_fast as hn

NOBODY = 65_534
HUNG = -99
"""No exit code: Arrow's readers can wait for ever for threads that could not be started."""
# linux/prctl.h and linux/capability.h
PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_SYS_ADMIN, CAP_SYS_RESOURCE = 1, 2, 21, 24
CHILD = """
import sys
from hardneg_fast import options
options.LEAST_MEMORY = 0  # jobs of this size then spill
from hardneg_fast.cli import main
sys.exit(main(sys.argv[1:]))
"""
HIDDEN = re.compile(r"\.[0-9a-f]{16}\.partial")
Files = dict[str, bytes]


class LostError(AssertionError):
    """Something was lost, or not said."""


@dataclass
class Case:
    """A job in a folder of its own: `work` holds what goes in, `results` what comes out."""

    name: str
    folder: Path
    log: Path
    rng: random.Random
    args: list[str] = field(default_factory=list)
    takes: float = 1.0

    @property
    def out(self) -> Path:
        return self.folder / "results" / "out"

    @property
    def spill(self) -> Path:
        return self.folder / "spill"

    def files(self) -> Files:
        """Everything that stands at the target."""
        places = [self.out, self.out.with_name("out.private"), self.out.with_name("out.manifest.json")]
        found: Files = {}
        for place in places:
            paths = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file())
            found |= {str(p.relative_to(self.out.parent)): p.read_bytes() for p in paths}
        return found

    def left(self) -> list[str]:
        """What stands beside the target and in the spill folder, and was not asked for."""
        names = {"out", "out.private", "out.manifest.json"}
        return [p.name for f in (self.spill, self.out.parent) if f.is_dir() for p in f.iterdir() if p.name not in names]

    def start(self, before: Callable[[], None] | None = None) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", CHILD, *self.args],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=before,
        )

    def run(
        self,
        before: Callable[[], None] | None = None,
        meanwhile: Callable[[], None] | None = None,
        *,
        may_hang: bool = False,
    ) -> tuple[int, str]:
        with self.start(before) as child:
            try:
                if meanwhile is not None:
                    time.sleep(self.rng.uniform(0, self.takes))
                    meanwhile()
                _, said = child.communicate(timeout=60 if may_hang else 300)
            except subprocess.TimeoutExpired:
                child.kill()
                if may_hang:
                    return HUNG, ""
                raise LostError("it hangs") from None
        return child.returncode, said.decode(errors="replace")


def jobs(kind: str, case: Case) -> list[str]:
    """The command of a job."""
    log, out = str(case.log), str(case.out)
    spilling = ["--spill-dir", str(case.spill), "--memory", "1MB"]
    match kind:
        case "mine":
            return ["mine", log, "-o", out, "--no-privacy", "--overwrite", *spilling]
        case "mine-k":
            return ["mine", log, "-o", out, "--k-users", "3", "--overwrite", *spilling]
        case "mine-dp":
            ledger = case.folder / "work" / "budget.ledger"
            return [
                *("mine", log, "-o", out, "--epsilon", "4", "--lineage", "web", "--ledger", str(ledger), "--overwrite"),
                *("--read.position-base", "1", *spilling),
            ]
        case "count":
            return ["count", log, "-o", out, "--overwrite", *spilling]
        case "merge":
            parts = [str(case.folder / "work" / f"{i}.counts") for i in range(2)]
            return ["count", "--merge", *parts, "--users", "unknown", "-o", out, "--overwrite", *spilling]
        case "anonymize":
            key = case.folder / "work" / "master.key"
            return ["anonymize", log, "-o", out, "--key", str(key), "--overwrite"]
        case _:
            return ["export", str(case.folder / "work" / "dataset"), "--to", "st-ids", "-o", out, "--overwrite"]


KINDS = ("mine", "mine-k", "mine-dp", "count", "merge", "anonymize", "export")
# What lies in `work` that the command of a kind reads, and may be spoilt.
READS = {
    "mine": ["log.parquet"],
    "mine-k": ["log.parquet"],
    "mine-dp": ["log.parquet"],
    "count": ["log.parquet"],
    "merge": ["0.counts", "1.counts"],
    "anonymize": ["log.parquet", "master.key"],
    "export": ["dataset/positives/train-00000-of-00001.parquet", "dataset/negatives/train-00000-of-00001.parquet"],
}


def prepared(root: Path, impressions: int) -> Path:
    """What all cases start from."""
    base = root / "base"
    hn.simulate(base / "sim", impressions=impressions, seed=3)
    (base / "work").mkdir()
    table = pq.read_table(base / "sim" / "log.parquet")
    log = base / "work" / "log.parquet"
    # Without checksums nobody can tell a changed byte of a page from what was written.
    pq.write_table(table, log, row_group_size=max(1, table.num_rows // 5), write_page_checksum=True)
    half = table.num_rows // 2
    for i, part in enumerate((table.slice(0, half), table.slice(half))):
        hn.count(part).save(base / "work" / f"{i}.counts")
    hn.Key.ephemeral().save(base / "work" / "master.key")
    hn.mine(log, base / "work" / "dataset", privacy=hn.Privacy.none(), documents=base / "sim" / "documents.parquet")
    ledger = ["ledger", str(base / "work" / "budget.ledger"), "--create", "--epsilon", "400", "--delta", "1e-3"]
    subprocess.run([sys.executable, "-m", "hardneg_fast", *ledger], check=True, stdout=subprocess.DEVNULL)
    return base


@contextmanager
def small_disk(path: Path, size: int) -> Iterator[None]:
    """A disk of `size` bytes at `path`."""
    path.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=777", "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def damage(path: Path, rng: random.Random) -> None:
    """A file that is gone, cut, longer, or changed somewhere."""
    content = path.read_bytes()
    match rng.randrange(5):
        case 0:
            path.unlink()
        case 1:
            os.truncate(path, rng.randrange(len(content)))
        case 2:
            with path.open("ab") as file:
                file.write(rng.randbytes(rng.randrange(1, 500)))
        case 3:
            at = rng.randrange(len(content))
            with path.open("r+b") as file:
                file.seek(at)
                file.write(bytes([content[at] ^ rng.randrange(1, 256)]))
        case _:
            path.write_bytes(b"")


def without(*capabilities: int) -> None:
    """Gives up capabilities of root at the next program that is started."""
    for capability in capabilities:
        if ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
            raise OSError("capabilities cannot be given up")


def only(case: Case, kind: str) -> list[Path]:
    return [p for p in (case.folder / "work" / name for name in READS[kind]) if p.exists()]


# Each fault runs the case and returns its exit code, what it said, and what one of must be said where it failed.


def killed(case: Case, _kind: str) -> tuple[int, str, str]:
    with case.start() as child:
        time.sleep(case.rng.uniform(0, case.takes))
        child.send_signal(case.rng.choice([signal.SIGKILL, signal.SIGTERM]))
        _, said = child.communicate(timeout=60)
    return child.returncode, said.decode(), ""


def listens(child: subprocess.Popen[bytes]) -> bool:
    """Whether Python has taken the interrupt signal over, or will not any more: before that it just ends."""
    try:
        lines = Path(f"/proc/{child.pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return True
    caught = next((line.split()[1] for line in lines if line.startswith("SigCgt")), "0")
    return child.poll() is not None or bool(int(caught, 16) >> (signal.SIGINT - 1) & 1)


def interrupted(case: Case, _kind: str) -> tuple[int, str, str]:
    with case.start() as child:
        time.sleep(case.rng.uniform(0.3, 1) * case.takes)
        while not listens(child):
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
    # Python's own start can be interrupted, too.
    early = child.returncode in (1, -signal.SIGINT) and "KeyboardInterrupt" in said.decode()
    return 130 if early else child.returncode, "interrupted" if early else said.decode(), "interrupted"


def full_output_disk(case: Case, _kind: str) -> tuple[int, str, str]:
    before = case.files()
    moved = case.folder / "whole"
    with tempfile.TemporaryDirectory() as aside:
        shutil.copytree(case.out.parent, Path(aside) / "results", dirs_exist_ok=True)
        had = sum(map(len, before.values()))
        with small_disk(case.out.parent, 4096 * 40 + had + case.rng.randrange(4096, 40_960)):
            shutil.copytree(Path(aside) / "results", case.out.parent, dirs_exist_ok=True)
            code, said = case.run()
            shutil.copytree(case.out.parent, moved)
    shutil.rmtree(case.out.parent)
    shutil.copytree(moved, case.out.parent)
    shutil.rmtree(moved)
    return code, said, r"No space left|disk is full|cannot be written"


def full_spill_disk(case: Case, _kind: str) -> tuple[int, str, str]:
    with small_disk(case.spill, 4096 * case.rng.randrange(1, 30)):
        code, said = case.run()
    return code, said, r"spilling to .* the disk is full"


def file_size_limit(case: Case, _kind: str) -> tuple[int, str, str]:
    limit = case.rng.randrange(1, 200_000)
    code, said = case.run(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    return code, said, r"File too large|limit on the size|too large a file|cannot be written|cannot write"


def inputs_change(case: Case, kind: str) -> tuple[int, str, str]:
    path = case.rng.choice(only(case, kind))
    code, said = case.run(meanwhile=lambda: damage(path, case.rng))
    return code, said, re.escape(path.name) + "|" + re.escape(path.parent.name) + "|ledger|changed"


def inputs_damaged(case: Case, kind: str) -> tuple[int, str, str]:
    path = case.rng.choice(only(case, kind))
    damage(path, case.rng)
    code, said = case.run()
    return code, said, re.escape(path.name) + "|" + re.escape(path.parent.name)


def ledger_damaged(case: Case, _kind: str) -> tuple[int, str, str]:
    case.args = jobs("mine-dp", case)
    found = sorted((case.folder / "work").glob("budget.ledger*"))
    damage(case.rng.choice([p for p in found if p.stat().st_size]), case.rng)
    code, said = case.run()
    return code, said, r"budget\.ledger|ledger"


def no_permission(case: Case, kind: str) -> tuple[int, str, str]:
    """Something belongs to somebody else, and the run has no power over files of others."""
    closed = case.rng.choice([case.out.parent, case.spill, *only(case, kind)])
    os.chown(closed, NOBODY, NOBODY)
    closed.chmod(0o700 if closed.is_dir() else 0o600)
    code, said = case.run(lambda: without(CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH))
    os.chown(closed, 0, 0)
    return code, said, r"[Pp]ermission"


def little_memory(case: Case, _kind: str) -> tuple[int, str, str]:
    limit = case.rng.randrange(150, 900) * 1_000_000
    code, said = case.run(lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)), may_hang=True)
    # An address space too small for the libraries ends them wherever they are: then only the target counts.
    return (
        code,
        said,
        "" if code in (1, -signal.SIGABRT, -signal.SIGSEGV, 134, 127) else r"memory|thread|allocat|cannot",
    )


def few_threads(case: Case, kind: str) -> tuple[int, str, str]:
    limit = case.rng.randrange(1, 7)
    if kind not in ("export", "merge"):
        case.args += ["--threads", "6"]

    def prepare() -> None:
        # Limits on threads are those of the real user, and none of root's.
        resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
        without(CAP_SYS_ADMIN, CAP_SYS_RESOURCE)
        os.setresuid(NOBODY, 0, 0)

    code, said = case.run(prepare, may_hang=True)
    return code, said, r"thread"


Fault = Callable[[Case, str], tuple[int, str, str]]
FAULTS: dict[str, Fault] = {
    "killed": killed,
    "interrupted": interrupted,
    "output disk full": full_output_disk,
    "spill disk full": full_spill_disk,
    "file size limit": file_size_limit,
    "inputs change while read": inputs_change,
    "inputs damaged": inputs_damaged,
    "ledger damaged": ledger_damaged,
    "no permission": no_permission,
    "little memory": little_memory,
    "few threads": few_threads,
}
# Their libraries may die of it wherever they are; of all others every failure has a name.
MAY_DIE = {"little memory", "few threads"}


def fresh(base: Path, root: Path, kind: str, rng: random.Random) -> Case:
    """A case that nothing has happened to."""
    folder = Path(tempfile.mkdtemp(dir=root))
    folder.chmod(0o755)
    shutil.copytree(base / "work", folder / "work")
    (folder / "results").mkdir()
    (folder / "spill").mkdir()
    case = Case(kind, folder, folder / "work" / "log.parquet", rng)
    case.args = jobs(kind, case)
    return case


def same(kind: str, one: Files, other: Files) -> bool:
    """Whether two whole results are equal; those with fresh noise or a fresh key are where they have the same files."""
    return set(one) == set(other) if kind in ("mine-dp", "anonymize") else one == other


def judge(case: Case, fault: str, kind: str, before: Files, whole: Files, found: tuple[int, str, str]) -> str:
    """What came of it; raises where something was lost."""
    code, said, must = found
    after, left = case.files(), case.left()
    done = code == 0
    known = code in (0, 2, 3, 4, 130) or fault == "killed" or (fault in MAY_DIE and (code < 0 or code in (1, 127, 134)))
    if not known:
        raise LostError(f"exit code {code}: {said[-600:]}")
    if "Traceback" in said and fault not in MAY_DIE:
        raise LostError(f"a traceback: {said[-600:]}")
    if after != before and not same(kind, after, whole):
        names = sorted(set(before) ^ set(after)) or sorted(n for n in after if after[n] != before.get(n))
        raise LostError(f"exit code {code}: the target is neither whole nor as it was: {names[:5]}\n{said[-600:]}")
    if done and not same(kind, after, whole):
        raise LostError("it ended well, and the result is another")
    if not done and fault not in ("killed", *MAY_DIE) and must and not re.search(must, said):
        raise LostError(f"exit code {code}: the message does not say {must!r}: {said[-600:]}")
    hidden = [name for name in left if HIDDEN.fullmatch(name)]
    if left != hidden or (hidden and fault not in ("killed", "little memory", "few threads")):
        raise LostError(f"left behind: {left}")
    return "done" if done else "hung in a library" if code == HUNG else f"refused ({code})"


def run_one(
    base: Path, root: Path, fault: str, kind: str, rng: random.Random, expected: dict[str, tuple[Files, float]]
) -> str:
    """One case from beginning to end; the next run must work."""
    case = fresh(base, root, kind, rng)
    if kind not in expected:
        begun = time.monotonic()
        code, said = case.run()
        if code:
            raise LostError(f"{kind} without any fault ends with {code}: {said}")
        expected[kind] = case.files(), time.monotonic() - begun
        shutil.rmtree(case.folder)
        case = fresh(base, root, kind, rng)
    whole, case.takes = expected[kind]
    if rng.random() < 0.5 and case.run()[0]:
        raise LostError("the first run does not work")
    before = case.files()
    came = judge(case, fault, kind, before, whole, FAULTS[fault](case, kind))
    shutil.rmtree(case.folder / "work")
    shutil.copytree(base / "work", case.folder / "work")
    case.args = jobs(kind, case)
    code, said = case.run()
    if code or not same(kind, case.files(), whole) or case.left():
        raise LostError(f"the next run: exit code {code}, left {case.left()}: {said[-600:]}")
    shutil.rmtree(case.folder)
    return came


def campaign(runs: int, seed: int, impressions: int, faults: list[str]) -> int:
    """Runs cases; returns how many lost something."""
    rng = random.Random(seed)
    lost: list[str] = []
    table: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    with tempfile.TemporaryDirectory(prefix="faults-") as scratch:
        root = Path(scratch)
        root.chmod(0o755)
        base = prepared(root, impressions)
        expected: dict[str, tuple[Files, float]] = {}
        for n in range(runs):
            fault, kind = faults[n % len(faults)], KINDS[rng.randrange(len(KINDS))]
            if fault == "ledger damaged":
                kind = "mine-dp"
            try:
                table[fault][run_one(base, root, fault, kind, rng, expected)] += 1
            except LostError as e:
                table[fault]["LOST"] += 1
                lost.append(f"run {n}, {kind}, {fault}: {e}")
                print(lost[-1], flush=True)
            if (n + 1) % 20 == 0:
                print(f"after {n + 1} runs: {len(lost)} lost", file=sys.stderr, flush=True)
    print(f"{runs} runs, seed {seed}, {impressions:,} impressions each, pyarrow {pa.__version__}")
    for fault, came in table.items():
        print(f"  {fault:<26}" + ", ".join(f"{what} {n}" for what, n in sorted(came.items())))
    print(f"{len(lost)} lost")
    return len(lost)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--impressions", type=int, default=60_000)
    parser.add_argument("--faults", nargs="*", choices=sorted(FAULTS), default=list(FAULTS))
    args = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("only root can mount small disks and be somebody else")
    sys.exit(1 if campaign(args.runs, args.seed, args.impressions, args.faults) else 0)


if __name__ == "__main__":
    main()

"""Our workloads and the peers' side by side: `python benches/run.py --rows 10M --workloads W2,W4 --repeats 3`.

Runs are interleaved, so that a busy minute hits all engines. No time of a workload is printed unless all engines were
found to have the same result. An engine that fails has its reason in the table, and is not tried again.
"""

import argparse
import dataclasses
import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import report
from checks import Checker
from guard import ENGINE_SHARE, Limits, Spent, run
from make_log import make_log
from peers import PEERS
from setting import WORKLOADS, Setting

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "benches"

Taken = dict[str, list[Spent]]


def number(text: str) -> int:
    """'10M' → 10_000_000, '1.5GB' → 1_500_000_000."""
    match = re.fullmatch(r"([0-9.]+)(k|M|G)?B?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number such as 10M or 1GB")
    return int(float(match[1]) * {None: 1, "k": 10**3, "M": 10**6, "G": 10**9}[match[2]])


def log_of(rows: int) -> Path:
    """The log of that size, made when it is not there."""
    path = CACHE / f"log_{rows}.parquet"
    if not path.exists():
        print(f"making a log of {rows:,} rows", file=sys.stderr)
        make_log(path, rows)
    with path.open("rb") as file:  # into the page cache, for whoever comes first
        while file.read(1 << 24):
            pass
    return path


def engines_for(workload: str, asked: list[str], capped: bool) -> list[str]:
    """Ours and the peers that are installed, or those asked for; says why one is left out."""
    names = ["ours", *(engine for engine, peer in PEERS.items() if workload in peer.workloads)]
    taken = []
    for engine in names:
        if asked and engine not in asked:
            continue
        if engine == "ours":
            why = ours_lacks(workload, capped)
        else:
            installed = importlib.util.find_spec(PEERS[engine].library)
            why = "" if installed else f"{PEERS[engine].library} is not installed (make bench installs it)"
        if why:
            print(f"{workload} {engine} left out: {why}", file=sys.stderr)
        else:
            taken.append(engine)
    return taken


def ours_lacks(workload: str, capped: bool) -> str:
    if importlib.util.find_spec("hardneg_fast") is None:
        return "hardneg_fast is not installed"
    import ours

    return ours.lacks(workload, capped)


def measure(
    workload: str, engines: list[str], setting: Setting, limits: Limits, repeats: int, checker: Checker
) -> tuple[Taken, list[str]]:
    """Interleaved runs; tables of the first round are compared."""
    taken: Taken = {engine: [] for engine in engines}
    folders = {engine: setting.out / engine for engine in engines}
    differences: list[str] = []
    for repeat in range(repeats):
        for engine, folder in folders.items():
            if any(spent.failed for spent in taken[engine]):
                continue
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            spent = run(engine, workload, dataclasses.replace(setting, out=folder), limits)
            taken[engine].append(spent)
            told = f"failed: {spent.failed}" if spent.failed else f"{spent.cpu:.2f} CPU s"
            figures = f"{spent.wall:.2f} s, {spent.rss / 1e9:.2f} GB, {spent.spilled / 1e9:.2f} GB spilled"
            print(f"{workload} {engine} {repeat + 1}/{repeats}: {told}, {figures}", file=sys.stderr)
        if repeat == 0:
            done = {engine: folder for engine, folder in folders.items() if not taken[engine][0].failed}
            differences = checker.check(workload, done)
            if differences:
                break
            print(f"{workload}: the same from {', '.join(done) or 'nobody'}", file=sys.stderr)
    shutil.rmtree(setting.out)
    return taken, differences


def machine(threads: int) -> str:
    """One line on what this was measured with."""
    names = dict.fromkeys(peer.library for peer in PEERS.values())
    versions = []
    if importlib.util.find_spec("hardneg_fast"):  # from its folder, where nothing is written about an installation
        versions.append(f"hardneg_fast {importlib.import_module('hardneg_fast').__version__}")
    for name in names:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    cpu = models[0].partition(":")[2].strip() if models else platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({cpu}), {memory:.0f} GB of memory, {threads} threads, load average "
        f"{os.getloadavg()[0]:.1f} at the start; Python {platform.python_version()}, {', '.join(versions)}"
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=number, default="10M", help="rows of the log, such as 1M")
    parser.add_argument("--log", type=Path, help="a log that is there, with --rows rows, instead of one made here")
    parser.add_argument("--workloads", default=",".join(WORKLOADS), help=f"out of {', '.join(WORKLOADS)}; default all")
    parser.add_argument("--engines", default="", help=f"only these, out of ours, {', '.join(PEERS)}")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--cap", type=number, help="stop a run above this memory; engines are told three quarters of it"
    )
    parser.add_argument("--timeout", type=float, default=600.0, help="stop a run after this many seconds")
    parser.add_argument("--scratch", type=Path, help="where outputs and temporary files go; default the system's")
    parser.add_argument("--json", type=Path, help="append every run to this file, a JSON object a line")
    args = parser.parse_args()
    workloads, asked = args.workloads.split(","), args.engines.split(",") if args.engines else []
    for kind, names, known in (("workload", workloads, WORKLOADS), ("engine", asked, {"ours": None, **PEERS})):
        if wrong := [name for name in names if name not in known]:
            parser.error(f"no {kind} {wrong[0]!r}; there are {', '.join(known)}")
    if not args.cap:
        available = [line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable")]
        args.cap_of_all = int(int(available[0].split()[1]) * 1024 * 0.85)
    limits = Limits(memory=args.cap or args.cap_of_all, seconds=args.timeout)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends, and scratch goes
    description = machine(args.threads)
    log = args.log.resolve() if args.log else log_of(args.rows)
    taken: dict[str, Taken] = {}
    differences: list[str] = []
    with tempfile.TemporaryDirectory(dir=args.scratch, prefix="bench-") as scratch:
        checker = Checker(log, Path(scratch), args.threads)
        for workload in workloads:
            out = Path(scratch) / "out"
            out.mkdir()
            told = int(args.cap * ENGINE_SHARE) if args.cap else None
            setting = Setting(str(log), out, args.threads, told, out)
            engines = engines_for(workload, asked, bool(args.cap))
            runs, differ = measure(workload, engines, setting, limits, args.repeats, checker)
            differences += differ
            if not differ:
                taken[workload] = runs
                keep(args.json, workload, runs, args.rows, args.cap)
    cap = f", memory capped at {args.cap / 1e9:.2g} GB" if args.cap else ""
    print(f"{args.rows:,} rows{cap}, {args.repeats} interleaved run(s) each, medians. {description}.\n")
    print(report.table(taken, args.rows))
    if differences:
        sys.exit("\nno times for what differs:\n" + "\n".join(differences))


def keep(path: Path | None, workload: str, runs: Taken, rows: int, cap: int | None) -> None:
    """Appends every run to a file."""
    if path is None:
        return
    with path.open("a", encoding="utf-8") as file:
        for engine, all_spent in runs.items():
            for spent in all_spent:
                what = {"workload": workload, "engine": engine, "rows": rows, "cap": cap}
                file.write(json.dumps(what | dataclasses.asdict(spent)) + "\n")


if __name__ == "__main__":
    main()

"""Our workloads and the peers' side by side: `python benches/run.py --rows 10M --workloads W2,W4 --repeats 3`.

Runs are interleaved, so that a busy minute hits all engines. Nothing is printed as a time before all outputs of a
workload were found to be the same table.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from make_log import make_log
from peers import PEERS

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "benches"

# Output columns with the types they are compared in.
OUTPUTS = {
    "W2": {
        "query": "VARCHAR",
        "doc_id": "VARCHAR",
        "impressions": "BIGINT",
        "clicks": "BIGINT",
        "users": "BIGINT",
        "ranks": "BIGINT",
    },
    "W4": {
        "query": "VARCHAR",
        "positive": "VARCHAR",
        "negative": "VARCHAR",
        "evidence": "BIGINT",
        "skips": "BIGINT",
        "rank": "BIGINT",
    },
}


@dataclass
class Measured:
    """What the runs of one engine took."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    rss: list[float] = field(default_factory=list)


def rows_of(text: str) -> int:
    """'10M' → 10_000_000."""
    factors = {"k": 1_000, "M": 1_000_000}
    return int(text[:-1]) * factors[text[-1]] if text[-1] in factors else int(text)


def log_of(rows: int) -> Path:
    """The log of that size, made when it is not there."""
    path = CACHE / f"log_{rows}.parquet"
    if not path.exists():
        print(f"making a log of {rows:,} rows", file=sys.stderr)
        make_log(path, rows)
    path.read_bytes()  # into the page cache, for whoever comes first
    return path


def run(engine: str, workload: str, log: Path, out: Path, threads: int) -> dict[str, float]:
    """One run in a child process."""
    command = [
        sys.executable,
        str(Path(__file__).with_name("child.py")),
        engine,
        workload,
        str(log),
        str(out),
        str(threads),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{engine} failed on {workload} (exit code {done.returncode}):\n{done.stderr}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def check_same(workload: str, outputs: dict[str, Path]) -> int:
    """Ends the program unless all outputs hold the same rows; returns how many."""
    columns = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, kind in OUTPUTS[workload].items())
    tables = {engine: f"SELECT {columns} FROM read_parquet('{path}')" for engine, path in outputs.items()}
    first, *others = tables
    with duckdb.connect() as connection:

        def count(query: str) -> int:
            return int(connection.execute(f"SELECT count(*) FROM ({query})").fetchall()[0][0])

        rows = count(tables[first])
        for other in others:
            for one, two in ((first, other), (other, first)):
                extra = count(f"{tables[one]} EXCEPT ALL {tables[two]}")
                if extra:
                    sample = connection.execute(f"{tables[one]} EXCEPT ALL {tables[two]} LIMIT 3").fetchall()
                    sys.exit(
                        f"{workload}: {extra} rows of {one} are not in {two}, such as {sample}; no times are shown"
                    )
    return rows


def measure(
    workload: str, engines: list[str], log: Path, repeats: int, threads: int
) -> tuple[dict[str, Measured], int]:
    """Interleaved runs; outputs of the first round are compared."""
    taken = {engine: Measured() for engine in engines}
    rows_out = 0
    with tempfile.TemporaryDirectory() as folder:
        outputs = {engine: Path(folder) / f"{engine}.parquet" for engine in engines}
        for repeat in range(repeats):
            for engine in engines:
                print(f"{workload} {engine} {repeat + 1}/{repeats}", file=sys.stderr)
                spent = run(engine, workload, log, outputs[engine], threads)
                taken[engine].cpu.append(spent["cpu"])
                taken[engine].wall.append(spent["wall"])
                taken[engine].rss.append(spent["rss"])
            if repeat == 0:
                rows_out = check_same(workload, outputs)
    return taken, rows_out


def available(workload: str) -> list[str]:
    """Ours, and the peers whose library is installed."""
    installed = [e for e, (library, runs) in PEERS.items() if workload in runs and importlib.util.find_spec(library)]
    return ["ours", *installed]


def machine(threads: int) -> str:
    """One line on what this was measured with."""
    names = ["hardneg_fast", *dict.fromkeys(library for library, _ in PEERS.values()), "pyarrow"]
    versions = [f"{name} {importlib.metadata.version(name)}" for name in names if importlib.util.find_spec(name)]
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = f"load average {os.getloadavg()[0]:.1f} at the start"
    return (
        f"{os.cpu_count()} cores ({cpu}), {memory:.0f} GB of memory, {threads} threads, {load}; "
        f"Python {platform.python_version()}, {', '.join(versions)}"
    )


def table(taken: dict[str, dict[str, Measured]], rows: int, repeats: int) -> str:
    """The Markdown table; medians, and the spread of the CPU figure."""
    lines = [
        "| workload | engine | CPU ns/row | (min to max) | wall s | peak RSS GB | CPU to ours | RSS to ours |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for workload, engines in taken.items():
        ours = engines.get("ours")
        for engine, m in sorted(engines.items(), key=lambda item: statistics.median(item[1].cpu)):
            cpu, wall, rss = (statistics.median(values) for values in (m.cpu, m.wall, m.rss))
            spread = f"{min(m.cpu) / rows * 1e9:.0f} to {max(m.cpu) / rows * 1e9:.0f}" if repeats > 1 else "one run"
            against = ["", ""]
            if ours is not None:
                against = [f"{cpu / statistics.median(ours.cpu):.2f}x", f"{rss / statistics.median(ours.rss):.2f}x"]
            lines.append(
                f"| {workload} | {engine} | {cpu / rows * 1e9:.0f} | {spread} | {wall:.2f} | {rss / 1e9:.2f} "
                f"| {against[0]} | {against[1]} |"
            )
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=rows_of, default="10M", help="rows of the log, such as 1M")
    parser.add_argument("--workloads", default="W2,W4")
    parser.add_argument("--engines", default="", help="only these, comma-separated; all that are installed otherwise")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    description = machine(args.threads)
    log = log_of(args.rows)
    taken: dict[str, dict[str, Measured]] = {}
    for workload in args.workloads.split(","):
        if workload not in OUTPUTS:
            parser.error(f"no workload {workload!r}; there are {', '.join(OUTPUTS)}")
        engines = available(workload)
        if args.engines:
            engines = [engine for engine in engines if engine in args.engines.split(",")]
        taken[workload], rows_out = measure(workload, engines, log, args.repeats, args.threads)
        print(f"{workload}: {rows_out:,} rows, the same from {', '.join(engines)}", file=sys.stderr)
    print(f"{args.rows:,} rows, {args.repeats} interleaved run(s) each, medians. {description}.\n")
    print(table(taken, args.rows, args.repeats))


if __name__ == "__main__":
    main()

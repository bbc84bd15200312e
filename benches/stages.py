"""CPU of each stage and fast function by itself, on one thread: `python benches/stages.py --rows 10M --repeats 3`.

Where a comparison of engines says that something is slow, this says what.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

import hardneg_fast as hn
from ours import PAIRS
from run import log_of, number

IDS = 2_000_000
TEXTS = 1_000_000
WORDS = (
    "red",
    "shoes",
    "wireless",
    "headphones",
    "2024",
    "usb-c",
    "laptop",
    "15.6",
    "inch",
    "wie",
    "wo",
    "kaufen",
    "best",
)


def ids() -> pa.Array:
    """Distinct ids of 17 bytes."""
    return pa.array([f"user-{i:012d}" for i in range(IDS)])


def texts(personal: int) -> pa.Array:
    """Queries of one to five words, one in `personal` with something personal in it; 0 for none."""
    draw = np.random.default_rng(1)
    words, lengths = draw.integers(0, len(WORDS), (TEXTS, 5)), draw.integers(1, 6, TEXTS)
    made = [" ".join(WORDS[w] for w in row[:n]) for row, n in zip(words, lengths, strict=True)]
    found = ("jane.doe@example.com", "+49 30 1234567", "4111 1111 1111 1111", "GB29 NWBK 6016 1331 9268 19")
    for i in range(0, TEXTS if personal else 0, personal or 1):
        made[i] += f" {found[i % len(found)]} {i}"
    return pa.array(made)


def taken(work: Callable[[], object]) -> float:
    """CPU seconds of the process."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def counting(log: Path, **count: object) -> dict[str, float]:
    """CPU seconds of the passes of a count, by the moments at which each is first told of."""
    marks: list[tuple[str, float]] = [("reading", time.process_time())]

    def told(stage: str, _rows: int, _done: float | None) -> None:
        if stage != marks[-1][0]:
            marks.append((stage, time.process_time()))

    columns = {"position": "rank", "timestamp": "", "dwell_ms": ""}
    config = hn.Config(threads=1, read=hn.ReadConfig(columns=columns), count=hn.CountConfig(**count))
    hn.count(log, config=config, tables=("pairs",), progress=told)
    marks.append(("", time.process_time()))
    return {f"count: {stage}": end - begun for (stage, begun), (_, end) in pairwise(marks)}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=number, default="10M", help="rows of the log, such as 1M")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    log, key = log_of(args.rows), hn.Key(bytes(32))
    many, clean, mixed = ids(), texts(0), texts(100)
    config = hn.Config(threads=1, read=hn.ReadConfig(columns={"position": "rank", "timestamp": "", "dwell_ms": ""}))
    counts = hn.count(log, config=config, tables=("pairs",))
    released = hn.release(counts, privacy=hn.Privacy.none())
    weighed = hn.evidence(released)
    pairs = counts.sizes["pairs"]
    select = hn.SelectConfig(rules=("skipped",), positive_users=2, own_positive="users", abandoned="keep")
    spent: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        saved, table = Path(scratch) / "x.counts", Path(scratch) / "x.parquet"
        counts.save(saved)
        functions: dict[str, tuple[str, int, Callable[[], object]]] = {
            "pseudonymize, all distinct": ("id", IDS, lambda: hn.pseudonymize(many, key=key)),
            "normalize": ("query", TEXTS, lambda: hn.normalize(clean)),
            "scrub": ("query", TEXTS, lambda: hn.scrub(clean)),
            "scrub, 1 % with a match": ("query", TEXTS, lambda: hn.scrub(mixed)),
            "release, k = 5": ("pair", pairs, lambda: hn.release(counts, privacy=hn.Privacy.k_users(5))),
            "evidence, as Arrow": ("pair", pairs, lambda: pa.RecordBatchReader.from_stream(weighed.table()).read_all()),
            "select": ("pair", pairs, lambda: hn.select(weighed, config=select, threads=1)),
            "write_table": (
                "pair",
                pairs,
                lambda: hn.write_table(counts.table("pairs", columns=tuple(PAIRS)), table, threads=1, overwrite=True),
            ),
            "save": ("pair", pairs, lambda: counts.save(saved, overwrite=True)),
            "load": ("pair", pairs, lambda: hn.load_counts(saved)),
        }
        each = {name: (unit, n) for name, (unit, n, _) in functions.items()}
        for _ in range(args.repeats):
            for name, (_, _, work) in functions.items():
                spent.setdefault(name, []).append(taken(work))
            for name, cpu in counting(log).items():
                each[name] = ("row", args.rows)
                spent.setdefault(name, []).append(cpu)
    print(f"one thread, {args.rows:,} rows, medians of {args.repeats}\n")
    print("| what | of each | CPU ns | million a CPU second |\n|---|---|---|---|")
    for name, all_spent in spent.items():
        unit, n = each[name]
        cpu = statistics.median(all_spent)
        print(f"| {name} | {unit} | {1e9 * cpu / n:.0f} | {n / cpu / 1e6:.2f} |")


if __name__ == "__main__":
    main()

"""Memory of one process that does the same a hundred times: what each call leaves behind.

python tests/campaign/repeats.py [--calls 100]
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

import hardneg_fast as hn

GROWTH = 3_000
"""kB in the second half of the calls that are no leak: allocators keep pages."""


def resident() -> int:
    """kB of this process that no file backs."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=100)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        hn.simulate(here / "sim", impressions=30_000, seed=3)
        log, config = here / "sim" / "log.parquet", hn.Config(threads=2)
        spilling = hn.Config(threads=2, memory="64MB")
        counts = hn.count(log, config=config)
        counts.save(here / "log.counts")
        key = hn.Key.ephemeral()
        texts = pa.array([f"query {i} mail{i}@example.org" for i in range(20_000)])

        def refused() -> None:
            try:
                hn.count(here / "none.parquet")
            except hn.FileError:
                return

        jobs: dict[str, Callable[[], object]] = {
            "mine": lambda: hn.mine(log, privacy=hn.Privacy.k_users(2), config=config),
            "mine and write": lambda: hn.mine(
                log, here / "out", privacy=hn.Privacy.none(), config=config, overwrite=True
            ),
            "count": lambda: hn.count(log, config=spilling),
            "load": lambda: hn.load_counts(here / "log.counts"),
            "anonymize": lambda: hn.anonymize(log, here / "safe.parquet", key=key, overwrite=True),
            "normalize and scrub": lambda: hn.normalize(texts),
            "pseudonymize": lambda: hn.pseudonymize(texts, key=key, field="user_id"),
            "an error": refused,
        }
        lost = []
        print(f"{args.calls} calls each; kB of anonymous memory before, half-way, after")
        for name, job in jobs.items():
            job()
            held = [resident()]
            for _ in range(2):
                for _ in range(args.calls // 2):
                    job()
                held.append(resident())
            print(f"  {name:<20} {held[0]:>9,} {held[1]:>9,} {held[2]:>9,}", flush=True)
            if held[2] - held[1] > GROWTH:
                lost.append(name)
    if lost:
        sys.exit(f"grows: {', '.join(lost)}")


if __name__ == "__main__":
    main()

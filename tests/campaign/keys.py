"""Ten million keys made to meet in hash tables: the work a row must not grow.

    python tests/campaign/keys.py [--keys 10000000]

Tables are keyed at random in each process, or by SHA-256 and HMAC, so nobody can aim; what can be tried are keys that
meet under common unkeyed functions: equal beginnings, equal ends, multiples of large powers of two, one bit apart.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

import hardneg_fast as hn

WORST = 3.0
"""Times the work of random keys of the same length that would be a finding."""


def texts(words: np.ndarray) -> pa.Array:
    """64-bit words as 16 hexadecimal digits each."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    bytes_ = words.astype(">u8").view(np.uint8).reshape(-1, 8)
    hexes = np.stack([digits[bytes_ >> 4], digits[bytes_ & 15]], axis=2).reshape(-1, 16)
    offsets = pa.py_buffer(np.arange(len(words) + 1, dtype=np.int32) * 16)
    return pa.StringArray.from_buffers(len(words), offsets, pa.py_buffer(np.ascontiguousarray(hexes)))


KEYS: dict[str, Callable[[int], np.ndarray]] = {
    "random": lambda n: np.random.default_rng(1).integers(0, 2**63, n, dtype=np.uint64),
    "counting up": lambda n: np.arange(n, dtype=np.uint64),
    "equal low halves": lambda n: np.arange(n, dtype=np.uint64) << np.uint64(32),
    "multiples of 2^40": lambda n: np.arange(n, dtype=np.uint64) << np.uint64(40),
    "of a Fibonacci hash": lambda n: np.arange(n, dtype=np.uint64) * np.uint64(0xF1DE83E19937733D),
}


def log(keys: pa.Array, column: str) -> pa.Table:
    """A log whose `column` holds the keys, ten impressions a page."""
    n = len(keys)
    row = np.arange(n)
    plain = {
        "user_id": pa.array((row // 100).astype(np.int64)),
        "search_id": pa.array((row // 10).astype(np.int64)),
        "query": pa.array((row // 10 % 5_000).astype(np.int64)).cast(pa.string()),
        "doc_id": pa.array(row % 50_000).cast(pa.string()),
        "position": pa.array(row % 10 + 1),
        "clicked": pa.array(row % 10 == 3),
    }
    return pa.table({**plain, column: keys})


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=int, default=10_000_000)
    args = parser.parse_args()
    config = hn.Config(threads=1)
    jobs: dict[str, Callable[[pa.Array], object]] = {
        "distinct texts (normalize)": hn.normalize,
        "documents (count)": lambda keys: hn.count(log(keys, "doc_id"), config=config),
        "queries (count)": lambda keys: hn.count(log(keys, "query"), config=config),
        "users (count)": lambda keys: hn.count(log(keys, "user_id"), config=config),
    }
    worst = 0.0
    print(f"{args.keys:,} keys; CPU time as a multiple of that of random keys")
    for name, job in jobs.items():
        spent = {}
        for kind, make in KEYS.items():
            keys = texts(make(args.keys))
            begun = time.process_time()
            job(keys)
            spent[kind] = time.process_time() - begun
        ratios = {kind: spent[kind] / spent["random"] for kind in KEYS}
        worst = max(worst, *ratios.values())
        print(f"  {name}: " + ", ".join(f"{kind} {ratio:.2f}" for kind, ratio in ratios.items()), flush=True)
    if worst > WORST:
        sys.exit(f"keys can be made to meet: {worst:.1f} times the work")


if __name__ == "__main__":
    main()

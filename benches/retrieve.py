"""Time and memory of `hn.retrieve` (BM25) over made-up documents: `python benches/retrieve.py --documents 1000000`.

Words are drawn by a Zipf law, so that queries hold words that stand in a third of all documents: slow ones.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import pyarrow as pa

import hardneg_fast as hn

WORDS = np.array([f"word{i}" for i in range(200_000)])
PART = 50_000


def texts(draw: np.random.Generator, n: int, width: int) -> pa.ChunkedArray:
    """Texts of so many words."""
    parts = []
    for at in range(0, n, PART):
        drawn = (draw.zipf(1.15, size=(min(PART, n - at), width)) - 1) % len(WORDS)
        parts.append(pa.array([" ".join(row) for row in WORDS[drawn]]))
    return pa.chunked_array(parts, pa.string())


def peak() -> int:
    """Peak memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """Prints one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    draw = np.random.default_rng(0)
    ids = pa.array([f"d{i}" for i in range(args.documents)])
    documents = pa.table({"doc_id": ids, "text": texts(draw, args.documents, 60)})
    queries = texts(draw, args.queries, 3)
    before, begun, batches = peak(), time.monotonic(), []
    found = hn.retrieve(
        queries, documents, threads=args.threads, progress=lambda *said: batches.append((time.monotonic(), said[1]))
    )
    done, (first, asked) = time.monotonic(), batches[0]
    each = (done - first) / max(1, args.queries - asked) * 1e3
    asked_for = f"{args.documents:,} documents, {args.queries:,} queries, {found.num_rows:,} found"
    index = f"{first - begun:.0f} s to index and for the first {asked} queries, then {each:.1f} ms a query"
    print(f"{asked_for}: {index}; {peak() - before:,} MB beside the documents")


if __name__ == "__main__":
    main()

"""Negatives under differential privacy where lists change: what own positions and impressions of documents are worth.

    changing_lists.py make DIR --seed 7       # log.parquet and candidates.parquet
    changing_lists.py run DIR --seed 7        # one run of each setting, through the real command

The people, queries and relevance of privacy_world.py, in four epochs. Each query has 14 documents, and in each epoch
another ranking of them: the same standing score and a drift, of which the first ten are shown. So a document is shown
to some of a query's users only, at positions that differ. Candidates are all 14, by their mean score.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hardneg_fast.ledger import Ledger
from private_release import GIVEN, world_module

DOCUMENTS, EPOCHS, SHOWN, DRIFT = 14, 4, 10, 0.7
"""A drift of standard deviation .7 against a standing score of 1."""

SETTINGS = {
    "listed positions": [],
    "own positions": ["--release.positions", "own"],
    "own positions, impressions .05": ["--release.positions", "own", "--release.exposure-weight", "0.05"],
    "own positions, impressions .1": ["--release.positions", "own", "--release.exposure-weight", "0.1"],
    "own positions, impressions .25": ["--release.positions", "own", "--release.exposure-weight", "0.25"],
}


def main() -> None:
    """Makes a world, or runs every setting on it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=["make", "run"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--worlds", type=Path, default=Path(__file__).parents[2] / "shared" / "worlds")
    parser.add_argument("--mechanism", default="pag")
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument("--delta", type=float, default=1e-6)
    parser.add_argument("--setting", action="append", choices=SETTINGS)
    parser.add_argument("more", nargs="*", help="options of mine, for every setting")
    args = parser.parse_args()
    world = world_module(args.worlds)
    if args.do == "make":
        make(world, args.folder, args.seed, args.users)
        return
    for name in args.setting or SETTINGS:
        print(f"{name}: {judged(world, run(args, SETTINGS[name]), args.seed)}", flush=True)


def scores(query: Any, seed: int) -> Any:
    """Of each query's documents in each epoch: (query, epoch, document)."""
    rng = np.random.default_rng([seed, 1])
    n = int(query.max()) + 1
    standing = rng.standard_normal((n, 1, DOCUMENTS), dtype=np.float32)
    return standing + DRIFT * rng.standard_normal((n, EPOCHS, DOCUMENTS), dtype=np.float32)


def make(world: Any, folder: Path, seed: int, users: int) -> None:
    """Writes the log and the candidates."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, user, asked = world.searches(seed=seed, users=users)
    number, query = np.unique(asked, return_inverse=True)
    every = scores(query, seed)
    epoch = rng.integers(0, EPOCHS, len(user))
    with pq.ParquetWriter(folder / "log.parquet", world.SCHEMA, compression="zstd") as writer:
        for a in range(0, len(user), 200_000):
            rows = slice(a, min(a + 200_000, len(user)))
            docs = np.argsort(-every[query[rows], epoch[rows]], axis=1)[:, :SHOWN]
            q = np.repeat(asked[rows], SHOWN)
            relevant = world.relevance(q, docs.ravel(), seed).reshape(docs.shape)
            clicked = rng.random(docs.shape) < world.EXAM * relevant
            names = np.char.add(np.char.add("d", q.astype(str)), np.char.add("-", docs.ravel().astype(str)))
            columns = {
                "user_id": np.char.add("u", np.repeat(user[rows], SHOWN).astype(str)),
                "search_id": np.repeat(np.arange(rows.start, rows.stop, dtype=np.int64), SHOWN),
                "query": np.char.add("q", q.astype(str)),
                "doc_id": names,
                "position": np.tile(np.arange(1, SHOWN + 1, dtype=np.int16), len(docs)),
                "clicked": clicked.ravel(),
            }
            writer.write_table(pa.table({name: pa.array(column) for name, column in columns.items()}, world.SCHEMA))
    order = np.argsort(-every.mean(axis=1), axis=1)
    q = np.repeat(number, DOCUMENTS)
    candidates = {
        "query": np.char.add("q", q.astype(str)),
        "doc_id": np.char.add(np.char.add("d", q.astype(str)), np.char.add("-", order.ravel().astype(str))),
        "position": np.tile(np.arange(1, DOCUMENTS + 1, dtype=np.int32), len(number)),
    }
    pq.write_table(
        pa.table({name: pa.array(column) for name, column in candidates.items()}), folder / "candidates.parquet"
    )


def run(args: argparse.Namespace, setting: list[str]) -> pa.Table:
    """Negatives of one run with fresh noise."""
    with tempfile.TemporaryDirectory() as folder:
        ledger, out = Path(folder) / "ledger", Path(folder) / "out"
        Ledger.create(ledger, epsilon=args.epsilon * 1.001, delta=args.delta * 1.001)
        command = [sys.executable, "-m", "hardneg_fast", "mine", str(args.folder / "log.parquet"), "-o", str(out)]
        command += ["--epsilon", str(args.epsilon), "--delta", str(args.delta), "--lineage", "world"]
        command += ["--ledger", str(ledger), "--candidates", str(args.folder / "candidates.parquet")]
        command += ["--candidates-class", "already_public", "--release.mechanism", args.mechanism]
        command += ["--select.max-negatives-per-query", str(DOCUMENTS)]
        subprocess.run([*command, *GIVEN, *setting, *args.more], check=True, stdout=subprocess.DEVNULL)
        return pq.read_table(out / "negatives", columns=["query", "pos_id", "neg_id"])


def judged(world: Any, negatives: pa.Table, seed: int) -> str:
    """How many, and how many of them are truly less relevant than their positive, and than .6 of it."""
    query = np.array([int(q[1:]) for q in negatives["query"].to_pylist()])
    rank = {n: np.array([int(d.split("-")[1]) for d in negatives[n].to_pylist()]) for n in ("pos_id", "neg_id")}
    positive, negative = (world.relevance(query, rank[n], seed) for n in ("pos_id", "neg_id"))
    return (
        f"{len(query):,} negatives, label precision {(negative < positive).mean():.4f}, "
        f"clearly worse {(negative < 0.6 * positive).mean():.4f}"
    )


if __name__ == "__main__":
    main()

"""Whether P(relevant) is right: predicted against known relevance, by decile, in simulated worlds.

`calibration.py --impressions 1M --seeds 201,202` plays a log for each seed and world, counts it as `mine` does, and
compares. Seeds 101 to 110 are those the estimates were made on; quote others.

A decile passes where the mean prediction is within 20 % of the true share, or .01, whichever is larger; it is judged
where it has at least 200 false negatives to expect.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import hardneg_fast as hn

WORLDS = ("pbm", "dbn", "mixed", "trust")
TESTS = Path(__file__).parents[1] / "tests"
TYPES = (
    ("search_id", pa.string()),
    ("query", pa.string()),
    ("doc_id", pa.string()),
    ("position", pa.int32()),
    ("clicked", pa.bool_()),
    ("user_id", pa.string()),
)
TABLES = ("queries", "cells", "pairs", "preferences")


def weighed(folder: Path, debias: str, dwell: bool) -> tuple[pa.Table, dict, pa.Table]:
    """Evidence, its model and the negatives of a simulated log."""
    log: object = folder / "log.parquet"
    if not dwell:
        log = pq.read_table(folder / "log.parquet").drop_columns(["dwell_ms"])
    released = hn.release(hn.count(log, tables=TABLES), privacy=hn.Privacy.none())
    evidence = hn.evidence(released, config=hn.EvidenceConfig(debias=debias))
    chosen = hn.select(evidence, config=hn.SelectConfig(rules=("shown_not_clicked",), alpha=1.0, negative_coec=1e9))
    return pa.table(evidence.table()), evidence.model, pa.table(chosen.negatives)


def relevance(folder: Path, queries: pa.ChunkedArray, docs: pa.ChunkedArray) -> np.ndarray:
    """True of the pairs that are relevant."""
    truth = pq.read_table(folder / "truth.parquet")
    known = pa.table(
        {
            "query": truth["query"].cast(pa.string()),
            "doc": truth["doc_id"].cast(pa.string()),
            "relevance": truth["relevance"],
        }
    )
    asked = pa.table({"query": queries, "doc": docs, "row": np.arange(len(queries))})
    joined = asked.join(known, ["query", "doc"]).sort_by("row")
    return joined["relevance"].fill_null(0.0).to_numpy() >= 0.5


def deciles(p: np.ndarray, relevant: np.ndarray) -> list[tuple[float, float, bool | None]]:
    """Mean prediction, true share, and whether they agree (None: too few to judge)."""
    rows = []
    for part in np.array_split(np.argsort(p, kind="stable"), 10):
        said, true = float(p[part].mean()), float(relevant[part].mean())
        judged = p[part].sum() >= 200
        rows.append((said, true, abs(said - true) <= max(0.01, 0.2 * true) if judged else None))
    return rows


def coverage(seed: int, pages: int) -> None:
    """How often known attraction lies below its upper bound and above its lower one, in position-based worlds."""
    sys.path.insert(0, str(TESTS))
    import click_worlds

    world = click_worlds.pbm(np.random.default_rng(seed), pages, queries=max(300, pages // 100))
    log = world.table
    log = log.append_column("user_id", log["search_id"])
    log = log.cast(pa.schema(TYPES))
    released = hn.release(hn.count(log, tables=TABLES), privacy=hn.Privacy.none())
    evidence = hn.evidence(released)
    table = pa.table(evidence.table())
    attraction = np.zeros(world.docs.max() + 1)
    attraction[world.docs.ravel()] = world.attraction.ravel()
    true = attraction[table["doc_id"].cast(pa.int64()).to_numpy()]
    seen = table["examinations"].to_numpy()
    print(
        f"\nseed {seed}, prior Beta{tuple(round(x, 2) for x in evidence.model['attractiveness_prior'])}, bounds at 90 %"
    )
    print("| examinations | pairs | below the upper bound | above the lower bound |\n|---|---|---|---|")
    for low, high in ((0, 1), (1, 4), (4, 16), (16, np.inf)):
        these = (seen >= low) & (seen < high)
        under = (true <= table["attractiveness_upper"].to_numpy())[these].mean()
        over = (true >= table["attractiveness_lower"].to_numpy())[these].mean()
        print(f"| {low} to {high} | {these.sum():,} | {under:.1%} | {over:.1%} |")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--impressions", type=int, default=1_000_000)
    parser.add_argument("--seeds", default="201,202")
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--debias", default="auto")
    parser.add_argument("--without-dwell", action="store_true", help="the same logs without dwell times")
    parser.add_argument("--coverage", action="store_true", help="of the bounds of attractiveness instead")
    parser.add_argument("--deciles", action="store_true", help="print every decile")
    args = parser.parse_args()
    if args.coverage:
        for seed in args.seeds.split(","):
            coverage(int(seed), args.impressions // 10)
        return
    print("| world | seed | debias | kinds | pairs | deciles right | worst | predicted | true |")
    print("|---|---|---|---|---|---|---|---|---|")
    for world in args.worlds.split(","):
        for seed in args.seeds.split(","):
            with tempfile.TemporaryDirectory() as folder:
                at = Path(folder) / "world"
                hn.simulate(at, impressions=args.impressions, seed=int(seed), model=world)
                table, model, negatives = weighed(at, args.debias, not args.without_dwell)
                every = (table["query"], table["doc_id"])
                relevant = relevance(at, *every)
                never = table["clicks"].to_numpy() == 0
                mined = relevance(at, negatives["query"], negatives["neg_id"])
            named = f"| {world} | {seed} | {model['debias']} | {model['kinds']}"
            if model["kinds"] is None:
                print(f"{named} | {model['unknown']} |||||")
                continue
            p = table["p_relevant"].to_numpy()
            groups = (
                ("all", p, relevant),
                ("never clicked", p[never], relevant[never]),
                ("mined", negatives["p_false_negative"].to_numpy(), mined),
            )
            for name, said, true in groups:
                rows = deciles(said, true)
                judged = [row for row in rows if row[2] is not None]
                worst = max((abs(a - b) / max(b, 0.05) for a, b, _ in judged), default=0.0)
                right = sum(bool(row[2]) for row in judged)
                print(
                    f"{named} | {name}, {len(said):,} | {right} of {len(judged)} | {worst:.0%} | {said.mean():.4f} "
                    f"| {true.mean():.4f} |"
                )
                if args.deciles:
                    print("  ", " ".join(f"{a:.3f}/{b:.3f}{'' if ok is not False else '!'}" for a, b, ok in rows))


if __name__ == "__main__":
    main()

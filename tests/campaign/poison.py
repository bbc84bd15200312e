"""How far people who poison a log get: pushing a document among the negatives, or out of the positives.

    python tests/campaign/poison.py [--impressions 200000] [--queries 50]

For some queries of a simulated log, attackers ask the query, are shown what others are shown, and click so as to
move one document. *Down*: a good one is passed over for the results below it, to become a negative or no positive any
more. *Up*: a bad one is clicked and stayed with, to be a negative no more, or a positive. One user may do so a
thousand times, or k users a few times each. Measured is the share of targets that moved, with votes bounded per user
(as by default) and not, and under k-users.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import hardneg_fast as hn

Pairs = set[tuple[str, str]]
SLOTS = 10
HOW = {
    "bounded (default)": (True, None, 1),
    "bounded, `positive_users = 3`": (True, None, 3),
    "unbounded": (False, None, 1),
    "bounded, k = 5": (True, 5, 1),
}
"""Whether votes are bounded, K of k-users, and users that a positive takes."""


def mined(log: pa.Table, bounded: bool, k: int | None, least: int) -> tuple[Pairs, Pairs]:
    """Positives and negatives as (query, document)."""
    count = hn.CountConfig() if bounded else hn.CountConfig(max_votes=0, robots="keep")
    config = hn.Config(threads=1, count=count, select=hn.SelectConfig(positive_users=least))
    privacy = hn.Privacy.none() if k is None else hn.Privacy.k_users(k)
    result = hn.mine(log, privacy=privacy, config=config)
    names = dict(zip(*(result.queries.column(c).to_pylist() for c in ("query_id", "query")), strict=True))

    def pairs(table: pa.Table, column: str) -> Pairs:
        ids, docs = (table.column(name).to_pylist() for name in ("query_id", column))
        return {(names[q], d) for q, d in zip(ids, docs, strict=True)}

    return pairs(result.positives, "doc_id"), pairs(result.negatives, "neg_id")


def pages(log: pa.Table, query: str) -> list[str]:
    """The documents of a query, as they stand on average."""
    rows = log.filter(pa.compute.equal(log["query"], query))
    places = rows.group_by("doc_id").aggregate([("position", "mean"), ("position", "count")])
    return [r["doc_id"] for r in sorted(places.to_pylist(), key=lambda r: r["position_mean"])][:SLOTS]


def attack(log: pa.Table, targets: Pairs, up: bool, users: int, each: int) -> pa.Table:
    """Rows of attackers, as a log of the same columns."""
    made: dict[str, list[object]] = {name: [] for name in log.column_names}
    start = log["timestamp"][0].as_py()
    for query, target in sorted(targets):
        shown = pages(log, query)
        shown = [d for d in shown if d != target]
        # Where it is passed over it stands above what is clicked; where it is wanted, it stands in the middle.
        shown.insert(2 if up else 0, target)
        wanted = {target} if up else set(shown[1:4])
        for user in range(users):
            for n in range(each):
                search = f"attack-{query}-{user}-{n}"
                for place, doc in enumerate(shown, start=1):
                    row = {
                        "user_id": f"attacker-{query}-{user}",
                        "session_id": search,
                        "search_id": search,
                        "query": query,
                        "doc_id": doc,
                        "position": place,
                        "clicked": doc in wanted,
                        # Times of many lengths, over many days: none of them is taken for a robot.
                        "dwell_ms": 40_000 + (n * 7_919 + user * 104_729) % 120_000 if doc in wanted else None,
                        "timestamp": start + np.timedelta64(n * 7 + user, "h").astype("timedelta64[us]").item(),
                    }
                    for name in made:
                        made[name].append(row.get(name))
    return pa.table(made, schema=log.schema)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--impressions", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--seed", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        hn.simulate(Path(folder) / "sim", impressions=args.impressions, seed=args.seed)
        log = pq.read_table(Path(folder) / "sim" / "log.parquet")
    rng = np.random.default_rng(args.seed)
    print(f"{log.num_rows:,} impressions, at most {args.queries} targets each; share of targets moved")
    print("| how | targets | attackers x pages | positive lost | to negative | negative lost | to positive |")
    print("|---|---|---|---|---|---|---|")
    for how, (bounded, k, least) in HOW.items():
        positives, negatives = mined(log, bounded, k, least)
        chosen = {}
        for up, found in ((False, positives), (True, negatives)):
            queries: dict[str, str] = {}
            for query, doc in sorted(found):
                queries.setdefault(query, doc)
            names = sorted(queries)
            picked = rng.choice(names, min(args.queries, len(names)), replace=False)
            chosen[up] = {(q, queries[q]) for q in picked}
        for users, each in ((1, 10), (1, 1000), (3, 3), (5, 3), (10, 3), (20, 3)):
            moved = []
            for up in (False, True):
                poisoned = pa.concat_tables([log, attack(log, chosen[up], up, users, each)])
                now_positive, now_negative = mined(poisoned, bounded, k, least)
                before, after = (now_negative, now_positive) if up else (now_positive, now_negative)
                moved += [f"{sum(t not in before for t in chosen[up]) / len(chosen[up]):.0%}"]
                moved += [f"{sum(t in after for t in chosen[up]) / len(chosen[up]):.0%}"]
            targets = f"{len(chosen[False])}, {len(chosen[True])}"
            print(f"| {how} | {targets} | {users} x {each} | {' | '.join(moved)} |", flush=True)


if __name__ == "__main__":
    main()

"""Neighbouring logs through the real job, many times: what it lets out, and the largest epsilon that this proves.

`python tests/neighbours.py --runs 20000` is the large version of tests/test_neighbours.py; --halved plants a bug.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq

import hardneg_fast as hn
from hardneg_fast import calibration, release_private
from hardneg_fast.audit_dp import Outcome, Pair, audit_mechanism
from hardneg_fast.audit_dp.findings import Finding
from hardneg_fast.ledger import Ledger
from hardneg_fast.pipeline import private

DOCS = ("a", "b")
COLUMNS = ("user_id", "search_id", "query", "doc_id", "position", "clicked")
MOST = 4
"""Queries of one user that count."""
KNOWN = {f"k{i}": ["known"] for i in range(30)}
"""More than enough users for "known" to be released."""


def edge(users: int) -> Pair:
    """A query with so many users that some three to six, at the claim below, take it to its threshold."""
    log = {f"e{i}": ["edge"] for i in range(users)}
    return Pair(f"a query of {users} users", log, {**log, "v": ["edge"]}, "v")


def mixed(name: str, log: dict[str, list[str]], items: list[str]) -> Pair:
    return Pair(name, log, {**log, "v": items}, "v")


CLICK = mixed("a click where clicks are counted", KNOWN, ["known"])
OWN = mixed("queries of their own", {"w": ["other"]}, [f"own{i}" for i in range(MOST)])
MIXED = mixed(
    "a little of each, and too much",
    {**KNOWN, **edge(4).without},
    ["known", "edge", *(f"own{i}" for i in range(9))],
)
PAIRS = (CLICK, OWN, MIXED, *map(edge, (3, 4, 5, 6)))


@dataclasses.dataclass(frozen=True)
class Claim:
    """What the runs claim; delta is large, as many runs see little of a small one."""

    epsilon: float = 1.0
    delta: float = 0.05
    mechanism: str = "weighted_gaussian"
    share: float = 0.5


def log_of(worlds: Sequence[tuple[int, Pair, bool]]) -> pa.Table:
    """Worlds side by side: number, pair, and whether its user is there. All click "b", that user "a"."""
    rows = []
    for i, pair, there in worlds:
        for user, items in (pair.with_ if there else pair.without).items():
            for item in items:
                for position, doc in enumerate(DOCS, start=1):
                    clicked = doc == ("a" if user == pair.user else "b")
                    rows.append((f"{user}.{i}", f"{user}.{i}.{item}", f"{item}.{i}", doc, position, clicked))
    return pa.table(dict(zip(COLUMNS, zip(*rows, strict=True), strict=True)))


def candidates_of(worlds: Sequence[tuple[int, Pair, bool]]) -> pa.Table:
    """All queries that could be asked, whether or not they are."""
    rows = [
        (f"{item}.{i}", doc, position)
        for i, pair, _ in worlds
        for item in sorted({item for items in pair.with_.values() for item in items})
        for position, doc in enumerate(DOCS, start=1)
    ]
    return pa.table(dict(zip(["query", "doc_id", "position"], zip(*rows, strict=True), strict=True)))


def mined(
    log: object, candidates: object, folder: Path, claim: Claim, out: Path | None = None
) -> tuple[hn.Result, pa.Table]:
    """The real job, and the released table that it made its result of: more than leaves."""
    seen = []

    def recorded(*given: Any, **options: Any) -> Any:
        seen.append(release_private.release_private(*given, **options))
        return seen[-1]

    with (
        tempfile.TemporaryDirectory(dir=folder) as place,
        mock.patch.object(private, "release_private", recorded),
    ):
        Ledger.create(f"{place}/ledger", epsilon=claim.epsilon * 1.001, delta=claim.delta * 1.001)
        result = hn.mine(
            log,
            out,
            overwrite=True,
            privacy=hn.Privacy.dp(
                epsilon=claim.epsilon,
                delta=claim.delta,
                lineage="neighbours",
                ledger=f"{place}/ledger",
                candidates=candidates,
                candidates_class="function_of_public_corpus",
            ),
            config=config_of(claim),
        )
    return result, seen[0].table


def config_of(claim: Claim) -> hn.Config:
    release: Any = {"mechanism": claim.mechanism, "selection_share": claim.share}
    return hn.Config(
        read=hn.ReadConfig(position_base="1", columns={name: name for name in COLUMNS}),
        count=hn.CountConfig(min_page_length=1),
        release=hn.ReleaseConfig(max_queries_per_user=MOST, rounds=4, **release),
    )


class Worlds:
    """Outcomes for one pair, hundreds from each run of the real job.

    A run's log has many small worlds that share no user and no query; in each, a coin of its own says whether the user
    is there. Given its coin, what is seen of a world is a mixture, over the coins of the others, of what the job makes
    of two neighbouring logs: so its two laws keep the claim if the job does. Worlds meet in nothing but the median of
    released scores, by which weights of clicks are scaled and which the clip takes out again.
    """

    def __init__(self, pair: Pair, claim: Claim, folder: Path, *, worlds: int = 250) -> None:
        self.pair, self.claim, self.folder, self.n = pair, claim, folder, worlds
        self.coins = random.Random(1)
        self.waiting: dict[bool, list[Outcome]] = {False: [], True: []}

    def run(self, users: Any) -> Outcome:
        there = self.pair.user in users
        while not self.waiting[there]:
            self._more()
        return self.waiting[there].pop()

    def _more(self) -> None:
        worlds = [(i, self.pair, self.coins.random() < 0.5) for i in range(self.n)]
        result, table = mined(log_of(worlds), candidates_of(worlds), self.folder, self.claim)
        scores: list[dict[str, float]] = [{} for _ in worlds]
        figures: list[dict[str, float]] = [{} for _ in worlds]
        for cell in table.to_pylist():
            item, _, i = cell["query"].partition(".")
            scores[int(i)][item] = 1.0
            figures[int(i)][f"{item} {cell['doc_id']}"] = cell["clicks"] * cell["weighting"]
            figures[int(i)][f"{item} shown"] = cell["impressions"] * cell["weighting"]
        for negative in result.negatives.to_pylist():
            item, _, i = negative["query"].partition(".")
            figures[int(i)][f"{item}: {negative['neg_id']} is a negative"] = 1.0
        names = sorted(set().union(*figures))
        for (_, _, there), score, own in zip(worlds, scores, figures, strict=True):
            item = self.pair.with_[self.pair.user][0]
            order = own.get(f"{item} a", 0.0) - own.get(f"{item} b", 0.0)
            # What is not there is told apart from any figure.
            every = {name: own.get(name, -1e9) for name in names}
            self.waiting[there].append(Outcome(score, {**every, "a before b": order, "cells": float(len(own))}))


class Files:
    """Outcomes for one pair, one from each run: figures of the report, and sizes of all that is written."""

    def __init__(self, pair: Pair, claim: Claim, folder: Path) -> None:
        self.pair, self.claim, self.folder = pair, claim, folder
        self.candidates = candidates_of([(0, pair, True)])
        for there in (False, True):
            pq.write_table(log_of([(0, pair, there)]), folder / f"{there}.parquet")

    def run(self, users: Any) -> Outcome:
        log, out = self.folder / f"{self.pair.user in users}.parquet", self.folder / "out"
        mined(log, self.candidates, self.folder, self.claim, out)
        return outcome_of(out)


def outcome_of(out: Path) -> Outcome:
    """Sizes and figures of a directory that the command wrote."""
    sizes = {str(p.relative_to(out)): float(p.stat().st_size) for p in sorted(out.rglob("*")) if p.is_file()}
    report = json.loads((out / "report.json").read_text())
    funnel = {step["stage"]: float(step["count"]) for step in report["funnel"]}
    return Outcome({}, {**sizes, **funnel, "files": float(len(sizes)), "bytes": sum(sizes.values())})


@contextmanager
def halved_noise() -> Iterator[None]:
    """A planted bug: thresholds as they should be, all noise half as large."""

    def selection(*given: Any) -> calibration.Thresholds:
        made = calibration.selection_thresholds(*given)
        return dataclasses.replace(made, sigma=made.sigma // 2)

    def sigma(mu: float) -> int:
        return calibration.sigma_on_grid(mu) // 2

    with (
        mock.patch.object(release_private, "selection_thresholds", selection),
        mock.patch.object(release_private, "sigma_on_grid", sigma),
    ):
        yield


def audited(
    make: Callable[[Pair], Any], claim: Claim, *, runs: int, pairs: Sequence[Pair] = PAIRS, events: int = 8
) -> Finding:
    """All pairs and events, both ways, at a joint false-alarm rate of 1e-3."""
    made = {}
    for pair in pairs:
        made[id(pair.without)] = made[id(pair.with_)] = make(pair)
    return audit_mechanism(
        lambda users: made[id(users)].run(users),
        pairs,
        epsilon=claim.epsilon,
        delta=claim.delta,
        runs=runs,
        events=events,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000, help="outcomes of each log [20000]")
    parser.add_argument("--halved", action="store_true", help="plant half the noise")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for mechanism, share, epsilon in itertools.product(
            ("weighted_gaussian", "pag"), (0.95, 0.5, 0.05), (0.5, 1.0, 2.0)
        ):
            claim = Claim(epsilon=epsilon, mechanism=mechanism, share=share)
            with halved_noise() if args.halved else mock.MagicMock():
                found = audited(lambda pair, c=claim: Worlds(pair, c, folder), claim, runs=args.runs)
            sys.stdout.write(f"{mechanism} share {share}: {'ok  ' if found.passed else 'FAIL'} {found.said}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

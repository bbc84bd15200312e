"""The selection that ships, against its naive twin and under the audits that planted bugs fail."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence

import pytest

from hardneg_fast import _hardneg, audit_dp
from hardneg_fast.audit_dp import Outcome
from hardneg_fast.calibration import BIAS_ONE, GRID, bias_tables
from private_logs import contributions, pairs_table
from reference import selection_dp

Users = Mapping[str, Sequence[str]]


def select(core: _hardneg.Contributions, made: selection_dp.Selection) -> _hardneg.Keys:
    return core.select(
        max_items=made.max_items,
        sigma=made.sigma,
        thresholds=list(made.thresholds),
        biases=[list(table) for table in bias_tables(made.rounds)],
        threads=1,
    )


class Real(selection_dp.Selection):
    """The core's selection in the place of the twin's; a log is read once and selected from many times."""

    read: dict[str, _hardneg.Contributions]

    def run(self, users: Users) -> Outcome:
        name = json.dumps({user: list(items) for user, items in users.items()})
        if name not in self.read:
            self.read[name] = contributions(users)
        keys = select(self.read[name], self)
        return Outcome(dict(zip(keys.queries, map(float, keys.scores), strict=True)))

    def noise(self, n: int) -> list[int]:
        return list(_hardneg.rounded_gaussian(self.sigma, n))


def select_pairs(core: _hardneg.Contributions, keys: _hardneg.Keys, made: selection_dp.Selection) -> dict[str, int]:
    """By "query|document", the noisy scores of pairs that may be named."""
    found = core.select_pairs(
        keys,
        shown=False,
        max_items=made.max_items,
        sigma=made.sigma,
        thresholds=list(made.thresholds),
        biases=[list(table) for table in bias_tables(made.rounds)],
        threads=1,
    )
    return {f"{keys.queries[query]}|{doc}": score for query, doc, score, _ in found}


class RealPairs(Real):
    """The core's selection of pairs of one public query; items are its documents."""

    def run(self, users: Users) -> Outcome:
        name = json.dumps({user: list(items) for user, items in users.items()})
        if name not in self.read:
            log = {user: [f"q|{item}" for item in items] for user, items in users.items()}
            self.read[name] = contributions(pairs_table(log))
        core = self.read[name]
        found = select_pairs(core, core.public(["q"]), self)
        return Outcome({item.split("|")[1]: float(score) for item, score in found.items()})


@pytest.mark.parametrize("rounds", [1, 4])
@pytest.mark.parametrize("kind", [Real, RealPairs])
def test_the_real_selection_passes_every_audit(kind: type[Real], rounds: int) -> None:
    made = kind(epsilon=1.0, delta=0.05, max_items=6, rounds=rounds)
    made.read = {}
    report = audit_dp.audit_selection(made, near=5, runs=300)
    assert report.passed, report.as_dict()


@pytest.mark.parametrize("rounds", [1, 4])
@pytest.mark.parametrize("seed", range(3))
def test_next_to_no_noise_the_twin_selects_the_same_pairs(rounds: int, seed: int) -> None:
    rng = random.Random(seed)
    universe = [f"q{i % 3}|d{i}" for i in range(12)]
    users = {
        f"u{i}": [item for j, item in enumerate(universe) if rng.random() < 2 / (2 + j)][:6] or ["q1|d1"]
        for i in range(40)
    }
    made = selection_dp.Pairs(epsilon=1.0, delta=0.05, max_items=6, rounds=rounds)
    made.released = frozenset({"q0", "q1"})
    made.sigma = 1
    made.thresholds = [math.floor((6 + 6.5 * k) * GRID) for k in range(rounds)]
    core = contributions(pairs_table(users))
    # One released query has no rows.
    found = select_pairs(core, core.public(["q1", "nobody asks", "q0"]), made)
    twin = made.run(users).released
    # Not nothing, and not all of the eight.
    assert 1 < len(found) < 8
    assert sorted(found) == sorted(twin)
    for item, score in found.items():
        assert abs(score - twin[item]) <= 16 * math.sqrt(2 * rounds)


@pytest.mark.parametrize("rounds", [1, 4])
@pytest.mark.parametrize("seed", range(6))
def test_next_to_no_noise_the_twin_selects_the_same(rounds: int, seed: int) -> None:
    rng = random.Random(seed)
    universe = [f"item {i}" for i in range(12)]
    # Fewer items than the bound: which ones a user keeps hangs on a key that differs.
    users = {
        f"u{i}": [item for j, item in enumerate(universe) if rng.random() < 2 / (2 + j)][:6] or ["item 1"]
        for i in range(30)
    }
    made = selection_dp.Selection(epsilon=1.0, delta=0.05, max_items=6, rounds=rounds)
    made.sigma = 1
    made.thresholds = [math.floor((2.5 + 2.7 * k) * GRID) for k in range(rounds)]
    keys = select(contributions(users), made)
    twin = made.run(users).released
    # Not everything at once, or nothing would have been decided.
    assert 2 < keys.rounds.count(1) < len(universe)
    assert (max(keys.rounds) > 1) == (rounds > 1)
    assert sorted(keys.queries) == sorted(twin)
    for query, score in zip(keys.queries, keys.scores, strict=True):
        # Noise of deviation 1 a round, on both sides: 16 deviations.
        assert abs(score - twin[query]) <= 16 * math.sqrt(2 * rounds)


def test_one_users_vector_is_as_the_twin_scales_it() -> None:
    items = [f"item {i}" for i in range(7)]
    made = selection_dp.Selection(epsilon=1.0, delta=0.05, max_items=7)
    made.sigma, made.thresholds = 1, [-(10**9)]
    keys = select(contributions({"u": items}), made)
    expected = selection_dp.vector(dict.fromkeys(items, BIAS_ONE))
    assert sorted(keys.queries) == items
    for query, score in zip(keys.queries, keys.scores, strict=True):
        assert abs(score - expected[query]) <= 10

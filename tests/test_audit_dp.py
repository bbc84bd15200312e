"""Audits pass what is right, and fail each bug that is planted."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import permutations

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardneg_fast import _hardneg, audit_dp
from hardneg_fast.audit_dp import Outcome, Report
from hardneg_fast.audit_dp.statistics import binomial_pmf, chi_square_tail, clopper_pearson
from hardneg_fast.calibration import BIAS_ONE, GRID, gaussian_mu
from reference import selection_dp
from reference.selection_dp import Users, vector

RUNS = 200
NEAR = 5


def mechanism(kind: type[selection_dp.Selection] = selection_dp.Selection, rounds: int = 1) -> selection_dp.Selection:
    return kind(epsilon=1.0, delta=0.05, max_items=6, rounds=rounds, seed=1)


def audited(made: selection_dp.Selection, runs: int = RUNS) -> Report:
    return audit_dp.audit_selection(made, near=NEAR, runs=runs)


# --- planted bugs ---


class NoiseHalved(selection_dp.Selection):
    def noise(self, n: int) -> list[int]:
        return [math.floor(self.rng.gauss(0, self.sigma / 2) + 0.5) for _ in range(n)]


class WithoutTheAtom(selection_dp.Selection):
    """The threshold is the least x with P(score > x) small enough, and items of a score of x leave as well."""

    def __init__(self, **options: float) -> None:
        super().__init__(**options)  # type: ignore[arg-type]

        def escape(threshold: int) -> float:
            return max(
                -math.expm1(
                    t
                    * math.log1p(
                        -math.erfc((threshold - math.isqrt(GRID**2 // t) - 0.5) / self.sigma / math.sqrt(2)) / 2
                    )
                )
                for t in range(1, self.max_items + 1)
            )

        least = next(x for x in range(self.thresholds[0] - 9, self.thresholds[0] + 9) if escape(x + 1) <= self.delta_t)
        self.thresholds = [least]


class NotBounded(selection_dp.Selection):
    def bounded(self, users: Users) -> dict[str, list[str]]:
        return {user: sorted(set(items)) for user, items in users.items()}


class BoundedByOneStream(selection_dp.Selection):
    """Each user's items are drawn from one generator for all, so a new user moves everybody's."""

    def bounded(self, users: Users) -> dict[str, list[str]]:
        rng = random.Random(1)
        drawn = {user: sorted(set(items)) for user, items in sorted(users.items())}
        return {user: rng.sample(items, min(self.max_items, len(items))) for user, items in drawn.items()}


class SeedReused(selection_dp.Selection):
    def noise(self, n: int) -> list[int]:
        self.rng = random.Random(1)
        return super().noise(n)


class ExactCounterLeaked(selection_dp.Selection):
    def run(self, users: Users) -> Outcome:
        return Outcome(super().run(users).released, {"rows": sum(map(len, users.values()))})


class WeightsOfOthers(selection_dp.Selection):
    """Popular items weigh less: what a user gives to an item hangs on how many others have it."""

    def contributions(self, users: Users, weights: Mapping[str, int]) -> dict[str, dict[str, int]]:
        bounded = self.bounded(users)
        having = Counter(item for items in bounded.values() for item in items)
        return {
            user: vector({item: weights.get(item, BIAS_ONE) // having[item] for item in items})
            for user, items in bounded.items()
        }


class ExactPrefilter(selection_dp.Selection):
    """Items of few users are left out first, by their exact number."""

    fewest = 2

    def bounded(self, users: Users) -> dict[str, list[str]]:
        having = Counter(item for items in users.values() for item in set(items))
        return super().bounded(
            {user: [item for item in items if having[item] >= self.fewest] for user, items in users.items()}
        )


PLANTED = {
    NoiseHalved: {"noise"},
    WithoutTheAtom: {"thresholds"},
    NotBounded: {"sensitivity"},
    BoundedByOneStream: {"sensitivity"},
    SeedReused: {"noise", "mechanism"},
    ExactCounterLeaked: {"mechanism"},
    WeightsOfOthers: {"sensitivity"},
    ExactPrefilter: {"sensitivity"},
}


@pytest.mark.parametrize("rounds", [1, 3])
def test_the_mechanism_passes(rounds: int) -> None:
    report = audited(mechanism(rounds=rounds))
    assert report.passed, report.as_dict()
    said = report.as_dict()
    assert [finding["name"] for finding in said["proved"]] == ["thresholds"]
    assert [finding["name"] for finding in said["tested"]] == ["sensitivity", "noise", "mechanism"]
    assert any("timing" in entry for entry in said["not_covered"])


class PairsOfExactQueries(selection_dp.Pairs):
    """Pairs of queries that at least two users asked, instead of those that were released."""

    def bounded(self, users: Users) -> dict[str, list[str]]:
        asking = Counter(query for items in users.values() for query in {item.split("|")[0] for item in items})
        return super().bounded(
            {user: [item for item in items if asking[item.split("|")[0]] > 1] for user, items in users.items()}
        )


class PairsByQuery(selection_dp.Pairs):
    """Each query's pairs are scaled by themselves: a user of many queries adds more than one."""

    def contributions(self, users: Users, weights: Mapping[str, int]) -> dict[str, dict[str, int]]:
        return {
            user: {item: vector({item: weights.get(item, BIAS_ONE)})[item] for item in items}
            for user, items in self.bounded(users).items()
        }


PLANTED |= {PairsOfExactQueries: {"sensitivity"}, PairsByQuery: {"sensitivity"}}


def test_pairs_of_released_queries_pass() -> None:
    made = mechanism(selection_dp.Pairs, rounds=3)
    made.released = frozenset({"common", "edge", "novel0", *(f"item{i}" for i in range(20))})  # type: ignore[attr-defined]
    report = audited(made)
    assert report.passed, report.as_dict()


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.__name__)
def test_a_planted_bug_fails(bug: type[selection_dp.Selection]) -> None:
    report = audited(mechanism(bug), RUNS if "mechanism" in PLANTED[bug] else 40)
    assert not report.passed
    assert set(report.failed) == PLANTED[bug], report.as_dict()


def test_sums_of_floats_would_move_another_users_vector() -> None:
    # The order in which items are met changes with a new user; sums of floats change with it, sums of integers do not.
    weights = [0.05, 1.0, 0.4, 0.25, 0.75, 0.55, 0.4]

    def in_floats(order: Sequence[int]) -> dict[int, int]:
        norm = 0.0
        for i in order:
            norm += weights[i] * weights[i]
        return {i: math.floor(weights[i] / math.sqrt(norm) * GRID) for i in order}

    def in_integers(order: Sequence[int]) -> dict[str, int]:
        return vector({str(i): round(weights[i] * BIAS_ONE) for i in order})

    orders = list(permutations(range(7)))
    assert any(in_floats(order) != in_floats(orders[0]) for order in orders)
    assert all(in_integers(order) == in_integers(orders[0]) for order in orders)


@pytest.mark.parametrize("k", [2, 5, 20])
def test_an_exact_prefilter_moves_the_sum_by_more_than_one(k: int) -> None:
    made = mechanism(ExactPrefilter)
    made.fewest = k  # type: ignore[attr-defined]
    users = {f"user{i}": ["x", "y", "z"] for i in range(k - 1)} | {f"other{i}": ["z"] for i in range(k)}
    sums = []
    for log in (users, {**users, "new": ["x", "y"]}):
        total: Counter[str] = Counter()
        for user, added in made.contributions(log, {}).items():
            if user != "new":
                total.update(added)
        sums.append(total)
    moved = math.sqrt(sum((sums[0][item] - sums[1][item]) ** 2 for item in "xyz")) / GRID
    assert moved > 0.9 * (k - 1)


# --- naive twin ---


@given(st.lists(st.integers(0, BIAS_ONE), max_size=40))
@settings(max_examples=40)
def test_vectors_are_as_long_as_they_may_be(weights: list[int]) -> None:
    values = vector({str(i): weight for i, weight in enumerate(weights)}).values()
    squares = sum(value * value for value in values)
    assert squares <= GRID * GRID
    assert not any(weights) or squares > (GRID - len(weights)) ** 2


# --- noise ---


@pytest.mark.parametrize("sigma", [1, 1000, 5 << 20])
def test_the_real_noise_passes(sigma: int) -> None:
    finding = audit_dp.audit_noise(
        lambda n: _hardneg.rounded_gaussian(sigma, n), audit_dp.rounded_gaussian_tail(sigma), scale=sigma
    )
    assert finding.passed, finding


@pytest.mark.parametrize("scale", [1, 1000, 1 << 22])
def test_the_real_laplace_noise_passes(scale: int) -> None:
    finding = audit_dp.audit_noise(
        lambda n: _hardneg.discrete_laplace(scale, n), audit_dp.discrete_laplace_tail(scale), scale=scale
    )
    assert finding.passed, finding


def gaussian(sigma: float, seed: int):  # type: ignore[no-untyped-def]
    rng = random.Random(seed)
    return lambda n: [math.floor(rng.gauss(0, sigma) + 0.5) for _ in range(n)]


def laplace(scale: int, seed: int):  # type: ignore[no-untyped-def]
    rng = random.Random(seed)

    def geometric() -> int:
        return math.floor(math.log(1 - rng.random()) * -scale)

    return lambda n: [geometric() - geometric() for _ in range(n)]


@pytest.mark.parametrize("sigma", [1, 2, 7, 1000, 5 << 20])
def test_true_noise_passes(sigma: int) -> None:
    finding = audit_dp.audit_noise(gaussian(sigma, 3), audit_dp.rounded_gaussian_tail(sigma), scale=sigma)
    assert finding.passed, finding


@pytest.mark.parametrize("scale", [1, 30, 1 << 20])
def test_true_laplace_noise_passes(scale: int) -> None:
    finding = audit_dp.audit_noise(laplace(scale, 3), audit_dp.discrete_laplace_tail(scale), scale=scale)
    assert finding.passed, finding


def repeating(n: int) -> list[int]:
    half = gaussian(1000, 5)(n // 2)
    return half + half


def paired(n: int) -> list[int]:
    return [x for x in gaussian(1000, random.randrange(10**9))(n // 2) for x in (x, -x)]


WRONG = {
    "a smaller deviation": (gaussian(970, 4), "law"),
    "rounded down to even": (lambda n: [x - x % 2 for x in gaussian(3, random.randrange(10**9))(n)], "law"),
    "the same seed": (lambda n: gaussian(1000, 4)(n), "twice"),
    "a period": (repeating, "twice"),
    "pairs of opposite sign": (paired, "depend"),
    "nothing": (lambda n: [0] * n, "law"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_noise_fails(wrong: str) -> None:
    sampler, said = WRONG[wrong]
    sigma = 3 if "rounded" in wrong else 1000
    finding = audit_dp.audit_noise(sampler, audit_dp.rounded_gaussian_tail(sigma), scale=sigma)
    assert not finding.passed
    assert said in finding.said


# --- one run, membership ---


def canaries(sigma: float, m: int = 600) -> tuple[list[float], list[bool]]:
    rng = random.Random(7)
    included = [rng.random() < 0.5 for _ in range(m)]
    return [coin + rng.gauss(0, sigma) for coin in included], included


def test_one_run_passes_what_keeps_its_claim_and_fails_an_eighth_of_the_noise() -> None:
    sigma = 1 / gaussian_mu(1.0, 1e-5)
    keeps = audit_dp.audit_one_run(*canaries(sigma), epsilon=1.0, delta=1e-5, guesses=200)
    assert keeps.passed
    assert keeps.figures["lower_bound"] < 1
    breaks = audit_dp.audit_one_run(*canaries(sigma / 8), epsilon=1.0, delta=1e-5, guesses=200)
    assert not breaks.passed
    assert breaks.figures["lower_bound"] > 1.5


def test_one_run_at_its_published_point() -> None:
    # All of 100 guesses about 100 canaries right, delta 0: P(B = 100) = (e^eps / (1 + e^eps))^100 <= 0.05.
    finding = audit_dp.audit_one_run(
        list(range(100)), [i >= 50 for i in range(100)], epsilon=1.0, delta=0.0, guesses=100, alpha=0.05
    )
    p = 0.05 ** (1 / 100)
    assert finding.figures["lower_bound"] == pytest.approx(math.log(p / (1 - p)), abs=1e-6)


def histories(n: int, seed: int) -> list[list[str]]:
    rng = random.Random(seed)
    return [[f"item{int(rng.paretovariate(0.4))}" for _ in range(6)] for _ in range(n)]


def test_membership_is_guessing_on_a_private_release_and_more_on_the_log_itself() -> None:
    members, others = histories(300, 1), histories(300, 2)
    log = {f"user{i}": items for i, items in enumerate(members)}
    private = dict.fromkeys(mechanism().run(log).released, 1.0)
    assert private
    attack = audit_dp.membership_attack(private, members, others)
    # Under the hypothesis of guessing the standard deviation of an AUC is sqrt(601 / (12 * 300 * 300)) = 0.024.
    guessing = 5 * 0.024
    assert abs(attack["auc"] - 0.5) < guessing
    everything = {item: 1.0 for items in members for item in items}
    rare = {item: 1.0 for item, n in Counter(i for items in members for i in set(items)).items() if n == 1}
    assert audit_dp.membership_attack(everything, members, others)["auc"] > 0.5 + guessing
    assert audit_dp.membership_attack(rare, members, others)["tpr_at_1pct_fpr"] > 0.1


def test_membership_by_hand() -> None:
    released = {"a": 3.0, "b": 2.0, "c": 1.0}
    attack = audit_dp.membership_attack(released, [["a"], ["b"], ["x"]], [["b"], ["c", "c"], ["x"], ["y"]])
    # Pairs: 3 beats all 4; 2 beats 3 and ties 1; 0 ties 2: (4 + 3.5 + 1) / 12.
    assert attack["auc"] == pytest.approx(8.5 / 12)
    # 0.04 others may be taken: all of score 3, then 4 % of those of score 2, of both kinds.
    assert attack["tpr_at_1pct_fpr"] == pytest.approx((1 + 0.04) / 3)


# --- laws ---


@given(st.integers(1, 300), st.floats(0, 1))
@settings(max_examples=30)
def test_binomial_law(n: int, p: float) -> None:
    pmf = binomial_pmf(n, p)
    assert pmf.sum() == pytest.approx(1, abs=1e-9)
    i = n // 3
    assert pmf[i] == pytest.approx(
        float(mpmath.binomial(n, i) * mpmath.mpf(p) ** i * (1 - mpmath.mpf(p)) ** (n - i)), abs=1e-11
    )


@given(st.integers(1, 200), st.floats(0, 600))
@settings(max_examples=60)
def test_chi_square_law(degrees: int, x: float) -> None:
    truth = float(mpmath.gammainc(mpmath.mpf(degrees) / 2, mpmath.mpf(x) / 2, regularized=True))
    assert chi_square_tail(x, degrees) == pytest.approx(truth, rel=1e-8, abs=1e-13)


@given(st.integers(1, 400), st.floats(0, 1), st.sampled_from([0.05, 1e-4]))
@settings(max_examples=25)
def test_clopper_pearson_bounds(n: int, share: float, alpha: float) -> None:
    hits = round(share * n)
    low, high = clopper_pearson(hits, n, alpha)
    assert low <= hits / n <= high
    if hits:
        assert binomial_pmf(n, low)[hits:].sum() == pytest.approx(alpha, rel=1e-3)
    if hits < n:
        assert binomial_pmf(n, high)[: hits + 1].sum() == pytest.approx(alpha, rel=1e-3)

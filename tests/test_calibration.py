"""Calibration against its formulas at 45 digits, and thresholds against the exact law of the integer mechanism."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from hardneg_fast import calibration
from hardneg_fast.calibration import GRID, compose, epsilon_at, gaussian_delta, gaussian_mu, within
from hardneg_fast.exceptions import UsageError

mp.dps = 45
ULPS = 2 * mpf(2) ** -52

positive = st.floats(1e-3, 50)
deltas = st.floats(-15, -0.3).map(lambda power: 10**power)


def tail(x: mpf) -> mpf:
    """Phi(-x)."""
    return mpmath.erfc(x / mpmath.sqrt(2)) / 2


def naive_delta(epsilon: float, mu: float) -> mpf:
    epsilon, mu = mpf(epsilon), mpf(mu)
    return tail(epsilon / mu - mu / 2) - mpmath.exp(epsilon) * tail(epsilon / mu + mu / 2)


def naive_quantile(d: float, t: int) -> mpf:
    p = -mpmath.expm1(mpmath.log1p(-mpf(d)) / t)
    return (
        mpmath.sqrt(2) * mpmath.erfinv(1 - 2 * p)
        if p > 0.01
        else mpmath.findroot(lambda z: mpmath.log(tail(z)) - mpmath.log(p), mpmath.sqrt(-2 * mpmath.log(p)))
    )


def is_just_above(value: float, truth: mpf) -> bool:
    return truth <= mpf(value) <= truth * (1 + ULPS)


# --- delta, mu and epsilon ---


@pytest.mark.parametrize("epsilon", [0.0, 1e-4, 0.01, 0.1, 0.5, 1.0, 2.0, 4.0, 10.0, 25.0, 50.0])
def test_delta_is_the_next_double_above_the_truth(epsilon: float) -> None:
    seen = []
    for mu in [10 ** (power / 8) for power in range(-48, 17)]:
        value, truth = gaussian_delta(epsilon, mu), naive_delta(epsilon, mu)
        if truth < 1e-300:
            assert 0 < value <= 1e-299
        else:
            assert is_just_above(value, truth), (mu, value, truth)
            seen.append(value)
    assert seen == sorted(seen)
    assert min(seen) < 1e-15 or epsilon < 1e-3
    assert max(seen) > 0.999


@pytest.mark.parametrize(("epsilon", "sigma"), [(0.5, 8.348), (1.0, 4.365), (2.0, 2.298), (4.0, 1.226)])
def test_noise_at_the_published_points(epsilon: float, sigma: float) -> None:
    # Exact calibration after Balle & Wang 2018 at delta 5e-7.
    assert round(1 / gaussian_mu(epsilon, 5e-7), 3) == sigma


@given(positive, deltas)
@settings(max_examples=40)
def test_mu_is_the_largest_that_keeps_delta(epsilon: float, delta: float) -> None:
    mu = gaussian_mu(epsilon, delta)
    assert naive_delta(epsilon, mu) <= delta
    assert naive_delta(epsilon, mu * (1 + 1e-14)) > delta * (1 - 1e-12)
    assert gaussian_delta(epsilon, math.nextafter(mu, math.inf)) > delta


@given(st.floats(1e-3, 20), deltas)
@settings(max_examples=40)
def test_epsilon_is_the_smallest_that_keeps_delta(mu: float, delta: float) -> None:
    epsilon = calibration.epsilon_of(mu, delta)
    assert naive_delta(epsilon, mu) <= delta
    assert epsilon == 0 or gaussian_delta(math.nextafter(epsilon, 0), mu) > delta


def test_epsilon_at_the_ends() -> None:
    assert calibration.epsilon_of(0.0, 0.0) == 0
    assert calibration.epsilon_of(1.0, 0.0) == math.inf
    assert calibration.epsilon_of(1e-6, 0.5) == 0
    assert epsilon_at(0.0, 0.0, 1e-9) == 0
    assert epsilon_at(0.1, 1e-6, 1e-6) == math.inf


@given(st.floats(1e-3, 100))
@settings(max_examples=40)
def test_pure_privacy_lies_above_the_gaussian_curve(epsilon: float) -> None:
    mu = calibration.mu_of_pure(epsilon)
    corner = 1 / (1 + mpmath.exp(mpf(epsilon)))
    # G_mu(alpha) = Phi(Phi^-1(1 - alpha) - mu), at alpha = corner, must not exceed the corner.
    assert tail(mpf(mu) / 2) <= corner
    assert tail(mpf(mu) / 2 * (1 - 1e-14)) > corner


# --- quantiles and grids ---


@given(deltas, st.integers(1, 1000))
@settings(max_examples=25)
def test_quantiles_are_rounded_up(d: float, t: int) -> None:
    z = calibration.upper_quantile(d, t)
    assert (1 - tail(mpf(z))) ** t >= 1 - mpf(d)
    assert abs(mpf(z) - naive_quantile(d, t)) <= abs(mpf(z)) * ULPS + mpf(2) ** -60


@given(st.floats(1e-4, 50), st.integers(1, 64))
def test_sigma_is_never_rounded_down(mu: float, rounds: int) -> None:
    sigma = calibration.sigma_on_grid(mu, rounds)
    exact = GRID * mpmath.sqrt(rounds) / mpf(mu)
    assert exact <= sigma < exact + 1 + mpf("1e-9")


@given(st.floats(1e-3, 50), st.integers(1, 2**30))
def test_laplace_scale_is_never_rounded_down(epsilon: float, sensitivity: int) -> None:
    scale = calibration.laplace_scale(epsilon, sensitivity)
    assert Fraction(sensitivity, scale) <= Fraction(epsilon)
    assert scale == 1 or Fraction(sensitivity, scale - 1) > Fraction(epsilon)


# --- thresholds: the exact law of the integer mechanism ---


def round_law(sigma: int, reach: int) -> dict[int, mpf]:
    """P(floor(sigma N + 1/2) = j), to `reach` on both sides, the rest on the ends."""
    above = {j: tail((j - mpf(1) / 2) / sigma) for j in range(-reach, reach + 2)}
    law = {j: above[j] - above[j + 1] for j in range(-reach, reach + 1)}
    law[-reach] += 1 - above[-reach]
    law[reach] += above[reach + 1]
    return law


def sum_tails(sigma: int, rounds: int) -> list[dict[int, mpf]]:
    """P(sum of k rounded Gaussians >= j) for k = 1..rounds, by convolution; at small scales only."""
    law = round_law(sigma, 9 * sigma)
    total, found = {0: mpf(1)}, []
    for _ in range(rounds):
        added: dict[int, mpf] = {}
        for (i, p), (j, q) in itertools.product(total.items(), law.items()):
            added[i + j] = added.get(i + j, mpf(0)) + p * q
        total = added
        tails, running = {}, mpf(0)
        for j in sorted(total, reverse=True):
            running += total[j]
            tails[j] = running
        found.append(tails)
    return found


def released(values: list[int], tails: list[dict[int, mpf]], t: int, grid: int) -> mpf:
    """Bounds P(any of t items that only one user has is released): exact tails, summed over rounds.

    The user gives the most that the grid allows: floor(grid / sqrt(t)) each in round 1, later grid each.
    """
    total = mpf(0)
    for k, (value, above) in enumerate(zip(values, tails, strict=True), start=1):
        most = math.isqrt(grid * grid // t) + (k - 1) * grid
        total += 1 - (1 - above.get(value - most, mpf(0) if value > most else mpf(1))) ** t
    return total


def without_the_atom(part: mpf, tails: dict[int, mpf], k: int, grid: int, most_items: int) -> int:
    """A threshold as it comes out if P(noise > x) is taken for P(noise >= x)."""
    best = 0
    for t in range(1, most_items + 1):
        most = math.isqrt(grid * grid // t) + (k - 1) * grid
        p = 1 - (1 - part) ** (mpf(1) / t)
        best = max(best, most + min(j for j in tails if tails.get(j + 1, mpf(0)) <= p))
    return best


SMALL = [(1, 1, 0.1), (2, 1, 0.1), (2, 2, 0.1), (3, 4, 0.0), (3, 4, 0.3)]


@pytest.mark.parametrize(("sigma", "rounds", "late"), SMALL)
@pytest.mark.parametrize("delta_t", [0.02, 1e-4, 1e-7])
def test_thresholds_keep_the_tail_at_every_contribution_size(
    monkeypatch: pytest.MonkeyPatch, sigma: int, rounds: int, late: float, delta_t: float
) -> None:
    grid, most_items = 4, 12
    monkeypatch.setattr(calibration, "GRID", grid)
    made = calibration.selection_thresholds(
        grid * math.sqrt(rounds) / sigma * (1 - 1e-12), delta_t, most_items, rounds, late
    )
    assert made.sigma in (sigma, sigma + 1)
    assert made.delta_t <= delta_t
    tails = sum_tails(made.sigma, rounds)
    for t in range(1, most_items + 1):
        assert released(list(made.values), tails, t, grid) <= delta_t


@pytest.mark.parametrize("sigma", [1, 2])
@pytest.mark.parametrize("delta_t", [0.02, 1e-4, 1e-7])
def test_a_threshold_without_its_atom_fails_the_same_check(sigma: int, delta_t: float) -> None:
    # OpenDP 0.16 keeps values at least the threshold, and counts as its delta only the tail above it.
    grid, most_items = 4, 12
    tails = sum_tails(sigma, 1)
    value = without_the_atom(mpf(delta_t), tails[0], 1, grid, most_items)
    worst = max(released([value], tails, t, grid) for t in range(1, most_items + 1))
    assert worst > delta_t
    assert max(released([value + 1], tails, t, grid) for t in range(1, most_items + 1)) <= delta_t


@pytest.mark.parametrize("rounds", [1, 2, 16])
@pytest.mark.parametrize("delta_t", [5e-3, 5e-7, 5e-9])
def test_thresholds_on_the_real_grid(rounds: int, delta_t: float) -> None:
    mu, most_items = gaussian_mu(1.0, delta_t), 50
    made = calibration.selection_thresholds(mu, delta_t, most_items, rounds)
    for t in range(1, most_items + 1):
        total = mpf(0)
        for k, value in enumerate(made.values, start=1):
            most = math.isqrt(GRID * GRID // t) + (k - 1) * GRID
            # A sum of k rounded Gaussians is at most that of the Gaussians and k/2; for one round this is exact.
            total += 1 - (1 - tail((value - most - mpf(k) / 2) / (mpmath.sqrt(k) * made.sigma))) ** t
        assert total <= delta_t
    # Nothing is given away: a grid of 2^-20 costs less than a millionth of the threshold.
    k, value = rounds, made.values[-1]
    slack = max(
        released_late(made.sigma, k, value * (1 - mpf("1e-6")), t) for t in range(1, most_items + 1)
    ) - released_late(made.sigma, k, mpf(value), most_items)
    assert slack > 0


def released_late(sigma: int, k: int, value: mpf, t: int) -> mpf:
    most = GRID / mpmath.sqrt(t) + (k - 1) * GRID
    return 1 - (1 - tail((value - most) / (mpmath.sqrt(k) * sigma))) ** t


@pytest.mark.parametrize("late", [0.0, 0.1, 0.3])
def test_the_split_of_delta_t(late: float) -> None:
    most_items, rounds, delta_t = 50, 16, 5e-7
    parts = calibration._parts(delta_t, most_items, rounds, late)
    assert sum(map(Fraction, parts)) <= Fraction(delta_t)
    assert sum(map(Fraction, parts)) > Fraction(delta_t) * Fraction(999_999, 1_000_000)
    assert parts == sorted(parts)
    assert (parts[0] == parts[-1]) == (late == 0)
    cs = [
        naive_quantile(part, most_items) * mpf(k / rounds) ** late
        for k, part in enumerate(parts, start=1)
        if part > 1e-20
    ]
    assert len(cs) > 12
    assert max(cs) - min(cs) < 1e-9


def test_thresholds_at_the_published_points() -> None:
    # Gopi et al. 2020 at epsilon 1, delta 1e-6, 50 items: 24.64; a round of 16, pooled: 27.46 evenly, 26.46 late.
    mu = gaussian_mu(1.0, 5e-7)
    assert round(calibration.selection_thresholds(mu, 5e-7, 50).values[0] / GRID, 2) == 24.64
    for late, last in ((0.0, 27.46), (0.1, 26.46)):
        made = calibration.selection_thresholds(mu, 5e-7, 50, 16, late)
        assert round(made.values[-1] / GRID / 16, 2) == last


# --- budgets ---


@given(
    st.floats(0.05, 20),
    st.floats(-12, -1).map(lambda power: 10**power),
    st.floats(0, 0.6),
    st.sampled_from([0.0, 0.15, 0.3]),
    st.floats(0.05, 0.95),
)
@settings(max_examples=25)
def test_parts_never_exceed_the_claim(epsilon: float, delta: float, selection: float, pairs: float, t: float) -> None:
    budget = calibration.split(epsilon, delta, selection, pairs_share=pairs, delta_t_share=t)
    parts = (budget.mu_selection, budget.mu_pairs, budget.mu_counts)
    delta_ts = (budget.delta_t_selection, budget.delta_t_pairs)
    squares = sum(mpf(part) ** 2 for part in parts)
    assert squares <= mpf(budget.mu) ** 2
    assert squares >= mpf(budget.mu) ** 2 * (1 - mpf("1e-14"))
    delta_t = 1 - (1 - mpf(2) ** -64) * (1 - mpf(delta_ts[0])) * (1 - mpf(delta_ts[1]))
    assert delta_t <= budget.delta_t
    delta_ts = (calibration.CODES_DELTA, *delta_ts)
    assert delta_t + (1 - delta_t) * naive_delta(epsilon, mpmath.sqrt(squares)) <= delta
    # What the ledger recomputes fits into a limit of exactly the claim, stage by stage or in one.
    assert within(*compose(parts, delta_ts), epsilon, delta)
    assert within(*compose([budget.mu], [budget.delta_t]), epsilon, delta)
    assert epsilon_at(*compose(parts, delta_ts), delta) <= epsilon
    assert (budget.delta_t_selection == 0) == (selection == 0)
    assert (budget.delta_t_pairs == 0) == (pairs == 0)


def test_all_for_counts_where_queries_are_public() -> None:
    budget = calibration.split(1.0, 1e-6, 0.0)
    assert budget.mu_selection == budget.mu_pairs == 0
    assert budget.delta_t == calibration.CODES_DELTA
    assert budget.mu_counts == budget.mu == pytest.approx(gaussian_mu(1.0, 1e-6), rel=1e-12)
    assert budget.mu <= gaussian_mu(1.0, 1e-6)


@given(st.floats(0, 3), st.floats(0, 1e-5), st.floats(0, 2))
@settings(max_examples=25)
def test_pure_releases_take_their_epsilon_from_the_gaussian_ones(mu: float, delta_t: float, pure: float) -> None:
    epsilon = epsilon_at(mu, delta_t, 1e-4, pure)
    assert epsilon >= pure
    assert epsilon == pytest.approx(pure + epsilon_at(mu, delta_t, 1e-4), abs=1e-12)
    assert within(mu, delta_t, math.nextafter(epsilon, math.inf), 1e-4, pure)
    assert not within(mu, delta_t, 0.99 * pure, 1e-4, pure) or pure == 0


def test_two_laplace_releases_and_a_gaussian_one_keep_the_sum() -> None:
    one = calibration.pure(0.5)
    assert (one.pure, one.mu, one.delta_t, one.delta) == (0.5, 0.0, 2.0**-64, 2.0**-64)
    mu, delta_t = compose([0.23, one.mu, one.mu], [0.0, one.delta_t, one.delta_t])
    assert within(mu, delta_t, 1.0 + calibration.epsilon_of(0.23, 1e-6), 1.001e-6, 1.0)
    assert not within(mu, delta_t, 0.99, 1e-6, 1.0)


@given(st.lists(st.floats(0, 2), max_size=5), st.lists(st.floats(0, 0.1), max_size=5))
def test_composition_is_rounded_up(mus: list[float], delta_ts: list[float]) -> None:
    mu, delta_t = compose(mus, delta_ts)
    squares, spared = sum(Fraction(x) ** 2 for x in mus), math.prod(1 - Fraction(x) for x in delta_ts)
    assert Fraction(mu) ** 2 >= squares
    assert mu == 0 or Fraction(math.nextafter(mu, 0)) ** 2 < squares
    assert Fraction(delta_t) >= 1 - spared
    assert delta_t == 0 or Fraction(math.nextafter(delta_t, 0)) < 1 - spared


# --- weights of the pooled adaptive Gaussian ---


@pytest.mark.parametrize("rounds", [1, 2, 16])
def test_weights_are_rounded_values_of_their_formula(rounds: int) -> None:
    tables = calibration.bias_tables(rounds)
    assert len(tables) == rounds
    for k in {0, rounds // 2, rounds - 1}:
        assert len(tables[k]) == 2049
        assert tables[k] == tuple(sorted(tables[k]))
        for i in range(0, 2049, 17):
            shift = 1 + mpf(7) / 2 * k / max(rounds - 1, 1)
            assert tables[k][i] == mpmath.floor((1 - tail((mpf(i) / 256 - shift) * 2)) * 2**15 + mpf(1) / 2)


def test_weights_reach_from_nearly_nothing_to_all() -> None:
    first, *_, last = calibration.bias_tables(16)
    assert (first[256], last[int(4.5 * 256)]) == (2**14, 2**14)
    assert (last[0], last[2048]) == (0, 2**15)


# --- arguments that cannot be ---


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("gaussian_delta(-1.0, 1.0)", "epsilon"),
        ("gaussian_delta(math.nan, 1.0)", "epsilon"),
        ("gaussian_delta(1.0, math.inf)", "mu"),
        ("gaussian_mu(0.0, 1e-6)", "epsilon"),
        ("gaussian_mu(math.inf, 1e-6)", "epsilon"),
        ("gaussian_mu(1.0, 0.0)", "delta"),
        ("gaussian_mu(1.0, 1.0)", "delta"),
        ("gaussian_mu(1e-12, 1e-15)", "no budget"),
        ("epsilon_of(1.0, math.nan)", "delta"),
        ("epsilon_of(-1.0, 0.1)", "mu"),
        ("mu_of_pure(-0.1)", "epsilon"),
        ("upper_quantile(0.0)", "d must"),
        ("upper_quantile(0.1, 0)", "t must"),
        ("sigma_on_grid(0.0)", "mu"),
        ("sigma_on_grid(0.1, 0)", "rounds"),
        ("sigma_on_grid(1e-12)", "million users"),
        ("sigma_on_grid(0.9e-6)", "million users"),
        ("selection_thresholds(0.1, 0.0, 50)", "delta_t"),
        ("selection_thresholds(0.1, 1e-6, 0)", "max_queries"),
        ("selection_thresholds(0.1, 1e-6, 50, 16, -1.0)", "late"),
        ("laplace_scale(0.0, 1)", "epsilon"),
        ("laplace_scale(1.0, 0)", "l1_sensitivity"),
        ("split(1.0, 1e-6, 0.7, pairs_share=0.3)", "nothing for the counts"),
        ("split(1.0, 1e-6, 1.0)", "selection_share"),
        ("split(1.0, 1e-6, 0.5, delta_t_share=1.0)", "delta_t_share"),
        ("bias_tables(0)", "rounds"),
    ],
)
def test_arguments_that_cannot_be_are_named(call: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        eval(f"calibration.{call}", {"calibration": calibration, "math": math})  # noqa: S307 our own words

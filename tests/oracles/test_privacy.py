"""Noise, calibration and thresholds against dp-accounting, OpenDP and SciPy: `make test-oracles`.

Statistical tests here fail with probability at most 1e-6 each where all is as it should be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import opendp.prelude as dp
import pytest
from dp_accounting.pld import privacy_loss_distribution as pld
from dp_accounting.pld.privacy_loss_mechanism import GaussianPrivacyLoss
from scipy import stats

from hardneg_fast import _hardneg, audit_dp
from hardneg_fast.audit_dp.statistics import chi_square_tail, clopper_pearson
from hardneg_fast.calibration import compose, epsilon_at, epsilon_of, gaussian_delta, upper_quantile

dp.enable_features("contrib", "honest-but-curious")

ALPHA = 1e-6
INTEGERS = dp.vector_domain(dp.atom_domain(T=int))
COUNTS = dp.map_domain(dp.atom_domain(T=str), dp.atom_domain(T=int))


# --- calibration ---


@pytest.mark.parametrize("mu", [0.05, 0.23, 1.0, 3.0, 8.0])
@pytest.mark.parametrize("epsilon", [0.0, 0.01, 0.5, 1.0, 2.0, 4.0, 10.0])
def test_delta_as_dp_accounting_has_it(mu: float, epsilon: float) -> None:
    theirs = GaussianPrivacyLoss(1 / mu).get_delta_for_epsilon(epsilon)
    assert gaussian_delta(epsilon, mu) == pytest.approx(theirs, rel=1e-9, abs=1e-290)


@pytest.mark.parametrize("mus", [(0.1, 0.2, 0.2), (0.5,) * 4, (0.12547, 0.19166)])
@pytest.mark.parametrize("delta", [1e-4, 1e-6, 1e-8])
def test_composition_as_dp_accounting_has_it(mus: Sequence[float], delta: float) -> None:
    total = pld.from_gaussian_mechanism(1 / mus[0])
    for mu in mus[1:]:
        total = total.compose(pld.from_gaussian_mechanism(1 / mu))
    theirs = total.get_epsilon_for_delta(delta)
    ours = epsilon_of(compose(mus, [])[0], delta)
    # Theirs puts losses on a grid of 1e-4 and rounds up.
    assert ours <= theirs <= ours + 1e-3


@pytest.mark.parametrize("scale", [1.0, 4.0, 10.0])
@pytest.mark.parametrize("delta", [1e-5, 5e-7])
def test_opendp_charges_no_less_than_the_exact_curve(scale: float, delta: float) -> None:
    measurement = dp.m.make_gaussian(dp.atom_domain(T=int), dp.absolute_distance(T=int), scale=scale)
    theirs = dp.c.make_zCDP_to_approxDP(measurement).map(1).epsilon(delta)
    ours = epsilon_at(1 / scale, 0.0, delta)
    assert ours <= theirs < 1.12 * ours


@pytest.mark.parametrize("d", [0.3, 1e-3, 1e-9, 1e-15])
@pytest.mark.parametrize("t", [1, 50, 1000])
def test_quantiles_as_scipy_has_them(d: float, t: int) -> None:
    assert upper_quantile(d, t) == pytest.approx(stats.norm.isf(-math.expm1(math.log1p(-d) / t)), rel=1e-12, abs=1e-12)


# --- thresholds ---


def discrete_gaussian_tail(j: int) -> float:
    """P(X >= j) where P(X = x) is proportional to exp(-x^2 / 2)."""
    masses = {x: math.exp(-x * x / 2) for x in range(-40, 41)}
    return sum(mass for x, mass in masses.items() if x >= j) / sum(masses.values())


@pytest.mark.parametrize("kind", ["laplace", "gaussian"])
def test_opendp_leaves_the_atom_out_and_we_do_not(kind: str) -> None:
    """OpenDP issue 2922: values at least the threshold leave, while the delta that is reported is the tail above it."""
    n = 50_000
    if kind == "laplace":
        threshold = 5
        space = dp.l01inf_distance(dp.absolute_distance(T=int))
        measurement = dp.m.make_laplace_threshold(COUNTS, space, scale=1.0, threshold=threshold)
        tail = audit_dp.discrete_laplace_tail(1)
    else:
        threshold = 4
        space = dp.l02inf_distance(dp.absolute_distance(T=int))
        measurement = dp.m.make_gaussian_threshold(COUNTS, space, scale=1.0, threshold=threshold)
        tail = discrete_gaussian_tail
    reported = measurement.map((1, 1, 1))[1]
    # Each name is a log of its own: one user, who alone has it.
    hits = len(measurement({str(i): 1 for i in range(n)}))
    low, high = clopper_pearson(hits, n, ALPHA / 2)
    exact = tail(threshold - 1)
    print(f"{kind}: {hits} of {n} leave; reported {reported:.6f}, exact with the atom {exact:.6f}")
    assert reported < low
    assert low <= exact <= high
    # Ours: the same figures as a claim do not pass, the exact ones do.
    figures = {"sigma": 1, "thresholds": [threshold], "max_items": 1, "grid": 1}
    passed = audit_dp.audit_thresholds(**figures, delta_t=audit_dp.rounded_gaussian_tail(1)(threshold - 1) * (1 + 1e-8))
    failed = audit_dp.audit_thresholds(**figures, delta_t=audit_dp.rounded_gaussian_tail(1)(threshold))
    assert (passed.passed, failed.passed) == (True, False)


# --- samplers ---


def fits(samples: Sequence[int], tail: audit_dp.noise.Tail, edges: list[int]) -> float:
    """SciPy's chi-square p of the counts between edges."""
    above = np.array([1.0, *(tail(edge) for edge in edges), 0.0])
    counts = np.bincount(np.searchsorted(edges, samples, side="right"), minlength=len(edges) + 1)
    result = stats.chisquare(counts, (above[:-1] - above[1:]) * len(samples))
    print(f"n {len(samples)}, k {len(counts)}, chi-square {result.statistic:.1f}, p {result.pvalue:.3g}")
    return float(result.pvalue)


@pytest.mark.parametrize("sigma", [1, 2, 37, 1000, 18_308_787])
def test_our_gaussian_has_its_law(sigma: int) -> None:
    steps = sorted({math.floor(sigma * z / 4) for z in range(-12, 13)})
    samples = _hardneg.rounded_gaussian(sigma, 200_000)
    assert fits(samples, audit_dp.rounded_gaussian_tail(sigma), steps) > ALPHA
    # Far out, where thresholds are: counts above 3 and 4 standard deviations, exact.
    for z in (3, 4):
        hits = sum(x >= z * sigma for x in samples)
        truth = audit_dp.rounded_gaussian_tail(sigma)(z * sigma)
        low, high = clopper_pearson(hits, len(samples), ALPHA / 4)
        assert low <= truth <= high


@pytest.mark.parametrize("scale", [1, 30, 1 << 22])
def test_our_laplace_has_its_law(scale: int) -> None:
    steps = sorted({math.floor(scale * z / 3) for z in range(-12, 13)})
    samples = _hardneg.discrete_laplace(scale, 200_000)
    assert fits(samples, audit_dp.discrete_laplace_tail(scale), steps) > ALPHA


def same_law(ours: Sequence[int], theirs: Sequence[int]) -> float:
    """Two-sample chi-square p on bins of equal shares of both together."""
    both = np.concatenate([ours, theirs])
    edges = np.unique(np.quantile(both, np.linspace(0, 1, 33)[1:-1], method="nearest"))
    table = np.array(
        [np.bincount(np.searchsorted(edges, x, side="right"), minlength=len(edges) + 1) for x in (ours, theirs)]
    )
    table = table[:, table.sum(axis=0) > 0]
    result = stats.chi2_contingency(table)
    print(
        f"n {table.sum(axis=1).tolist()}, k {table.shape[1]}, chi-square {result.statistic:.1f}, p {result.pvalue:.3g}"
    )
    return float(result.pvalue)


@pytest.mark.parametrize("sigma", [50, 4000])
def test_our_gaussian_against_opendp(sigma: int) -> None:
    # Theirs is the discrete Gaussian. Each of its masses differs from those of the rounded one by about
    # (z^2 - 1) / (24 sigma^2) of itself, a few times 1e-5 here, which 20,000 samples cannot see.
    measurement = dp.m.make_gaussian(INTEGERS, dp.l2_distance(T=float), scale=float(sigma))
    assert same_law(_hardneg.rounded_gaussian(sigma, 20_000), measurement([0] * 20_000)) > ALPHA


@pytest.mark.parametrize("scale", [1, 30, 4000])
def test_our_laplace_against_opendp(scale: int) -> None:
    measurement = dp.m.make_laplace(INTEGERS, dp.l1_distance(T=int), scale=float(scale))
    assert same_law(_hardneg.discrete_laplace(scale, 20_000), measurement([0] * 20_000)) > ALPHA


def test_the_audit_would_pass_opendp_and_fail_it_at_half_the_noise() -> None:
    def theirs(scale: int):  # type: ignore[no-untyped-def]
        measurement = dp.m.make_laplace(INTEGERS, dp.l1_distance(T=int), scale=float(scale))
        return lambda n: measurement([0] * n)

    law = audit_dp.discrete_laplace_tail(64)
    assert audit_dp.audit_noise(theirs(64), law, scale=64).passed
    assert not audit_dp.audit_noise(theirs(32), law, scale=64).passed


# --- laws that audits use ---


@pytest.mark.parametrize(("hits", "n"), [(0, 50), (3, 50), (50, 50), (700, 6000)])
def test_clopper_pearson_as_scipy_has_it(hits: int, n: int) -> None:
    theirs = stats.binomtest(hits, n).proportion_ci(0.998, method="exact")
    assert clopper_pearson(hits, n, 0.001) == pytest.approx((theirs.low, theirs.high), abs=2e-9)


@pytest.mark.parametrize(("x", "degrees"), [(1.0, 1), (90.0, 31), (200.0, 63), (20.0, 63), (700.0, 255)])
def test_chi_square_as_scipy_has_it(x: float, degrees: int) -> None:
    assert chi_square_tail(x, degrees) == pytest.approx(stats.chi2.sf(x, degrees), rel=1e-9, abs=1e-14)

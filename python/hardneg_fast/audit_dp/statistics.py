"""The few laws that audits need, to about ten digits; a library of statistics would be a heavy dependency."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def binomial_pmf(n: int, p: float) -> Floats:
    """P(Binomial(n, p) = i) for i = 0..n."""
    if p in (0.0, 1.0):
        exact = np.zeros(n + 1)
        exact[n if p else 0] = 1.0
        return exact
    i = np.arange(n + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    return np.asarray(np.exp(logs[n] - logs[i] - logs[n - i] + i * math.log(p) + (n - i) * math.log1p(-p)))


def clopper_pearson(hits: int, n: int, alpha: float) -> tuple[float, float]:
    """A lower and an upper bound of a probability, each wrong with probability at most `alpha`.

    Clopper & Pearson 1934, Biometrika 26(4): the p at which `hits` or more, or `hits` or fewer, of n have probability
    alpha.
    """
    low = 0.0 if hits == 0 else _root(lambda p: float(binomial_pmf(n, p)[hits:].sum()) - alpha)
    high = 1.0 if hits == n else _root(lambda p: alpha - float(binomial_pmf(n, p)[: hits + 1].sum()))
    return max(0.0, low - 1e-9), min(1.0, high + 1e-9)


def _root(rising: Callable[[float], float]) -> float:
    """Where a rising function of a probability is 0."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2


def chi_square_tail(x: float, degrees: int) -> float:
    """P(chi-square with `degrees` > x): the regularised upper incomplete gamma function (Abramowitz & Stegun 26.4)."""
    a, z = degrees / 2, x / 2
    if z <= 0:
        return 1.0
    front = math.exp(a * math.log(z) - z - math.lgamma(a))
    if z < a + 1:  # series of the lower function, 6.5.29
        term = total = 1 / a
        n = 0
        while term > total * 1e-16:
            n += 1
            term *= z / (a + n)
            total += term
        return max(0.0, 1 - front * total)
    # Continued fraction, 6.5.31 in its contracted form, from far enough inside.
    fraction = 0.0
    for n in range(400, 0, -1):
        fraction = n * (n - a) / (z + 2 * n + 1 - a - fraction)
    return front / (z + 1 - a - fraction)

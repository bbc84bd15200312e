"""Auditing with one run: many canaries, each in the log by the toss of its own coin.

Steinke, Nasr & Jagielski 2023 (NeurIPS, arXiv 2305.08846), Theorem 5.2. Canaries pollute a release: for runs that are
thrown away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .findings import Finding
from .statistics import binomial_pmf


def audit_one_run(
    scores: Sequence[float],
    included: Sequence[bool],
    *,
    epsilon: float,
    delta: float,
    guesses: int,
    alpha: float = 1e-3,
) -> Finding:
    """Guesses which canaries were in the log, and what epsilon so many right guesses prove.

    The `guesses` / 2 highest scores are taken to be in, the lowest as many to be out. If the mechanism is (epsilon,
    delta)-differentially private and the coins are fair and independent, v or more of r guesses are right with
    probability at most P(B >= v) + 2 m delta max_i P(v - i <= B < v) / i, B binomial (r, e^epsilon / (1 + e^epsilon)).

    Args:
        scores: of each canary, the higher the likelier it was in; computed without its coin.
        included: its coin.
        epsilon: the claim.
        delta: the claim.
        guesses: how many; fixed before the run.
        alpha: a mechanism that keeps its claim fails with at most this probability.
    """
    m, each = len(scores), guesses // 2
    order = sorted(range(m), key=lambda i: (scores[i], i))
    right = sum(not included[i] for i in order[:each]) + sum(included[i] for i in order[m - each :])
    p = _p_value(m, 2 * each, right, epsilon, delta)
    bound = 0.0
    if _p_value(m, 2 * each, right, 0.0, delta) <= alpha:
        low, high = 0.0, 40.0
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if _p_value(m, 2 * each, right, middle, delta) <= alpha else (low, middle)
        bound = low
    return Finding(
        "one run",
        "tested",
        p > alpha,
        f"{right} of {2 * each} guesses about {m} canaries were right, which proves epsilon >= {bound:.3f}; claimed "
        f"{epsilon:g} at delta {delta:g}; false-alarm rate {alpha:g}",
        {"right": right, "guesses": 2 * each, "canaries": m, "lower_bound": bound, "p": p},
    )


def _p_value(m: int, r: int, right: int, epsilon: float, delta: float) -> float:
    pmf = binomial_pmf(r, 1 / (1 + math.exp(-epsilon)))
    below, slope = 0.0, 0.0
    for i in range(1, right + 1):
        below += float(pmf[right - i])
        slope = max(slope, below / i)
    return min(1.0, float(pmf[right:].sum()) + 2 * m * delta * slope)

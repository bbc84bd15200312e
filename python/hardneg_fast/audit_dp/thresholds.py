"""Thresholds: whether what only one user has stays in, to the probability that is declared."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..calibration import GRID
from .findings import Finding


def audit_thresholds(
    *, sigma: int, thresholds: Sequence[int], delta_t: float, max_items: int, grid: int = GRID
) -> Finding:
    """Bounds the probability that an item leaves that only one user has, for every number of such items.

    A user with t items of their own gives each floor(grid / sqrt(t)) in the first round and grid in every later one.
    After k rounds an item has noise of the law of k rounded Gaussians; the sum of k is at most a Gaussian of standard
    deviation sqrt(k) sigma and k/2, and for k = 1 that bound is exact: P(floor(sigma N + 1/2) >= m) =
    P(N >= (m - 1/2) / sigma), the atom at m included. Rounds are added up. Computed apart from `calibration`, and with
    a margin of 1e-9 for doubles.

    Args:
        sigma: standard deviation of a round's noise on the grid.
        thresholds: an item leaves after round k iff its pooled score is at least the k-th.
        delta_t: what is declared.
        max_items: most items of a user.
        grid: what one is on the grid.
    """
    worst, at = max((_escape(sigma, thresholds, t, grid), t) for t in range(1, max_items + 1))
    return Finding(
        "thresholds",
        "proved",
        worst * (1 + 1e-9) <= delta_t,
        f"an item that only one user has leaves with probability at most {worst:.6g} (worst at {at} such items); "
        f"declared {delta_t:.6g}",
        {"worst": worst, "items": at, "delta_t": delta_t},
    )


def _escape(sigma: int, thresholds: Sequence[int], t: int, grid: int) -> float:
    total = 0.0
    for k, threshold in enumerate(thresholds, start=1):
        most = math.isqrt(grid * grid // t) + (k - 1) * grid
        z = (threshold - most - k / 2) / (math.sqrt(k) * sigma)
        tail = math.erfc(z / math.sqrt(2)) / 2
        total += -math.expm1(t * math.log1p(-tail)) if tail < 1 else 1.0
    return total

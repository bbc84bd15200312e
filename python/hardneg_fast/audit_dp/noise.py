"""Noise: whether a sampler of whole numbers has the law that is claimed, and never the same numbers twice."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from .findings import Finding
from .statistics import chi_square_tail

Array: TypeAlias = np.ndarray[Any, Any]
Tail = Callable[[int], float]
"""P(X >= j)."""

BINS = 32


def rounded_gaussian_tail(sigma: int) -> Tail:
    """P(floor(sigma N + 1/2) >= j), N standard normal."""
    return lambda j: math.erfc((j - 0.5) / sigma / math.sqrt(2)) / 2


def discrete_laplace_tail(scale: int) -> Tail:
    """P(X >= j) where P(X = x) is proportional to exp(-|x| / scale)."""
    q = math.exp(-1 / scale)
    return lambda j: q**j / (1 + q) if j > 0 else 1 - q ** (1 - j) / (1 + q)


def audit_noise(
    sampler: Callable[[int], Sequence[int]], tail: Tail, *, scale: int, n: int = 20_000, alpha: float = 1e-6
) -> Finding:
    """Tests a sampler; one that is as claimed fails with probability at most `alpha`.

    Three tests at a third of `alpha` each: chi-square of the counts in bins of equal probability; chi-square of the
    bins of neighbouring samples being independent (as 8 x 8, on pairs that do not overlap); and streams: no run of
    samples of the first call comes again in the second, the run so long that chance makes it with less probability.

    Args:
        sampler: gives so many samples; called twice.
        tail: the law, P(X >= j).
        scale: about its standard deviation, at least 1.
        n: samples of a call.
        alpha: false-alarm rate.
    """
    first, second = (np.asarray(sampler(n), dtype=np.int64) for _ in range(2))
    edges = _edges(tail, scale)
    above = np.array([1.0, *(tail(edge) for edge in edges), 0.0])
    expected = (above[:-1] - above[1:]) * 2 * n
    bins = np.searchsorted(edges, np.concatenate([first, second]), side="right")
    fit, fit_degrees = _chi_square(np.bincount(bins, minlength=len(expected)), expected)
    serial, serial_degrees = _independence(bins[:n], above)
    common = _repeated(first, second, tail, alpha / 3)
    figures = {
        "n": 2 * n,
        "bins": len(expected),
        "fit_chi_square": fit,
        "fit_p": chi_square_tail(fit, fit_degrees),
        "serial_chi_square": serial,
        "serial_p": chi_square_tail(serial, serial_degrees),
        "repeated": common,
        "alpha": alpha,
    }
    wrong = [
        said
        for said, holds in (
            ("its law is another", figures["fit_p"] < alpha / 3),
            ("neighbouring samples depend on each other", figures["serial_p"] < alpha / 3),
            ("a stream came twice", common),
        )
        if holds
    ]
    said = (
        f"{2 * n:,} samples in {len(expected)} bins: chi-square {fit:.1f} (p {figures['fit_p']:.3g}), of neighbours "
        f"{serial:.1f} (p {figures['serial_p']:.3g}); false-alarm rate {alpha:g}"
    )
    return Finding("noise", "tested", not wrong, "; ".join([*wrong, said]), figures)


def _edges(tail: Tail, scale: int) -> list[int]:
    """Whole numbers that part the law into bins of about equal probability; fewer where an atom is larger than that."""
    edges: list[int] = []
    for i in range(1, BINS):
        low, high = -64 * scale, 64 * scale
        while low < high:  # the first j with P(X >= j) <= 1 - i / BINS
            middle = (low + high) // 2
            low, high = (low, middle) if tail(middle) <= 1 - i / BINS else (middle + 1, high)
        if not edges or low > edges[-1]:
            edges.append(low)
    return edges


def _chi_square(observed: Array, expected: Array) -> tuple[float, int]:
    return float(((observed - expected) ** 2 / expected).sum()), len(expected) - 1


def _independence(bins: Array, above: Array) -> tuple[float, int]:
    """Chi-square of pairs of neighbours against the product of their laws, in at most 8 coarser bins each."""
    coarse = np.unique((np.arange(len(above) - 1) * 8) // (len(above) - 1), return_inverse=True)[1]
    mass = np.bincount(coarse, weights=above[:-1] - above[1:])
    pairs = coarse[bins[: len(bins) // 2 * 2]].reshape(-1, 2)
    observed = np.zeros((len(mass), len(mass)))
    np.add.at(observed, (pairs[:, 0], pairs[:, 1]), 1)
    return _chi_square(observed.ravel(), np.outer(mass, mass).ravel() * len(pairs))


def _repeated(first: Array, second: Array, tail: Tail, alpha: float) -> bool:
    """Whether a run of the first call is in the second, too, or twice in the first."""
    n = len(first)
    # The largest probability of one value is at most that of the middle one; a run of `length` meets one of 2 n others.
    atom = max(tail(0) - tail(1), 1e-12)
    length = math.ceil(math.log(alpha / (4 * n * n)) / math.log(atom))
    if length >= n:
        return bool(np.array_equal(first, second))
    windows = [np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(x, length)) for x in (first, second)]
    # Starts of runs that do not overlap, in the first; every place, in both.
    starts = {row.tobytes(): i for i, row in enumerate(windows[0]) if i % length == 0}
    again = any(starts.get(row.tobytes(), i) != i for i, row in enumerate(windows[0]))
    return again or any(row.tobytes() in starts for row in windows[1])

"""Ratios of sums with their bootstrap intervals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

DRAWS = 1_000


@dataclass(frozen=True)
class Share:
    """A ratio of sums over queries: kept as the sums, so that intervals can be pooled over worlds."""

    hits: np.ndarray
    of: np.ndarray

    @property
    def value(self) -> float:
        """The ratio."""
        return float(self.hits.sum() / self.of.sum()) if self.of.sum() else float("nan")

    def interval(self) -> tuple[float, float]:
        """Bootstrap 95 % interval, queries drawn anew."""
        if not self.of.sum():
            return (float("nan"), float("nan"))
        return _quantiles(_resampled(self.hits, self.of))

    @staticmethod
    def pooled(parts: list[Share]) -> Share:
        """Of several worlds."""
        return Share(*(np.concatenate([getattr(p, side) for p in parts]) for side in ("hits", "of")))


@lru_cache(maxsize=2)
def _weights(rows: int) -> np.ndarray:
    """How often each row is drawn, a row a draw: Poisson(1) each, which is n of n, nearly."""
    return np.random.default_rng(0).poisson(1.0, (DRAWS, rows)).astype(np.float32)


def _resampled(hits: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Ratios of two sums over rows drawn anew."""
    weights = _weights(len(hits))
    return (weights @ hits.astype(np.float32)) / np.maximum(weights @ of.astype(np.float32), 1e-9)


def _quantiles(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def ratio(one: Share, other: Share) -> tuple[float, float, float]:
    """`one` over `other`, of the same queries in the same order, with its paired bootstrap 95 % interval."""
    draws = _resampled(one.hits, one.of) / np.maximum(_resampled(other.hits, other.of), 1e-9)
    return (one.value / other.value if other.value else float("nan"), *_quantiles(draws))

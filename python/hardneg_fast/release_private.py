"""release, under differential privacy: queries chosen under noise, then noisy clicks on public lists of documents.

docs/PRIVACY.md has the mechanism, its proof, and what it does not promise. Everything that `PrivateReleased` holds has
its noise; the contributions are not reachable from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute

from . import _hardneg
from .calibration import GRID, Budget, Thresholds, bias_tables, selection_thresholds, sigma_on_grid, split
from .config import Privacy, ReleaseConfig
from .exceptions import UsageError

__all__ = ["PrivateReleased", "budget_of", "release_private", "thresholds_of"]

pc: Any = pyarrow.compute

WEIGHT = 1 << 12
"""Weights of clicks and impressions are whole numbers of this part of one."""

DEPTH = 10
"""Lists are taken to be so deep where a user's clicks are clipped; a constant, so that no list moves the clip."""

MOST = 64.0
"""A query's clicks weigh at most so many times, and at least so little of, those of the median one."""


class HasCore(Protocol):
    """Contributions, seen from here."""

    @property
    def _core(self) -> _hardneg.Contributions: ...


@dataclass(frozen=True, kw_only=True)
class PrivateReleased:
    """What left under differential privacy."""

    table: pa.Table = field(repr=False)
    """query, doc_id, position (as listed), clicks, impressions, clicks_variance, impressions_variance, weighting: sums
    over users, each user scaled to the clip. Noisy: they can be negative."""
    queries: int
    """Queries that may be named, listed or not."""
    privacy: Privacy
    budget: Budget
    constants: dict[str, Any]
    """Everything that noise and thresholds were made of; all of it public."""


def budget_of(privacy: Privacy, config: ReleaseConfig) -> Budget:
    """How the claim is divided between choosing and counting; known before the log is read.

    All constants are checked here: what is refused later has been paid for.

    Raises:
        UsageError: shares or constants that cannot be.
    """
    share = config.selection_share
    if share is None:
        share = 0.6 if config.mechanism == "weighted_gaussian" else 0.3
    if not 0 < share < 1:
        raise UsageError(f"release.selection_share is {share!r}; give a number above 0 and below 1")
    if not 0 < config.delta_share < 1:
        raise UsageError(f"release.delta_share is {config.delta_share!r}; give a number above 0 and below 1")
    for name, value, least, most in (
        ("clip", config.clip, 1e-6, 1e6),
        ("impression_weight", config.impression_weight, 0, 64),
        ("examination_exponent", config.examination_exponent, 0, 8),
    ):
        if not least <= value <= most:
            raise UsageError(f"release.{name} is {value!r}; give a number from {least:g} to {most:g}")
    budget = split(float(privacy.epsilon or 0), float(privacy.delta or 0), share, delta_t_share=config.delta_share)
    thresholds_of(budget, config)
    sigma_on_grid(budget.mu_counts)
    return budget


def thresholds_of(budget: Budget, config: ReleaseConfig) -> Thresholds:
    """Noise and thresholds of choosing queries."""
    rounds = config.rounds if config.mechanism == "pag" else 1
    return selection_thresholds(budget.mu_selection, budget.delta_t_selection, config.max_queries_per_user, rounds)


def release_private(
    contributions: HasCore, candidates: pa.Table, /, *, privacy: Privacy, config: ReleaseConfig, threads: int = 0
) -> PrivateReleased:
    """Chooses queries, and counts clicks on their candidates.

    Args:
        contributions: of whole users.
        candidates: public: query (normalised), doc_id, and position from 1; each (query, doc_id) once.
        privacy: the claim.
        config: constants.
        threads: 0 for all cores.

    Raises:
        UsageError: constants that cannot be.
    """
    budget = budget_of(privacy, config)
    chosen = thresholds_of(budget, config)
    rounds = len(chosen.values)
    keys = contributions._core.select(
        max_items=config.max_queries_per_user,
        sigma=chosen.sigma,
        thresholds=list(chosen.values),
        biases=[list(table) for table in bias_tables(rounds)],
        threads=threads,
    )
    listed = _listed(candidates, keys.queries)
    weights = _weights(keys, listed, config)
    sigma = sigma_on_grid(budget.mu_counts)
    impressions, clicks = contributions._core.clicks(
        keys,
        shown=weights.shown.tolist(),
        rows=listed.key.tolist(),
        docs=listed.docs,
        weights=weights.clicks.tolist(),
        length=weights.length,
        sigma=sigma,
        threads=threads,
    )
    # A weight of one moves a sum by GRID / length.
    unit = weights.length / GRID
    shown = np.asarray(impressions, float)[listed.key] if len(impressions) else np.zeros(0)
    shown_weight = np.maximum(weights.shown[listed.key], 1)
    table = pa.table(
        {
            "query": pa.array(keys.queries, pa.string()).take(pa.array(listed.key)),
            "doc_id": pa.array(listed.docs, pa.string()),
            "position": pa.array(listed.position, pa.int32()),
            "clicks": np.asarray(clicks, float) * unit / weights.clicks,
            "impressions": shown * unit / shown_weight,
            "clicks_variance": (sigma * unit / weights.clicks) ** 2,
            "impressions_variance": (sigma * unit / shown_weight) ** 2,
            "weighting": weights.clicks / WEIGHT,
        }
    )
    constants = {
        "mechanism": config.mechanism,
        "max_queries_per_user": config.max_queries_per_user,
        "rounds": rounds,
        "clip": config.clip,
        "impression_weight": config.impression_weight,
        "examination_exponent": config.examination_exponent,
        "grid": GRID,
        "selection_sigma": chosen.sigma,
        "selection_thresholds": list(chosen.values),
        "count_sigma": sigma,
        "count_length": weights.length,
        "weight": WEIGHT,
    }
    return PrivateReleased(table=table, queries=len(keys.queries), privacy=privacy, budget=budget, constants=constants)


@dataclass(frozen=True)
class _Listed:
    """Candidates of released queries."""

    key: Any
    """Number of the released query, by row."""
    docs: list[str]
    position: Any


def _listed(candidates: pa.Table, queries: list[str]) -> _Listed:
    found = pc.index_in(candidates["query"], value_set=pa.array(queries, pa.string()))
    table = candidates.append_column("key", found).filter(pc.is_valid(found))
    table = table.sort_by([("key", "ascending"), ("position", "ascending"), ("doc_id", "ascending")])
    return _Listed(table["key"].to_numpy().astype(np.uint32), table["doc_id"].to_pylist(), table["position"].to_numpy())


@dataclass(frozen=True)
class _Weights:
    """Whole weights, in parts of `WEIGHT`."""

    clicks: Any
    """By row."""
    shown: Any
    """By released query."""
    length: int
    """What a user's weights are clipped to."""


def _weights(keys: _hardneg.Keys, listed: _Listed, config: ReleaseConfig) -> _Weights:
    """Weights that even out the noise of what is to be compared.

    With examination e at a position, clicks are divided by e later, and so is their noise: to divide it evenly, a click
    weighs e^(-3/4) (the least sum of 1/(a e)^2 at a given sum of e a^2). Frequent queries would be measured far better
    than needed, so a query's clicks weigh one over its rate, which its noisy score tells.
    """
    scores = np.asarray(keys.scores, float) / np.maximum(np.asarray(keys.rounds, float), 1)
    typical = float(np.median(scores)) if len(scores) else 1.0
    rarity = np.clip(typical / scores, 1 / MOST, MOST) if len(scores) else scores
    depth = np.arange(1, DEPTH + 1) ** -config.examination_exponent
    lift = depth**-0.75
    length = math.sqrt(config.clip * float((depth * lift**2).sum() / depth.sum()))
    clicks = rarity[listed.key] * examined(listed.position, config.examination_exponent) ** -0.75

    def whole(weights: Any) -> Any:
        return np.clip(np.round(weights * WEIGHT), 1, 1 << 24).astype(np.int64)

    shown = (
        whole(rarity * config.impression_weight) if config.impression_weight > 0 else np.zeros(len(rarity), np.int64)
    )
    return _Weights(whole(clicks), shown, max(1, round(length * WEIGHT)))


def examined(position: Any, exponent: float) -> Any:
    """P(examined) by listed position, from 1: a power law, which is given and not fitted."""
    return np.asarray(position, float) ** -exponent

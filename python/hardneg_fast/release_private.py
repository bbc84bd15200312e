"""release, under differential privacy: queries chosen under noise, then noisy clicks on documents.

Queries are chosen, or a public list; documents are public lists, or pairs chosen in a second round from what users were
shown. docs/PROOFS.md has the mechanism, its proof, and what it does not promise. Everything that
`PrivateReleased` holds has its noise; the contributions are not reachable from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute

from . import _hardneg
from .calibration import (
    GRID,
    Budget,
    Thresholds,
    bias_tables,
    laplace_scale,
    pure,
    selection_thresholds,
    sigma_on_grid,
    split,
)
from .config import Privacy, ReleaseConfig
from .exceptions import UsageError
from .release_weights import RATIO, WEIGHT, Listed, Weights, examination, weights_of

__all__ = ["PrivateReleased", "budget_of", "pair_thresholds_of", "release_private", "thresholds_of"]

pc: Any = pyarrow.compute


class HasCore(Protocol):
    """Contributions, seen from here."""

    @property
    def _core(self) -> _hardneg.Contributions: ...


@dataclass(frozen=True, kw_only=True)
class PrivateReleased:
    """What left under differential privacy."""

    table: pa.Table = field(repr=False)
    """query, doc_id, position (as listed; null where there is no list), clicks, impressions (of the query), exposures
    (impressions of the document; null where they were not counted), the variances of the three, weighting: sums over
    users, each user scaled to the clip. Noisy: they can be negative."""
    queries: int
    """Queries that may be named, with documents or without."""
    pairs: int | None
    """(query, document)s that were chosen under noise; None where candidates are public."""
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
        listed, pag = privacy.candidates is not None, config.mechanism == "pag"
        share = (0.3 if pag else 0.6) if listed else (0.5 if pag else 0.75)
    for name, value in (
        ("selection_share", share),
        ("pairs_share", config.pairs_share),
        ("delta_share", config.delta_share),
    ):
        if not 0 < value < 1:
            raise UsageError(f"release.{name} is {value!r}; give a number above 0 and below 1")
    for name, value, least, most in (
        ("clip", config.clip, 1e-6, 1e6),
        ("impression_weight", config.impression_weight, 0, 64),
        ("exposure_weight", config.exposure_weight, 0, 64),
        ("examination_exponent", config.examination_exponent, 0, 8),
    ):
        if not least <= value <= most:
            raise UsageError(f"release.{name} is {value!r}; give a number from {least:g} to {most:g}")
    epsilon, delta = float(privacy.epsilon or 0), float(privacy.delta or 0)
    if delta == 0:
        return pure(epsilon)
    pairs = 0.0 if privacy.candidates is not None else share * config.pairs_share
    queries = 0.0 if privacy.public_queries is not None else share - pairs
    budget = split(epsilon, delta, queries, pairs_share=pairs, delta_t_share=config.delta_share)
    thresholds_of(budget, config)
    pair_thresholds_of(budget, config)
    sigma_on_grid(budget.mu_counts)
    return budget


def _rounds(config: ReleaseConfig) -> int:
    return config.rounds if config.mechanism == "pag" else 1


def thresholds_of(budget: Budget, config: ReleaseConfig) -> Thresholds | None:
    """Noise and thresholds of choosing queries; None where they are public."""
    if not budget.mu_selection:
        return None
    most = config.max_queries_per_user
    return selection_thresholds(budget.mu_selection, budget.delta_t_selection, most, _rounds(config))


def pair_thresholds_of(budget: Budget, config: ReleaseConfig) -> Thresholds | None:
    """Noise and thresholds of choosing pairs; None where candidates are public."""
    if not budget.mu_pairs:
        return None
    most = config.max_pairs_per_user
    return selection_thresholds(budget.mu_pairs, budget.delta_t_pairs, most, _rounds(config))


def release_private(
    contributions: HasCore,
    candidates: pa.Table | None,
    queries: list[str] | None = None,
    /,
    *,
    privacy: Privacy,
    config: ReleaseConfig,
    threads: int = 0,
) -> PrivateReleased:
    """Chooses queries, and documents, and counts clicks.

    Args:
        contributions: of whole users.
        candidates: public: query (normalised), doc_id, and position from 1; each (query, doc_id) once. None to choose
            pairs from what users contribute.
        queries: public: normalised, each once. None to choose them.
        privacy: the claim.
        config: constants.
        threads: 0 for all cores.

    Raises:
        UsageError: constants that cannot be.
    """
    budget = budget_of(privacy, config)
    core = contributions._core
    constants: dict[str, Any] = {"mechanism": config.mechanism, "rounds": _rounds(config), "grid": GRID}
    chosen = thresholds_of(budget, config)
    if chosen is None:
        keys = core.public(queries or [])
    else:
        keys = core.select(
            max_items=config.max_queries_per_user,
            sigma=chosen.sigma,
            thresholds=list(chosen.values),
            biases=[list(table) for table in bias_tables(len(chosen.values))],
            threads=threads,
        )
        constants |= {
            "max_queries_per_user": config.max_queries_per_user,
            "selection_sigma": chosen.sigma,
            "selection_thresholds": list(chosen.values),
        }
    found = pair_thresholds_of(budget, config)
    if candidates is not None:
        listed = Listed.of(candidates, keys.queries)
    elif found is not None:
        pairs = core.select_pairs(
            keys,
            # Clicked ones alone would name positives and hardly a negative.
            shown=True,
            max_items=config.max_pairs_per_user,
            sigma=found.sigma,
            thresholds=list(found.values),
            biases=[list(table) for table in bias_tables(len(found.values))],
            threads=threads,
        )
        listed = Listed(np.asarray([row for row, *_ in pairs], np.uint32), [doc for _, doc, *_ in pairs], None)
        constants |= {
            "max_pairs_per_user": config.max_pairs_per_user,
            "pairs_sigma": found.sigma,
            "pairs_thresholds": list(found.values),
        }
    else:
        raise UsageError("a release without candidates needs a budget that chooses pairs")
    table, counted = _count(core, keys, listed, budget, config, threads)
    return PrivateReleased(
        table=table,
        queries=len(keys.queries),
        pairs=None if found is None else len(listed.docs),
        privacy=privacy,
        budget=budget,
        constants=constants | counted,
    )


def _count(
    core: _hardneg.Contributions,
    keys: _hardneg.Keys,
    listed: Listed,
    budget: Budget,
    config: ReleaseConfig,
    threads: int,
) -> tuple[pa.Table, dict[str, Any]]:
    """The released table, and the constants of its noise."""
    rates = np.asarray(keys.scores, float) / np.maximum(np.asarray(keys.rounds, float), 1)
    weights = weights_of(
        rates if budget.mu_selection else None, len(keys.queries), listed, config, pure=budget.pure > 0
    )
    scale = laplace_scale(budget.pure, GRID) if budget.pure else sigma_on_grid(budget.mu_counts)
    deviation = _laplace_deviation(scale) if budget.pure else float(scale)
    own = config.positions == "own" or listed.position is None
    impressions, clicks, exposures = core.clicks(
        keys,
        shown=weights.shown.tolist(),
        rows=listed.key.tolist(),
        docs=listed.docs,
        positions=(np.ones(len(listed.docs), int) if listed.position is None else listed.position).tolist(),
        weights=weights.clicks.tolist(),
        exposures=weights.exposures.tolist(),
        length=weights.length,
        noise="laplace" if budget.pure else "gaussian",
        scale=scale,
        examined=examination(config.examination_exponent) if own else [],
        most=RATIO,
        threads=threads,
    )
    table = _table(keys.queries, listed, weights, (impressions, clicks, exposures), deviation)
    return table, {
        "clip": config.clip,
        "impression_weight": config.impression_weight,
        "exposure_weight": config.exposure_weight,
        "examination_exponent": config.examination_exponent,
        "positions": "own" if own else "listed",
        "position_ratio": RATIO,
        "count_noise": "laplace" if budget.pure else "gaussian",
        "count_scale" if budget.pure else "count_sigma": scale,
        "count_length": weights.length,
        "weight": WEIGHT,
    }


def _laplace_deviation(scale: int) -> float:
    """Of the discrete law: the root of 2 q / (1 - q)^2, q = e^(-1/scale)."""
    q = float(np.exp(-1 / scale))
    return float(np.sqrt(2 * q) / -np.expm1(-1 / scale))


def _table(
    queries: list[str],
    listed: Listed,
    weights: Weights,
    sums: tuple[list[int], list[int], list[int]],
    deviation: float,
) -> pa.Table:
    # A weight of one moves a sum by GRID / length.
    unit = weights.length / GRID
    impressions, clicks, exposures = (np.asarray(column, float) * unit for column in sums)
    n = len(listed.docs)
    shown = np.maximum(weights.shown[listed.key], 1) if n else np.ones(0)
    seen = np.maximum(weights.exposures, 1)
    counted = len(exposures) == n and n > 0

    def column(values: Any, weight: Any, there: bool = True) -> tuple[Any, Any]:
        if not there:
            return pa.nulls(n, pa.float64()), pa.nulls(n, pa.float64())
        return values / weight, (deviation * unit / weight) ** 2

    of_query = impressions[listed.key] if n else np.zeros(0)
    parts = {
        "clicks": column(clicks, weights.clicks),
        "impressions": column(of_query, shown),
        "exposures": column(exposures, seen, counted),
    }
    position = pa.nulls(n, pa.int32()) if listed.position is None else pa.array(listed.position, pa.int32())
    return pa.table(
        {
            "query": pa.array(queries, pa.string()).take(pa.array(listed.key)),
            "doc_id": pa.array(listed.docs, pa.string()),
            "position": position,
            **{name: values for name, (values, _) in parts.items()},
            **{f"{name}_variance": variance for name, (_, variance) in parts.items()},
            "weighting": weights.clicks / WEIGHT,
        }
    )

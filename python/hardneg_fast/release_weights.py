"""What clicks and impressions weigh in a private release: public constants, and what was released before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from .config import ReleaseConfig

pc: Any = pyarrow.compute

WEIGHT = 1 << 12
"""Weights of clicks and impressions are whole numbers of this part of one."""

DEPTH = 10
"""Lists are taken to be so deep where a user's clicks are clipped; a constant, so that no list moves the clip."""

MOST = 64.0
"""A query's clicks weigh at most so many times, and at least so little of, those of the median one."""

RATIO = 16
"""Where a user's own position is not the listed one, a click weighs at most so many times as much, or as little."""

POSITIONS = 64
"""Own positions beyond this count as this."""


@dataclass(frozen=True)
class Listed:
    """Documents of released queries."""

    key: Any
    """Number of the released query, by row."""
    docs: list[str]
    position: Any
    """As listed, from 1; None where there is no list."""

    @classmethod
    def of(cls, candidates: pa.Table, queries: list[str]) -> Listed:
        """Those of public lists."""
        found = pc.index_in(candidates["query"], value_set=pa.array(queries, pa.string()))
        table = candidates.append_column("key", found).filter(pc.is_valid(found))
        table = table.sort_by([("key", "ascending"), ("position", "ascending"), ("doc_id", "ascending")])
        key, position = table["key"].to_numpy().astype(np.uint32), table["position"].to_numpy()
        return cls(key, table["doc_id"].to_pylist(), np.minimum(position, (1 << 16) - 1))


@dataclass(frozen=True)
class Weights:
    """Whole weights, in parts of `WEIGHT`."""

    clicks: Any
    """By row."""
    exposures: Any
    """By row; zeros where impressions of documents are not counted."""
    shown: Any
    """By released query."""
    length: int
    """What a user's weights are clipped to: in Euclidean norm, or, for Laplace noise, in their sum."""


def weights_of(rates: Any, queries: int, listed: Listed, config: ReleaseConfig, *, pure: bool) -> Weights:
    """Weights that even out the noise of what is to be compared.

    With examination e at a position, clicks are divided by e later, and so is their noise: to divide it evenly, a click
    weighs e^(-3/4) (the least sum of 1/(a e)^2 at a given sum of e a^2). Without lists a click weighs 1/e at the
    position where the user saw the document, which the core does. Frequent queries would be measured far better than
    needed, so a query's clicks weigh one over its rate, which its noisy score tells.

    Args:
        rates: noisy scores that released the queries; None where they are public.
        queries: how many there are.
        listed: the documents.
        config: constants.
        pure: whether the length is of sums.
    """
    rarity = np.ones(queries)
    if rates is not None and queries:
        rarity = np.clip(float(np.median(rates)) / rates, 1 / MOST, MOST)
    depth = np.arange(1, DEPTH + 1) ** -config.examination_exponent
    lift = 1 / depth if listed.position is None else depth**-0.75
    # What a user with `clip` clicks adds, the clicks at positions as examination has it.
    typical = float((depth * lift ** (1 if pure else 2)).sum() / depth.sum())
    length = config.clip * typical if pure else math.sqrt(config.clip * typical)
    own = rarity[listed.key] if len(listed.docs) else np.zeros(0)
    lifted = 1.0 if listed.position is None else examined(listed.position, config.examination_exponent) ** -0.75

    def whole(weights: Any) -> Any:
        return np.clip(np.round(weights * WEIGHT), 1, 1 << 24).astype(np.int64)

    def light(weight: float, of: Any) -> Any:
        return whole(of * weight) if weight > 0 else np.zeros(len(of), np.int64)

    return Weights(
        clicks=whole(own * lifted),
        exposures=light(config.exposure_weight, own),
        shown=light(config.impression_weight, rarity),
        length=max(1, round(length * WEIGHT)),
    )


def examined(position: Any, exponent: float) -> Any:
    """P(examined) by listed position, from 1: a power law, which is given and not fitted."""
    return np.asarray(position, float) ** -exponent


def examination(exponent: float) -> list[int]:
    """`examined` of the first positions in whole parts of 2^40, never 0."""
    return [max(1, round(float(e) * 2**40)) for e in examined(np.arange(1, POSITIONS + 1), exponent)]

"""Released to evidence: expected clicks of every (query, document), and what follows from them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .release import Released
from .relevance import examined, known, p_relevant

if TYPE_CHECKING:
    from hardneg_fast.config import EvidenceConfig


def poisson_cdf(mean: float, clicks: int) -> float:
    """P(Poisson(mean) <= clicks), in logarithms, so that a large mean does not underflow before its terms do."""
    if mean == 0.0:
        return 1.0
    terms = [math.exp(-mean + i * math.log(mean) - math.lgamma(i + 1)) for i in range(clicks + 1)]
    # A probability, whatever the last digit says: alpha = 1 must switch its guard off.
    return min(1.0, math.fsum(terms))


def wilson_upper(clicks: int, impressions: int, z: float = 1.96) -> float:
    rate = clicks / impressions
    spread = z * math.sqrt(rate * (1 - rate) / impressions + z * z / (4 * impressions * impressions))
    return (rate + z * z / (2 * impressions) + spread) / (1 + z * z / impressions)


def evidence(released: Released, config: EvidenceConfig, model: dict | None = None) -> dict:
    """Evidence; with a `model` that was fitted (hn.Evidence.model), also what it says of each pair."""
    clicks_at: dict[int, int] = {}
    impressions_at: dict[int, int] = {}
    for (_query, _doc, position), cell in released.cells.items():
        clicks_at[position] = clicks_at.get(position, 0) + cell["clicks"]
        impressions_at[position] = impressions_at.get(position, 0) + cell["impressions"]

    table = {}
    for (query, doc), pair in released.pairs.items():
        expected = 0.0
        for position in sorted(impressions_at):
            if (query, doc, position) in released.cells:
                rate = clicks_at[position] / impressions_at[position]
                expected += released.cells[query, doc, position]["impressions"] * rate
        clicks = pair["clicks"]
        # reading: evidence carries the columns of `pairs` too, since `carry` may name one ("such as `skips`").
        table[query, doc] = pair | {
            "expected_clicks": expected,
            "coec": (clicks + config.shrinkage) / (expected + config.shrinkage),
            "p_zero": poisson_cdf(expected, clicks),
            "mean_position": pair["position_sum"] / pair["positioned"] if pair["positioned"] else None,
            "skip_weight": (config.page_depth + 1) * pair["skips"] - pair["skip_position_sum"],
            "ctr_upper": wilson_upper(clicks, pair["impressions"]),
            "examinations": None,
            "p_examined": None,
            "p_relevant": None,
        }
        if model is not None:
            history = released.histories[query, doc]
            table[query, doc]["examinations"], table[query, doc]["p_examined"] = examined(history, model)
            if model["kinds"] and known(history, model):
                table[query, doc]["p_relevant"] = p_relevant(history, model)
    return table

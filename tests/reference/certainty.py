"""How sure examination is, by full matrices: the naive twin of `click_model/certainty.rs`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def deviations(
    cells: Iterable[Mapping[str, Any]],
    examination: Mapping[int, float],
    attraction: Mapping[tuple[str, str], float],
    prior: tuple[float, float],
) -> dict[int, float]:
    """Position → standard deviation of P(examined) under PBM; the top's is taken as known."""
    pairs, positions = sorted(attraction), sorted(examination)[1:]
    pair_of, row_of = ({name: i for i, name in enumerate(names)} for names in (pairs, positions))
    theta_theta = np.zeros((len(positions), len(positions)))
    theta_a = np.zeros((len(positions), len(pairs)))
    a = np.array([attraction[pair] for pair in pairs])
    a_a = prior[0] / a**2 + prior[1] / (1 - a) ** 2
    slope_a = prior[0] / a - prior[1] / (1 - a)
    slope_theta = np.zeros((len(positions), len(pairs)))
    for cell in cells:
        i, e = pair_of[cell["query"], cell["doc_id"]], examination[cell["position"]]
        shown, clicks = cell["impressions"], cell["clicks"]
        miss = 1 - e * a[i]
        a_a[i] += shown * e / (a[i] * miss)
        slope_a[i] += clicks / a[i] - (shown - clicks) * e / miss
        if (row := row_of.get(cell["position"])) is not None:
            theta_theta[row, row] += shown * a[i] / (e * miss)
            theta_a[row, i] += shown / miss
            slope_theta[row, i] += clicks / e - (shown - clicks) * a[i] / miss
    profiled = slope_theta - theta_a * (slope_a / a_a)
    queries = sorted({query for query, _ in pairs})
    of_query = np.array([[query == q for q in queries] for query, _ in pairs], float)
    scores = profiled @ of_query
    middle = scores @ scores.T * len(queries) / (len(queries) - 1)
    inverse = np.linalg.inv(theta_theta - (theta_a / a_a) @ theta_a.T)
    spread = np.sqrt(np.diag(inverse @ middle @ inverse))
    return dict(zip(positions, spread.tolist(), strict=True))

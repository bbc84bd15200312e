"""Intervention harvesting (Agarwal et al. 2019) in obvious lines."""

from __future__ import annotations

import math
from collections import defaultdict

Row = tuple[str, str, int, bool]


def common_rates(rows: list[Row], definition: str) -> tuple[dict, dict]:
    """Sum of weight times click rate at k over the pairs seen at both k and k', and of weights, by (k, k')."""
    shown, clicks = defaultdict(int), defaultdict(int)
    for query, doc, position, clicked in rows:
        shown[query, doc, position] += 1
        clicks[query, doc, position] += clicked
    rates = defaultdict(dict)
    times = defaultdict(dict)
    for query, doc, position in sorted(shown):
        rates[query, doc][position] = clicks[query, doc, position] / shown[query, doc, position]
        times[query, doc][position] = shown[query, doc, position]
    sums, number = defaultdict(float), defaultdict(float)
    for pair, of_pair in rates.items():
        for k, rate in of_pair.items():
            for other in of_pair:
                n, m = times[pair][k], times[pair][other]
                weight = 1.0 if definition == "agarwal" else n * m / sum(times[pair].values())
                sums[k, other] += weight * rate
                number[k, other] += weight
    return sums, number


def objective(propensity: dict[int, float], sums: dict, number: dict) -> float:
    """All-pairs log-likelihood, the relevance of each pair of positions at its best."""
    total = 0.0
    positions = sorted(propensity)
    for k in positions:
        for other in positions:
            if k < other and number[k, other]:
                total += best(propensity[k], propensity[other], sums[k, other], sums[other, k], number[k, other])
    return total


def best(p: float, q: float, a: float, b: float, n: float) -> float:
    """Maximum over r of a log(p r) + (n - a) log(1 - p r) + b log(q r) + (n - b) log(1 - q r), by ternary search."""

    def at(r: float) -> float:
        terms = [(a, p * r), (n - a, 1 - p * r), (b, q * r), (n - b, 1 - q * r)]
        return sum(weight * math.log(x) for weight, x in terms if weight)

    low, high = 1e-12, 1 / max(p, q) - 1e-12
    for _ in range(200):
        one, two = low + (high - low) / 3, high - (high - low) / 3
        if at(one) < at(two):
            low = one
        else:
            high = two
    return at((low + high) / 2)

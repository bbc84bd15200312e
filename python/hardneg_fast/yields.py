"""What each limit of P(false negative) would yield, as reports show it: a point to pick, no figure to guess."""

from __future__ import annotations

from typing import Any

from . import _hardneg

__all__ = ["curve"]


def curve(told: _hardneg.Told, queries: int, k: int | None) -> dict[str, Any] | None:
    """The limit that was drawn, and for each other one the negatives, the wrong ones of them, and the queries.

    Of each query's negatives below a limit those that come first in `order`, and what is to be expected of them. The
    interval is that of the share of wrong ones were every probability right and none hung on another. Under k-users
    counts are rounded down to multiples of K, and shares to the hundredth.

    Args:
        told: of `hn.Selected`.
        queries: how many have a positive.
        k: the threshold, if any.

    Returns:
        None where P(false negative) is not known.
    """

    def count(n: float) -> int:
        return int(n) // (k or 1) * (k or 1)

    def share(x: float) -> float:
        return round(x, 2 if k else 4)

    points = []
    for point in told["yields"]:
        n = point["negatives"]
        if count(n) == 0:
            continue
        wrong, spread = point["relevant"] / n, 1.96 * point["variance"] ** 0.5 / n
        points.append(
            {
                "limit": round(point["limit"], 4),
                "negatives": count(n),
                "false_negatives": share(wrong),
                "lower": share(max(wrong - spread, 0.0)),
                "upper": share(min(wrong + spread, 1.0)),
                "queries": count(point["queries"]),
                "queries_4": count(point["queries_4"]),
                "queries_full": count(point["queries_full"]),
                "traffic_4": share(point["searches_4"] / max(told["searches"], 1)),
            }
        )
    if not told["yields"]:
        return None
    limit = told["limit"]
    return {
        "limit": None if limit is None else round(limit, 4),
        "queries_with_positive": count(queries),
        "curve": points,
    }

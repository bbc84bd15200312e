"""Figures of negatives that add up over parts of the queries: taken where rows are, shown where the report is made.

Measures are exact: what a report may show of them is made by `shown_…` and `false_negatives`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute

from .coverage import counted_by_users, shown_by_users
from .writers.hardness import Places, places_of

__all__ = [
    "Measures",
    "Spread",
    "examples",
    "false_negatives",
    "measured",
    "shown_coverage",
    "shown_examples",
    "shown_spread",
    "spread_of",
    "together",
    "why",
]

pc: Any = pyarrow.compute

UNIT = 1 << 30
"""Probabilities are summed in whole numbers of its inverse: in any order the sum is the same."""
EXAMPLES = 3


class Spread(TypedDict):
    """What adds up of probabilities."""

    n: int
    sum: int
    """In units."""
    variance: int
    """Sum of p (1 - p), in units."""
    rows: list[int]
    """How many there are between the cuts."""


class Measures(TypedDict):
    """Of the negatives of some queries; plain values, so that they travel as JSON."""

    coverage: list[list[int]]
    """By class of users: queries, with a negative, with four."""
    p: Spread
    """Of P(false negative)."""
    examples: list[tuple[list[Any], dict[str, Any]]]
    """The first ones of different queries, with what they are ordered by."""
    places: Places


def measured(negatives: pa.Table, positives: pa.Table, asked: pa.Table, k: int | None) -> Measures:
    """Figures of some queries.

    Args:
        negatives: docs/ARCHITECTURE.md, select; rows of a query follow each other.
        positives: query, doc_id, best first.
        asked: query, users of all queries of the log.
        k: the threshold, if any.
    """
    hard = negatives.filter(pc.equal(negatives["kind"], "hard"))
    return {
        "coverage": counted_by_users(asked, hard, k),
        "p": spread_of(negatives["p_false_negative"].drop_null().to_numpy(), SHARES),
        "examples": _ranked_examples(negatives, positives, k),
        "places": places_of(negatives),
    }


def together(parts: Sequence[Measures]) -> Measures:
    """Of all parts, which share no query."""

    def total(name: str) -> Any:
        return np.sum([part[name] for part in parts], axis=0).tolist()  # type: ignore[literal-required]

    def sums(name: str) -> Any:
        kinds: Any = [part[name] for part in parts]  # type: ignore[literal-required]
        added = {key: [kind[key] for kind in kinds] for key in kinds[0]}
        return {
            key: [*map(sum, zip(*each, strict=True))] if isinstance(each[0], list) else sum(each)
            for key, each in added.items()
        }

    ranked = sorted((example for part in parts for example in part["examples"]), key=lambda one: one[0])
    return {
        "coverage": total("coverage"),
        "p": sums("p"),
        "examples": ranked[:EXAMPLES],
        "places": sums("places"),
    }


def shown_coverage(measures: Measures, k: int | None) -> list[dict[str, int | None]]:
    """As `coverage`."""
    return shown_by_users(measures["coverage"], k)


def shown_examples(measures: Measures) -> list[dict[str, Any]]:
    """Examples for a report."""
    return [example for _, example in measures["examples"]]


SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Where the distribution of P(false negative) is cut."""


def false_negatives(measures: Measures, k: int | None) -> dict[str, Any] | None:
    """The share of negatives to expect relevant after all, by their P(false negative); None where that is null."""
    return shown_spread(measures["p"], SHARES, k)


def spread_of(p: Any, shares: tuple[float, ...]) -> Spread:
    """What adds up of probabilities, and how many there are between `shares`."""
    edges = (0.0, *shares, 1.0)
    rows = [int(((p >= low) & ((p < high) | (high == 1))).sum()) for low, high in itertools.pairwise(edges)]
    sums = [int(np.rint(each * UNIT).astype(np.int64).sum()) for each in (p, p * (1 - p))]
    return {"n": len(p), "sum": sums[0], "variance": sums[1], "rows": rows}


def shown_spread(spread: Spread, shares: tuple[float, ...], k: int | None) -> dict[str, Any] | None:
    """The mean of probabilities, its interval, and how many there are between `shares`; None where there are none.

    The interval is that of the share in these rows were every probability right: rows are taken as independent, and
    what the estimates of the model are off is not in it.
    """
    n = spread["n"]
    if not n:
        return None
    mean, half = spread["sum"] / UNIT / n, 1.96 * (spread["variance"] / UNIT) ** 0.5 / n
    edges = (0.0, *shares, 1.0)
    return {
        "expected": round(mean, 4),
        "lower": round(max(mean - half, 0.0), 4),
        "upper": round(min(mean + half, 1.0), 4),
        "distribution": [
            {"from": low, "below": high, "rows": rows // (k or 1) * (k or 1)}
            for (low, high), rows in zip(itertools.pairwise(edges), spread["rows"], strict=True)
        ],
    }


def examples(negatives: pa.Table, positives: pa.Table, k: int | None) -> list[dict[str, Any]]:
    """Three negatives of different queries, those with the most users first."""
    return [example for _, example in _ranked_examples(negatives, positives, k)]


def _ranked_examples(negatives: pa.Table, positives: pa.Table, k: int | None) -> list[tuple[list[Any], dict[str, Any]]]:
    order = pc.sort_indices(
        negatives, sort_keys=[("users", "descending"), ("query_id", "ascending"), ("neg_id", "ascending")]
    )
    found: list[tuple[list[Any], dict[str, Any]]] = []
    seen: set[str] = set()
    for start in range(0, len(order), 1_000):
        for row in negatives.take(order[start : start + 1_000]).to_pylist():
            if row["query"] in seen:
                continue
            seen.add(row["query"])
            positive = row["pos_id"] or _best(positives, row["query"])
            if positive is None:
                continue
            example = {
                "query": row["query"],
                "positive": positive,
                "negative": row["neg_id"],
                "rule": row["rule"],
                "why": why(row, k),
            }
            users = row["users"]
            found.append(([users is None, -(users or 0), row["query_id"], row["neg_id"]], example))
            if len(found) == EXAMPLES:
                return found
    return found


def _best(positives: pa.Table, query: str) -> str | None:
    at = pc.index(positives["query"], query).as_py()
    found: str | None = None if at < 0 else positives["doc_id"][at].as_py()
    return found


def why(row: Mapping[str, Any], k: int | None) -> str:
    """One row of `negatives` in words."""
    beside = {
        "given": "given as a negative of the query",
        "retrieved": "returned by a search engine further down, and never shown",
        "random": "drawn at random from what was never shown for the query",
    }
    if row["rule"] in beside:
        return beside[row["rule"]]
    users, least = row["users"], "" if k is None else "at least "
    people = "" if users is None else f"{least}{users} users "
    place = "listed" if row["rule"] == "contrast" else "on average"
    at = f", {place} at position {row['position_neg']}" if row["position_neg"] else ""
    if row["pos_id"] is not None:
        how = {
            "skip_above": "clicked the positive and passed over this one above it",
            "last_click_skip_above": "ended with a click on the positive and passed over this one above it",
            "click_no_click_next": "clicked the positive and not this one right below it",
            "contrast": "clicked the positive more, positions and noise allowed for",
        }[row["rule"]]
        return f"{people or 'people '}{how}{at}"
    shown = f"{people}were shown it{at}" if people else f"it was shown{at}"
    looks = (
        ""
        if row["examinations"] is None
        else f", {least}{row['examinations']:.1f} looks at it as far as positions tell"
    )
    return f"{shown}{looks}, and too few stayed with it"

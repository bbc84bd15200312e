"""Why a document is, or is not, a negative of a query, in words."""

from __future__ import annotations

from typing import Any

from .reasons import sentence

__all__ = ["told_of"]

ASKED = {
    "known_relevant": "whether it was given as relevant",
    "own_positive": "satisfied clicks, or clicks, for this query",
    "same_intent": "whether it satisfied somebody who asked for the same",
    "chain": "users who clicked it when they asked anew",
    "min_examinations": "times it was looked at",
    "attractiveness": "upper bound of its attractiveness",
    "abandoned": "times it was passed over on a page with a click",
    "zero_click_significance": "P(so few clicks by chance)",
    "coec": "clicks over expected clicks",
    "min_impressions": "impressions",
    "ctr_upper": "upper bound of its click rate",
    "duplicate_words": "share of words with the nearest positive",
    "duplicate_vectors": "cosine with the nearest positive",
    "no_score": "whether it lacks a score",
    "max_score": "score",
    "min_score": "score",
    "absolute_margin": "score",
    "relative_margin": "score",
    "p_false_negative": "P(relevant)",
}
"""Guard → what its figure is."""


def told_of(found: dict[str, Any], k: int | None) -> str:
    """One document of `hn.Selected.explain`: what became of it and why, with every guard's verdict.

    Under k-users counts are rounded down and figures of guards are not shown.
    """
    least = "" if k is None else "at least "
    p = "" if found["p_relevant"] is None else f", P(relevant) {found['p_relevant']:.3f}"
    counts = (
        f"shown {least}{found['impressions']} times, clicked {found['clicks']}, satisfied {found['satisfied_clicks']}"
    )
    alike = ""
    if found["alike_queries"]:
        alike = f"; of {found['alike_queries']} alike queries it satisfied {found['alike_satisfied']}"
    lines = [f"{found['doc_id']}: {_outcome(found)} ({counts}{p}{alike})"]
    for rule, preferred in found["rules"]:
        below = "" if preferred is None else f" [{preferred} is preferred to it]"
        lines.append(f"  rule {rule}{below}: {sentence('rule', rule)}")
    for guard, fires, value, limit in found["guards"]:
        figure = "" if value is None else f": {ASKED[guard]} {value:.4g}, limit {limit:.4g}"
        lines.append(f"  guard {guard} {'keeps it out' if fires else 'lets it pass'}{figure}")
    return "\n".join(lines)


def _outcome(found: dict[str, Any]) -> str:
    match found["outcome"]:
        case "positive":
            return f"positive number {found['rank']} of the query"
        case "more_positive":
            return "a positive of the query beyond those kept, so no negative"
        case "negative":
            return "a negative"
        case "not_proposed":
            return "no negative: no rule proposes it"
        case "guarded":
            return f"no negative: {found['guard']}. {sentence('guard', found['guard'])}"
        case "capped":
            return "no negative: it passed all guards, and others were kept (caps)"
        case _:
            return "no negative: the query has no positive"

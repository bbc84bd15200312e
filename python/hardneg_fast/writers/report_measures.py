"""Sections of the report that measure: by position, how many are false, how hard they are, which queries have some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .escape import as_html
from .report_parts import Figures, bars, number, part, percent, section, span, table, users
from .svg import columns

__all__ = ["by_position", "coverage", "false_negatives", "hardness", "released_from", "reversals"]

MAX_POSITIONS = 50

EXAMINATION = {
    "ubm": "Looking at a result depends on its position and on the last click above it (user browsing model)",
    "pbm": "Looking at a result depends on its position (position-based model)",
    "propensities": "How likely a result is to be looked at was given, by position",
    "logged": "How likely a result is to be looked at was in the log; its mean, by position",
    "none": "Everything that was shown counts as looked at",
}
"""Where examination comes from, in words."""

_POSITIONS_LEAD = (
    "Share of results clicked at each position, over what was released, with the interval that chance leaves (95 %). "
    "It falls partly because users look less at what is further down: results are compared with what their positions "
    "let expect."
)
_LOOKED = "Percent looked at, by position, the top being 100, as fitted to this log"
_LOOKED_SPAN = ", with the interval that chance leaves were the model right (95 %)"


def by_position(report: Figures) -> str:
    """Click rates with intervals, and examination, by position."""
    rows = _rows(report.get("ctr_by_position"))[:MAX_POSITIONS]
    looked = {row.get("position"): row for row in _rows(part(report, "evidence").get("positions"))}
    if not rows:
        return ""
    labels = [str(row.get("position", "")) for row in rows]
    rates = [_number(row.get("ctr")) for row in rows]
    spans = [(_number(row.get("lower", row.get("ctr"))), _number(row.get("upper", row.get("ctr")))) for row in rows]
    clicks = columns(labels, rates, [f"{100 * r:.1f}" for r in rates], "Share of results clicked by position", spans)
    drawn = f"<figure>{clicks}<figcaption>Percent clicked, by position.</figcaption></figure>"
    at = [looked.get(row.get("position"), {}) for row in rows]
    seen = [_number(row.get("examination")) for row in at]
    sure = any(row.get("lower") is not None for row in at)
    if len({*seen}) > 1:
        # An end that rounds to 0 is one; what was not fitted has none.
        low, high = (
            [s if row.get(end) is None else _number(row[end]) for row, s in zip(at, seen, strict=True)]
            for end in ("lower", "upper")
        )
        ends = [*zip(low, high, strict=True)]
        title = "Chance to be looked at by position"
        looks = columns(labels, seen, [f"{100 * s:.0f}" for s in seen], title, ends if sure else ())
        drawn += f"<figure>{looks}<figcaption>{_LOOKED}{_LOOKED_SPAN if sure else ''}.</figcaption></figure>"
    cells = {
        "Position": [number(row.get("position")) for row in rows],
        "Shown": [number(row.get("impressions")) for row in rows],
        "Clicked": [number(row.get("clicks")) for row in rows],
        "Share clicked": [percent(row.get("ctr")) for row in rows],
        "95 %": [span(row) for row in rows] if "lower" in rows[0] else [],
        "Looked at": [percent(share) for share in seen] if looked else [],
        "Looked at, 95 %": [span(row) for row in at] if sure else [],
    }
    shown = [name for name in cells if cells[name]]
    figures = table(shown, [*zip(*(cells[name] for name in shown), strict=True)], numeric=range(len(shown)))
    body = f"<div class=pair>{drawn}</div><details><summary>Figures</summary>{figures}</details>"
    return section("Clicks by position", body, _POSITIONS_LEAD)


_FALSE_LEAD = (
    "How many negatives are relevant after all, by what was shown, clicked and stayed with. The interval is what "
    "chance leaves were the model right; how far models are off was measured on simulated logs, in the benchmarks."
)


def false_negatives(report: Figures) -> str:
    """The share to expect, its interval, and the distribution."""
    evidence = part(report, "evidence")
    if not evidence:
        return ""
    found = part(evidence, "false_negatives")
    debias = str(evidence.get("debias", ""))
    said = EXAMINATION.get(debias, f"Examination: {debias}")
    reason = f": {evidence['reason']}" if evidence.get("reason") else ""
    how = f"<p class=soft>{as_html(said + reason, 400)}. <code>{as_html(debias)}</code></p>"
    if not found:
        why = as_html(evidence.get("unknown") or "there are no negatives", 300)
        return section("False negatives to expect", f"<p>Not known: {why}.</p>{how}", _FALSE_LEAD)
    spread = [
        (_span(100 * _number(row.get("from")), 100 * _number(row.get("below")), " %"), row.get("rows"))
        for row in _rows(found.get("distribution"))
    ]
    body = (
        f"<p><b>{percent(found.get('expected'))}</b> of the negatives, between {percent(found.get('lower'))} and "
        f"{percent(found.get('upper'))}. By how likely each is to be relevant:</p>{bars(spread)}{how}"
    )
    return section("False negatives to expect", body, _FALSE_LEAD)


_HARD_LEAD = (
    "A negative is hard where it looks right: a ranker put it near the top, and it shares the query's words. What is "
    "far from the query teaches little."
)


def hardness(report: Figures) -> str:
    """Where negatives stood, and which of the query's words they share."""
    found = part(report, "hardness")
    words = part(found, "words")
    placed = [(f"position {row.get('place')}", row.get("rows")) for row in _rows(found.get("positions"))]
    parts = [f"<p>Where they stood:</p>{bars(placed)}"] if placed else []
    if found.get("without_position"):
        parts.append(f"<p class=soft>{number(found['without_position'])} without a position.</p>")
    if words:
        kinds = (
            ("positives", "positive"), ("negatives", "negative"), ("documents of other queries", "other"),
        )  # fmt: skip
        shares = [(name, words.get(key)) for name, key in kinds if words.get(key) is not None]
        parts.append(
            "<p>Share of a query's words that its documents have:</p>"
            + bars([(name, share) for name, share in shares], whole=1.0, written=percent)
        )
    return section("How hard they are", "".join(parts), _HARD_LEAD) if parts else ""


_COVERAGE_LEAD = (
    "Of the queries that may be named, how many have negatives, by how many users asked them. What few people ask, few "
    "people have looked at."
)


_COVERAGE_RELEASED = "Of the queries that were released with documents, how many have negatives, by their impressions."


def coverage(report: Figures) -> str:
    """Queries with negatives, by popularity."""
    rows = _rows(report.get("coverage"))
    if not rows:
        return ""
    shown = [
        (
            users(row),
            number(row.get("queries")),
            _share(row.get("with_1"), row.get("queries")),
            _share(row.get("with_4"), row.get("queries")),
        )
        for row in rows
    ]
    by = part(report, "coverage_by")
    head = ("Released impressions" if by else "Users", "Queries", "With a negative", "With four")
    lead = f"{_COVERAGE_RELEASED} {released_from(by)}" if by else _COVERAGE_LEAD
    return section("Which queries have negatives", table(head, shown, numeric=(1, 2, 3)), lead)


def released_from(by: Figures) -> str:
    """What figures of a private release were computed from, in a sentence."""
    noise = f"; the standard deviation of the noise is {number(by['noise'])}" if "noise" in by else ""
    return f"Computed from {by.get('from', 'released figures')}{noise}."


_REVERSED_LEAD = (
    "How likely noise alone made a document look worse than its positive. It is no chance of being relevant: a private "
    "release does not tell that."
)


def reversals(report: Figures) -> str:
    """Of a private release: how often noise may have turned a pair around."""
    found = part(report, "reversals")
    if not found:
        return ""
    spread = [
        (_span(100 * _number(row.get("from")), 100 * _number(row.get("below")), " %"), row.get("rows"))
        for row in _rows(found.get("distribution"))
    ]
    body = (
        f"<p><b>{percent(found.get('expected'))}</b> of the negatives are to be expected at least as attractive as "
        f"their positive. By how likely each is:</p>{bars(spread)}"
        f"<p class=soft>{as_html(released_from(found), 400)}</p>"
    )
    return section("Negatives that noise may have made", body, _REVERSED_LEAD)


def _rows(value: Any) -> list[Mapping[str, Any]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, Sequence) else []


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0


def _span(low: float, high: float, unit: str) -> str:
    if low == 0:
        return f"under {high:g}{unit}"
    return f"{low:g} to {high:g}{unit}" if high < 100 else f"{low:g}{unit} and more"


def _share(some: Any, whole: Any) -> str:
    return percent(_number(some) / _number(whole)) if _number(whole) else number(some)

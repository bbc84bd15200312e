"""The yield curve of the report: what each limit of P(false negative) would give, and where this run stands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .report_parts import Figures, number, part, percent, section, table
from .svg import curve

__all__ = ["picked", "yields"]

ROWS = 9
"""Limits in the table."""

_LEAD = (
    "A negative is kept where its probability of being relevant is within a limit. What other limits would have given, "
    "as expected: more negatives, and more of them wrong. A document counts once for a query here, and has a row in "
    "the table of negatives for each positive that it was passed over for."
)


def yields(report: Figures) -> str:
    """The curve, and some of its points; the limit of this run is marked."""
    found = part(report, "yield")
    points, limit = _points(found), _share(found.get("limit"))
    if len(points) < 2:
        return ""
    low, high = (math.log10(max(points[i]["limit"], 1e-6)) for i in (0, -1))
    places = [(math.log10(max(p["limit"], 1e-6)) - low) / max(high - low, 1e-9) for p in points]
    here = None if limit is None else (math.log10(max(limit, 1e-6)) - low) / max(high - low, 1e-9)
    ticks = [(place, _short(points[i]["limit"])) for i, place in _spread(places)]
    drawn = curve(places, [float(p["negatives"]) for p in points], ticks, here, "Negatives by limit")
    rows = [
        tuple(
            f"<b>{cell}</b>" if p["limit"] == _nearest(points, limit) else cell
            for cell in (
                percent(p["limit"]),
                number(p.get("negatives")),
                percent(p.get("false_negatives")),
                number(p.get("queries_4")),
            )
        )
        for p in picked(report)
    ]
    head = ("Limit", "Negatives", "Of them relevant", "Queries with four")
    caption = "Negatives, by limit" + ("" if limit is None else f"; this run: {percent(limit)}") + "."
    body = f"<figure>{drawn}<figcaption>{caption}</figcaption></figure>{table(head, rows, numeric=range(4))}"
    return section("What other limits would give", body, _LEAD)


def picked(report: Figures) -> list[Mapping[str, Any]]:
    """Points of the curve that differ in what they give, spread evenly, the run's own among them."""
    found = part(report, "yield")
    points = _points(found)
    apart = [p for i, p in enumerate(points) if i == 0 or _given(p) != _given(points[i - 1])]
    step = max(1, -(-len(apart) // (ROWS - 1)))
    mine = _nearest(points, _share(found.get("limit")))
    chosen = {p["limit"]: p for p in [*apart[::step], *apart[-1:], *(p for p in points if p["limit"] == mine)]}
    return [chosen[limit] for limit in sorted(chosen)]


def _points(found: Figures) -> list[Mapping[str, Any]]:
    rows = found.get("curve")
    known = [p for p in rows if isinstance(p, Mapping)] if isinstance(rows, Sequence) else []
    return [p for p in known if _share(p.get("limit")) is not None and _share(p.get("negatives")) is not None]


def _given(point: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(point.get(name) for name in ("negatives", "false_negatives", "queries", "queries_4"))


def _share(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _nearest(points: Sequence[Mapping[str, Any]], limit: float | None) -> Any:
    limits = [p["limit"] for p in points]
    return min(limits, key=lambda each: abs(each - limit)) if limits and limit is not None else None


def _short(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def _spread(places: Sequence[float]) -> list[tuple[int, float]]:
    """Five places that are far enough apart for their labels."""
    apart = [[abs(place - wanted) for place in places] for wanted in (0.0, 0.25, 0.5, 0.75, 1.0)]
    return [(i, places[i]) for i in dict.fromkeys(distances.index(min(distances)) for distances in apart)]

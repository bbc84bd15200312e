"""Drawings for the report: plain SVG in percentages, so that bars grow with the page and letters do not shrink."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from .escape import as_html


def bar(value: float, whole: float) -> str:
    """One horizontal bar, `value` of `whole`; what is not nothing stays visible."""
    share = 100 * value / whole if whole > 0 else 0.0
    width = 0.0 if value <= 0 else min(100.0, max(0.4, share))
    rect = f'<rect width="{width:.2f}%" height="14" rx="2"/>'
    return f'<svg class="bar" width="100%" height="14" aria-hidden="true">{rect}</svg>'


def columns(
    labels: Sequence[str],
    values: Sequence[float],
    written: Sequence[str],
    title: str,
    spans: Sequence[tuple[float, float]] = (),
) -> str:
    """Vertical bars over labels, each with its value written on top where there is room.

    Args:
        labels: one for each bar.
        values: heights, from 0.
        written: values as text.
        title: what the drawing shows, for those who cannot see it.
        spans: an interval for each, drawn as a line.
    """
    top, height, foot = 22, 150, 22
    n = max(1, len(values))
    whole = max([*values, *(high for _, high in spans)], default=0.0) or 1.0
    every = -(-n // 12)
    parts = [
        f'<svg class="columns" width="100%" height="{top + height + foot}" role="img" aria-label="{as_html(title)}">',
        f'<line class="axis" x1="0" x2="100%" y1="{top + height}" y2="{top + height}"/>',
    ]
    for i, (label, value, text) in enumerate(zip(labels, values, written, strict=True)):
        tall = height * max(0.0, value) / whole
        middle = 100 * (i + 0.5) / n
        parts.append(
            f'<rect x="{100 * (i + 0.12) / n:.2f}%" y="{top + height - tall:.1f}" width="{76 / n:.2f}%" '
            f'height="{tall:.1f}" rx="2"><title>{as_html(label)}: {as_html(text)}</title></rect>'
        )
        if spans:
            low, high = (top + height - height * max(0.0, end) / whole for end in spans[i])
            at = f'x1="{middle:.2f}%" x2="{middle:.2f}%"'
            parts.append(f'<line class="span" {at} y1="{low:.1f}" y2="{high:.1f}"/>')
            tall += max(0.0, top + height - tall - high)
        if i % every == 0:
            parts.append(f'<text x="{middle:.2f}%" y="{top + height + 16}">{as_html(label)}</text>')
        if n <= 12:
            parts.append(f'<text x="{middle:.2f}%" y="{top + height - tall - 6:.1f}">{as_html(text)}</text>')
    return "".join(parts) + "</svg>"


def curve(
    places: Sequence[float], values: Sequence[float], ticks: Sequence[tuple[float, str]], here: float | None, title: str
) -> str:
    """A line through points, labels below it, and a mark.

    Args:
        places: of the points, from 0 at the left to 1 at the right.
        values: heights, from 0.
        ticks: places and what stands below them.
        here: place to mark.
        title: what the drawing shows, for those who cannot see it.
    """
    top, height, foot, side = 8, 150, 22, 7.0
    whole = max(values, default=0.0) or 1.0

    def x(place: float) -> str:
        return f"{side + (100 - 2 * side) * min(max(place, 0.0), 1.0):.2f}%"

    at = [
        (x(place), f"{top + height - height * max(0.0, value) / whole:.1f}")
        for place, value in zip(places, values, strict=True)
    ]
    parts = [
        f'<svg class="columns" width="100%" height="{top + height + foot}" role="img" aria-label="{as_html(title)}">',
        f'<line class="axis" x1="0" x2="100%" y1="{top + height}" y2="{top + height}"/>',
    ]
    for (x1, y1), (x2, y2) in itertools.pairwise(at):
        parts.append(f'<line class="drawn" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>')
    if here is not None:
        parts.append(f'<line class="here" x1="{x(here)}" x2="{x(here)}" y1="{top}" y2="{top + height}"/>')
    parts += [f'<text x="{x(place)}" y="{top + height + 16}">{as_html(label)}</text>' for place, label in ticks]
    return "".join(parts) + "</svg>"

"""Pieces of the report page. Every piece takes figures that may be missing and escapes all that it is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .escape import as_html
from .reasons import Kind, sentence

Figures = Mapping[str, Any]


def number(value: Any) -> str:
    """A count with separators; what is no number as text; nothing as a dash."""
    if value is None:
        return "–"  # noqa: RUF001 - a dash is meant
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"
    return as_html(value)


def percent(value: Any) -> str:
    """A share as a percentage with two digits that say something."""
    if not isinstance(value, (int, float)) or value != value:
        return "–"  # noqa: RUF001 - a dash is meant
    return f"{100 * value:.1f} %" if value >= 0.01 or value == 0 else f"{100 * value:.2g} %"


def section(title: str, body: str, lead: str = "") -> str:
    """A heading with what follows; nothing where nothing follows."""
    if not body:
        return ""
    return (
        f"<section><h2>{as_html(title)}</h2>{f'<p class=soft>{as_html(lead, 600)}</p>' if lead else ''}{body}</section>"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numeric: Iterable[int] = ()) -> str:
    """A table of cells that are HTML already; columns in `numeric` are set to the right."""
    right = set(numeric)

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(f"<{tag}{' class=n' if i in right else ''}>{cell}</{tag}>" for i, cell in enumerate(row))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    if not body:
        return ""
    return (
        f"<table><thead><tr>{cells('th', [as_html(cell) for cell in head])}</tr></thead><tbody>{body}</tbody></table>"
    )


def reasons(kind: Kind, counts: Figures, counted: str) -> str:
    """A row a reason with its sentence and count, most first; reasons that never held go in one line below."""
    ordered = sorted(counts.items(), key=lambda item: (-_size(item[1]), item[0]))
    rows = [
        (f"{as_html(sentence(kind, reason), 300)} <small><code>{as_html(reason)}</code></small>", number(count))
        for reason, count in ordered
        if _size(count) != 0
    ]
    never = [f"<code>{as_html(reason)}</code>" for reason, count in ordered if _size(count) == 0]
    note = f"<p class=soft>Looked for and not found: {', '.join(never)}.</p>" if never else ""
    return table(("Reason", counted), rows, numeric=(1,)) + note


def tiles(entries: Iterable[tuple[str, Any]]) -> str:
    """Large figures; those that are missing are left out."""
    shown = [
        f"<div class=tile><b>{number(n)}</b><span>{as_html(name)}</span></div>" for name, n in entries if n is not None
    ]
    return f"<div class=tiles>{''.join(shown)}</div>" if shown else ""


def part(report: Figures, name: str) -> Figures:
    """A section of the report, empty where it is missing."""
    value = report.get(name)
    return value if isinstance(value, Mapping) else {}


def _size(value: Any) -> float:
    return value if isinstance(value, (int, float)) else 0

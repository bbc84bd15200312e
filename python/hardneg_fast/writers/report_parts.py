"""Pieces of the report page. Every piece takes figures that may be missing and escapes all that it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .escape import as_html
from .reasons import Kind, sentence
from .svg import bar

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


def span(row: Figures) -> str:
    """An interval from `lower` to `upper`, as percentages."""
    ends = (row.get("lower"), row.get("upper"))
    return "–" if None in ends else f"{percent(ends[0])} to {percent(ends[1])}"  # noqa: RUF001 - a dash is meant


def code(name: Any) -> str:
    """A name of the program, small, which may break at its underscores."""
    return f"<small><code>{as_html(name).replace('_', '_<wbr>')}</code></small>"


def users(row: Figures) -> str:
    """A class of users (or of impressions), `from` some `below` others; open where these are null."""
    first, beyond = row.get("from"), row.get("below")
    if first is None:
        return f"under {number(beyond)}"
    if not isinstance(beyond, int):
        return f"{number(first)} and more"
    return number(first) if beyond - 1 == first else f"{number(first)} to {number(beyond - 1)}"


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
    heads = cells("th", [as_html(cell) for cell in head])
    return f"<div class=wide><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"


def bars(entries: Sequence[tuple[str, Any]], whole: float | None = None, written: Callable[[Any], str] = number) -> str:
    """A bar an entry, its name before and its figure behind; `whole` is the longest there could be, or the longest."""
    longest = max((_size(value) for _, value in entries), default=0.0) if whole is None else whole
    return "".join(
        f"<div class=step><div>{as_html(name)}</div><div class=drawn>{bar(_size(value), longest)}</div>"
        f"<div class=n>{written(value)}</div></div>"
        for name, value in entries
    )


def reasons(kind: Kind, counts: Figures, counted: str) -> str:
    """A row a reason with its sentence and count, most first; reasons that never held go in one line below."""
    ordered = sorted(counts.items(), key=lambda item: (-_size(item[1]), item[0]))
    rows = [
        (f"{as_html(sentence(kind, reason), 300)} {code(reason)}", number(count))
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

"""`report.html`: one file that explains a run, without scripts and without anything from a network."""

from __future__ import annotations

import html
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from .escape import as_html
from .privacy_words import statement
from .reasons import sentence
from .report_measures import by_position, coverage, false_negatives, hardness, reversals
from .report_parts import Figures, bars, code, number, part, reasons, section, table, tiles
from .report_style import STYLE
from .report_yield import yields
from .stable_json import to_json

MAX_EXAMPLES = 20
STEPS = {
    "rows read": "rows of the log",
    "impressions": "rows of the log",
    "impressions that could be read": "rows of the log",
    "impressions counted": "rows of the log",
    "queries released": "queries",
    "of them with documents": "queries",
    "(query, document) pairs": "pairs of query and document",
    "pairs released": "pairs of query and document",
    "cells counted under noise": "pairs of query and document",
    "pairs compared": "pairs of query and document",
    "candidates": "pairs of query and document",
    "negatives": "pairs of query and document",
    "training rows": "rows to train on",
}
"""Step → what it counts."""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def report_html(report: Figures, privacy: Figures) -> str:
    """The page for a report and a privacy statement; keys that are missing leave their section out."""
    body = "".join(
        (
            _head(report),
            _privacy(privacy, report),
            section("From log to training rows", _funnel(report), "What each step left, each kind on its own scale."),
            by_position(report),
            false_negatives(report),
            reversals(report),
            yields(report),
            hardness(report),
            coverage(report),
            _left_out(report),
            _selection(report),
            section("Examples", _examples(report), "Queries and documents as they stand in the files."),
            _settings(report),
        )
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>Hard negatives from click logs</title><style>{STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def framed(report: Figures, privacy: Figures) -> str:
    """The page for a notebook: in a frame, which keeps its looks apart and lets nothing of it run."""
    page = html.escape(report_html(report, privacy))
    return f'<iframe title="report" sandbox srcdoc="{page}" style="width:100%;height:40rem;border:0"></iframe>'


def _head(report: Figures) -> str:
    counts, select, written = part(report, "counts"), part(report, "select"), part(report, "written")
    release = part(report, "release")
    rows = part(report, "input").get("rows")
    figures = tiles(
        (
            ("training rows", written.get("triplets", select.get("triplets"))),
            ("negatives", written.get("negatives", select.get("rows"))),
            ("queries with negatives", written.get("queries", select.get("queries_with_negative"))),
            ("queries released", release.get("queries_out")),
            ("users counted", counts.get("users")),
            ("log rows read", rows),
        )
    )
    return (
        "<h1>Hard negatives from click logs</h1>"
        "<p class=soft>For each query: a document that satisfied it, and documents that looked right and were not "
        f"wanted.</p>{figures}"
    )


def _privacy(privacy: Figures, report: Figures) -> str:
    headline, paragraphs = statement(privacy, part(report, "release"))
    mode = str(privacy.get("mode", part(report, "release").get("mode", "")))
    words = "".join(f"<p>{as_html(paragraph, 1000)}</p>" for paragraph in paragraphs)
    kind = "privacy" if mode.startswith("k") or mode == "dp" else "privacy open"
    return section("Privacy", f'<div class="{kind}"><p><b>{as_html(headline)}</b></p>{words}{_budget(privacy)}</div>')


def _budget(privacy: Figures) -> str:
    """What all releases of the lineage took, of the limit that the ledger sets."""
    lineage = part(privacy, "lineage_claim")
    spent, limit = lineage.get("epsilon"), lineage.get("limit_epsilon")
    if not lineage.get("dp") or not isinstance(spent, float) or not isinstance(limit, float):
        return ""
    steps = bars([("spent so far", spent), ("limit", limit)], whole=max(spent, limit), written=_epsilon)
    title = f"Budget of {lineage.get('lineage', '')}: epsilon at delta {lineage.get('delta')}"
    return f"<h4>{as_html(title)}</h4>{steps}"


def _epsilon(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, (int, float)) else as_html(value)


def _funnel(report: Figures) -> str:
    """A group of bars for each kind of thing that steps count: a bar of pairs beside one of rows says nothing."""
    steps = [step for step in report.get("funnel") or () if isinstance(step, Mapping)]
    named = [(STEPS.get(str(step.get("stage")), ""), (step.get("stage", ""), step.get("count"))) for step in steps]
    groups = groupby(named, key=lambda step: step[0])
    return "".join(
        f"{f'<h4>{kind}</h4>' if kind else ''}{bars([entry for _, entry in entries])}" for kind, entries in groups
    )


def _left_out(report: Figures) -> str:
    found = section(
        "Rows that could not be understood", reasons("quarantine", part(report, "quarantine"), "Rows"), _QUARANTINE_LEAD
    )
    scrubbed = section(
        "Personal data in queries",
        reasons("scrubbed", part(report, "scrubbed"), "Rows"),
        "Found by its structure, and replaced or left out. Names and addresses have no structure, and are not found.",
    )
    cleaned = section(
        "Rows left out on purpose",
        reasons("cleaning", part(report, "cleaning"), "Rows"),
        "Understood, and not counted.",
    )
    return found + scrubbed + cleaned


_QUARANTINE_LEAD = (
    "Set aside before anything was counted. Many of one kind usually mean that a column was named wrongly."
)


def _selection(report: Figures) -> str:
    select = part(report, "select")
    candidates, negatives, off = part(select, "candidates"), part(select, "negatives"), part(report, "rules_off")
    rows = [
        (
            f"{as_html(sentence('rule', rule), 300)} {code(rule)}",
            number(candidates.get(rule)),
            number(negatives.get(rule)),
        )
        for rule in dict.fromkeys([*candidates, *negatives])
    ]
    why_off = [
        (f"{as_html(sentence('rule', rule), 300)} {code(rule)}", as_html(why, 300)) for rule, why in sorted(off.items())
    ]
    rules = table(("Rule", "Candidates", "Negatives"), rows, numeric=(1, 2))
    parts = [rules, f"<h3>Rules switched off</h3>{table(('Rule', 'Why'), why_off)}" if why_off else ""]
    guards, caps = part(select, "guards"), part(select, "caps")
    if guards:
        parts.append(f"<h3>Candidates not trusted</h3>{reasons('guard', guards, 'Candidates')}")
    if caps:
        parts.append(f"<h3>Kept small</h3>{reasons('cap', caps, 'Left out')}")
    if short := select.get("short_rows"):
        parts.append(f"<p>{number(short)} training rows were left out because they had too few negatives.</p>")
    without = report.get("without_text")
    if without:
        parts.append(f"<p>{number(without)} training rows were left out because a document of theirs has no text.</p>")
    return section("Where the negatives come from", "".join(parts))


def _examples(report: Figures) -> str:
    shown = [example for example in report.get("examples") or () if isinstance(example, Mapping)][:MAX_EXAMPLES]
    return "".join(_example(example) for example in shown)


def _example(example: Mapping[str, Any]) -> str:
    def document(which: str) -> str:
        name, text = example.get(which), example.get(f"{which}_text")
        if text is None:
            return f"<bdi>{as_html('–' if name is None else name)}</bdi>"  # noqa: RUF001 - a dash is meant
        return f"<bdi>{as_html(text)}</bdi> {code(name)}"

    why = example.get("why") or sentence("rule", str(example.get("rule", "")))
    return (
        f"<div class=example><dl><dt>Query</dt><dd><b><bdi>{as_html(example.get('query', ''))}</bdi></b></dd>"
        f'<dt class="yes">Wanted</dt><dd>{document("positive")}</dd><dt class="no">Not wanted</dt>'
        f"<dd>{document('negative')}</dd><dt>Why</dt><dd>{as_html(why, 400)} {code(example.get('rule', ''))}</dd></dl>"
        "</div>"
    )


def _settings(report: Figures) -> str:
    parts = []
    notes = part(report, "input").get("notes") or ()
    if notes:
        parts.append(f"<ul>{''.join(f'<li>{as_html(note, 400)}</li>' for note in notes)}</ul>")
    for title, content in (("Input", part(report, "input")), ("Settings", part(report, "config"))):
        if content:
            lines = "\n".join(map(_code_line, to_json(content).decode().splitlines()))
            parts.append(f"<details><summary>{title}</summary><pre><code>{lines}</code></pre></details>")
    version = report.get("version")
    parts.append(f"<p class=soft>hardneg_fast {as_html(version)}</p>" if version else "")
    return section("How it was run", "".join(parts))


def _code_line(line: str) -> str:
    return " " * (len(line) - len(line.lstrip(" "))) + as_html(line, 300)

"""`report.html`: one file that explains a run, without scripts and without anything from a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .escape import as_html
from .privacy_words import statement
from .reasons import sentence
from .report_parts import Figures, number, part, percent, reasons, section, table, tiles
from .report_style import STYLE
from .stable_json import to_json
from .svg import bar, columns

MAX_EXAMPLES = 20
MAX_POSITIONS = 50
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def report_html(report: Figures, privacy: Figures) -> str:
    """The page for a report and a privacy statement; keys that are missing leave their section out."""
    body = "".join(
        (
            _head(report),
            _privacy(privacy, report),
            section("From log to training rows", _funnel(report), "What is left after each step."),
            section("Clicks by position", _positions(report), _POSITIONS_LEAD),
            section("False negatives to expect", _false_negatives(report), _FALSE_LEAD),
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


_POSITIONS_LEAD = (
    "Share of results clicked at each position, over what was released. It falls partly because users look less at "
    "what is further down: results are compared with what their positions let expect."
)


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
    return section("Privacy", f'<div class="{kind}"><p><b>{as_html(headline)}</b></p>{words}</div>')


def _funnel(report: Figures) -> str:
    steps = [step for step in report.get("funnel") or () if isinstance(step, Mapping)]
    sizes = [float(step.get("count") or 0) for step in steps]
    whole = max(sizes, default=0.0)
    cells = [
        f"<div class=step><div>{as_html(step.get('stage', ''))}</div><div class=drawn>{bar(size, whole)}</div>"
        f"<div class=n>{number(step.get('count'))}</div></div>"
        for step, size in zip(steps, sizes, strict=True)
    ]
    return "".join(cells)


def _positions(report: Figures) -> str:
    rows = [row for row in report.get("ctr_by_position") or () if isinstance(row, Mapping)][:MAX_POSITIONS]
    if not rows:
        return ""
    labels = [str(row.get("position", "")) for row in rows]
    rates = [float(row.get("ctr") or 0) for row in rows]
    drawing = columns(labels, rates, [f"{100 * rate:.1f}" for rate in rates], "Share of results clicked by position")
    figures = table(
        ("Position", "Shown", "Clicked", "Share clicked"),
        [
            (number(r.get("position")), number(r.get("impressions")), number(r.get("clicks")), percent(r.get("ctr")))
            for r in rows
        ],
        numeric=range(4),
    )
    return (
        f"{drawing}<p class=soft>Position below, percent above each bar.</p>"
        f"<details><summary>Figures</summary>{figures}</details>"
    )


_FALSE_LEAD = (
    "How many negatives are relevant after all, by what was shown, clicked and stayed with. The interval is what "
    "chance leaves were the model right; how far models are off was measured on simulated logs, in the benchmarks."
)


def _false_negatives(report: Figures) -> str:
    evidence = part(report, "evidence")
    if not evidence:
        return ""
    found = part(evidence, "false_negatives")
    named, reason = as_html(evidence.get("debias", "")), as_html(evidence.get("reason", ""), 300)
    how = f"<p>Examination: <code>{named}</code>, {reason}.</p>"
    if not found:
        return f"{how}<p>Not known: {as_html(evidence.get('unknown') or 'there are no negatives', 300)}.</p>"
    rows = [
        (f"{percent(row.get('from'))} to {percent(row.get('below'))}", number(row.get("rows")))
        for row in found.get("distribution") or ()
        if isinstance(row, Mapping)
    ]
    return (
        f"{how}<p><b>{percent(found.get('expected'))}</b> of the negatives, between {percent(found.get('lower'))} and "
        f"{percent(found.get('upper'))}.</p>{table(('Probability', 'Negatives'), rows, numeric=(1,))}"
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
            f"{as_html(sentence('rule', rule), 300)} <small><code>{as_html(rule)}</code></small>",
            number(candidates.get(rule)),
            number(negatives.get(rule)),
        )
        for rule in dict.fromkeys([*candidates, *negatives])
    ]
    why_off = [
        (f"{as_html(sentence('rule', rule), 300)} <small><code>{as_html(rule)}</code></small>", as_html(why, 300))
        for rule, why in sorted(off.items())
    ]
    rules = table(("Rule", "Candidates", "Negatives"), rows, numeric=(1, 2))
    parts = [rules, f"<h3>Rules switched off</h3>{table(('Rule', 'Why'), why_off)}" if why_off else ""]
    guards, caps = part(select, "guards"), part(select, "caps")
    if guards:
        parts.append(f"<h3>Candidates not trusted</h3>{reasons('guard', guards, 'Candidates')}")
    if caps:
        parts.append(f"<h3>Kept small</h3>{reasons('cap', caps, 'Left out')}")
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
        return f"<bdi>{as_html(text)}</bdi> <small><code>{as_html(name)}</code></small>"

    why = example.get("why") or sentence("rule", str(example.get("rule", "")))
    return (
        f"<div class=example><dl><dt>Query</dt><dd><b><bdi>{as_html(example.get('query', ''))}</bdi></b></dd>"
        f'<dt class="yes">Wanted</dt><dd>{document("positive")}</dd><dt class="no">Not wanted</dt>'
        f"<dd>{document('negative')}</dd><dt>Why</dt><dd>{as_html(why, 400)} "
        f"<small><code>{as_html(example.get('rule', ''))}</code></small></dd></dl></div>"
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

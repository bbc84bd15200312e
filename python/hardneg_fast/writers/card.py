"""`README.md` of a dataset directory: what it is, for people and for `datasets.load_dataset`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from .dataset import Written
from .escape import as_markdown
from .privacy_words import statement
from .reasons import sentence
from .report_measures import released_from
from .report_parts import Figures, number, part, percent, span, users
from .report_yield import picked

CONFIGS = ("triplets", "negatives", "positives", "queries", "documents")
MAX_EXAMPLES = 5
MAX_POSITIONS = 20

_CONFIG_WORDS = {
    "triplets": "For training: a query, a document that satisfied it, documents that did not. Text columns only.",
    "negatives": "Every negative with the evidence it rests on.",
    "positives": "The documents that satisfied each query.",
    "queries": "The queries, by id.",
    "documents": "The documents that appear, by id.",
}

_COLUMN_WORDS = {
    "query": "the query, normalised (NFKC, lower case, single spaces)",
    "positive": "a document that satisfied it",
    "query_id": "first 16 hex digits of the SHA-256 of the normalised query",
    "pos_id": "the document preferred to the negative; null where the negative was judged by itself",
    "neg_id": "the negative",
    "rule": "the rule that found it",
    "kind": "how hard it is",
    "position_pos": "mean position of the positive, from 1",
    "position_neg": "mean position of the negative, from 1",
    "expected_clicks": "clicks that its positions would let expect; under k-users rounded down to a multiple of K",
    "examinations": "expected number of times it was looked at",
    "users": "users it was shown to, or who preferred the positive to it",
    "p_false_negative": "estimated chance that it is relevant after all; under k-users worked out from the rounded "
    "figures shown, so usually higher than the one that guards went by, and maybe above their limit",
    "weight": "training weight",
    "split": "train, or held out",
    "score": "how relevant a model of the publisher's takes it for; higher is more",
    "curriculum": "the share of the rows that are easier",
    "doc_id": "the document's id in the log",
    "text": "its text",
}


def card(report: Figures, privacy: Figures, written: Written) -> str:
    """The card in Markdown, with the YAML head that names the configs."""
    release = part(report, "release")
    headline, paragraphs = statement(privacy, release)
    maker = " ".join(["hardneg_fast", ".".join(map(_name, str(report.get("version", "")).split(".")))]).strip()
    parts = [
        _yaml(written.digest, validation=written.held_out > 0),
        "# Hard negatives from click logs",
        "For each query a document that satisfied it and *hard negatives*: documents that looked right, were shown, "
        f"and were not wanted. Mined from a search log by {maker}.",
        _SNIPPET,
        "## Privacy",
        f"**{headline}.**",
        *paragraphs,
        "`privacy.json` has the settings.",
        "## Tables",
        *(_config(config, written.schemas[config], written.rows[config]) for config in CONFIGS),
        "## How it was made",
        _HOW,
        _rules(report),
        "## Numbers",
        _table(("Step", "Count"), _numbers(report)),
        _quality(report),
        _examples(report),
        "## Limits",
        _LIMITS,
        "`report.html` explains this run in pictures, `report.json` has its figures.",
    ]
    return "\n\n".join(entry for entry in parts if entry) + "\n"


_SNIPPET = """```python
from datasets import load_dataset

triplets = load_dataset("path/to/this/directory", split="train")
negatives = load_dataset("path/to/this/directory", "negatives", split="train")
```"""

_HOW = (
    "Rows that cannot be understood are set aside and counted. Behaviour that looks like a program's is left out, and "
    "one user counts only so often for one query and document. Clicks of each document are compared with what its "
    "positions let expect, since users look less at what is further down. A document counts as positive where users "
    "clicked it and nothing speaks against the click, more often than its positions explain. A negative is found by a "
    "rule and must pass every guard."
)

_LIMITS = """- A negative is a document that users passed over. Some are relevant all the same: nobody judged them.
- Clicks follow the ranker that made the log. Documents that it never showed are not in here.
- Negatives of the rules that compare two documents say that one was preferred, not that the other is useless.
- Use random or in-batch negatives beside these: all of these are close to their query."""


def _yaml(digest: str, *, validation: bool) -> str:
    """Constants and a digest only: no text of the input gets near the YAML.

    With the digest `load_dataset` tells this dataset from what it has cached of another of the same name.
    """
    lines = [
        "---",
        "pretty_name: Hard negatives from click logs",
        "tags:",
        "- hard-negatives",
        "- click-logs",
        "configs:",
    ]
    for config in CONFIGS:
        lines += [f"- config_name: {config}", f'  description: "{digest}"']
        if config == CONFIGS[0]:
            lines.append("  default: true")
        lines += ["  data_files:", "  - split: train", f"    path: {config}/train-*.parquet"]
        if validation and config == CONFIGS[0]:
            lines += ["  - split: validation", f"    path: {config}/validation-*.parquet"]
    return "\n".join([*lines, "---"])


def _config(config: str, schema: pa.Schema, rows: int) -> str:
    columns = ((f"`{field.name}`", str(field.type), _column(field.name)) for field in schema)
    title = f"### {config}: {rows:,} rows"
    # The datasets library (5.2) refuses a split without rows unless it streams.
    words = _CONFIG_WORDS[config] + ("" if rows else " It has no rows: `load_dataset` opens it with `streaming=True`.")
    return f"{title}\n\n{words}\n\n{_table(('Column', 'Type', 'Meaning'), columns)}"


def _column(name: str) -> str:
    if name.startswith("negative"):
        return "a document that was not wanted"
    return _COLUMN_WORDS.get(name, "evidence carried along, see the documentation")


def _rules(report: Figures) -> str:
    select = part(report, "select")
    negatives = part(select, "negatives")
    lines = [
        f"- `{_name(rule)}` ({number(count)}): {as_markdown(sentence('rule', rule), 300)}"
        for rule, count in negatives.items()
    ]
    lines += [f"- `{_name(rule)}` was off: {as_markdown(why, 300)}" for rule, why in part(report, "rules_off").items()]
    return "\n".join(lines)


def _name(rule: str) -> str:
    return "".join(character for character in str(rule) if character.isalnum() or character in "_-")


def _numbers(report: Figures) -> Iterable[tuple[str, str]]:
    for step in report.get("funnel") or ():
        if isinstance(step, Mapping):
            yield as_markdown(step.get("stage", "")), number(step.get("count"))
    if report.get("without_text"):
        yield "training rows left out for want of a text", number(report["without_text"])


def _quality(report: Figures) -> str:
    """How many negatives are false to be expected, how hard they are, which queries have some."""
    found = part(part(report, "evidence"), "false_negatives")
    words = part(part(report, "hardness"), "words")
    lines = []
    if found:
        lines.append(
            f"- Relevant after all, to be expected: {percent(found.get('expected'))} of the negatives (between "
            f"{percent(found.get('lower'))} and {percent(found.get('upper'))} by chance, were the model right)."
        )
    if reversed_by_noise := part(report, "reversals"):
        lines.append(
            f"- At least as attractive as their positive, by the noise of the release alone: "
            f"{percent(reversed_by_noise.get('expected'))} of the negatives to be expected. This is no chance of being "
            f"relevant. {released_from(reversed_by_noise)}"
        )
    if words:
        lines.append(
            f"- Of a query's words, positives have {percent(words.get('positive'))}, negatives "
            f"{percent(words.get('negative'))}, and documents of other queries {percent(words.get('other'))}."
        )
    covered = [
        (
            users(row),
            number(row.get("queries")),
            number(row.get("with_1")),
            number(row.get("with_4")),
        )
        for row in report.get("coverage") or ()
        if isinstance(row, Mapping)
    ]
    by = part(report, "coverage_by")
    who = "Released impressions of a query" if by else "Users of a query"
    parts = [
        "\n".join(lines),
        _positions(report),
        released_from(by) if by else "",
        _table((who, "Queries", "With a negative", "With four or more"), covered),
    ]
    other = [
        (percent(p["limit"]), number(p.get("negatives")), percent(p.get("false_negatives")), number(p.get("queries_4")))
        for p in picked(report)
    ]
    head = ("Limit of the chance to be relevant", "Negatives", "Of them relevant", "Queries with four")
    parts.append(_table(head, other))
    text = "\n\n".join(filter(None, parts))
    return f"## Quality\n\n{text}" if text else ""


def _positions(report: Figures) -> str:
    """Click rates and examination by position, each with the interval that chance leaves."""
    found = (row for row in part(report, "evidence").get("positions") or () if isinstance(row, Mapping))
    looked = {row.get("position"): row for row in found}
    rows = [
        (
            f"position {number(row.get('position'))}",
            percent(row.get("ctr")),
            span(row),
            percent(at.get("examination")),
            span(at),
        )
        for row in (report.get("ctr_by_position") or ())[:MAX_POSITIONS]
        if isinstance(row, Mapping)
        for at in [looked.get(row.get("position"), {})]
    ]
    return _table(("Where", "Clicked", "95 %", "Looked at, as fitted", "95 %"), rows)


def _examples(report: Figures) -> str:
    shown = [example for example in report.get("examples") or () if isinstance(example, Mapping)][:MAX_EXAMPLES]
    rows = [
        (
            as_markdown(example.get("query", ""), 120),
            _document(example, "positive"),
            _document(example, "negative"),
            f"`{_name(example.get('rule', ''))}`",
        )
        for example in shown
    ]
    return "## Examples\n\n" + _table(("Query", "Wanted", "Not wanted", "Rule"), rows) if rows else ""


def _document(example: Mapping[str, Any], which: str) -> str:
    text = example.get(f"{which}_text", example.get(which))
    return "" if text is None else as_markdown(text, 120)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", "|" + " --- |" * len(head), *lines]) if lines else ""

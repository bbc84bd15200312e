"""What `mine` returns, and the figures of its report."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from . import _hardneg, options
from .config import Config, Privacy, ScrubConfig
from .curriculum import with_curriculum
from .exceptions import UsageError
from .measures import Measures, false_negatives, measured, shown_coverage, shown_examples, why
from .writers.explain import told_of
from .writers.report_html import framed
from .yields import curve

if TYPE_CHECKING:
    import datasets

__all__ = ["Result", "built"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """Everything here may leave: it comes from released figures only."""

    negatives: pa.Table
    """docs/ARCHITECTURE.md, select."""
    triplets: pa.Table
    """query, positive, negative_1 … negative_n, in document ids."""
    positives: pa.Table
    """query_id, doc_id: the documents that satisfied each of `queries`; score where there are scores."""
    queries: pa.Table
    """query_id, query of the queries in `negatives`."""
    by_position: pa.Table = field(repr=False)
    """position, impressions, clicks, ctr."""
    report: dict[str, Any] = field(repr=False)
    """What became of the rows, and why."""
    privacy: dict[str, Any] = field(repr=False)
    """What was protected and how."""
    _selected: Any = field(default=None, repr=False)
    """For `explain`; keeps what was released."""

    def __repr__(self) -> str:
        """Counts alone: what is printed lands in logs, where no query belongs, nor a document."""
        mode, k = self.privacy.get("mode"), self.privacy.get("k")
        said = (self.negatives.num_rows, self.queries.num_rows, self.triplets.num_rows)
        figures = "{:,} negatives of {:,} queries, {:,} training rows".format(*said)
        return f"<Result: {figures}; {mode}{f', K = {k}' if k else ''}>"

    def _repr_html_(self) -> str:
        """For notebooks: the report."""
        return framed(self.report, self.privacy)

    def explain(self, query: str, doc_id: str | None = None) -> list[str]:
        """Why each document shown for the (normalised) query is, or is not, a negative of it, in words.

        What became of it, the rules that propose it, and what each guard says; negatives come first. Of a release under
        differential privacy, whose documents are those of its output, and of one made on Spark, negatives only.

        Raises:
            UsageError: the query, or the document for it, was not released.
        """
        apart = not getattr(self._selected, "gathered", True)
        found = None if self._selected is None or apart else self._selected.explain(query)
        if found is not None:
            found = [one for one in found if doc_id in (None, one["doc_id"])]
            found.sort(key=lambda one: one["outcome"] != "negative")
        if found:
            k = self.privacy.get("k")
            rows = self.negatives.filter(pc.equal(self.negatives["query"], query)).to_pylist()
            said = {row["neg_id"]: why(row, k) for row in reversed(rows)}
            return [told_of(one, k) + (f"\n  {said[one['doc_id']]}" if one["doc_id"] in said else "") for one in found]
        rows = self.negatives.filter(pc.equal(self.negatives["query"], query))
        if doc_id is not None:
            rows = rows.filter(pc.equal(rows["neg_id"], doc_id))
        if rows.num_rows == 0 and apart:
            raise UsageError(
                "no negative here has this query and document (queries are normalised); what became of others stayed "
                "with Spark's tasks and is not kept: mine the log on one machine, or ask `hardneg-fast explain --log`"
            )
        if rows.num_rows == 0:
            raise UsageError(
                "no negative here has this query and document, nor was it released; queries are normalised"
            )
        return [why(row, self.privacy.get("k")) for row in rows.to_pylist()]

    def to_hf(self) -> datasets.DatasetDict:
        """Triplets and negatives as Hugging Face datasets (needs the package `datasets`)."""
        from datasets import Dataset, DatasetDict

        return DatasetDict({"triplets": Dataset(self.triplets), "negatives": Dataset(self.negatives)})


def built(
    raw: Any,
    counts: Any,
    released: Any,
    weighed: Any,
    selected: Any,
    config: Config,
    measures: Measures | None = None,
    *,
    beside: Collection[str] = (),
    key_id: str | None = None,
) -> Result:
    """The result of one run. Under k-users every figure of the report is rounded down to a multiple of K.

    `measures` are those of the selection where they were taken before; `beside` names what was given beside the log;
    `key_id` is that of the caller's key.
    """
    privacy: Privacy = released.privacy
    negatives, positives = pa.table(selected.negatives), pa.table(selected.positives)
    if measures is None:
        measures = measured(negatives, positives, _asked(counts, privacy.k), privacy.k)
    if config.select.curriculum == "on":
        negatives = with_curriculum(negatives)
    queries = queries_of(negatives)
    return Result(
        negatives=negatives,
        triplets=pa.table(selected.triplets),
        positives=positives_of(queries, positives),
        queries=queries,
        by_position=pa.table(weighed.positions()),
        report=reported(raw, counts, released, weighed, selected, config, measures, beside=beside),
        privacy=stated(privacy, raw, config.scrub, key_id=key_id),
        _selected=selected,
    )


def _asked(counts: Any, k: int | None) -> pa.Table:
    """query, users of the queries that may be named: of a log there can be many more, and not all are held at once."""
    rows = pa.RecordBatchReader.from_stream(counts.table("queries", columns=("query", "users")))
    named = (batch.filter(pc.greater_equal(batch["users"], k or 1)) for batch in rows)
    return pa.Table.from_batches(named, rows.schema)


def reported(
    raw: Any,
    counts: Any,
    released: Any,
    weighed: Any,
    selected: Any,
    config: Config,
    measures: Measures,
    *,
    beside: Collection[str] = (),
) -> dict[str, Any]:
    """The report, of figures alone: where the rows lie is all the same."""
    k = released.privacy.k
    report = _report(raw, counts, released, selected, config)
    report["ctr_by_position"] = pa.table(weighed.positions()).to_pylist()
    report["coverage"] = shown_coverage(measures, k)
    report["evidence"] = {**weighed.model, "false_negatives": false_negatives(measures, k)}
    del report["evidence"]["places"]
    report["yield"] = curve(selected.told, selected.funnel["queries_with_positive"], k)
    report["examples"] = shown_examples(measures)
    if beside:
        report["beside"] = [*beside]
    return report


def queries_of(negatives: pa.Table) -> pa.Table:
    """query_id, query, each once, in the order in which they first come."""
    both = negatives.select(["query_id", "query"]).combine_chunks()
    if not both.num_rows:
        return both
    # Rows of a query follow each other, so that few are left to be told apart.
    query = both["query"]
    heads = both.filter(np.append(True, pc.not_equal(query[1:], query[:-1]).to_numpy()))
    named = heads["query"].combine_chunks()
    return heads.take(pc.index_in(pc.unique(named), value_set=named))


def positives_of(queries: pa.Table, positives: pa.Table) -> pa.Table:
    """query_id, doc_id of the positives (query, doc_id, maybe score) of some queries, in their order."""
    places = pc.index_in(positives["query"], value_set=queries["query"].combine_chunks())
    known = pc.is_valid(places)
    ids = queries["query_id"].take(places.filter(known))
    rest = positives.drop_columns(["query"]).filter(known)
    return pa.table([ids, *rest.columns], names=["query_id", *rest.column_names])


def _report(raw: Any, counts: Any, released: Any, selected: Any, config: Config) -> dict[str, Any]:
    def shown(value: Any) -> Any:
        return as_shown(value, released.privacy.k)

    # Surfaces are values of the log, and nobody counted who saw them.
    bases = raw.report.position_bases
    if released.privacy.k and [*bases] != [""]:
        bases = {f"base {base}, some surfaces": base for base in sorted({*bases.values()})}
    funnel = selected.funnel
    passed = released.passed
    quarantine = quarantined(raw.report.quarantine, counts.quarantine)
    kept = counts.rows - sum(n for r, n in counts.quarantine.items() if r not in VALUES)
    counted = kept - sum(counts.dropped.values())
    steps = [
        ("rows read", raw.report.rows_in or counts.rows),
        ("impressions", counts.rows),
        ("impressions that could be read", kept),
        ("impressions counted", counted),
        ("(query, document) pairs", passed["pairs"][0]),
        ("pairs released", passed["pairs"][1]),
        ("candidates", sum(funnel["candidates"].values())),
        ("negatives", funnel["rows"]),
        ("training rows", funnel["triplets"]),
    ]
    return {
        "version": _hardneg.__version__,
        "input": {
            "rows": shown(raw.report.rows_in or counts.rows),
            "files": raw.report.files,
            "format": raw.report.format,
            "shape": raw.report.shape,
            "preset": raw.report.preset,
            "position_bases": bases,
            "timestamp_notations": shown({**raw.report.timestamp_notations, **counts.timestamp_notations}),
            "notes": [note_as_shown(note, released.privacy.k) for note in raw.report.notes],
        },
        "quarantine": shown(quarantine),
        "scrubbed": shown(counts.scrubbed),
        "cleaning": shown(counts.dropped),
        "funnel": [{"stage": stage, "count": shown(n)} for stage, n in steps],
        "counts": {
            "queries": shown(counts.sizes["queries"]),
            "pairs": shown(counts.sizes["pairs"]),
            "users": shown(counts.sizes["users"]) if counts.has["users"] else None,
        },
        "release": {
            "mode": released.privacy.mode,
            "k": released.privacy.k,
            **{f"{t}_{side}": shown(passed[t][i]) for t in passed for i, side in enumerate(("in", "out"))},
        },
        "select": {k: shown(v) for k, v in funnel.items() if k != "rules_off"},
        "rules_off": funnel["rules_off"],
        "config": plain_config(config, exact=not released.privacy.k),
    }


def as_shown(value: Any, k: int | None) -> Any:
    """Counts, however nested, as they may be shown: under k-users rounded down to multiples of K."""
    if k is None:
        return value
    if isinstance(value, Mapping):
        # A reason that rounds to nothing is not named: its name alone says that it happened.
        return {name: shown for name, v in value.items() if (shown := as_shown(v, k)) != 0}
    return value if isinstance(value, bool) or not isinstance(value, int) else value // k * k


def note_as_shown(note: str, k: int | None) -> str:
    """A note with its counts as they may be shown."""
    return re.sub(r"\d[\d,]*", lambda n: f"{as_shown(int(n[0].replace(',', '')), k):,}", note) if k else note


def plain_config(config: Config, *, exact: bool) -> dict[str, Any]:
    """The configuration without what no result depends on, and without constants' values: they can be identifiers.

    Unless figures of the log may be `exact`, given propensities are counted, not shown: they can be fitted to all rows.
    """
    tree = options.as_plain(config)
    del tree["threads"], tree["memory"], tree["spill_dir"], tree["read"]["batch_rows"]
    if tree["read"]["preset"]:
        # A mapping file by its name, not by where it lies.
        tree["read"]["preset"] = PurePath(tree["read"]["preset"]).stem
    tree["read"]["constants"] = sorted(tree["read"]["constants"])
    if config.evidence.propensities and not exact:
        tree["evidence"]["propensities"] = {"positions": len(config.evidence.propensities)}
    return tree


VALUES = ("dwell_impossible", "click_ms_impossible", "n_clicks_impossible", "propensity_impossible")
"""Quarantine reasons of single values: their rows stay."""


def quarantined(reader: Mapping[str, int], core: Mapping[str, int]) -> dict[str, int]:
    """Reason → rows set aside, by the reader and by the core."""
    quarantine = dict(reader)
    for reason, n in core.items():
        quarantine[reason] = quarantine.get(reason, 0) + n
    return quarantine


QUERY_TEXT = {
    "mask": "normalised; personal data of known structure masked; names and addresses left in",
    "token": "normalised; personal data of known structure replaced by keyed tokens; names and addresses left in",
    "drop": "normalised; queries with personal data of known structure left out; names and addresses left in",
    "off": "normalised; not scrubbed of personal data",
}


def query_text(scrub: ScrubConfig) -> str:
    """What was done to query texts, in words."""
    said = QUERY_TEXT[scrub.action] + (f" (only {', '.join(scrub.kinds)})" if scrub.kinds else "")
    if scrub.detector is not None and scrub.action != "off":
        said += f"; except what the detector {scrub.detector.name!r} finds"
    return said


def stated(privacy: Privacy, raw: Any, scrub: ScrubConfig, *, key_id: str | None = None) -> dict[str, Any]:
    """What an output without differential privacy says of itself; of the key only where something was made under it."""
    sessions = raw.report.sessions_stand_for_users
    statement: dict[str, Any] = {
        "mode": privacy.mode,
        "identifiers": "none in the output; hashed under a key while counting",
        "query_text": query_text(scrub),
        "sessions_stand_for_users": sessions,
    }
    if key_id is not None and scrub.action == "token":
        statement["key_id"] = key_id
    if privacy.lineage is not None:
        statement["lineage"] = privacy.lineage
    if privacy.k is not None:
        statement |= {
            "k": privacy.k,
            "claim": f"every query, document and preference named has at least {privacy.k} "
            f"{'sessions' if sessions else 'users'} behind it; counts are rounded down to multiples of {privacy.k}",
            "not": "differential privacy: someone who adds users of their own, or compares two releases, gets below it",
        }
    else:
        statement["claim"] = "none: everything counted may be in the output"
    return statement

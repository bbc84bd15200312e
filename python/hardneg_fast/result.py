"""What `mine` returns, and the figures of its report."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from . import _hardneg, options
from .config import Config, Privacy, ScrubConfig
from .coverage import coverage
from .curriculum import with_curriculum
from .exceptions import UsageError
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


def built(raw: Any, counts: Any, released: Any, weighed: Any, selected: Any, config: Config) -> Result:
    """The result of one run. Under k-users every figure of the report is rounded down to a multiple of K."""
    privacy: Privacy = released.privacy
    negatives = pa.table(selected.negatives)
    if config.select.curriculum == "on":
        negatives = with_curriculum(negatives)
    by_position = pa.table(weighed.positions())
    queries = negatives.select(["query_id", "query"]).group_by(["query_id", "query"], use_threads=False).aggregate([])
    report = _report(raw, counts, released, selected, config)
    report["ctr_by_position"] = by_position.to_pylist()
    asked = pa.table(counts.table("queries", columns=("query", "users")))
    hard = negatives.filter(pc.equal(negatives["kind"], "hard"))
    report["coverage"] = coverage(asked, hard, privacy.k)
    report["evidence"] = {**weighed.model, "false_negatives": false_negatives(negatives, privacy.k)}
    del report["evidence"]["places"]
    report["yield"] = curve(selected.told, selected.funnel["queries_with_positive"], privacy.k)
    positives = pa.table(selected.positives)
    report["examples"] = examples(negatives, positives, privacy.k)
    return Result(
        negatives=negatives,
        triplets=pa.table(selected.triplets),
        positives=positives_of(queries, positives),
        queries=queries,
        by_position=by_position,
        report=report,
        privacy=_statement(privacy, raw, config.scrub),
        _selected=selected,
    )


def positives_of(queries: pa.Table, positives: pa.Table) -> pa.Table:
    """query_id, doc_id of the positives (query, doc_id, maybe score) of some queries, in their order."""
    places = pc.index_in(positives["query"], value_set=queries["query"].combine_chunks())
    known = pc.is_valid(places)
    ids = queries["query_id"].take(places.filter(known))
    rest = positives.drop_columns(["query"]).filter(known)
    return pa.table([ids, *rest.columns], names=["query_id", *rest.column_names])


def _report(raw: Any, counts: Any, released: Any, selected: Any, config: Config) -> dict[str, Any]:
    def shown(value: Any) -> Any:
        """Counts, however nested, as they may be shown."""
        if isinstance(value, Mapping):
            # Under k-users a reason that rounds to nothing is not named: its name alone says that it happened.
            return {name: shown(v) for name, v in value.items() if shown(v) != 0 or not released.privacy.k}
        if isinstance(value, bool) or not isinstance(value, int):
            return value
        k = released.privacy.k or 1
        return value // k * k

    def shown_text(note: str) -> str:
        """A note with its counts as they may be shown."""
        return (
            re.sub(r"\d[\d,]*", lambda n: f"{shown(int(n[0].replace(',', ''))):,}", note)
            if released.privacy.k
            else note
        )

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
            "notes": [shown_text(note) for note in raw.report.notes],
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


SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Where the distribution of P(false negative) is cut."""


def false_negatives(negatives: pa.Table, k: int | None) -> dict[str, Any] | None:
    """The share of `negatives` to expect relevant after all, by their P(false negative); None where that is null."""
    return spread_of(negatives["p_false_negative"].drop_null().to_numpy(), SHARES, k)


def spread_of(p: Any, shares: tuple[float, ...], k: int | None) -> dict[str, Any] | None:
    """The mean of probabilities, its interval, and how many there are between `shares`; None where there are none.

    The interval is that of the share in these rows were every probability right: rows are taken as independent, and
    what the estimates of the model are off is not in it.
    """
    if not len(p):
        return None
    mean, spread = float(p.mean()), 1.96 * float((p * (1 - p)).sum()) ** 0.5 / len(p)
    edges = (0.0, *shares, 1.0)
    rows = [int(((p >= low) & ((p < high) | (high == 1))).sum()) for low, high in itertools.pairwise(edges)]
    return {
        "expected": round(mean, 4),
        "lower": round(max(mean - spread, 0.0), 4),
        "upper": round(min(mean + spread, 1.0), 4),
        "distribution": [
            {"from": low, "below": high, "rows": n // (k or 1) * (k or 1)}
            for (low, high), n in zip(itertools.pairwise(edges), rows, strict=True)
        ],
    }


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


def _scrubbed(scrub: ScrubConfig) -> str:
    said = QUERY_TEXT[scrub.action] + (f" (only {', '.join(scrub.kinds)})" if scrub.kinds else "")
    if scrub.detector is not None and scrub.action != "off":
        said += f"; except what the detector {scrub.detector.name!r} finds"
    return said


def _statement(privacy: Privacy, raw: Any, scrub: ScrubConfig) -> dict[str, Any]:
    sessions = raw.report.sessions_stand_for_users
    statement: dict[str, Any] = {
        "mode": privacy.mode,
        "identifiers": "none in the output; hashed under a key while counting",
        "query_text": _scrubbed(scrub),
        "sessions_stand_for_users": sessions,
    }
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


def examples(negatives: pa.Table, positives: pa.Table, k: int | None) -> list[dict[str, Any]]:
    """Three negatives of different queries, those with the most users first."""
    best: dict[str, str] = {}
    for row in positives.to_pylist() if positives.num_rows < 10_000 else positives.slice(0, 10_000).to_pylist():
        best.setdefault(row["query"], row["doc_id"])
    order = pc.sort_indices(
        negatives, sort_keys=[("users", "descending"), ("query_id", "ascending"), ("neg_id", "ascending")]
    )
    found: list[dict[str, Any]] = []
    seen: set[str] = set()
    for row in negatives.take(order[:1_000]).to_pylist():
        if row["query"] in seen or (row["pos_id"] or best.get(row["query"])) is None:
            continue
        seen.add(row["query"])
        found.append(
            {
                "query": row["query"],
                "positive": row["pos_id"] or best[row["query"]],
                "negative": row["neg_id"],
                "rule": row["rule"],
                "why": why(row, k),
            }
        )
        if len(found) == 3:
            break
    return found


def why(row: Mapping[str, Any], k: int | None) -> str:
    """One row of `negatives` in words."""
    beside = {
        "given": "given as a negative of the query",
        "retrieved": "returned by a search engine further down, and never shown",
        "random": "drawn at random from what was never shown for the query",
    }
    if row["rule"] in beside:
        return beside[row["rule"]]
    users, least = row["users"], "" if k is None else "at least "
    people = "" if users is None else f"{least}{users} users "
    place = "listed" if row["rule"] == "contrast" else "on average"
    at = f", {place} at position {row['position_neg']}" if row["position_neg"] else ""
    if row["pos_id"] is not None:
        how = {
            "skip_above": "clicked the positive and passed over this one above it",
            "last_click_skip_above": "ended with a click on the positive and passed over this one above it",
            "click_no_click_next": "clicked the positive and not this one right below it",
            "contrast": "clicked the positive more, positions and noise allowed for",
        }[row["rule"]]
        return f"{people or 'people '}{how}{at}"
    shown = f"{people}were shown it{at}" if people else f"it was shown{at}"
    looks = (
        ""
        if row["examinations"] is None
        else f", {least}{row['examinations']:.1f} looks at it as far as positions tell"
    )
    return f"{shown}{looks}, and too few stayed with it"

"""`hardneg-fast mine --dry-run`: what a run would read, release, charge and write. It does none of it.

Of the log only names and types of columns are looked at (of NDJSON, the first thousand records have them), so neither
values nor figures of it can be said. Candidates and public queries are read and checked: they are public.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from . import options
from .config import Config, Privacy
from .inspection import LACKING
from .keys import Key
from .ledger import Ledger
from .pipeline.admission import check_job, check_users, kind_of
from .pipeline.beside import BESIDE, check_beside, with_propensities
from .pipeline.from_counts import in_place_of_a_log, is_saved
from .pipeline.private import EXACT, check_private, private_folder, public_lists, refuse_log
from .read import glance
from .release import release
from .release_private import budget_of
from .scores import check_types, filters, load_scorer
from .write import LAYOUT
from .writers.given import check_given
from .writers.ranks import check_ranks
from .writers.texts import COLUMNS, check_documents

__all__ = ["DryRun", "dry_run"]


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """What a run would do."""

    files: int
    format: str
    shape: str
    columns: dict[str, dict[str, str]]
    """Canonical name → the log's columns that it is, and their types."""
    constants: tuple[str, ...]
    """Canonical names that have one value for every row."""
    lacking: tuple[str, ...]
    """What is off for want of a column."""
    notes: tuple[str, ...]
    privacy: dict[str, Any]
    """Mode and its public constants."""
    charge: dict[str, float] | None
    """Epsilon of the lineage before and after, the limit, and the delta of the three; None without a charge."""
    writes: dict[str, tuple[str, ...]]
    """Directory → what would stand in it."""
    replaces: tuple[str, ...]
    """Those of them that stand there now."""
    ledger: str | None = None
    """File that would get an entry."""
    beside: tuple[tuple[str, str], ...] = ()
    """What is given beside the log: name, and what it would be read for."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Text for people."""
        return list(_lines(self))


def dry_run(
    log: object,
    out: Path,
    *,
    privacy: Privacy,
    config: Config,
    documents: Path | None = None,
    beside: Mapping[str, Path] | None = None,
    scorer: str | None = None,
    propensities: Path | None = None,
    key: Key | None = None,
    overwrite: bool = False,
) -> DryRun:
    """Goes through all that `mine` settles before it reads a row. Nothing is written, and no ledger is charged.

    Args:
        log: as for `mine`.
        out: likewise.
        privacy: likewise.
        config: likewise.
        documents: Parquet file; only its schema is read.
        beside: tables beside the log, Parquet files by name; likewise.
        scorer: as for `mine`; loaded, and not called.
        propensities: Parquet file; likewise, but read.
        key: likewise; not used.
        overwrite: likewise.

    Raises:
        HardnegError: what `mine` would raise by then.
    """
    config = options.checked(config)
    check_job(out, privacy=privacy, key=key, overwrite=overwrite)
    if documents is not None:
        check_documents(check_given(documents, "documents", COLUMNS))
    given = {**(beside or {}), **({"propensities": propensities} if propensities else {})}
    check_beside(privacy, config, given, scorer=scorer is not None, documents=documents is not None)
    config = with_propensities(config, propensities) if propensities else config
    for name, table in (beside or {}).items():
        schema = check_given(table, name, BESIDE[name])
        if name == "scores":
            check_types(schema)
        if name == "retrieved":
            check_ranks(schema, name)
    if scorer is not None:
        load_scorer(scorer)
    used = tuple(_given(config, beside or {}, documents=documents, scorer=scorer))
    if is_saved(log):
        return replace(_of_counts(log, out, privacy, config), beside=used)
    if privacy.mode == "dp":
        check_private(out, privacy=privacy, config=config, overwrite=overwrite)
    found, kinds, report = glance(log, config.read, named=privacy.mode == "dp")
    names = {*found.columns, *found.constants}
    check_users(privacy, names)
    charge = None
    if privacy.mode == "dp":
        refuse_log(names, report)
        public_lists(privacy, config)
        charge = _charge(privacy, config)
    elif privacy.lineage is not None and privacy.ledger is not None:
        Ledger(privacy.ledger).allow(privacy.lineage, what=kind_of(privacy), override=privacy.override_dp_claim)
    writes: dict[str, tuple[str, ...]] = {str(out): LAYOUT} | (
        {str(private_folder(out)): EXACT} if privacy.mode == "dp" else {}
    )
    lacking = [what for name, what in LACKING.items() if name not in names] if report.shape == "rows" else []
    return DryRun(
        files=report.files,
        format=report.format,
        shape=report.shape,
        columns={name: {path: str(kinds[path]) for path in found.columns[name]} for name in sorted(found.columns)},
        constants=tuple(sorted(found.constants)),
        lacking=tuple(lacking),
        notes=tuple(report.notes),
        privacy=_public(privacy),
        charge=charge,
        writes=writes,
        replaces=tuple(folder for folder in writes if os.path.lexists(folder)),
        ledger=privacy.ledger,
        beside=used,
    )


def _given(
    config: Config, beside: Mapping[str, Path], *, documents: Path | None, scorer: str | None
) -> Iterator[tuple[str, str]]:
    if documents is not None:
        bm25 = config.select.retriever == "bm25"
        uses = {
            "texts of triplets": True,
            f"BM25, ranks {config.select.retrieved_from} to {config.select.retrieved_to}": bm25,
            "texts for the scorer": scorer is not None,
            "near duplicates": config.select.duplicate_words < 1,
        }
        yield "documents", ", ".join(use for use, there in uses.items() if there)
    yield from ((name, ", ".join(BESIDE[name])) for name in beside)
    if scorer is not None:
        every = "every candidate" if filters(config.select) else "what is written"
        yield "scorer", f"{scorer}, asked about {every}"


def _of_counts(log: object, out: Path, privacy: Privacy, config: Config) -> DryRun:
    raw, counts, _ = in_place_of_a_log(log, config)
    release(counts, privacy=privacy)
    if privacy.lineage is not None and privacy.ledger is not None:
        Ledger(privacy.ledger).allow(privacy.lineage, what=kind_of(privacy), override=privacy.override_dp_claim)
    needed = {"position": counts.has["positions"], "search_id": counts.has["pages"], "user_id": counts.has["users"]}
    return DryRun(
        files=1,
        format="counts",
        shape="counts",
        columns={},
        constants=(),
        lacking=tuple(LACKING[name] for name, had in needed.items() if not had),
        notes=tuple(raw.report.notes),
        privacy=_public(privacy),
        charge=None,
        writes={str(out): LAYOUT},
        replaces=(str(out),) if os.path.lexists(out) else (),
        ledger=privacy.ledger,
    )


def _charge(privacy: Privacy, config: Config) -> dict[str, float]:
    budget = budget_of(privacy, config.release)
    return Ledger(str(privacy.ledger)).afford(
        str(privacy.lineage),
        mu=budget.mu,
        delta_t=budget.delta_t,
        pure=budget.pure,
        override=privacy.override_dp_claim,
    )


def _public(privacy: Privacy) -> dict[str, Any]:
    names = ("mode", "k", "epsilon", "delta", "lineage", "candidates_class", "public_queries_class")
    stated = {name: getattr(privacy, name) for name in names if getattr(privacy, name) is not None}
    return stated | ({"override_dp_claim": True} if privacy.override_dp_claim else {})


def _lines(run: DryRun) -> Iterator[str]:
    looked = {"ndjson": "of the log only the first records were read", "counts": "the counts were read"}.get(
        run.format, "of the log only names and types of columns were read"
    )
    yield f"dry run     {looked}; nothing was written or charged"
    files = f"{run.files:,} file{'s' * (run.files != 1)}, " if run.files else ""
    yield f"log         {files}{run.format}, shape {run.shape}"
    widest = max(map(len, [*run.columns, *run.constants]), default=0)
    for name, paths in run.columns.items():
        yield f"column      {name:<{widest}}  <- " + ", ".join(f"{path} ({kind})" for path, kind in paths.items())
    for name in run.constants:
        yield f"column      {name:<{widest}}  one value for every row"
    yield from (f"off         {what}" for what in run.lacking)
    yield from (f"note        {note}" for note in run.notes)
    yield from (f"beside      {name}: {use}" for name, use in run.beside)
    yield f"privacy     {_said(run.privacy)}"
    if run.ledger is not None:
        yield f"ledger      {run.ledger}: lineage {run.privacy['lineage']!r} {_charged(run.charge)}"
    for folder, contents in run.writes.items():
        yield f"{'would replace' if folder in run.replaces else 'would write':<12}{folder}: {', '.join(contents)}"


def _charged(charge: dict[str, float] | None) -> str:
    if charge is None:
        return "would be without a claim of differential privacy from then on"
    spent, after, limit, delta = (charge[name] for name in ("spent", "after", "limit", "delta"))
    return f"would go from epsilon {spent:.4g} to {after:.4g} of {limit:g}, at delta {delta:g}"


def _said(privacy: dict[str, Any]) -> str:
    if privacy["mode"] == "none":
        return "none: everything counted may be in the output"
    if privacy["mode"] == "k_users":
        return f"k users: only what at least {privacy['k']} users stand behind is named; not differential privacy"
    label = "; no claim, for it is overridden" if "override_dp_claim" in privacy else ""
    return f"user-level differential privacy: epsilon {privacy['epsilon']:g}, delta {privacy['delta']:g}{label}"

"""The order of the stages: read ─► anonymize ─► count ─► release ─► evidence ─► select ─► write."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from . import _hardneg, options
from .anonymize import IDENTIFIERS, anonymized, copied, normalize, scrubbing
from .blocks import BLOCKS, Header, is_blocks, rows_of
from .click_model import ClickLog, ClickModel, Regressor, choose, fit, of_counts, of_log
from .config import (
    ClickModelConfig,
    Config,
    CountConfig,
    Privacy,
    ReadConfig,
    RelatedConfig,
    ScrubConfig,
    SelectConfig,
)
from .count import TABLES, Counts, Progress, count_stream, part_config, split_counts
from .evidence import evidence as weigh
from .exceptions import ColumnError, DataError, PrivacyError, UsageError
from .from_counts import in_place_of_a_log, is_saved
from .keys import Key
from .ledger import Ledger
from .pipeline_private import mine_private, window
from .propensities import DEFINITIONS, METHODS, Propensities, estimate, of_table
from .read import THRESHOLDED, RawLog, bring, open_clicks, open_log, open_pages
from .related import RelatedQueries, of_clicks, of_released
from .release import Released, release
from .release import checked as checked_privacy
from .release_private import PrivateReleased
from .result import VALUES, Result, built, quarantined
from .retrieve import check as check_retriever
from .retrieve import retrieve
from .reversible import Sealer
from .scores import Scorer, Sources, drafted, filters, load_scorer, scores_table
from .scores import check as check_scores
from .select import Selected, select
from .sources import keepable, open_source
from .sources.arrow import is_arrow
from .split import split_rows
from .write import Mined, check_target
from .write import write as write_directory
from .writers.atomic import check_file, whole_file
from .writers.given import given_table
from .writers.parquet import open_parquet
from .writers.stable_json import to_json
from .writers.texts import documents_table

__all__ = [
    "anonymize",
    "click_log",
    "count",
    "estimate_propensities",
    "fit_click_model",
    "mine",
    "read",
    "related_queries",
    "split",
]

MINED_TABLES = ("queries", "cells", "pairs", "preferences")
"""Tables that the stages after counting use today, successions with preferences; the others are counted when asked
for."""


MOST_PARTS = 1 << 20

BROKE_OFF = "the input stream broke off while it was read"
"""What the core says too, where Arrow tells it no more."""

ROWS_STAY = "rows stay as they are: those that mine would set aside are in the copy"


def mine(
    log: object,
    out: Path | str | None = None,
    *,
    privacy: Privacy,
    config: Config | None = None,
    documents: object = None,
    positives: object = None,
    known_relevant: object = None,
    extra_negatives: object = None,
    retrieved: object = None,
    scores: object = None,
    query_vectors: object = None,
    document_vectors: object = None,
    scorer: Scorer | str | None = None,
    propensities: object = None,
    key: Key | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Raw click log in, hard negatives out.

    Args:
        log: a path, glob, list of those, or any Arrow object: docs/ARCHITECTURE.md, read. Or counts of a whole log,
            `Counts` or a file of them: then nothing is read or counted, and options of `count` are those of the counts.
        out: dataset directory to write, whole or not at all; None writes nothing.
        privacy: what may leave; there is no default.
        config: options; their defaults otherwise.
        documents: table or Parquet file with doc_id and text; triplets then hold texts, and BM25 finds documents in
            them where it is asked to (`select.retriever`).
        positives: table or Parquet file with query and doc_id, best first: documents that satisfy a query, before those
            of the log.
        known_relevant: the same: documents that are no negatives of a query.
        extra_negatives: the same: negatives of a query, as they are.
        retrieved: the same, in order of rank: what a search engine returns (`select.semi_negatives`, `select.fill`).
        scores: the same with score, higher for more relevant: what a model says (`select.max_score` and the options
            around it). Scores go into `negatives` and `positives`.
        query_vectors: in their place, table or Parquet file with query and vector …
        document_vectors: … and one with doc_id and vector; by themselves for `select.duplicate_vectors`.
        scorer: in their place, a function that gets a list of (query, text of a document) and returns a score for each,
            such as `predict` of a cross-encoder; or its place, `module:function`. It is asked about each pair once.
        propensities: how likely a result is to be looked at, by position: `Propensities`, or a table or Parquet file
            with position and propensity. Used as they are, not what the log would tell (`evidence.debias`).
        key: master key for identifiers; without one they are hashed under a key forgotten with the run.
        overwrite: replace the dataset that stands at `out`.
        progress: called with stage, rows read and the share of the stage that is done about ten times a second; what it
            raises stops the job.

    Raises:
        PrivacyError: the privacy asked for cannot be had on this log, or on counts.
        DataError: the log cannot be read, or no rule can run on it.
        UsageError: options that cannot be, or are not those that counts were counted with.
    """
    config = options.checked(config or Config())
    check_job(out, privacy=privacy, key=key, overwrite=overwrite)
    texts = None if documents is None else documents_table(documents)
    beside = tables_beside(
        config,
        key,
        positives=positives,
        known_relevant=known_relevant,
        extra_negatives=extra_negatives,
        retrieved=retrieved,
        scores=scores,
        query_vectors=query_vectors,
        document_vectors=document_vectors,
    )
    scorer = load_scorer(scorer)
    given = beside if propensities is None else {**beside, "propensities": propensities}
    check_beside(privacy, config, given, scorer=scorer is not None, documents=texts is not None)
    config = config if propensities is None else with_propensities(config, propensities)
    if isinstance(log, Counts) or is_saved(log):
        raw, counts, config = in_place_of_a_log(log, config)
        released = release(counts, privacy=privacy)
        enter(privacy, window="what was counted", what=kind_of(privacy))
    elif privacy.mode == "dp":
        return mine_private(
            log, out, privacy=privacy, config=config, documents=texts, overwrite=overwrite, progress=progress
        )
    else:
        raw = open_log(log, config.read)
        check_users(privacy, raw.schema.names)
        enter(privacy, window=window(config), what=kind_of(privacy))
        counts = _counted(raw, config, key, MINED_TABLES, progress)
        refuse_nothing(raw, counts)
        released = release(counts, privacy=privacy)
    return finished(
        raw,
        counts,
        released,
        out,
        config=config,
        beside=beside,
        documents=texts,
        scorer=scorer,
        overwrite=overwrite,
        progress=progress,
    )


def finished(
    raw: Any,
    counts: Any,
    released: Released,
    out: Path | str | None,
    *,
    config: Config,
    beside: dict[str, pa.Table],
    documents: pa.Table | None,
    overwrite: bool,
    scorer: Scorer | None = None,
    progress: Progress | None = None,
) -> Result:
    """What comes after the release. Of `raw` its report is looked at, of `counts` the figures beside the tables."""
    weighed = weigh(released, config=config.evidence, seed=config.seed, threads=config.threads)

    def of(beside: Mapping[str, pa.Table], chosen: SelectConfig) -> Selected:
        return select(weighed, config=chosen, seed=config.seed, threads=config.threads, **beside)

    selected = chosen_by(of, config, beside, documents=documents, scorer=scorer, progress=progress)
    return told(
        raw,
        counts,
        released,
        weighed,
        selected,
        out,
        config=config,
        beside=[*beside, *([] if scorer is None else ["scorer"])],
        documents=documents,
        overwrite=overwrite,
    )


def chosen_by(
    of: Callable[[Mapping[str, pa.Table], SelectConfig], Any],
    config: Config,
    beside: Mapping[str, pa.Table],
    *,
    documents: pa.Table | None,
    scorer: Scorer | None = None,
    progress: Progress | None = None,
) -> Any:
    """The selection that `of` makes with tables beside the log, some of which are made for it."""
    sources = Sources(
        scores=beside.get("scores"),
        query_vectors=beside.get("query_vectors"),
        document_vectors=beside.get("document_vectors"),
        scorer=scorer,
        documents=documents,
    )
    tables = {name: table for name, table in beside.items() if not name.endswith("_vectors")}
    return _selected(of, config, tables, sources, progress)


def told(
    raw: Any,
    counts: Any,
    released: Any,
    weighed: Any,
    selected: Any,
    out: Path | str | None,
    *,
    config: Config,
    beside: Collection[str],
    documents: pa.Table | None,
    overwrite: bool,
) -> Result:
    """What was selected, reported and written."""
    result = built(raw, counts, released, weighed, selected, config)
    if beside:
        result.report["beside"] = sorted(beside)
    if out is not None:
        mined = Mined(
            negatives=result.negatives,
            triplets=result.triplets,
            positives=result.positives,
            queries=result.queries,
            evidence_by_position=result.by_position,
            report=result.report,
            privacy=result.privacy,
        )
        write_directory(mined, Path(out), documents=documents, overwrite=overwrite)
    return result


def _selected(
    of: Callable[[Mapping[str, pa.Table], SelectConfig], Any],
    config: Config,
    beside: dict[str, pa.Table],
    sources: Sources,
    progress: Progress | None,
) -> Any:
    """The selection. What it needs of queries, or of pairs, that it alone knows, is made for those of a draft."""
    chosen = config.select
    unscored = {name: table for name, table in beside.items() if name != "scores"}
    if chosen.retriever == "bm25":
        queries = pc.unique(pa.table(of(unscored, drafted(chosen)).positives)["query"])
        top, threads = chosen.retrieved_to, config.threads
        unscored["retrieved"] = retrieve(queries, sources.documents, top=top, threads=threads, progress=progress)
    if not sources.makes(chosen):
        return of(beside | unscored, chosen)
    draft = of(unscored, drafted(chosen))
    positives = pa.table(draft.positives)
    made = sources.of(_pairs(pa.table(draft.negatives), positives), positives, chosen)
    selected = of(unscored | {"scores": made}, chosen)
    drawn = pa.table(selected.negatives).filter(pc.field("rule") == "random")
    if drawn.num_rows and sources.own and filters(chosen):
        # Drawn whatever their scores, so not in the draft; only the column wants them.
        none = positives.slice(0, 0)
        rest = sources.of(_pairs(drawn, none), none, SelectConfig(similarity=chosen.similarity))
        selected = of(unscored | {"scores": pa.concat_tables([made, rest])}, chosen)
    return selected


def with_propensities(config: Config, given: object) -> Config:
    """The configuration with propensities by position for `evidence`.

    Raises:
        FileError, ColumnError, DataError, UsageError: they are none; the configuration asks for another examination.
    """
    if config.evidence.propensities or config.evidence.debias not in ("auto", "propensities"):
        raise UsageError(
            "propensities are given, and the configuration says something else: leave out evidence.debias and "
            "evidence.propensities"
        )
    made = given if isinstance(given, Propensities) else of_table(given)
    evidence = replace(config.evidence, debias="propensities", propensities=made.by_position())
    return replace(config, evidence=evidence)


def _pairs(negatives: pa.Table, positives: pa.Table) -> pa.Table:
    """(query, document)s of two tables, each once."""
    rows = pa.concat_tables([negatives.select(["query", "neg_id"]).rename_columns(["query", "doc_id"]), positives])
    return rows.group_by(["query", "doc_id"], use_threads=False).aggregate([])


BESIDE = {
    "positives": ("query", "doc_id"),
    "known_relevant": ("query", "doc_id"),
    "extra_negatives": ("query", "doc_id"),
    "retrieved": ("query", "doc_id"),
    "scores": ("query", "doc_id", "score"),
    "query_vectors": ("query", "vector"),
    "document_vectors": ("doc_id", "vector"),
}
"""Tables beside the log → their columns."""


def check_beside(
    privacy: Privacy, config: Config, beside: Mapping[str, object], *, scorer: bool, documents: bool
) -> None:
    """Refuses, before the log is read, what is given beside it and nothing takes, and what is asked for and not given.

    Raises:
        UsageError: a release under differential privacy; a source of documents or scores that could not work.
    """
    given = {**beside, **({"scorer": True} if scorer else {})}
    if privacy.mode == "dp" and given:
        raise UsageError(
            f"with --epsilon nothing is given beside the log but --candidates; leave out {', '.join(given)}"
        )
    check_retriever(config.select, documents=documents, retrieved="retrieved" in given)
    check_scores(config.select, given, documents=documents)


def tables_beside(config: Config, key: Key | None, **tables: object) -> dict[str, pa.Table]:
    """Those tables that are given, by name.

    Raises:
        FileError, ColumnError, DataError, UsageError: one of them is no such table.
    """
    return {name: _beside(name, table, config.scrub, key) for name, table in tables.items() if table is not None}


def _beside(name: str, given: object, scrub: ScrubConfig, key: Key | None) -> pa.Table:
    """A table of `BESIDE`, its queries brought to the form of those of the log.

    Raises:
        FileError, ColumnError, DataError, UsageError: it is no such table.
    """
    table = given_table(given, name, BESIDE[name])
    table = scores_table(table) if name == "scores" else table
    if table.num_rows == 0 or "query" not in table.column_names:
        return table
    place = table.column_names.index("query")
    table = table.set_column(place, "query", normalize(table["query"], scrub=scrub, key=key))
    # A query that is nothing once it is normalised was never asked.
    return table.filter(pc.is_valid(table["query"]))


def check_job(out: Path | str | None, *, privacy: Privacy, key: Key | None, overwrite: bool) -> None:
    """What can be refused of `mine` before the log is opened.

    Raises:
        PrivacyError, UsageError, FileError: as `mine`.
    """
    checked_privacy(privacy)
    if privacy.mode == "dp" and key is not None:
        raise PrivacyError(
            "a release under differential privacy shares no key with pseudonyms: its identifiers are hashed under one "
            "of the run; leave out --key"
        )
    if out is not None:
        check_target(Path(out), overwrite=overwrite)


def check_users(privacy: Privacy, names: Collection[str]) -> None:
    """Refuses a threshold of users for a log without, before it is read, not an hour later.

    Raises:
        PrivacyError: none of its canonical columns is user_id.
    """
    if privacy.mode == "k_users" and "user_id" not in names:
        raise PrivacyError(
            "the k-user threshold needs user ids, and the log has none: map a column to user_id "
            "(--columns user_id=NAME), or choose --no-privacy"
        )


def kind_of(privacy: Privacy) -> str:
    """What a ledger calls an output that is not differentially private."""
    return "an output without privacy" if privacy.k is None else "a k-users output"


def enter(privacy: Privacy, *, window: str, what: str) -> None:
    """Notes in the ledger a release that is not differentially private, before a row is read; a run that fails stays.

    Raises:
        PrivacyError: the lineage was released under differential privacy, and nothing overrides that.
    """
    if privacy.lineage is not None and privacy.ledger is not None:
        override = privacy.override_dp_claim
        Ledger(privacy.ledger).no_dp_claim(privacy.lineage, window=window, what=what, override=override)


def count(
    log: object,
    *,
    config: Config | None = None,
    tables: tuple[str, ...] = TABLES[:-2],
    key: Key | None = None,
    part: tuple[int, int] | None = None,
    progress: Progress | None = None,
) -> Counts:
    """Counts a log: cleaned, bounded per user, on all cores.

    Args:
        log: as for `mine`; or, with `part`, a table of the blocks that `split` made of one part.
        config: options; their defaults otherwise.
        tables: names out of `count.TABLES`; fewer are faster.
        key: as for `mine`.
        part: (i, n) if this is part i, from 0, of n that `split` makes of a log; the counts then know it, and `merge`
            and `release` which parts are missing. Needs `key`, by whose hashes users have their parts.
        progress: as for `mine`.

    Raises:
        DataError: the log cannot be read; it has a user of another part.
        UsageError: options that cannot be; blocks of another part, key or configuration.
    """
    config = options.checked(config or Config())
    if part is None:
        return _counted(open_log(log, config.read), config, key, tables, progress)
    part = _part(part)
    if not isinstance(key, Key):
        raise UsageError("parts are made by keyed hashes of users: count a part with the key that it was split by")
    if not is_blocks(log):
        return _counted(open_log(log, config.read), config, key, tables, progress, part)
    rows = rows_of(log, key)
    if rows is None:
        raise DataError(f"there is no block of part {part[0]} of {part[1]}; split makes at least one of each part")
    header = rows.header
    if (header.part, header.of) != part:
        raise UsageError(f"the blocks are of part {header.part} of {header.of}, not of part {part[0]} of {part[1]}")
    if header.config != _part_config(config, header.position_base, has_pages=header.has_pages):
        raise UsageError("the log was split with another configuration; split and count with the same")
    try:
        return count_stream(
            rows.reader,
            config=config.count,
            scrub=scrubbing(config.scrub),
            key=key,
            seed=config.seed,
            threads=config.threads,
            memory=int(config.memory),
            spill_dir=config.spill_dir,
            position_base=header.position_base,
            has_pages=header.has_pages,
            tables=tables,
            part=part,
            progress=progress,
        )
    except DataError:
        if rows.error is not None:
            raise rows.error from None
        raise


def split(log: object, parts: int, /, *, key: Key, config: Config | None = None) -> pa.RecordBatchReader:
    """A log in parts by user, or counts in parts by query, as sealed blocks: to be counted, or merged, part by part.

    Which part a user is of follows from a hash under `key`, so a log may be split piece by piece, each piece by
    itself, anywhere. All blocks of one part have to meet: nothing of a user is to be counted apart. What is in a block
    is sealed under a key made from `key`.

    Args:
        log: as for `mine`, a row per result shown; or counts of a part.
        parts: how many parts.
        key: the master key.
        config: options, the same for all pieces, and for counting them. `read.position_base` is 0 or 1: a piece does
            not tell what the log calls the top position.

    Returns:
        part, block; at least one block of each part. Its metadata say stage, parts, hash of the configuration, key id.

    Raises:
        ColumnError: the log has no users.
        DataError: the log cannot be read.
        UsageError: options that cannot be; counts that are no part, or were counted under another key.
    """
    _, parts = _part((0, parts))
    if not isinstance(key, Key):
        raise UsageError("a log is split under a key that is kept: Key.load(FILE)")
    if isinstance(log, Counts):
        return split_counts(log, parts, key)
    config = options.checked(config or Config())
    raw = open_log(log, config.read)
    if "user_id" not in raw.schema.names:
        raise ColumnError("a log is split by user, and this one has none: map a column to user_id")
    if raw.report.shape != "rows":
        raise UsageError(f"a log of {raw.report.shape} is brought to rows before it is split: hn.read does that")
    if "position" in raw.schema.names and config.read.position_base == "auto":
        raise UsageError("say what the log calls the top position, read.position_base 0 or 1: a piece does not tell")
    common = _part_config(config, raw.position_base, has_pages=raw.has_pages)
    header = Header(
        stage="rows",
        part=0,
        of=parts,
        config=common,
        key=key.id,
        position_base=raw.position_base,
        has_pages=raw.has_pages,
    )
    reader = raw.reader()
    blocks = split_rows(_unbroken(reader, raw), reader.schema, parts, header, key)
    schema = BLOCKS.with_metadata(header.metadata())
    return pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in blocks))


def _part(part: tuple[int, int]) -> tuple[int, int]:
    """A number of a part, and of how many.

    Raises:
        UsageError: there is no such part.
    """
    match part:
        case (int(i), int(n)) if 0 <= i < n <= MOST_PARTS and not isinstance(i, bool):
            return i, n
    raise UsageError(
        f"part is {part!r}; give (i, n): number i, from 0, of n parts, of which there are at most {MOST_PARTS:,}"
    )


def _part_config(config: Config, position_base: int, *, has_pages: bool) -> str:
    return part_config(
        config.count, scrubbing(config.scrub), seed=config.seed, position_base=position_base, has_pages=has_pages
    )


def count_to_file(
    log: object,
    out: Path | str,
    *,
    config: Config | None = None,
    tables: tuple[str, ...] = TABLES[:-2],
    key: Key | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Counts a log as `count` does, and saves the counts as `Counts.save` does.

    Args:
        log: as for `mine`.
        out: file to write, whole or not at all.
        config: options; their defaults otherwise.
        tables: as for `count`.
        key: as for `mine`.
        overwrite: replace the file that stands at `out`.
        progress: as for `mine`.

    Returns:
        rows read, quarantine and dropped by reason, sizes of tables, whether users could be told apart, notes.

    Raises:
        DataError: the log cannot be read, or has no row that can be used.
        FileError: `out` cannot be written.
        UsageError: options that cannot be.
    """
    config = options.checked(config or Config())
    check_file(Path(out), overwrite=overwrite)
    raw = open_log(log, config.read)
    counts = _counted(raw, config, key, tables, progress)
    refuse_nothing(raw, counts)
    counts.save(out, overwrite=overwrite)
    return {
        "rows": raw.report.rows_in or counts.rows,
        "quarantine": quarantined(raw.report.quarantine, counts.quarantine),
        "dropped": counts.dropped,
        "scrubbed": counts.scrubbed,
        "sizes": counts.sizes,
        "users": counts.has["users"],
        "notes": raw.report.notes,
    }


def read(log: object, *, config: Config | None = None) -> pa.RecordBatchReader:
    """The log as a stream of canonical impressions, raw identifiers and queries included.

    Raises:
        DataError: the log cannot be read.
    """
    raw = open_log(log, options.checked(config or Config()).read)
    return pa.RecordBatchReader.from_stream(_hardneg.canonicalize(raw.reader(), position_base=raw.position_base))


def anonymize(
    log: object,
    out: Path | str,
    *,
    key: Key | None = None,
    config: Config | None = None,
    epoch: str = "",
    dataset: str = "",
    time: Literal["day", "keep"] = "day",
    query_text: Literal["normalise", "keep"] = "normalise",
    keep: tuple[str, ...] = (),
    k_users: int | None = None,
    reversible: tuple[str, ...] = (),
    lineage: str | None = None,
    ledger: Path | str | None = None,
    override_dp_claim: bool = False,
    manifest: Path | str | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Writes a log as Parquet with canonical columns only: pseudonyms, normalised queries, days instead of times.

    With `query_text="keep"` and `time="keep"` Parquet files are copied page by page: rows stay as they are, those too
    that `mine` would set aside. Pseudonymised, not anonymous: query text can identify.

    Args:
        log: as for `mine`.
        out: Parquet file to write, whole or not at all.
        key: master key for identifiers; without one they are hashed under a key forgotten with the run.
        config: options; their defaults otherwise.
        epoch: name of the period the pseudonyms hold for.
        dataset: name of the dataset they hold for.
        time: timestamps to the day, or as they are.
        query_text: query texts normalised, or as they are.
        keep: further columns to take along as they are; what is in them is not looked at.
        k_users: leave out the rows of queries that fewer users issued; the log is read twice for that.
        reversible: identifiers that become tokens which the key's holder can read back (`reveal`), not pseudonyms.
        lineage: name of the data. Together with an anonymized log no release of its lineage is differentially private,
            which its ledger then says.
        ledger: file of the budget, where `lineage` is given.
        override_dp_claim: write the log although its lineage was released under differential privacy, whose claim ends.
        manifest: JSON file that says what was done to each column, and under which key id.
        overwrite: replace the files that stand at `out` and `manifest`.

    Returns:
        rows written and read, quarantine by reason, rows suppressed for rare queries, personal data by kind, columns,
        how each came about, those left in without a look at their content, key id (None for a key that is forgotten
        now), notes.

    Raises:
        DataError: the log cannot be read.
        FileError: `out` or `manifest` cannot be written.
        PrivacyError: `k_users` on a log without users; the lineage was released under differential privacy.
        UsageError: options that cannot be.
    """
    if manifest is not None:
        check_file(Path(manifest), overwrite=overwrite)
    entered = Privacy.none(lineage=lineage, ledger=ledger, override_dp_claim=override_dp_claim)
    done = _anonymized(
        log,
        out,
        key=key,
        config=config,
        keep=keep,
        overwrite=overwrite,
        time=time,
        query_text=query_text,
        k_users=k_users,
        epoch=epoch,
        dataset=dataset,
        reversible=tuple(reversible),
        entered=entered,
    )
    if manifest is not None:
        said: dict[str, Any] = {
            "file": Path(out).name,
            "time": time,
            "query_text": query_text,
            "k_users": k_users,
            "epoch": epoch,
        }
        said |= {"dataset": dataset, "lineage": lineage or None, **done, "claim": PSEUDONYMISED}
        if reversible:
            said |= {"reversible": sorted(reversible), "claim": f"{PSEUDONYMISED}; {READ_BACK}"}
        with whole_file(Path(manifest), overwrite=overwrite) as partial:
            partial.write_bytes(to_json(said))
    return done


PSEUDONYMISED = (
    "pseudonymised, not anonymous (GDPR Art. 4(5), recital 26): personal data still for whoever has the key, or knows "
    "a person's habits"
)


READ_BACK = "whoever has the key can read the reversible identifiers back"


def _anonymized(
    log: object,
    out: Path | str,
    *,
    key: Key | None,
    config: Config | None,
    keep: tuple[str, ...],
    overwrite: bool,
    time: Literal["day", "keep"],
    query_text: Literal["normalise", "keep"],
    k_users: int | None,
    epoch: str,
    dataset: str,
    reversible: tuple[str, ...],
    entered: Privacy,
) -> dict[str, Any]:
    if time not in ("day", "keep"):
        # Anything but "day" would keep the times.
        raise UsageError(f"time is {time!r}; choose one of day, keep")
    if query_text not in ("normalise", "keep"):
        raise UsageError(f"query_text is {query_text!r}; choose one of normalise, keep")
    if k_users is not None and (query_text == "keep" or k_users < 2):
        raise UsageError("k_users is 2 or more, and for normalised queries: leave out query_text keep (--query-text)")
    if reversible and key is None:
        raise UsageError("tokens that can be read back need a key that is kept: key, --key FILE")
    if wrong := sorted({*reversible} - {*IDENTIFIERS}):
        raise UsageError(f"reversible names {wrong}; choose of {', '.join(IDENTIFIERS)}")
    keep = tuple(keep)
    if isinstance(log, str | Path) and _same_file(log, out):
        raise UsageError("the output is the log itself; give another path: a raw log is not replaced")
    config = options.checked(config or Config())
    source, files = open_source(log, config.read)
    secret = _key(key)
    check_file(Path(out), overwrite=overwrite)
    # Once, when it is clear what will be read, and before it is.
    once = cache(lambda: enter(entered, window=window(Config()), what="an anonymized log"))
    why = "times become days" if time == "day" else "queries are normalised"
    if time == "keep" and query_text == "keep" and reversible:
        why = "tokens that can be read back are made anew"
    elif time == "keep" and query_text == "keep":
        try:
            pages = keepable.pages(source, files, config.read, keep)
            once()
            with whole_file(Path(out), overwrite=overwrite) as partial:
                done = copied(
                    pages.files,
                    pages.columns,
                    partial,
                    key=secret,
                    epoch=epoch,
                    dataset=dataset,
                    threads=config.threads,
                )
        except keepable.NotByPages as refused:
            why = str(refused)
        else:
            return {
                "rows": done.rows,
                "rows_read": done.rows,
                "quarantine": {},
                "suppressed": 0,
                "scrubbed": {},
                "columns": [*done.how],
                "how": done.how,
                "left_in": [name for name in done.how if name not in IDENTIFIERS],
                "key_id": key.id if key else None,
                "notes": [ROWS_STAY],
            }

    def opened() -> tuple[RawLog, Any]:
        raw = bring(source, files, config.read, keep)
        return raw, anonymized(
            raw.reader(),
            position_base=raw.position_base,
            key=secret,
            epoch=epoch,
            dataset=dataset,
            time=time,
            query_text=query_text,
            scrub=config.scrub,
            keep=keep,
            plain=reversible,
        )

    asked = None
    if k_users is not None:
        raw, stream = opened()
        if "user_id" not in raw.schema.names:
            raise PrivacyError("the k-user threshold needs user ids, and the log has none: map a column to user_id")
        once()
        with _named_errors(raw, stream):
            asked = _asked_by(stream, config, k_users)
    raw, stream = opened()
    if lacking := sorted({*reversible} - {*raw.schema.names}):
        raise ColumnError(f"reversible names {lacking}, which the log does not have")
    once()
    sealers = {name: Sealer(secret, name, epoch, dataset) for name in reversible}
    rows = suppressed = 0
    with _named_errors(raw), whole_file(Path(out), overwrite=overwrite) as partial:
        reader = pa.RecordBatchReader.from_stream(stream)
        schema = pa.schema([(f.name, pa.string() if f.name in sealers else f.type) for f in reader.schema])
        with open_parquet(partial, schema) as writer:
            for batch in _unbroken(reader, raw, stream):
                kept = batch if asked is None else batch.filter(pc.is_in(batch["query"], value_set=asked))
                rows += kept.num_rows
                suppressed += batch.num_rows - kept.num_rows
                columns = [
                    sealers[name].seal(column) if name in sealers else column
                    for name, column in zip(schema.names, kept.columns, strict=True)
                ]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
            if k_users is not None:
                writer.add_key_value_metadata({THRESHOLDED.decode(): str(k_users)})
    stats = stream.stats()
    return {
        "rows": rows,
        "rows_read": stats["rows"],
        "quarantine": quarantined(raw.report.quarantine, stats["quarantine"]),
        "suppressed": suppressed,
        "scrubbed": stats["scrubbed"],
        "columns": reader.schema.names,
        "how": dict.fromkeys(reader.schema.names, f"decoded and encoded: {why}")
        | dict.fromkeys(sealers, "tokens by AES-SIV: whoever has the key can read the ids back"),
        "left_in": [*(["query"] if query_text == "keep" else []), *keep],
        "key_id": key.id if key else None,
        "notes": raw.report.notes,
    }


def _same_file(one: Path | str, other: Path | str) -> bool:
    try:
        return Path(one).samefile(other)
    except (OSError, ValueError):
        # Not there, or not to be looked at: whoever opens it says so.
        return False


def _asked_by(stream: object, config: Config, k: int) -> pa.Array:
    """Queries that at least `k` users issued, of an anonymized log: its very texts, tokens of its epoch included."""
    everything = CountConfig(robots="keep", min_page_length=1, max_position=65_535)
    plain = Config(
        threads=config.threads,
        memory=config.memory,
        spill_dir=config.spill_dir,
        read=ReadConfig(position_base="1"),
        scrub=ScrubConfig(action="off"),
        count=everything,
    )
    counts = count(pa.RecordBatchReader.from_stream(stream), config=plain, tables=("queries",))
    table = pa.RecordBatchReader.from_stream(counts.table("queries", columns=("query", "users"))).read_all()
    return table.filter(pc.greater_equal(table["users"], k))["query"].combine_chunks()


def related_queries(
    clicks: object,
    /,
    *,
    config: Config | RelatedConfig | None = None,
    queries: Literal["auto", "given", "normalize"] = "auto",
    progress: Progress | None = None,
) -> RelatedQueries:
    """Queries whose users clicked the same documents, and what was clicked there and not here.

    Made from a release, the result says no more than the release shows. Made from anything else nothing is held back:
    it is as private as the log.

    Args:
        clicks: what `release` let pass; or a log (as for `mine`: files, or any Arrow object), of which only query,
            doc_id and clicked are read; or click counts, likewise, with columns query, doc_id and clicks.
        config: the options of the section `related`, or the whole tree, of which `related`, `read` and `threads`
            count.
        queries: whether query texts are normalised (`normalize`) or compared as they are (`given`); auto normalises
            what comes from files and takes Arrow objects as they are. Released queries are normalised.
        progress: as for `mine`.

    Raises:
        DataError: the clicks cannot be read.
        UsageError: options that cannot be.
    """
    tree = config if isinstance(config, Config) else Config(related=config or RelatedConfig())
    tree = options.checked(tree)
    if queries not in ("auto", "given", "normalize"):
        raise UsageError(f"queries is {queries!r}; choose one of auto, given, normalize")
    if isinstance(clicks, Released):
        return of_released(clicks, config=tree.related, threads=tree.threads, progress=progress)
    raw = open_clicks(clicks, tree.read)
    with _named_errors(raw):
        return of_clicks(
            raw.direct(),
            normalize=queries == "normalize" or (queries == "auto" and not is_arrow(clicks)),
            scrub=scrubbing(tree.scrub),
            key=Key.ephemeral(),
            config=tree.related,
            threads=tree.threads,
            progress=progress,
        )


def click_log(
    log: object,
    /,
    *,
    config: Config | None = None,
    queries: Literal["auto", "given", "normalize"] = "auto",
    progress: Progress | None = None,
) -> ClickLog:
    """A log grouped for click models: once, for any number of fits. Nothing is cleaned, and nothing held back.

    Args:
        log: a log (as for `mine`: files, or any Arrow object), of which query, doc_id, clicked, position and search_id
            are read, rows of one search_id and query being a page; or cells, likewise, with columns query, doc_id,
            impressions, clicks, and where there are, position, previous_click (0 for none) and fold (0 to 9); or
            `Counts`, whose cells are taken, and pages where they were counted; or what `release` let pass of them,
            whose pairs have no positions.
        config: `read`, `scrub`, `seed` and `threads` count, and `click_model.max_position`.
        queries: as for `related_queries`.
        progress: as for `mine`.

    Raises:
        DataError: the log cannot be read.
        PrivacyError: a release under differential privacy, of which nothing here can be fitted.
        UsageError: options that cannot be.
    """
    tree = options.checked(config or Config())
    if queries not in ("auto", "given", "normalize"):
        raise UsageError(f"queries is {queries!r}; choose one of auto, given, normalize")
    if isinstance(log, Counts):
        return of_counts(log, seed=tree.seed)
    if isinstance(log, PrivateReleased):
        log = log.table
    elif isinstance(log, Released):
        log = pa.table(log.table()).select(["query", "doc_id", "position", "clicks", "impressions"])
    raw = open_pages(log, tree.read)
    with _named_errors(raw):
        return of_log(
            raw.direct(),
            normalize=queries == "normalize" or (queries == "auto" and not is_arrow(log)),
            scrub=scrubbing(tree.scrub),
            key=Key.ephemeral(),
            seed=tree.seed,
            position_base=raw.position_base,
            max_position=tree.click_model.max_position,
            threads=tree.threads,
            progress=progress,
        )


def fit_click_model(
    log: object,
    /,
    *,
    model: str = "pbm",
    regressor: Regressor | None = None,
    features: object = None,
    config: Config | ClickModelConfig | None = None,
    queries: Literal["auto", "given", "normalize"] = "auto",
    progress: Progress | None = None,
) -> ClickModel:
    """Fits a click model: how likely results are to be examined, and to attract who examines them.

    The same log gives the same fit, bit for bit, whatever its order and the number of threads. Models and estimates:
    docs/CLICK_MODELS.md.

    Args:
        log: what `click_log` made, or whatever it takes.
        model: gctr, rctr, dctr (click rates of everything, positions, documents); cm, dcm, sdbn (one pass over pages);
            pbm, ubm, tpbm (EM over cells; tpbm with trust in positions); dbn (exact EM over pages). `auto` takes the
            simplest that explains a fold held out as well as the best of those that the log supports: `.choice`.
        regressor: learns attractiveness from `features` in each pass, in the place of shares estimated pair by pair
            (regression-EM, Wang et al. 2018): anything with `fit(X, y, sample_weight)` and `predict(X)`. For pbm, ubm,
            dbn.
        features: an array or a frame with a row for each pair of `click_log(…).pairs`, in that order.
        config: the options of the section `click_model`, or the whole tree.
        queries: as for `related_queries`.
        progress: as for `mine`.

    Raises:
        DataError: the log cannot be read, or lacks what the model needs: positions, pages, previous clicks, documents
            that change position.
        UsageError: options that cannot be.
    """
    if (regressor is None) != (features is None) or (regressor is not None and model == "auto"):
        raise UsageError("regressor and features go together, with a model that is named")
    tree = config if isinstance(config, Config) else Config(click_model=config or ClickModelConfig())
    tree = options.checked(tree)
    if not isinstance(log, ClickLog):
        log = click_log(log, config=tree, queries=queries, progress=progress)
    if model == "auto":
        return choose(log, config=tree.click_model, threads=tree.threads, progress=progress)
    return fit(
        log,
        model=model,
        config=tree.click_model,
        threads=tree.threads,
        regressor=regressor,
        features=features,
        progress=progress,
    )


def estimate_propensities(
    log: object,
    /,
    *,
    method: Literal["all_pairs", "adjacent_chain", "pivot", "click_rates"] = "all_pairs",
    definition: Literal["standard", "agarwal"] = "standard",
    randomized: str | None = None,
    bootstrap: int = 200,
    config: Config | None = None,
    progress: Progress | None = None,
) -> Propensities:
    """How likely results are to be examined at each position, relative to the top.

    From documents that were shown for one query at several positions (intervention harvesting, Agarwal et al. 2019), or
    from traffic in which positions were drawn at random.

    Args:
        log: what `click_log` made, or whatever it takes.
        method: `all_pairs` by maximum likelihood; `pivot` by comparison with the top, `adjacent_chain` position by
            position; `click_rates` relative to the top's, which are propensities in randomised traffic only.
        definition: what a pair weighs that was shown N times, n of them at one position and m at the other: `standard`
            n m / N, `agarwal` 1, as in the paper; no matter to `click_rates`.
        randomized: column of flags that says which rows of a log had their positions drawn at random: they alone are
            used, with `click_rates`.
        bootstrap: samples for the intervals, 0 for none.
        config: as for `click_log`.
        progress: as for `mine`.

    Raises:
        DataError: the log has no positions; no document was seen at two of them.
        UsageError: options that cannot be.
    """
    tree = options.checked(config or Config())
    if method not in METHODS:
        raise UsageError(f"method is {method!r}; choose one of {', '.join(METHODS)}")
    if definition not in DEFINITIONS:
        raise UsageError(f"definition is {definition!r}; choose one of {', '.join(DEFINITIONS)}")
    if not isinstance(bootstrap, int) or not 0 <= bootstrap <= 100_000:
        raise UsageError("bootstrap is a number of samples, 0 to 100,000")
    if randomized is not None:
        if isinstance(log, ClickLog | Counts):
            raise UsageError("which rows were randomised is a column of a log: pass the log itself")
        log, method = _flagged(log, randomized, tree), "click_rates"
    if not isinstance(log, ClickLog):
        log = click_log(log, config=tree, progress=progress)
    return estimate(
        log,
        method=method,
        definition=definition,
        replicates=bootstrap,
        seed=tree.seed,
        threads=tree.threads,
        progress=progress,
    )


def _flagged(log: object, flag: str, tree: Config) -> ClickLog:
    """The rows of a log whose column `flag` is true."""
    source, files = open_source(log, tree.read)
    raw = bring(source, files, tree.read, (flag,))
    reader = raw.reader()
    if not pa.types.is_boolean(reader.schema.field(flag).type):
        raise ColumnError(
            f"column {flag!r} has type {reader.schema.field(flag).type}, expected booleans; cast it first"
        )
    kept = (batch.filter(batch[flag]) for batch in _unbroken(reader, raw))
    chosen = pa.RecordBatchReader.from_batches(reader.schema, kept)
    plain = replace(tree, read=ReadConfig(position_base="0" if raw.position_base == 0 else "1"))
    return click_log(chosen, config=plain, queries="given" if is_arrow(log) else "normalize")


def _counted(
    raw: RawLog,
    config: Config,
    key: Key | None,
    tables: tuple[str, ...],
    progress: Progress | None,
    part: tuple[int, int] | None = None,
) -> Counts:
    with _named_errors(raw):
        return count_stream(
            raw.direct(),
            config=config.count,
            scrub=scrubbing(config.scrub),
            key=_key(key),
            seed=config.seed,
            threads=config.threads,
            memory=int(config.memory),
            spill_dir=config.spill_dir,
            position_base=raw.position_base,
            has_pages=raw.has_pages,
            tables=tables,
            sessions_stand_for_users=raw.report.sessions_stand_for_users,
            part=part,
            progress=progress,
        )


def _key(key: Key | None) -> Key:
    """The key given, or a fresh one."""
    if key is None:
        return Key.ephemeral()
    if not isinstance(key, Key):
        raise UsageError("key must be a Key: Key.load(FILE), or Key.ephemeral()")
    return key


def refuse_nothing(raw: Any, counts: Any) -> None:
    """A log without a row that can be read is told apart from one in which no rule finds anything."""
    quarantine = quarantined(raw.report.quarantine, counts.quarantine)
    if counts.rows > sum(n for reason, n in counts.quarantine.items() if reason not in VALUES):
        return
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in sorted(quarantine.items()))
    raise DataError(
        f"no row of the log can be used: all were set aside ({reasons}); `hardneg-fast inspect LOG` says what that is"
        if reasons
        else "the log has no rows; a log needs at least one record"
    )


def _unbroken(
    reader: pa.RecordBatchReader, raw: RawLog, stream: _hardneg.Stream | None = None
) -> Iterator[pa.RecordBatch]:
    """Batches; where they break off, the named error: what Arrow says can quote values."""
    try:
        yield from reader
    except (pa.ArrowException, OSError, ValueError):
        broke = DataError(BROKE_OFF)
        raise _named(raw.error or (stream and stream.failure()) or broke, raw) from None


@contextmanager
def _named_errors(raw: RawLog, stream: _hardneg.Stream | None = None) -> Iterator[None]:
    """Arrow's C interface hands on that a stream broke, not why; the source and the stream remember."""
    try:
        yield
    except (DataError, pa.ArrowException, OSError) as error:
        failed = _named(raw.error or (stream and stream.failure()) or error, raw)
        if failed is not error:
            raise failed from None
        raise


def _named(error: BaseException, raw: RawLog) -> BaseException:
    """With the name of the file, where all that is known is that a stream broke off."""
    return (BROKE_OFF in str(error) and raw.find_broken()) or error

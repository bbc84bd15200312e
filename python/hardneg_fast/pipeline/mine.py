"""mine: read ─► anonymize ─► count ─► release ─► evidence ─► select ─► write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from .. import options
from ..config import Config, Privacy, SelectConfig
from ..count import Counts, Progress
from ..evidence import evidence
from ..keys import Key
from ..read import open_log
from ..release import Released, release
from ..result import Result, built
from ..scores import Scorer, load_scorer
from ..select import Selected, select
from ..writers.texts import documents_table
from .admission import check_job, check_users, enter, kind_of, refuse_nothing, refuse_unseen, window
from .beside import check_beside, names_beside, tables_beside, with_propensities
from .count import MINED_TABLES, counted
from .from_counts import in_place_of_a_log, is_saved
from .matched import notes_beside
from .private import mine_private
from .select import chosen_by
from .write import write

__all__ = ["finished", "mine"]


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
        retrieved: the same with rank, from 1 without gaps, or else best first: what a search engine returns
            (`select.semi_negatives`, `select.fill`).
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
        DataError: the log cannot be read, or no rule can run on it; `documents` have a text of no document mined.
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
        counts = counted(raw, config, key, MINED_TABLES, progress)
        refuse_nothing(raw, counts, privacy.k)
        released = release(counts, privacy=privacy)
    refuse_unseen(raw, counts, privacy.k)
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
        key_id=None if key is None else key.id,
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
    key_id: str | None = None,
) -> Result:
    """What comes after the release. Of `raw` its report is looked at, of `counts` the figures beside the tables."""
    weighed = evidence(released, config=config.evidence, seed=config.seed, threads=config.threads)

    def of(beside: Mapping[str, pa.Table], chosen: SelectConfig) -> Selected:
        return select(weighed, config=chosen, seed=config.seed, threads=config.threads, **beside)

    selected = chosen_by(of, config, beside, documents=documents, scorer=scorer, progress=progress)
    result = built(raw, counts, released, weighed, selected, config, beside=names_beside(beside, scorer), key_id=key_id)
    result.report["input"]["notes"] += notes_beside(config.select, beside, queries=result.queries, released=released)
    if out is not None:
        return write(result, out, documents=documents, overwrite=overwrite)
    return result

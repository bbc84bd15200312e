"""The same kernels on Spark, 3.5 or 4: users are counted in parts, and queries released in parts.

Nothing here imports pyspark: it comes in with the frame. Keys do not travel: each task gets the key where it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, overload

import pyarrow as pa

from .. import options
from ..blocks import BLOCKS, rows_of
from ..config import Config, Privacy, ReadConfig, SelectConfig
from ..exceptions import DataError, UsageError
from ..keys import Key
from ..pipeline.admission import check_job, enter, kind_of, refuse_nothing, refuse_unseen, window
from ..pipeline.beside import check_beside, names_beside, tables_beside, with_propensities
from ..pipeline.matched import notes_beside
from ..pipeline.mine import finished
from ..pipeline.mine import mine as mine_here
from ..pipeline.private import check_private
from ..pipeline.select import chosen_by
from ..release import gather
from ..result import Result, built, reported, stated
from ..scores import Scorer, load_scorer
from ..writers.texts import documents_table
from .errors import named
from .log import log_of, position_base
from .parts import Chosen, released
from .storage import Storage
from .tasks import TRAVEL, KeySource, Work, labels
from .write import Written, write, written_here

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["KeySource", "Written", "mine"]


@overload
def mine(
    df: DataFrame,
    out: None = ...,
    *,
    privacy: Privacy,
    key: KeySource,
    config: Config | None = ...,
    parts: int | None = ...,
    memory: int | str = ...,
    documents: object = ...,
    positives: object = ...,
    known_relevant: object = ...,
    extra_negatives: object = ...,
    retrieved: object = ...,
    scores: object = ...,
    query_vectors: object = ...,
    document_vectors: object = ...,
    scorer: Scorer | str | None = ...,
    propensities: object = ...,
    overwrite: bool = ...,
) -> Result: ...


@overload
def mine(
    df: DataFrame,
    out: Path | str,
    *,
    privacy: Privacy,
    key: KeySource,
    config: Config | None = ...,
    parts: int | None = ...,
    memory: int | str = ...,
    documents: object = ...,
    positives: object = ...,
    known_relevant: object = ...,
    extra_negatives: object = ...,
    retrieved: object = ...,
    scores: object = ...,
    query_vectors: object = ...,
    document_vectors: object = ...,
    scorer: Scorer | str | None = ...,
    propensities: object = ...,
    overwrite: bool = ...,
) -> Written: ...


def mine(
    df: DataFrame,
    out: Path | str | None = None,
    *,
    privacy: Privacy,
    key: KeySource,
    config: Config | None = None,
    parts: int | None = None,
    memory: int | str = "512MB",
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
    overwrite: bool = False,
) -> Result | Written:
    """Raw click log in, hard negatives out, as `hardneg_fast.mine`: the same rows, to the last bit.

    Rows are sealed into blocks by user and shuffled; each part of the users is counted whole; counts are sealed by
    query and shuffled; each part of the queries is summed, released, weighed and selected from where it is. The driver
    works out what all parts have in common. With `out` Spark writes the tables, a file a part, and the driver the
    figures beside them; without, what was selected is gathered. Under differential privacy the rows themselves come to
    the driver, sealed, and are bounded and released there: noise is drawn once, where the ledger is.

    Args:
        df: the log, a row per result shown.
        out: dataset directory to write, whole or not at all, on any file system that Spark writes; on that of the
            driver under differential privacy and with `select.chain_users`. None writes nothing.
        privacy: what may leave; there is no default.
        key: gets the master key, in the driver and in each task: `functools.partial(Key.load, "/run/secrets/hn.key")`,
            `functools.partial(Key.from_env, "HARDNEG_KEY")`, or a function that asks a secret store.
        config: options; their defaults otherwise. `memory` (for counting and releasing) and `threads` are those of the
            driver.
        parts: parts of the users, and of the queries; `spark.sql.shuffle.partitions` by default.
        memory: budget of a task for counting, which has one thread.
        documents: as for `hardneg_fast.mine`, and so are all but the last after it; the driver reads them.
        positives: see there.
        known_relevant: see there.
        extra_negatives: see there.
        retrieved: see there.
        scores: see there.
        query_vectors: see there.
        document_vectors: see there.
        scorer: see there.
        propensities: see there.
        overwrite: replace the dataset that stands at `out`.

    Returns:
        What was mined, gathered; or, with `out`, what was written and where.

    Raises:
        PrivacyError: the privacy asked for cannot be had on this log.
        ColumnError, DataError: the log cannot be read, or no rule can run on it.
        UsageError: options that cannot be; something stands at `out` and is not to be replaced.
        FileError: `out` cannot be written, or is no place that all machines share.
    """
    config = options.checked(config or Config())
    if propensities is not None and privacy.mode != "dp":
        config = with_propensities(config, propensities)
    task = options.checked(replace(config, threads=1, memory=memory))
    check_job(None, privacy=privacy, key=None, overwrite=overwrite)
    if isinstance(key, Key) or not callable(key):
        raise UsageError(
            "key must be a function that gets the key where it runs, such as functools.partial(Key.load, FILE): a key "
            "itself would travel with the plan"
        )
    session = df.sparkSession
    storage = None if out is None else Storage(session, out)
    here = None
    if storage is not None:
        storage.check(overwrite=overwrite)
        if privacy.mode == "dp":
            here = storage.local("a release under differential privacy")
        elif config.select.chain_users > 0:
            here = storage.local("what select.chain_users guards")
    if privacy.mode == "dp":
        # Before any job looks at a row.
        check_private(here, privacy=privacy, config=config, overwrite=overwrite)
    master = key()
    parts = parts or int(session.conf.get("spark.sql.shuffle.partitions") or 200)
    log = log_of(df, config, privacy)
    with named():
        base = position_base(log, config)
    read = replace(config.read, position_base=base)
    work = Work(key, replace(task, read=read), privacy, log.names, parts, labels(session, parts))
    given: dict[str, Any] = {"positives": positives, "known_relevant": known_relevant}
    given |= {"extra_negatives": extra_negatives, "retrieved": retrieved, "scores": scores}
    given |= {"query_vectors": query_vectors, "document_vectors": document_vectors}
    if privacy.mode == "dp":
        with named():
            rows = _rows(log.df, replace(work, parts=1, labels=[0]), master)
            # Of the columns that the caller named, under the names that they have here.
            read = ReadConfig(position_base=base, columns={name: name for name in rows.schema.names})
            result = mine_here(
                rows,
                here,
                privacy=privacy,
                config=replace(config, read=read),
                documents=documents,
                scorer=scorer,
                propensities=propensities,
                overwrite=overwrite,
                **given,
            )
        return result if here is None else written_here(here, session)
    beside = tables_beside(config, master, **given)
    scorer = load_scorer(scorer)
    check_beside(privacy, config, beside, scorer=scorer is not None, documents=documents is not None)
    texts = None if documents is None else documents_table(documents)
    enter(privacy, window=window(config), what=kind_of(privacy))
    with named(), released(log.df, work, master) as found:
        counts = found.facts
        log.report.rows_in = counts.rows
        raw = SimpleNamespace(report=log.report)
        refuse_nothing(raw, counts, privacy.k)
        refuse_unseen(raw, counts, privacy.k)
        if config.select.chain_users > 0:
            # What users clicked for the next query stands with that query, which is of another part.
            counts.asked = found.asked()
            passed = gather(found.blocks(), privacy=privacy, key=master)
            result = finished(
                raw,
                counts,
                passed,
                here,
                config=config,
                beside=beside,
                documents=texts,
                scorer=scorer,
                overwrite=overwrite,
                key_id=master.id,
            )
            return result if here is None else written_here(here, session)

        def of(beside: Mapping[str, pa.Table], chosen: SelectConfig) -> Chosen:
            return found.selected(replace(config, select=chosen), beside)

        selected = chosen_by(of, config, beside, documents=texts, scorer=scorer)
        shown = SimpleNamespace(privacy=privacy, passed=counts.shown(privacy.k))
        told = (raw, counts, shown, selected.weighed, selected, config, selected.figures.measures)
        names = names_beside(beside, scorer)
        if storage is None:
            gathered = built(*told, beside=names, key_id=master.id)
            gathered.report["input"]["notes"] += notes_beside(config.select, beside, queries=gathered.queries)
            return gathered
        statement = stated(privacy, raw, config.scrub, key_id=master.id)
        report = reported(*told, beside=names)
        # Which queries are in the output, the driver does not know.
        report["input"]["notes"] += notes_beside(config.select, beside)
        return write(selected, storage, report=report, privacy=statement, documents=texts, overwrite=overwrite)


def _rows(df: DataFrame, work: Work, key: Key) -> pa.RecordBatchReader:
    """The rows of a log, sealed on their way to the driver."""
    blocks = df.mapInArrow(work.split(), TRAVEL).toLocalIterator(prefetchPartitions=True)
    parts, found = pa.array([0], pa.int32()), (bytes(block) for _, block in blocks)
    tables = (pa.RecordBatch.from_arrays([parts, pa.array([block])], schema=BLOCKS) for block in found)
    rows = rows_of(pa.RecordBatchReader.from_batches(BLOCKS, tables), key)
    if rows is None:
        raise DataError("the log has no rows; a log needs at least one record")
    return rows.reader

"""The order of the stages: read ─► anonymize ─► count ─► release ─► evidence ─► select ─► write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from .anonymize import anonymized
from .config import Config, Privacy
from .count import TABLES, Counts, Progress, count_stream
from .evidence import evidence as weigh
from .exceptions import ColumnError, DataError, FileError, PrivacyError
from .keys import Key
from .read import RawLog, open_log
from .release import refuse_dp, release
from .result import Result, built
from .select import select
from .write import Mined
from .write import write as write_directory
from .writers.atomic import whole_file
from .writers.parquet import open_parquet

__all__ = ["anonymize", "count", "mine", "read"]

MINED_TABLES = ("queries", "pairs", "preferences")
"""Tables that the stages after counting use today; the others are counted when asked for."""


def mine(
    log: object,
    out: Path | str | None = None,
    *,
    privacy: Privacy,
    config: Config | None = None,
    documents: object = None,
    key: Key | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Raw click log in, hard negatives out.

    Args:
        log: a path, glob, list of those, or any Arrow object: docs/ARCHITECTURE.md, read.
        out: dataset directory to write, whole or not at all; None writes nothing.
        privacy: what may leave; there is no default.
        config: options; their defaults otherwise.
        documents: table or Parquet file with doc_id and text; triplets then hold texts.
        key: master key for identifiers; without one they are hashed under a key forgotten with the run.
        overwrite: replace what stands at `out`.
        progress: called with stage and rows about ten times a second; what it raises stops the job.

    Raises:
        PrivacyError: the privacy asked for cannot be had on this log.
        DataError: the log cannot be read, or no rule can run on it.
        UsageError: options that cannot be.
    """
    config = config or Config()
    refuse_dp(privacy)
    texts = None if documents is None else _documents(documents)
    raw = open_log(log, config.read)
    if privacy.mode == "k_users" and "user_id" not in raw.schema.names:
        # Refused before the log is read, not an hour later.
        raise PrivacyError(
            "the k-user threshold needs user ids, and the log has none: map a column to user_id (--columns user_id=NAME), "
            "or choose --no-privacy"
        )
    counts = _counted(raw, config, key, MINED_TABLES, progress)
    released = release(counts, privacy=privacy)
    weighed = weigh(released, config=config.evidence)
    selected = select(weighed, config=config.select, seed=config.seed)
    result = built(raw, counts, released, weighed, selected, config)
    if out is not None:
        mined = Mined(
            negatives=result.negatives,
            triplets=result.triplets,
            queries=result.queries,
            evidence_by_position=result.by_position,
            report=result.report,
            privacy=result.privacy,
        )
        write_directory(mined, Path(out), documents=texts, overwrite=overwrite)
    return result


def count(
    log: object,
    *,
    config: Config | None = None,
    tables: tuple[str, ...] = TABLES[:-1],
    key: Key | None = None,
    progress: Progress | None = None,
) -> Counts:
    """Counts a log: cleaned, bounded per user, on all cores.

    Args:
        log: as for `mine`.
        config: options; their defaults otherwise.
        tables: names out of `count.TABLES`; fewer are faster.
        key: as for `mine`.
        progress: as for `mine`.

    Raises:
        DataError: the log cannot be read.
        UsageError: options that cannot be.
    """
    config = config or Config()
    return _counted(open_log(log, config.read), config, key, tables, progress)


def read(log: object, *, config: Config | None = None) -> pa.RecordBatchReader:
    """The log as a stream of canonical impressions, raw identifiers and queries included.

    Raises:
        DataError: the log cannot be read.
    """
    from . import _hardneg

    raw = open_log(log, (config or Config()).read)
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
    overwrite: bool = False,
) -> dict[str, Any]:
    """Writes a log as Parquet with canonical columns only: pseudonyms, normalised queries, days instead of times.

    Pseudonymised, not anonymous: query text can identify.

    Returns:
        rows written, quarantine by reason, columns, key id (None for a key that is forgotten now).

    Raises:
        DataError: the log cannot be read.
        FileError: `out` cannot be written.
    """
    raw = open_log(log, (config or Config()).read)
    stream = anonymized(
        raw.reader(),
        position_base=raw.position_base,
        key=key or Key.ephemeral(),
        epoch=epoch,
        dataset=dataset,
        time=time,
    )
    rows = 0
    with _named_errors(raw), whole_file(Path(out), overwrite=overwrite) as partial:
        reader = pa.RecordBatchReader.from_stream(stream)
        with open_parquet(partial, reader.schema) as writer:
            for batch in reader:
                rows += batch.num_rows
                writer.write_batch(batch)
    stats = stream.stats()
    quarantine = dict(raw.report.quarantine)
    for reason, n in stats["quarantine"].items():
        quarantine[reason] = quarantine.get(reason, 0) + n
    return {
        "rows": rows,
        "rows_read": stats["rows"],
        "quarantine": quarantine,
        "columns": reader.schema.names,
        "key_id": key.id if key else None,
        "notes": raw.report.notes,
    }


def _counted(raw: RawLog, config: Config, key: Key | None, tables: tuple[str, ...], progress: Progress | None) -> Counts:
    with _named_errors(raw):
        return count_stream(
            raw.reader(),
            config=config.count,
            key=key or Key.ephemeral(),
            seed=config.seed,
            threads=config.threads,
            position_base=raw.position_base,
            has_pages=raw.has_pages,
            tables=tables,
            progress=progress,
        )


@contextmanager
def _named_errors(raw: RawLog) -> Iterator[None]:
    """Arrow's C interface hands on that a stream broke, not why; the source remembers."""
    try:
        yield
    except (DataError, pa.ArrowException, OSError):
        if raw.error is not None:
            raise raw.error from None
        raise


def _documents(documents: object) -> pa.Table:
    """Documents as a table with doc_id and text."""
    if isinstance(documents, str | Path):
        try:
            table = pq.read_table(documents, columns=["doc_id", "text"])
        except (pa.ArrowException, OSError, ValueError) as e:
            name = Path(documents).name
            raise FileError(f"documents {name!r} cannot be read ({type(e).__name__}): a Parquet file with doc_id and text") from None
    else:
        table = pa.table(documents)
    missing = [c for c in ("doc_id", "text") if c not in table.column_names]
    if missing:
        raise ColumnError(f"documents: columns not found: {missing}; available: {table.column_names}")
    return table.select(["doc_id", "text"])

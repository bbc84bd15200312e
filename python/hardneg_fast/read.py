"""The read stage: whatever a log is, its columns under canonical names, as a stream.

Types stay what they were: the core makes them canonical and sets bad rows aside, batch by batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from . import _hardneg
from .config import ReadConfig
from .exceptions import DataError, HardnegError, UsageError
from .sources import ReadReport, Source, events, mapping, open_source, pages, positions, rows, ubi
from .sources.arrow import FAILED
from .sources.columnar import ColumnarSource
from .sources.files import DataFile, naming

__all__ = ["RawLog", "ReadReport", "bring", "open_log"]

SESSIONS = "sessions stand for users"


@dataclass
class RawLog:
    """A log with canonical names and, as yet, types of its own."""

    schema: pa.Schema
    """Canonical column names only, any accepted Arrow type."""
    position_base: int
    """What the log calls the top position; the core applies it. 1 where there is nothing to shift."""
    has_pages: bool
    """Whether the log has pages: a search_id column, page rows, or events."""
    report: ReadReport
    """What was found; complete when the stream is exhausted."""
    open_stream: Callable[[], pa.RecordBatchReader] = field(repr=False)
    """Opens the stream. Callers want `reader`."""
    open_direct: Callable[[], _hardneg.ParquetLog | None] = field(default=lambda: None, repr=False)
    """Opens what the core reads from the files itself, where it can. Callers want `direct`."""
    error: HardnegError | None = field(default=None, repr=False)
    """The named error that ended the last stream: Arrow's C interface hands on no more than its text."""

    def reader(self) -> pa.RecordBatchReader:
        """A fresh stream of the log.

        Raises:
            UsageError: the log is a stream that has been read.
        """
        self.error = None
        return self.open_stream()

    def direct(self) -> _hardneg.ParquetLog | pa.RecordBatchReader:
        """The log as the core reads it best: from the files where it can, else `reader`. Settled before the first row."""
        self.error = None
        found = self.open_direct()
        return self.reader() if found is None else found


def open_log(log: object, config: ReadConfig) -> RawLog:
    """Opens a log and settles what its columns mean and what it calls the top position.

    Args:
        log: a path, directory, glob, URI or list of those; an Arrow object; a polars LazyFrame.
        config: format, shape, preset, columns.

    Raises:
        ColumnError: columns are missing, doubled, or of types that cannot be read.
        FileError, DataError: nothing there, or not what it was taken for.
        UsageError: options that cannot be.
    """
    source, files = open_source(log, config)
    return bring(source, files, config)


def bring(source: Source, files: list[DataFile], config: ReadConfig) -> RawLog:
    """`open_log` for a source that is already open."""
    found = mapping.resolve(source, config)
    preset = mapping.preset_of(config)
    report = ReadReport(
        files=len(files),
        format=source.format,
        shape=found.shape,
        preset=preset.name if preset else None,
        notes=list(preset.notes) if preset else [],
    )
    if "user_id" in found.columns and found.columns["user_id"] == found.columns.get("session_id"):
        report.sessions_stand_for_users = True
        if SESSIONS not in report.notes:
            report.notes.append(SESSIONS)
    if found.shape == "events":
        return _events(source, found, config, report)
    if found.shape == "pages":
        decoders = pages.dictionaries(files, config, report)
        if "position" not in found.constants:
            report.position_bases[""] = 1
        return _streamed(source, report, 1, True, lambda: pages.stream(source, found, config, report, decoders))
    return _rows(source, found, config, report)


def _events(source: Source, found: mapping.Mapping, config: ReadConfig, report: ReadReport) -> RawLog:
    join = ubi.read if config.preset == "ubi" else events.read
    with naming(source.names[0] if source.names else "the log"):
        table = join(source, found, config, report)
    return RawLog(table.schema, 1, True, report, lambda: table.to_reader(config.batch_rows))


def _rows(source: Source, found: mapping.Mapping, config: ReadConfig, report: ReadReport) -> RawLog:
    def stream() -> pa.RecordBatchReader:
        return rows.stream(source, found, config, report)

    base = 1
    if "position" in found:
        if config.position_base != "auto":
            base = int(config.position_base)
        elif "position" in found.columns:
            if source.one_shot:
                base, ahead = positions.detect_ahead(stream(), "position")
                stream = iter([ahead]).__next__
            else:
                base = positions.detect(source, found.columns["position"][0], config.batch_rows)
        report.position_bases[""] = base
    has_pages = "search_id" in found
    wanted = {name: paths[0] for name, paths in found.columns.items()}

    def direct() -> _hardneg.ParquetLog | None:
        if found.constants or not isinstance(source, ColumnarSource):
            return None
        report.rows_in = source.rows or 0
        return source.direct(wanted, config.batch_rows)

    opened = direct()
    if opened is None:
        return _streamed(source, report, base, has_pages, stream)
    # Arrow's scanner reads ahead from its first moment on, so it is not opened before somebody wants its stream.
    return RawLog(pa.schema(opened), base, has_pages, report, stream, direct)


def _streamed(
    source: Source, report: ReadReport, base: int, has_pages: bool, stream: Callable[[], pa.RecordBatchReader]
) -> RawLog:
    """A log whose schema comes from its first stream, which is then the first to be handed out."""
    first = [stream()]

    def reopen() -> pa.RecordBatchReader:
        if source.one_shot and not first:
            raise UsageError("this stream of Arrow batches can be read only once; pass a table, or a file")
        if not first:
            report.rows_in = 0
            report.quarantine.clear()
        reader = first.pop() if first else stream()
        # Arrow's own scanner stays bare: its batches come without the interpreter.
        bare = isinstance(source, ColumnarSource) and report.shape == "rows"
        return reader if bare else _guarded(reader, log)

    log = RawLog(first[0].schema, base, has_pages, report, reopen)
    return log


def _guarded(reader: pa.RecordBatchReader, log: RawLog) -> pa.RecordBatchReader:
    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from reader
        except HardnegError as error:
            log.error = error
            raise
        except Exception:
            log.error = DataError(FAILED)
            raise log.error from None

    return pa.RecordBatchReader.from_batches(reader.schema, batches())

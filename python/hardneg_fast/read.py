"""The read stage: whatever a log is, its columns under canonical names, as a stream.

Types stay what they were: the core makes them canonical and sets bad rows aside, batch by batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pyarrow as pa

from . import _hardneg, options
from .config import Config, ReadConfig
from .exceptions import ColumnError, DataError, HardnegError, PrivacyError, UsageError
from .sources import ReadReport, Source, events, keepable, mapping, open_source, pages, positions, rows, searches, types
from .sources.arrow import FAILED
from .sources.files import DataFile, naming
from .sources.lines import BLOCK
from .sources.named import NamedSource
from .sources.parquet import ParquetSource

__all__ = [
    "RawLog",
    "ReadReport",
    "bring",
    "glance",
    "named_only",
    "open_clicks",
    "open_log",
    "open_pages",
    "read",
]

SESSIONS = "sessions stand for users"
CLICKS_ONLY = (
    "the log knows clicks only, not what was shown and passed over: it makes related queries (hn.related_queries), and "
    "no negatives by itself"
)
THRESHOLDED = b"hardneg_fast.k_users"
"""Key in the metadata of an anonymized log whose rare queries were left out."""
NAMED = {
    "rows": ("user_id", "query", "doc_id", "clicked"),
    "pages": ("user_id", "query", "documents"),
    "events": ("user_id", "query", "doc_id", "action"),
}
CLICKED = ("query", "doc_id", "clicked")
COUNTED = ("query", "doc_id", "clicks")
SHOWN = ("search_id", "query", "doc_id", "position", "clicked")
CELLS = ("query", "doc_id", "position", "previous_click", "fold", "impressions", "clicks")
NOISE = "clicks_variance"
"""What only released sums have."""

DIRECT_ROWS = 65_536
"""Rows of a batch that the core reads itself: it keeps dictionaries between batches, so small ones cost nothing."""


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
        """The log as the core reads it best, from the files where it can; settled before the first row."""
        self.error = None
        found = self.open_direct()
        return self.reader() if found is None else found


def read(log: object, *, config: Config | None = None) -> pa.RecordBatchReader:
    """The log as a stream of canonical impressions, raw identifiers and queries included.

    Raises:
        DataError: the log cannot be read.
    """
    raw = open_log(log, options.checked(config or Config()).read)
    return pa.RecordBatchReader.from_stream(_hardneg.canonicalize(raw.direct(), position_base=raw.position_base))


def open_log(log: object, config: ReadConfig, keep: tuple[str, ...] = (), *, named: bool = False) -> RawLog:
    """Opens a log and settles what its columns mean and what it calls the top position.

    Args:
        log: a path, directory, glob, URI or list of those; an Arrow object; a polars LazyFrame.
        config: format, shape, preset, columns.
        keep: further columns that come along under their own names.
        named: of what is no file, only columns that `config` names; see `named_only`.

    Raises:
        ColumnError: columns are missing, doubled, or of types that cannot be read.
        FileError, DataError: nothing there, or not what it was taken for.
        UsageError: options that cannot be.
        PrivacyError: as `named_only`.
    """
    source, files = open_source(log, config)
    return bring(named_only(source, config) if named and not files else source, files, config, keep)


def named_only(source: Source, config: ReadConfig) -> Source:
    """A frame, table or stream without the columns that the caller did not name.

    Which columns it has may have been found by looking at rows (as of JSON, or where an engine reads CSV), so that one
    row with a field more would change what everybody's rows mean. What is named was not found.

    Raises:
        PrivacyError: a column that every log needs is not named.
    """
    named = {name for name, path in config.columns.items() if path} | config.constants.keys()
    shape = config.shape
    if shape == "auto":
        events = "action" in named and "clicked" not in named
        shape = "pages" if "documents" in named else "events" if events else "rows"
    lacking = [name for name in NAMED[shape] if name not in named]
    if shape == "pages" and not named & {"clicks", "clicked_documents"}:
        lacking.append("clicks or clicked_documents")
    if lacking:
        raise PrivacyError(
            f"with --epsilon the columns of a frame, table or stream are named beforehand, and {', '.join(lacking)} "
            f"{'is' if len(lacking) == 1 else 'are'} not: which columns it has may have been found by looking at rows, "
            'and one user could change that for everybody. Say columns={"user_id": …, "query": …, "doc_id": …, '
            '"clicked": …} (of pages documents and clicks instead), and whatever of search_id, '
            "session_id, position, timestamp and dwell_ms there is (others are left aside); or give the log as a "
            "Parquet or CSV file"
        )
    return NamedSource(source, filter(None, config.columns.values()))


def open_clicks(log: object, config: ReadConfig) -> RawLog:
    """Opens a log for its clicks alone: query, doc_id and clicked; or clicks, where it holds click counts by now.

    Raises:
        ColumnError: as `open_log`; there are both `clicked` and `clicks`.
        FileError, DataError, UsageError: as `open_log`.
    """
    source, files = open_source(log, config)
    paths = {name: config.columns.get(name, name) for name in (*COUNTED, "clicked", "documents", "action")}
    found = source.find({path for path in paths.values() if path})
    has = {name for name, path in paths.items() if path in found}
    if config.preset or "clicks" not in has or has & {"documents", "action"}:
        return bring(source, files, config, only=CLICKED)
    if "clicked" in has or "clicked" in config.constants:
        raise ColumnError(
            'there are columns for "clicks" and "clicked": leave one aside with columns={"clicks": ""} (or "clicked"), '
            "so that it is clear what counts"
        )
    if lacking := [paths[name] for name in COUNTED if name not in has]:
        raise mapping.missing(source, lacking)
    kinds = source.types(paths[name] for name in COUNTED)
    for name in ("query", "doc_id"):
        types.check(name, paths[name], kinds[paths[name]])
    counted = mapping.Mapping("rows", {name: (paths[name],) for name in COUNTED}, {})
    report = ReadReport(files=len(files), format=source.format, shape="rows")
    return _rows(source, counted, config, report, ())


def open_pages(log: object, config: ReadConfig) -> RawLog:
    """Opens a log for what click models read of it: SHOWN; or CELLS, where it has impressions counted by now.

    Raises:
        ColumnError, FileError, DataError, UsageError: as `open_log`.
    """
    source, files = open_source(log, config)
    paths = {name: config.columns.get(name, name) for name in CELLS}
    found = source.find({path for path in paths.values() if path} | {NOISE})
    if NOISE in found:
        raise PrivacyError(
            f"column {NOISE!r} says that these are released sums. Under differential privacy no click model and no "
            "propensities can be fitted: a release has each pair at one listed position, noisy, and no pages, clicks "
            "above or folds; evidence goes by an assumed law (release.examination_exponent). What `release` made with "
            "k users is taken whole, not as its table"
        )
    if config.preset or paths["impressions"] not in found:
        return bring(source, files, config, only=SHOWN)
    if lacking := [paths[name] for name in ("query", "doc_id", "clicks") if paths[name] not in found]:
        raise mapping.missing(source, lacking)
    has = {name: path for name, path in paths.items() if path in found}
    kinds = source.types({*has.values()})
    for name, path in has.items():
        types.check(name if name in ("query", "doc_id") else "n_clicks", path, kinds[path])
    cells = mapping.Mapping("rows", {name: (path,) for name, path in has.items()}, {})
    report = ReadReport(files=len(files), format=source.format, shape="rows")
    # Cells say 0 where there is no position.
    return _rows(source, cells, replace(config, position_base="1"), report, ())


def bring(
    source: Source,
    files: list[DataFile],
    config: ReadConfig,
    keep: tuple[str, ...] = (),
    *,
    only: tuple[str, ...] | None = None,
) -> RawLog:
    """`open_log` for a source that is already open; of rows that need no joining, `only` these columns."""
    config = mapping.effective(config)
    found = mapping.resolve(source, config)
    keepable.check(source, found, keep)
    if only is not None and found.shape == "rows":
        columns = {name: paths for name, paths in found.columns.items() if name in only}
        constants = {name: value for name, value in found.constants.items() if name in only}
        found = replace(found, columns=columns, constants=constants)
    report = _begun(source, files, found, config)
    if found.shape == "events":
        return _events(source, found, config, report)
    if found.shape == "pages":
        decoders = pages.dictionaries(files, config, report)
        if "position" not in found.constants:
            report.position_bases[""] = 1
        return _streamed(source, report, 1, True, lambda: pages.stream(source, found, config, report, decoders))
    return _rows(source, found, config, report, keep)


def glance(
    log: object, config: ReadConfig, *, named: bool = False
) -> tuple[mapping.Mapping, dict[str, pa.DataType], ReadReport]:
    """What the columns of a log stand for, by their names and types: no row is read, of NDJSON the first thousand.

    Args:
        log: as for `open_log`.
        config: likewise.
        named: likewise.

    Returns:
        canonical names to columns and constants; column → type; what is known of the log by now.

    Raises:
        ColumnError, FileError, DataError, UsageError, PrivacyError: as `open_log`, as far as names and types tell.
    """
    source, files = open_source(log, config, ahead=True)
    source = named_only(source, config) if named and not files else source
    config = mapping.effective(config)
    try:
        found = mapping.resolve(source, config)
    except ColumnError as error:
        if source.format != "ndjson":
            raise
        raise ColumnError(f"{error} (of NDJSON the first 1,000 records were looked at)") from None
    kinds = source.types({path for paths in found.columns.values() for path in paths})
    return found, kinds, _begun(source, files, found, config)


def _begun(source: Source, files: list[DataFile], found: mapping.Mapping, config: ReadConfig) -> ReadReport:
    """What is known of a log before a row is read."""
    preset = mapping.preset_of(config)
    report = ReadReport(
        files=len(files),
        format=source.format,
        shape=found.shape,
        preset=preset.name if preset else None,
        notes=list(preset.notes) if preset else [],
        thresholded=any(THRESHOLDED in (schema.metadata or {}) for schema in source.schemas),
        held=preset is not None and (bool(preset.fill) or BLOCK in _inputs(found)),
    )
    if preset and preset.clicks_only:
        report.notes.append(CLICKS_ONLY)
    if "user_id" in found.columns and found.columns["user_id"] == found.columns.get("session_id"):
        report.sessions_stand_for_users = True
        if SESSIONS not in report.notes:
            report.notes.append(SESSIONS)
    return report


def _inputs(found: mapping.Mapping) -> set[str]:
    """The log's own columns behind what it stands for."""
    return {own for paths in found.columns.values() for path in paths for own in found.preset.inputs(path)}


def _events(source: Source, found: mapping.Mapping, config: ReadConfig, report: ReadReport) -> RawLog:
    join = searches.read if found.preset.searches else events.read
    with naming(source.names[0] if source.names else "the log"):
        table = join(source, found, config, report)
    return RawLog(table.schema, 1, True, report, lambda: table.to_reader(config.batch_rows))


def _rows(
    source: Source, found: mapping.Mapping, config: ReadConfig, report: ReadReport, keep: tuple[str, ...]
) -> RawLog:
    def stream() -> pa.RecordBatchReader:
        return rows.stream(source, found, config, report, keep)

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
    wanted = {name: paths[0] for name, paths in found.columns.items()} | {name: name for name in keep}

    def direct() -> _hardneg.ParquetLog | None:
        if found.constants or not isinstance(source, ParquetSource):
            return None
        report.rows_in = source.rows or 0
        return source.log(wanted, min(config.batch_rows, DIRECT_ROWS))

    opened = direct()
    if opened is None:
        return _streamed(source, report, base, has_pages, stream)
    log = RawLog(pa.schema(opened), base, has_pages, report, lambda: _guarded(stream(), log), direct)
    return log


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
        # Arrow's own scanner stays bare: its batches come without the interpreter. Others are looked at.
        bare = source.format == "orc" and report.shape == "rows"
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

"""CSV and TSV as a stream.

Every column is text: the core reads numbers. So "007" stays "007", and a stray word among numbers costs one row.

CSV cells may be quoted with "; TSV has no quoting, so that a stray quote in a query swallows nothing. Rows with too few
or too many cells, or with bytes that are not UTF-8 in a column that is read, are quarantined as `broken_line`; Arrow
does not hand on rows that are both, which are refused.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from ..exceptions import ColumnError, DataError
from .base import FILE, Source
from .columnar import check_doubles
from .files import DataFile, naming
from .report import ReadReport

BYTES_PER_ROW = 64
"""Guess that turns rows a batch into bytes a block."""

MOST_COLUMNS = 10_000
_RAGGED = re.compile(r"CSV parse error: (?:Row #\d+: )?Expected \d+ columns, got \d+")


class _Skips:
    """Skips rows with a wrong number of cells, and counts them."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def __call__(self, _row: pacsv.InvalidRow) -> str:
        with self._lock:  # Arrow parses ahead on threads of its own
            self.count += 1
        return "skip"


class _Quiet:
    """Within it, a row that Arrow cannot show to `_Skips` does not reach the hook of the program, which may log it.

    Arrow gives the error, which holds the bytes of the row, to `sys.unraisablehook`; then it refuses the row. All other
    errors go on to the hook that was there. Readers overlap, so the first to come sets it, and the last to go
    takes it back.
    """

    def __init__(self) -> None:
        self._lock, self._readers = threading.Lock(), 0
        self._set: Callable[[sys.UnraisableHookArgs], object] | None = None
        self._before: Callable[[sys.UnraisableHookArgs], object] | None = None

    def __enter__(self) -> None:
        with self._lock:
            self._readers += 1
            if self._readers > 1:
                return
            before = sys.unraisablehook

            def hook(said: sys.UnraisableHookArgs) -> None:
                if not isinstance(said.object, _Skips):
                    before(said)

            self._before, self._set = before, hook
            sys.unraisablehook = hook

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._readers -= 1
            # Another may have been set meanwhile, which knows ours.
            if not self._readers and self._before is not None and sys.unraisablehook is self._set:
                sys.unraisablehook = self._before


_QUIET = _Quiet()


class TextSource(Source):
    """CSV or TSV files with a header line each, or with names given for files that have none."""

    def __init__(self, files: list[DataFile], header: tuple[str, ...] = (), encoding: str = "") -> None:
        self.files = files
        self.format = files[0].format
        self.names = tuple(file.name for file in files)
        self.header, self.encoding = header, encoding or "utf8"
        self.headers = [self._header(file) for file in files]

    def _header(self, file: DataFile) -> list[str]:
        first = file.head(64 * MOST_COLUMNS).partition(b"\n")[0]
        # A reader keeps a block for each column.
        if first.count(b"\t" if self.format == "tsv" else b",") >= MOST_COLUMNS:
            raise DataError(
                f"{file.name}: more than {MOST_COLUMNS:,} columns in the first line: no log has so many; take out "
                "those that are not needed"
            )
        with _QUIET, naming(file.name), self._open(file, [], 0, _Skips()) as reader:
            names: list[str] = reader.schema.names
            return names

    def columns(self) -> list[str]:  # noqa: D102 - as in Source
        return [name for name in self.headers[0] if name]

    def find(self, paths: Iterable[str]) -> set[str]:  # noqa: D102 - as in Source
        paths = set(paths)
        for file, header in zip(self.files, self.headers, strict=True):
            check_doubles(header, paths, file.name)
        return {path for path in paths if path == FILE or any(path in header for header in self.headers)}

    def types(self, paths: Iterable[str]) -> dict[str, pa.DataType]:
        """Text, always.

        Raises:
            ColumnError: a file lacks a column that others have.
        """
        paths = set(paths)
        for file, header in zip(self.files, self.headers, strict=True):
            missing = sorted(path for path in paths if path != FILE and path not in header)
            if missing:
                raise ColumnError(f"{file.name}: columns not found: {missing}, but other files of the log have them")
        return dict.fromkeys(paths, pa.string())

    def scan(  # noqa: D102 - as in Source
        self,
        wanted: Mapping[str, str],
        report: ReadReport,
        batch_rows: int,
        lists: Iterable[str] = (),  # noqa: ARG002
    ) -> pa.RecordBatchReader:
        schema = pa.schema([(name, pa.string()) for name in wanted])
        return pa.RecordBatchReader.from_batches(schema, self._batches(schema, wanted, report, batch_rows))

    def _batches(
        self, schema: pa.Schema, wanted: Mapping[str, str], report: ReadReport, batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        paths = sorted({path for path in wanted.values() if path != FILE})
        for file in self.files:
            skips = _Skips()
            # The reader stops its threads before the hook is taken back.
            with (
                _QUIET,
                self._open(file, paths, batch_rows, skips) as reader,
                naming(file.name),
                _telling_rows(file.name),
            ):
                for batch in reader:
                    report.rows_in += batch.num_rows
                    text = _as_text(batch, report)
                    columns = dict(zip(paths, text.columns, strict=True))
                    columns[FILE] = pa.repeat(pa.scalar(file.stem, pa.string()), text.num_rows)
                    yield pa.RecordBatch.from_arrays([columns[path] for path in wanted.values()], schema=schema)
            report.rows_in += skips.count
            report.count("broken_line", skips.count)

    def _open(self, file: DataFile, paths: list[str], batch_rows: int, skips: _Skips) -> pacsv.CSVStreamingReader:
        with naming(file.name), _telling_rows(file.name):
            return pacsv.open_csv(
                file.open(),
                read_options=pacsv.ReadOptions(
                    block_size=max(1 << 20, batch_rows * BYTES_PER_ROW),
                    column_names=list(self.header) or None,
                    encoding=self.encoding,
                ),
                parse_options=pacsv.ParseOptions(
                    delimiter="\t" if self.format == "tsv" else ",",
                    quote_char=False if self.format == "tsv" else '"',
                    newlines_in_values=self.format == "csv",
                    invalid_row_handler=skips,
                ),
                convert_options=pacsv.ConvertOptions(
                    column_types=dict.fromkeys(paths, pa.binary()),
                    include_columns=paths,
                    # An empty cell is no value in any column; the word null may be somebody's query.
                    strings_can_be_null=True,
                    null_values=[""],
                ),
            )


@contextmanager
def _telling_rows(name: str) -> Iterator[None]:
    try:
        yield
    except pa.ArrowInvalid as e:  # its text quotes cells
        # Rows of a wrong length are skipped, but for those that Arrow cannot show to `_Skips`.
        if _RAGGED.match(str(e)):
            raise DataError(
                f"{name}: a row has more or fewer cells than the first and is not UTF-8 text; either alone would be "
                "set aside, both together cannot be: save the file as UTF-8, or take out the row "
                "(in a UTF-8 locale, grep -naxv '.*' FILE shows lines that are not)"
            ) from None
        raise DataError(
            f"{name}: rows cannot be told apart; look for a quote that is never closed, or a row of many megabytes"
        ) from None


def _as_text(batch: pa.RecordBatch, report: ReadReport) -> pa.RecordBatch:
    """Bytes as text; rows that are not UTF-8 are set aside."""
    types = pa.schema([(name, pa.string()) for name in batch.schema.names])
    try:
        return batch.cast(types)
    except pa.ArrowInvalid:
        good = np.ones(batch.num_rows, dtype=bool)
        for column in batch.columns:
            good &= np.fromiter((_is_utf8(v) for v in column.to_pylist()), bool, batch.num_rows)
        report.count("broken_line", int((~good).sum()))
        return batch.filter(pa.array(good)).cast(types)


def _is_utf8(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True

"""Arrow data that is already in memory or on its way: dataframes, relations, readers, and IPC streams in files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..exceptions import ColumnError, DataError, HardnegError, UsageError
from ..plain import has_capsule, unwrapped
from .base import Source
from .columnar import check_doubles, checked, leaves, parts, type_at
from .files import DataFile, naming
from .report import ReadReport

FAILED = "the log's own stream failed while it was read; check that it can be read alone"


class ArrowSource(Source):
    """A stream of batches that can be opened, more than once unless `one_shot`."""

    format = "arrow"

    def __init__(self, opens: Callable[[], pa.RecordBatchReader], *, one_shot: bool = False) -> None:
        self._opens = opens
        self.one_shot = one_shot
        self._first: pa.RecordBatchReader | None = opens()
        self.schema = self._first.schema
        self.schemas = (self.schema,)

    def _open(self) -> pa.RecordBatchReader:
        """The stream that the schema came from, while it is unused: opening may run a query."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        if self.one_shot:
            raise UsageError("this stream of Arrow batches can be read only once; pass a table, or a file")
        try:
            return self._opens()
        except HardnegError:
            raise
        except Exception:
            # A relation over a reader does not look like a stream. What it says may quote cells.
            raise UsageError(
                "the log gave its Arrow data once and not again; pass a table, or a file (rows of results are read "
                "only once where read.position_base is 0 or 1)"
            ) from None

    def columns(self) -> list[str]:  # noqa: D102 - as in Source
        return leaves(self.schema)

    def find(self, paths: Iterable[str]) -> set[str]:  # noqa: D102 - as in Source
        paths = set(paths)
        check_doubles(self.schema.names, paths, "the log")
        return {path for path in paths if parts(self.schema, path)}

    def types(self, paths: Iterable[str]) -> dict[str, pa.DataType]:  # noqa: D102 - as in Source
        return {path: type_at(self.schema, path) for path in paths}

    def scan(  # noqa: D102 - as in Source
        self,
        wanted: Mapping[str, str],
        report: ReadReport,
        batch_rows: int,
        lists: Iterable[str] = (),  # noqa: ARG002
    ) -> pa.RecordBatchReader:
        schema = pa.schema([(name, type_at(self.schema, path)) for name, path in wanted.items()])
        routes = [parts(self.schema, path) or [path] for path in wanted.values()]
        return pa.RecordBatchReader.from_batches(schema, _batches(self._open(), schema, routes, report, batch_rows))


def _batches(
    reader: pa.RecordBatchReader, schema: pa.Schema, routes: list[list[str]], report: ReadReport, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    with reader:
        for whole in _unquoted(reader):
            # A table may be one batch of any size; the core works batch by batch.
            for start in range(0, whole.num_rows, batch_rows):
                batch = whole.slice(start, batch_rows)
                report.rows_in += batch.num_rows
                yield pa.RecordBatch.from_arrays([_column(batch, route) for route in routes], schema=schema)


def _unquoted(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """The batches of a stream whose producer may quote cells in its errors."""
    try:
        yield from reader
    except HardnegError:
        raise
    except Exception:
        raise DataError(FAILED) from None


def _column(batch: pa.RecordBatch, route: list[str]) -> pa.Array:
    column = batch.column(route[0])
    return pc.struct_field(column, route[1:]) if len(route) > 1 else column


def is_arrow(log: object) -> bool:
    """Whether `log` hands out Arrow data, or is a lazy frame that will."""
    log = unwrapped(log)
    return has_capsule(log) or hasattr(log, "collect_batches")


def of_object(log: Any) -> ArrowSource:
    """Any object with `__arrow_c_stream__` or `__arrow_c_array__`, or a LazyFrame of polars or narwhals.

    Raises:
        ColumnError: a column of a type that this version of Arrow does not know, or an array that is no table.
    """
    log = unwrapped(log)
    try:
        if hasattr(log, "__arrow_c_stream__"):
            # Readers are iterators and are used up; tables and relations are not.
            one_shot = any(hasattr(log, name) for name in ("__next__", "read_next_batch", "get_next", "read_next"))
            return ArrowSource(lambda: pa.RecordBatchReader.from_stream(log), one_shot=one_shot)
        if hasattr(log, "__arrow_c_array__"):
            return ArrowSource(lambda: pa.table(pa.record_batch(log)).to_reader())
        return ArrowSource(lambda: _of_lazy(log))
    except HardnegError:
        raise
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError):
        raise ColumnError(
            "the Arrow object is no table, or has a column of a type that cannot be read (such as 128-bit integers, or "
            "objects of several kinds); pass columns of text, numbers, flags and timestamps"
        ) from None
    except Exception:
        raise DataError(FAILED) from None


def _of_lazy(frame: Any) -> pa.RecordBatchReader:
    """Streams a polars LazyFrame without collecting it."""
    schema = pa.RecordBatchReader.from_stream(frame.head(0).collect()).schema

    def batches() -> Iterator[pa.RecordBatch]:
        for part in frame.collect_batches():
            yield from pa.RecordBatchReader.from_stream(part)

    return pa.RecordBatchReader.from_batches(schema, batches())


def of_streams(files: list[DataFile]) -> ArrowSource:
    """Files that hold Arrow IPC streams.

    Raises:
        ColumnError: the files differ in their columns.
    """

    def opens() -> pa.RecordBatchReader:
        schemas = []
        for file in files:
            with naming(file.name), pa.ipc.open_stream(file.open()) as reader:
                schemas.append(reader.schema)
                leaves(reader.schema)  # names that are no text show when they are asked for
            if not schemas[-1].equals(schemas[0]):
                raise ColumnError(f"{file.name}: columns differ from those of {files[0].name}; read the files apart")
        return pa.RecordBatchReader.from_batches(schemas[0], batches())

    def batches() -> Iterator[pa.RecordBatch]:
        for file in files:
            with naming(file.name):
                yield from checked(pa.ipc.open_stream(file.open()), file.name)

    source = ArrowSource(opens)
    source.format, source.names = "ipc", tuple(file.name for file in files)
    return source


def arrays_of(values: Any) -> list[pa.Array]:
    """Arrays of one column of Arrow data, at least one; of a table, its only column.

    Raises:
        UsageError: no Arrow data, or of more than one column.
    """
    try:
        if hasattr(values, "__arrow_c_stream__") and not hasattr(values, "__arrow_c_array__"):
            chunked = pa.chunked_array(values)
            arrays = chunked.chunks or [pa.array([], chunked.type)]
        elif hasattr(values, "__arrow_c_array__") or hasattr(values, "__array__"):
            arrays = [pa.array(values)]
        else:
            arrays = []
    except (pa.ArrowException, TypeError, ValueError):
        arrays = []
    except Exception:
        raise DataError(FAILED.replace("the log's", "the column's")) from None
    if not arrays:
        raise UsageError("give Arrow data of one column: an array, a series, a chunked array; not a list")
    if not pa.types.is_struct(arrays[0].type):
        return arrays
    if arrays[0].type.num_fields != 1:
        raise UsageError("this is a table; give one of its columns")
    return [array.field(0) for array in arrays]

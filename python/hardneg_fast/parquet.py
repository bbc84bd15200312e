"""Parquet files that are no log: tables beside it, datasets, outputs. The core reads their pages, wherever they lie.

Pages that claim or repeat without end are an error there, and take all memory in other readers.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.fs as pafs
import pyarrow.types as pat

from . import _hardneg
from .elsewhere import Elsewhere
from .exceptions import ColumnError, DataError, FileError
from .footer import read_metadata

pc: Any = pyarrow.compute

ROWS = 4096
"""Rows of a batch, of texts as long as documents."""
MOST, MOST_ROW, MOST_BYTE = 1 << 30, 4096, 64
"""What a table that is read whole may take: bytes at all, and more for each row and for each byte of its file."""

Place = str | tuple[str, int, Elsewhere]
"""A file as the core takes it: a local path, or a name, its bytes, and what hands over parts of it."""


def place(filesystem: pafs.FileSystem, path: str, size: int) -> Place:
    """Where a file of so many bytes lies, for the core."""
    if isinstance(filesystem, pafs.LocalFileSystem):
        return path
    return PurePosixPath(path).name, size, Elsewhere(filesystem, path, size)


def unreadable(name: str) -> FileError:
    """What is said of a file that the core has no use for."""
    return FileError(
        f"{name}: damaged, or it uses what cannot be read here (a codec, a type, more than 32,768 row groups); "
        "write it again, with larger row groups if they are so many"
    )


class ParquetFile:
    """A file whose footer makes sense.

    Raises:
        DataError: it does not.
        OSError, pyarrow.ArrowException: it cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        is_local = "://" not in str(path)
        filesystem, inside = (pafs.LocalFileSystem(), str(path)) if is_local else pafs.FileSystem.from_uri(str(path))
        self.name = Path(path).name
        with filesystem.open_input_file(inside) as stream:
            self._size = stream.size()
            _, self.metadata = read_metadata(stream, self._size, self.name)
        self.schema: pa.Schema = self.metadata.schema.to_arrow_schema()
        files = _hardneg.parquet_files([place(filesystem, inside, self._size)])
        if files is None:
            raise unreadable(self.name)
        self._files = files

    @cached_property
    def leaves(self) -> list[str]:
        """For each leaf, in order, the column that it is in."""
        names = self.schema.names
        return [names[top] for top in self._files.tops()]

    def leaf(self, number: int, rows: int = ROWS) -> Iterator[pa.RecordBatch]:
        """Batches of one leaf by itself: in its lists, as its own levels say, whatever fields stand beside it.

        Raises:
            DataError: it cannot be read.
        """
        return self._batches([(self.leaves[number], number)], rows)

    def batches(self, columns: Sequence[str], rows: int = ROWS) -> Iterator[pa.RecordBatch]:
        """Batches of columns, each of which must be there once; texts as dictionaries.

        Raises:
            ColumnError: one is not there once.
            DataError: they cannot be read.
        """
        names = self.schema.names
        times = collections.Counter(names)
        if any(times[column] != 1 for column in columns):
            raise ColumnError(f"{self.name}: one column each of {[*columns]} expected; available: {names}")
        return self._batches([(column, column) for column in columns], rows)

    def _batches(self, columns: Sequence[tuple[str, str | int]], rows: int) -> Iterator[pa.RecordBatch]:
        if not columns:
            return iter(())
        log = self._files.columns(columns, batch_rows=rows)
        if log is None:
            raise unreadable(self.name)
        return iter(log)

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Columns, or all of them, in the types that the file says; views as plain text.

        Raises:
            ColumnError: one is not there once.
            DataError, pyarrow.ArrowException: they cannot be read, or repeat without end.
        """
        names = self.schema.names if columns is None else list(columns)
        left = MOST + MOST_ROW * self.metadata.num_rows + MOST_BYTE * self._size
        batches = []
        for batch in self.batches(names):
            batches.append(batch)
            left -= sum(_written_out(column) for column in batch.columns)
            if left < 0:
                raise DataError(f"{self.name}: texts or lists that repeat without end; write the file again")
        schema = pa.schema([self.schema.field(name) for name in names])
        if not batches:
            return schema.empty_table()
        table = pa.Table.from_batches(batches)
        return pa.table([_typed(table[field.name], field.type) for field in schema], names=names)


def _written_out(column: pa.Array) -> int:
    """Bytes of a column without dictionaries."""
    if not pat.is_dictionary(column.type):
        return int(column.nbytes)
    lengths = pc.binary_length(column.dictionary).cast(pa.int64())
    return int(pc.sum(lengths.take(column.indices)).as_py() or 0)


def _typed(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    if pat.is_dictionary(column.type) and not pat.is_dictionary(wanted):
        column = column.cast(column.type.value_type)
    # Nothing is cast to views from everything, and nobody misses them.
    is_view = pat.is_string_view(wanted) or pat.is_binary_view(wanted)
    return column if is_view or column.type == wanted else column.cast(wanted)

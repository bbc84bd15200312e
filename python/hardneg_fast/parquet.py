"""Parquet files that are no log: tables beside it, datasets, outputs. The core reads their pages, wherever they lie.

Pages that claim or repeat without end are an error there, and take all memory in other readers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.fs as pafs

from . import _hardneg
from .elsewhere import Elsewhere
from .exceptions import ColumnError, FileError
from .footer import read_metadata

ROWS = 4096
"""Rows of a batch, of texts as long as documents."""

Place = str | tuple[str, int, Elsewhere]
"""A file as the core takes it: a local path, or a name, its bytes, and what hands over parts of it."""


def place(filesystem: pafs.FileSystem, path: str, size: int) -> Place:
    """Where a file of so many bytes lies, for the core."""
    if isinstance(filesystem, pafs.LocalFileSystem):
        return path
    return PurePosixPath(path).name, size, Elsewhere(filesystem, path, size)


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
            size = stream.size()
            _, self.metadata = read_metadata(stream, size, self.name)
        self.schema: pa.Schema = self.metadata.schema.to_arrow_schema()
        self._place = place(filesystem, inside, size)

    def batches(self, columns: Sequence[int | str], rows: int = ROWS) -> Iterator[pa.RecordBatch]:
        """Columns by name, each of which must be there once, or by number; texts as dictionaries.

        Raises:
            DataError: they cannot be read.
        """
        wanted = [(str(column), column) for column in columns]
        if not wanted:
            return iter(())
        log = _hardneg.parquet_log([self._place], columns=wanted, batch_rows=rows)
        if log is None:
            raise FileError(f"{self.name}: it has no such columns, or uses what cannot be read here; write it again")
        return iter(log)

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Columns, or all of them, in the types that the file says.

        Raises:
            ColumnError: one is not there once.
            DataError, pyarrow.ArrowException: they cannot be read.
        """
        names = self.schema.names if columns is None else list(columns)
        if any(self.schema.names.count(name) != 1 for name in names):
            raise ColumnError(f"{self.name}: one column each of {names} expected; available: {self.schema.names}")
        schema = pa.schema([self.schema.field(name) for name in names])
        if not names:
            return pa.table({})
        batches = list(self.batches(names))
        return pa.Table.from_batches(batches).cast(schema) if batches else schema.empty_table()

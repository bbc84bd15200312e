"""Parquet files, wherever they lie: the core reads their pages, so that those of strangers do no harm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pat

from .. import _hardneg
from ..footer import read_metadata
from ..parquet import Place, place, unreadable
from .columnar import ColumnarSource
from .files import DataFile, naming
from .report import ReadReport

NESTED_ROWS = 2048
"""Rows of a batch with lists in it: each has as many items as a page has results, or more."""


class ParquetSource(ColumnarSource):
    """A dataset of Parquet files with equal columns, as far as they are asked for."""

    def __init__(self, files: list[DataFile]) -> None:
        super().__init__(files)
        self.rows = sum(metadata.num_rows for metadata in self._metadata)

    @cached_property
    def _footers(self) -> list[tuple[_hardneg.ParquetFooter, pq.FileMetaData, int]]:
        """What the core and pyarrow read in footers, and how long files are."""
        out = []
        for file in self.files:
            with naming(file.name), file.filesystem.open_input_file(file.path) as stream:
                size = stream.size()
                out.append((*read_metadata(stream, size, file.name), size))
        return out

    @property
    def _metadata(self) -> list[pq.FileMetaData]:
        return [metadata for _, metadata, _ in self._footers]

    @property
    def chunks(self) -> list[_hardneg.ParquetFooter]:
        """What footers say of column chunks."""
        return [chunks for chunks, _, _ in self._footers]

    def _schemas(self) -> list[pa.Schema]:
        out = []
        for file, metadata in zip(self.files, self._metadata, strict=True):
            with naming(file.name):
                out.append(metadata.schema.to_arrow_schema())
        return out

    @cached_property
    def _places(self) -> list[Place]:
        return [
            place(file.filesystem, file.path, size)
            for file, (_, _, size) in zip(self.files, self._footers, strict=True)
        ]

    @cached_property
    def _opened(self) -> _hardneg.ParquetFiles:
        """All files as one log, their footers read once."""
        opened = _hardneg.parquet_files(self._places)
        if opened is None:
            alone = zip(self.names, self._places, strict=True)
            raise unreadable(next((name for name, at in alone if _hardneg.parquet_files([at]) is None), self.names[0]))
        return opened

    @cached_property
    def _apart(self) -> list[_hardneg.ParquetFiles]:
        """Each file by itself, where `_opened` has them all."""
        opened = [_hardneg.parquet_files([at]) for at in self._places]
        return [files for files in opened if files is not None]

    def log(self, wanted: Mapping[str, str], batch_rows: int) -> _hardneg.ParquetLog | None:
        """The columns as the core reads them, several threads at once and dictionaries as the files have them.

        Returns:
            None where a column has different types in different files.

        Raises:
            ColumnError: as `types`.
            FileError: a file uses what cannot be read here.
        """
        types = self.types(wanted.values())
        if any(pat.is_nested(kind) for kind in types.values()):
            batch_rows = min(batch_rows, NESTED_ROWS)
        log = self._opened.columns(list(wanted.items()), batch_rows=batch_rows)
        if log is None:
            for number in range(len(self.files)):
                self._one(number, wanted, batch_rows)
        return log

    def _one(self, number: int, wanted: Mapping[str, str], batch_rows: int) -> _hardneg.ParquetLog:
        log = self._apart[number].columns(list(wanted.items()), batch_rows=batch_rows)
        if log is None:
            raise unreadable(self.files[number].name)
        return log

    def scan(  # noqa: D102 - as in Source
        self,
        wanted: Mapping[str, str],
        report: ReadReport,
        batch_rows: int,
        lists: Iterable[str] = (),  # noqa: ARG002
    ) -> pa.RecordBatchReader:
        log = self.log(wanted, batch_rows)
        report.rows_in = self.rows or 0
        if log is not None:
            return pa.RecordBatchReader.from_batches(pa.schema(log), log)
        kinds = self.types(wanted.values())
        schema = pa.schema([(name, _coded(kinds[path])) for name, path in wanted.items()])

        def batches() -> Iterator[pa.RecordBatch]:
            for number, file in enumerate(self.files):
                for batch in self._one(number, wanted, batch_rows):
                    with naming(file.name):
                        converted = batch.cast(schema)
                    yield converted

        return pa.RecordBatchReader.from_batches(schema, batches())


def _coded(kind: pa.DataType) -> pa.DataType:
    """Text stays a dictionary, as pages hold it: each entry is then hashed once."""
    is_text = pat.is_string(kind) or pat.is_large_string(kind) or pat.is_string_view(kind)
    return pa.dictionary(pa.int32(), pa.string()) if is_text else kind

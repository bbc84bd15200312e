"""Parquet, Arrow IPC and ORC files: Arrow's own scanner, which reads ahead on its own threads without the GIL."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.orc
import pyarrow.parquet as pq
import pyarrow.types as pat

from .. import _hardneg
from ..exceptions import ColumnError, HardnegError
from ..footer import read_footer
from .base import Source
from .files import DataFile, naming
from .report import ReadReport

READ_AHEAD = 4
"""Batches read ahead for each of the two files in work: enough to keep the core busy, and little memory."""


def parts(schema: pa.Schema, path: str) -> list[str] | None:
    """Field names from the top down to a dotted path, None if it is not there. A plain name with dots in it wins."""
    if path in schema.names:
        return [path]
    top, _, rest = path.partition(".")
    if not rest or top not in schema.names or not pat.is_struct(schema.field(top).type):
        return None
    below = parts(pa.schema(schema.field(top).type.fields), rest)
    return None if below is None else [top, *below]


def leaves(schema: pa.Schema) -> list[str]:
    """Names of columns, dotted for the fields of structs."""
    out = []
    for field in schema:
        inner = leaves(pa.schema(field.type.fields)) if pat.is_struct(field.type) else []
        out += [f"{field.name}.{leaf}" for leaf in inner] or [field.name]
    return out


def type_at(schema: pa.Schema, path: str) -> pa.DataType:
    """Type of an existing dotted path."""
    found = parts(schema, path) or [path]
    field = schema.field(found[0])
    for name in found[1:]:
        field = field.type.field(name)
    return field.type


def check_doubles(names: list[str], paths: Iterable[str], where: str) -> None:
    """Refuses names that are needed and occur more than once."""
    doubled = sorted({path for path in paths if names.count(path) > 1})
    if doubled:
        raise ColumnError(f"{where}: columns occur more than once: {doubled}; rename all but one")


def checked(batches: Iterable[pa.RecordBatch], name: str) -> Iterator[pa.RecordBatch]:
    """Batches of Arrow files that hold what they claim: Arrow takes over buffers as they are, offsets beyond them too.

    Raises:
        FileError: one does not.
    """
    with naming(name):
        for batch in batches:
            batch.validate(full=True)
            yield batch


class ColumnarSource(Source):
    """A dataset of files with equal columns, as far as they are asked for."""

    def __init__(self, files: list[DataFile]) -> None:
        self.files = files
        self.format = files[0].format
        self.names = tuple(file.name for file in files)
        self.schemas = self._schemas()
        self.scanned: list[str] = []
        if self.format == "parquet":
            self.rows = sum(footer.num_rows for footer in self.footers)

    @cached_property
    def _footers(self) -> list[tuple[_hardneg.ParquetFooter, pq.FileMetaData]]:
        """Parquet footers, read once: as the core reads them, and as pyarrow does those that the core lets pass."""
        out = []
        for file in self.files:
            with naming(file.name), file.filesystem.open_input_file(file.path) as stream:
                chunks = read_footer(stream, stream.size(), file.name)
                stream.seek(0)
                out.append((chunks, pq.ParquetFile(stream).metadata))
        return out

    @property
    def footers(self) -> list[pq.FileMetaData]:
        """What Parquet footers say of rows and schemas."""
        return [footer for _, footer in self._footers]

    @property
    def chunks(self) -> list[_hardneg.ParquetFooter]:
        """What Parquet footers say of column chunks."""
        return [chunks for chunks, _ in self._footers]

    def _schemas(self) -> list[pa.Schema]:
        if self.format != "parquet":
            return [self._schema(file) for file in self.files]
        out = []
        for file, footer in zip(self.files, self.footers, strict=True):
            with naming(file.name):
                out.append(footer.schema.to_arrow_schema())
        return out

    def _schema(self, file: DataFile) -> pa.Schema:
        with naming(file.name), file.filesystem.open_input_file(file.path) as stream:
            schema = pyarrow.orc.ORCFile(stream).schema if self.format == "orc" else pa.ipc.open_file(stream).schema
            leaves(schema)  # names that are no text show when they are asked for
            return schema

    def columns(self) -> list[str]:  # noqa: D102 - as in Source
        return leaves(self.schemas[0])

    def find(self, paths: Iterable[str]) -> set[str]:  # noqa: D102 - as in Source
        paths = set(paths)
        for file, schema in zip(self.files, self.schemas, strict=True):
            check_doubles(schema.names, paths, file.name)
        return {path for path in paths if any(parts(schema, path) for schema in self.schemas)}

    def types(self, paths: Iterable[str]) -> dict[str, pa.DataType]:
        """Types that hold for all files.

        Raises:
            ColumnError: a file lacks a column that others have, or has it with another kind of type.
        """
        return {path: self._common(path) for path in paths}

    def _common(self, path: str) -> pa.DataType:
        first: pa.DataType | None = None
        for file, schema in zip(self.files, self.schemas, strict=True):
            if parts(schema, path) is None:
                raise ColumnError(
                    f"{file.name}: column {path!r} not found, but other files of the log have it; "
                    "read the files apart, or write them again with one schema"
                )
            found = type_at(schema, path)
            first = first or found
            try:
                first = pa.unify_schemas(
                    [pa.schema([(path, t)]) for t in (first, found)],
                    promote_options="permissive" if _kind(first) == _kind(found) else "default",
                ).field(0).type  # fmt: skip
            except pa.ArrowException:
                raise ColumnError(
                    f"{file.name}: column {path!r} has type {found}, in {self.names[0]} it is {first}; "
                    "read the files apart, or write them again with one schema"
                ) from None
        return first

    def scan(  # noqa: D102 - as in Source
        self,
        wanted: Mapping[str, str],
        report: ReadReport,
        batch_rows: int,
        lists: Iterable[str] = (),  # noqa: ARG002
    ) -> pa.RecordBatchReader:
        # Not at the top: pyarrow.dataset imports pandas, half a second that the core's own reader saves.
        import pyarrow.dataset as ds

        types = self.types(wanted.values())
        self.scanned = list(types)
        if self.format == "parquet":
            reading = ds.ParquetFileFormat(
                read_options=ds.ParquetReadOptions(dictionary_columns=self._text(types)),
                default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True),
            )
        routes = {path: parts(self.schemas[0], path) or [path] for path in wanted.values()}
        with naming(self.names[0]):
            dataset = ds.dataset(
                [file.path for file in self.files],
                filesystem=self.files[0].filesystem,
                format=reading if self.format == "parquet" else self.format,
                schema=self._schema_of_all(wanted.values()),
            )
            reader = dataset.scanner(
                columns={name: ds.field(*routes[path]) for name, path in wanted.items()},
                batch_size=batch_rows,
                batch_readahead=READ_AHEAD,
                fragment_readahead=2,
            ).to_reader()
        if self.rows is not None:
            report.rows_in = self.rows
        if self.format == "ipc":
            return pa.RecordBatchReader.from_batches(reader.schema, checked(reader, self.names[0]))
        return reader

    def broken(self) -> HardnegError | None:
        """What is wrong with the first Parquet file that cannot be read: Arrow's scanner does not say which it is."""
        for file in self.files if self.format == "parquet" else []:
            try:
                with naming(file.name), file.filesystem.open_input_file(file.path) as stream:
                    reading = pq.ParquetFile(stream, page_checksum_verification=True)
                    collections.deque(reading.iter_batches(columns=self.scanned), maxlen=0)
            except HardnegError as error:
                return error
        return None

    def direct(self, wanted: Mapping[str, str], batch_rows: int) -> _hardneg.ParquetLog | None:
        """The columns as the core reads them, several threads at once and dictionaries as the files have them.

        Returns:
            None where only Arrow's scanner can: other formats, other file systems, and what `parquet_log` says.
        """
        if self.format != "parquet" or not all(isinstance(f.filesystem, pafs.LocalFileSystem) for f in self.files):
            return None
        self.types(wanted.values())
        paths = [file.path for file in self.files]
        return _hardneg.parquet_log(paths, columns=list(wanted.items()), batch_rows=batch_rows)

    def _schema_of_all(self, paths: Iterable[str]) -> pa.Schema | None:
        """A schema in which the top columns have their common type; None leaves it to the first file."""
        if all(schema.equals(self.schemas[0]) for schema in self.schemas):
            return None
        tops = dict.fromkeys((parts(self.schemas[0], path) or [path])[0] for path in paths)
        common = {top: self._common(top) for top in tops}
        dictionaries = {top: pa.dictionary(pa.int32(), common[top]) for top in self._text(common)}
        return pa.schema({**common, **dictionaries})

    def _text(self, types: Mapping[str, pa.DataType]) -> list[str]:
        """Top columns that come as dictionaries: Parquet pages hold text so, and each entry is then hashed once."""
        if self.format != "parquet":
            return []
        text = (path for path, t in types.items() if pat.is_string(t) or pat.is_large_string(t))
        return [path for path in text if path in self.schemas[0].names and path not in self._deltas]

    @cached_property
    def _deltas(self) -> set[str]:
        """Columns that may have pages in delta coding, of which Arrow makes no dictionaries."""
        known = [footer.deltas() for footer in self.chunks]
        # Of a footer that the core has no use for, nobody knows.
        return {path for paths, schema in zip(known, self.schemas, strict=True)
                for path in (schema.names if paths is None else paths)}  # fmt: skip


def _kind(t: pa.DataType) -> str:
    if pat.is_dictionary(t):
        return _kind(t.value_type)
    kinds = {"int": pat.is_integer, "float": pat.is_floating, "time": pat.is_timestamp}
    text = pat.is_string(t) or pat.is_large_string(t) or pat.is_string_view(t)
    return "text" if text else next((kind for kind, holds in kinds.items() if holds(t)), str(t))

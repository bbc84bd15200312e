"""Arrow IPC and ORC files: Arrow's own scanner, which reads ahead on its own threads without the GIL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa
import pyarrow.orc
import pyarrow.types as pat

from ..exceptions import ColumnError
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

    def _schemas(self) -> list[pa.Schema]:
        return [self._schema(file) for file in self.files]

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
        report: ReadReport,  # noqa: ARG002
        batch_rows: int,
        lists: Iterable[str] = (),  # noqa: ARG002
    ) -> pa.RecordBatchReader:
        # Not at the top: pyarrow.dataset imports pandas, half a second that the core's own reader saves.
        import pyarrow.dataset as ds

        self.types(wanted.values())
        routes = {path: parts(self.schemas[0], path) or [path] for path in wanted.values()}
        with naming(self.names[0]):
            dataset = ds.dataset(
                [file.path for file in self.files],
                filesystem=self.files[0].filesystem,
                format=self.format,
                schema=self._schema_of_all(wanted.values()),
            )
            reader = dataset.scanner(
                columns={name: ds.field(*routes[path]) for name, path in wanted.items()},
                batch_size=batch_rows,
                batch_readahead=READ_AHEAD,
                fragment_readahead=2,
            ).to_reader()
        if self.format == "ipc":
            return pa.RecordBatchReader.from_batches(reader.schema, checked(reader, self.names[0]))
        return reader

    def _schema_of_all(self, paths: Iterable[str]) -> pa.Schema | None:
        """A schema in which the top columns have their common type; None leaves it to the first file."""
        if all(schema.equals(self.schemas[0]) for schema in self.schemas):
            return None
        tops = dict.fromkeys((parts(self.schemas[0], path) or [path])[0] for path in paths)
        return pa.schema({top: self._common(top) for top in tops})


def _kind(t: pa.DataType) -> str:
    if pat.is_dictionary(t):
        return _kind(t.value_type)
    kinds = {"int": pat.is_integer, "float": pat.is_floating, "time": pat.is_timestamp}
    text = pat.is_string(t) or pat.is_large_string(t) or pat.is_string_view(t)
    return "text" if text else next((kind for kind, holds in kinds.items() if holds(t)), str(t))

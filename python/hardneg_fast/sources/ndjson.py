"""JSON, one record a line. Every column is text (or a list of text), so fields may mix strings and numbers.

Read as well: OpenSearch bulk files, whose action lines name the index of the next record; dumps with the index name
and a tab before each record; dumps with the record under `_source`. All three give the virtual column `_index`.

A line that is not a JSON object in UTF-8, or that holds an object or list where one value is mapped, is quarantined as
`broken_line`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import pyarrow as pa

from .base import FILE, INDEX, Source
from .files import DataFile, lines
from .lists import parse_list
from .paths import getter, is_deep, last_name
from .report import ReadReport

SAMPLE = 1_000
"""Records that column names are collected from."""
EXACT = 1 << 53
"""Whole doubles below this are the numbers that were written."""

Record = dict[str, Any]
Reader = tuple[Callable[[Record], Any], Callable[[Any], Any]]
"""How a value is found, and how it becomes text."""


class BrokenLineError(ValueError):
    """A line that is set aside; never leaves this module."""


class NdjsonSource(Source):
    """NDJSON files; the fields of a log are those of all its records."""

    format = "ndjson"

    def __init__(self, files: list[DataFile], *, ahead: bool = False) -> None:
        self.files, self.ahead = files, ahead
        self.names = tuple(file.name for file in files)
        self._exists: dict[str, bool] = {INDEX: True, FILE: True}

    def _records(self, report: ReadReport, having: re.Pattern[bytes] | None = None) -> Iterator[Record]:
        """Records with their virtual columns; with `having`, only lines in which the pattern is found."""
        for file in self.files:
            stem = file.stem
            index: str | None = None
            for line in lines(file):
                if not line.strip() or (having and not having.search(line)):
                    continue
                try:
                    record, prefix = _decode(line)
                except ValueError:  # of JSON, UTF-8, or ours
                    report.rows_in += 1
                    report.count("broken_line")
                    continue
                action = _bulk_action(record)
                if action is not None:
                    index = action
                    continue
                if isinstance(record.get("_source"), dict):
                    index, record = record.get(INDEX), record["_source"]
                report.rows_in += 1
                record.setdefault(INDEX, prefix or index)
                record.setdefault(FILE, stem)
                yield record
                index = None

    def columns(self) -> list[str]:  # noqa: D102 - as in Source
        found: dict[str, None] = {}
        for record in islice(self._records(ReadReport()), SAMPLE):
            found.update(dict.fromkeys(_leaves(record)))
        return [path for path in found if path not in (INDEX, FILE)]

    def find(self, paths: Iterable[str]) -> set[str]:  # noqa: D102 - as in Source
        paths = set(paths)
        unknown = {path: _getter(path) for path in paths - self._exists.keys()}
        self._look(unknown, islice(self._records(ReadReport()), SAMPLE))
        if unknown and not self.ahead:
            # A column that only some records have may start late: look for its name in the bytes, which is cheap.
            leaves = (re.escape(f'"{last_name(path)}"').encode() for path in unknown)
            self._look(unknown, self._records(ReadReport(), re.compile(b"|".join(leaves))))
        self._exists.update(dict.fromkeys(unknown, False))
        return {path for path in paths if self._exists[path]}

    def _look(self, unknown: dict[str, Callable[[Record], Any]], records: Iterator[Record]) -> None:
        """Moves the paths that have a value in some record from `unknown` to those that exist."""
        for record in records if unknown else ():
            for path in [path for path, get in unknown.items() if get(record) is not None]:
                self._exists[path] = True
                del unknown[path]
            if not unknown:
                return

    def types(self, paths: Iterable[str]) -> dict[str, pa.DataType]:  # noqa: D102 - as in Source
        return dict.fromkeys(paths, pa.string())

    def scan(  # noqa: D102 - as in Source
        self, wanted: Mapping[str, str], report: ReadReport, batch_rows: int, lists: Iterable[str] = ()
    ) -> pa.RecordBatchReader:
        lists = set(lists)
        schema = pa.schema([(name, pa.list_(pa.string()) if name in lists else pa.string()) for name in wanted])
        readers: list[Reader] = [(_getter(path), _texts if name in lists else _text) for name, path in wanted.items()]
        return pa.RecordBatchReader.from_batches(schema, self._batches(schema, readers, report, batch_rows))

    def _batches(
        self,
        schema: pa.Schema,
        readers: list[Reader],
        report: ReadReport,
        batch_rows: int,
    ) -> Iterator[pa.RecordBatch]:
        rows: list[tuple[Any, ...]] = []
        for record in self._records(report):
            try:
                rows.append(tuple(read(get(record)) for get, read in readers))
            except ValueError:
                report.count("broken_line")
            if len(rows) == batch_rows:
                yield _batch(schema, rows)
                rows = []
        if rows:
            yield _batch(schema, rows)


def _batch(schema: pa.Schema, rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    return pa.RecordBatch.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )


def _decode(line: bytes) -> tuple[Record, str | None]:
    text = line.decode().removeprefix("\ufeff")
    prefix, tab, rest = text.partition("\t")
    named = bool(tab) and "{" not in prefix and prefix.strip() != ""
    try:
        record = json.loads(rest if named else text)
    except RecursionError:
        raise BrokenLineError from None
    if not isinstance(record, dict):
        raise BrokenLineError
    return record, prefix.strip() if named else None


def _bulk_action(record: Record) -> str | None:
    """Index named by a bulk action line ("" if it names none); None for a record."""
    if len(record) != 1 or not record.keys() & {"index", "create"}:
        return None
    (target,) = record.values()
    return str(target.get("_index", "")) if isinstance(target, dict) else None


def _leaves(record: Record, above: str = "") -> Iterator[str]:
    for name, value in record.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{above}{name}.")
        elif value is not None:
            yield above + name


def _getter(path: str) -> Callable[[Record], Any]:
    """Reads a dotted path; a plain name with dots in it wins. None where there is nothing."""
    if is_deep(path):
        deep = getter(path)
        return lambda record: record[path] if path in record else deep(record)
    steps = path.split(".")

    def walk(record: Record) -> Any:
        if path in record:
            return record[path]
        value: Any = record
        for step in steps:
            value = value.get(step) if isinstance(value, dict) else None
        return value

    return walk if len(steps) > 1 else lambda record: record.get(path)


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        value.encode()  # half a surrogate pair is no text: ValueError
        return value
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        return str(int(value))  # dataframes write a column of integers with a gap as 42.0
    if isinstance(value, (int, float)):
        return str(value)
    raise BrokenLineError


def _texts(value: Any) -> list[str | None] | None:
    value = parse_list(value) if isinstance(value, str) else value
    if value is not None and not isinstance(value, list):
        raise BrokenLineError
    return None if value is None else [_text(item) for item in value]

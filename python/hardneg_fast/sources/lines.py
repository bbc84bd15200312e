"""Text files whose lines are of several kinds: a pattern for each kind, its named groups are columns.

Some groups hold on: they fill the lines after theirs, within a session where one is named. A line that says nothing but
such groups (the head of a block, the metadata of a session) is no record. Lines that fit no pattern, or are not of the
encoding, are quarantined as `broken_line`, and what was held on to is let go of: such a line may have been a head, and
the rows after it would else be booked on whoever came before. The virtual column `_block` counts the lines that said
something to hold on to, and the broken ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa

from ..exceptions import UsageError
from .base import FILE, Source
from .files import DataFile, lines
from .presets import Preset
from .report import ReadReport

BLOCK = "_block"


class LineSource(Source):
    """Files of lines, by patterns."""

    format = "lines"

    def __init__(self, files: list[DataFile], preset: Preset) -> None:
        self.files, self.preset = files, preset
        self.names = tuple(file.name for file in files)
        try:
            self.patterns = [re.compile(pattern) for pattern in preset.lines]
        except re.error as error:
            raise UsageError(f"mapping {preset.name!r}: a pattern of lines is no regular expression: {error}") from None
        self.groups = list(dict.fromkeys(name for pattern in self.patterns for name in pattern.groupindex))

    def columns(self) -> list[str]:  # noqa: D102 - as in Source
        return self.groups

    def find(self, paths: Iterable[str]) -> set[str]:  # noqa: D102 - as in Source
        return {path for path in paths if path in (*self.groups, FILE, BLOCK)}

    def types(self, paths: Iterable[str]) -> dict[str, pa.DataType]:  # noqa: D102 - as in Source
        return dict.fromkeys(paths, pa.string())

    def scan(  # noqa: D102 - as in Source
        self,
        wanted: Mapping[str, str],
        report: ReadReport,
        batch_rows: int,
        lists: Iterable[str] = (),  # noqa: ARG002
    ) -> pa.RecordBatchReader:
        schema = pa.schema([(name, pa.string()) for name in wanted])

        def batches() -> Iterator[pa.RecordBatch]:
            rows: list[list[str | None]] = []
            for record in self._records(report):
                rows.append([record.get(path) for path in wanted.values()])
                if len(rows) == batch_rows:
                    yield _batch(schema, rows)
                    rows = []
            if rows:
                yield _batch(schema, rows)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def _records(self, report: ReadReport) -> Iterator[dict[str, str | None]]:
        fill, within = set(self.preset.fill), self.preset.fill_within
        kept_apart = {within} if within else set()
        for file in self.files:
            held: dict[str, str] = {}
            block = 0
            for line in lines(file):
                try:
                    text = line.decode(self.preset.encoding or "utf-8").rstrip("\r")
                except UnicodeDecodeError:
                    text = "\0"
                if not text.strip():
                    continue
                match = next((m for pattern in self.patterns if (m := pattern.fullmatch(text))), None)
                if match is None:
                    report.rows_in += 1
                    report.count("broken_line")
                    # It may have been the head of what follows, which is nobody's until the next head.
                    held, block = {}, block + 1
                    continue
                found = {name: value for name, value in match.groupdict().items() if value is not None}
                if within and found.get(within) != held.get(within):
                    held = {within: found.get(within, "")}
                said = {name: value for name, value in found.items() if name in fill}
                held |= said
                block += bool(said)
                if match.re.groupindex.keys() <= fill | kept_apart:
                    continue
                report.rows_in += 1
                yield {**held, **found, FILE: file.stem, BLOCK: f"{file.stem}:{block}"}


def _batch(schema: pa.Schema, rows: list[list[str | None]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(c, pa.string()) for c in zip(*rows, strict=True)], schema=schema)

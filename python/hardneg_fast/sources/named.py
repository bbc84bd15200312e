"""Records of which only the columns that the caller named are there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from .base import Source
from .report import ReadReport


class NamedSource(Source):
    """Another source, without the columns that nobody named.

    Which columns a frame has may have been found by looking at rows, as of JSON; what is named beforehand was not.
    """

    def __init__(self, inner: Source, paths: Iterable[str]) -> None:
        self.inner, self.paths = inner, frozenset(paths)
        self.format, self.names, self.one_shot = inner.format, inner.names, inner.one_shot
        self.rows, self.schemas = inner.rows, inner.schemas

    def columns(self) -> list[str]:  # noqa: D102 - as in Source
        return [name for name in self.inner.columns() if name in self.paths]

    def find(self, paths: Iterable[str]) -> set[str]:  # noqa: D102 - as in Source
        return self.inner.find(self.paths & set(paths))

    def types(self, paths: Iterable[str]) -> dict[str, pa.DataType]:  # noqa: D102 - as in Source
        return self.inner.types(paths)

    def scan(  # noqa: D102 - as in Source
        self, wanted: Mapping[str, str], report: ReadReport, batch_rows: int, lists: Iterable[str] = ()
    ) -> pa.RecordBatchReader:
        return self.inner.scan(wanted, report, batch_rows, lists)

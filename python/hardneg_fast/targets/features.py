"""Features of documents, or of documents for a query, for rankers that learn from numbers."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.types as pat

from ..exceptions import ColumnError, UsageError

pc: Any = pyarrow.compute


class Features:
    """Numbers by document, or by (query, document).

    Args:
        table: `doc_id`; where a document's features hang on the query, also `query_id`, or `query` in normalised form;
            every other column is a number, a feature each.

    Raises:
        ColumnError: no doc_id, no feature, or one that is no number.
        UsageError: a document (for a query) twice.
    """

    def __init__(self, table: pa.Table) -> None:
        names = table.column_names
        if names.count("doc_id") != 1 or len({*names}) < len(names):
            raise ColumnError(f"features: a column 'doc_id', and no name twice, expected; available: {names}")
        self.query_key = next((name for name in ("query_id", "query") if name in names), None)
        self.names = [name for name in names if name not in ("doc_id", "query_id", "query")]
        wrong = [name for name in self.names if not _is_number(table.schema.field(name).type)]
        if wrong or not self.names:
            raise ColumnError(f"features: columns of numbers expected beside doc_id; these are none: {wrong}")
        columns = [_values(table[name].cast(pa.float64()), name) for name in self.names]
        docs = table["doc_id"].cast(pa.string()).to_pylist()
        queries = [None] * len(docs) if self.query_key is None else table[self.query_key].cast(pa.string()).to_pylist()
        self._values = dict(zip(zip(queries, docs, strict=True), zip(*columns, strict=True), strict=True))
        if len(self._values) < len(docs):
            raise UsageError("features: a document comes twice (for one query); give each once")

    def get(self, query_id: str, query: str, doc: str) -> tuple[float | None, ...] | None:
        """Features of a document for a query; None where there are none. A value may be missing by itself."""
        key = {"query_id": query_id, "query": query, None: None}[self.query_key]
        return self._values.get((key, doc))


def _values(column: Any, name: str) -> list[float | None]:
    if pc.any(pc.is_inf(column)).as_py():
        raise ColumnError(f"features: column {name!r} holds infinity; give numbers, or null for what is missing")
    values: list[float | None] = pc.if_else(pc.is_nan(column), None, column).to_pylist()
    return values


def _is_number(kind: pa.DataType) -> bool:
    return bool(pat.is_integer(kind) or pat.is_floating(kind) or pat.is_decimal(kind) or pat.is_boolean(kind))

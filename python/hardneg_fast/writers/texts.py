"""Texts of documents, by document id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

from ..exceptions import ColumnError, DataError
from .given import given_table

pc: Any = pyarrow.compute

COLUMNS = ("doc_id", "text")
"""Of documents."""


def documents_table(given: object) -> pa.Table:
    """doc_id and text of the documents that a caller gives.

    Raises:
        FileError, ColumnError, UsageError, DataError: as `given_table`; a column holds no text.
    """
    table = given_table(given, "documents", COLUMNS)
    check_documents(table.schema)
    return table


def check_documents(schema: pa.Schema) -> None:
    """Raises ColumnError where documents with this schema would have no ids or texts."""
    for name in COLUMNS:
        text_kind(schema.field(name).type, "documents", name)


def check_some(texts: Texts, n: int) -> None:
    """Refuses texts of other documents than were mined, or may be: no training row would be left.

    Args:
        texts: those that were found.
        n: documents that were asked for.

    Raises:
        DataError: there are documents, and none has a text.
    """
    if n and not len(texts):
        raise DataError(
            f"documents: of {n:,} documents that texts are needed of, none has one there; give a table whose doc_id "
            "are those of the log, with texts that are not empty"
        )


class Texts:
    """A lookup from document id to text. Documents with a null or empty text have none.

    Args:
        documents: doc_id, text.
        wanted: ids that will be asked for; only their texts are kept, so that a large collection costs one pass.
    """

    def __init__(self, documents: pa.Table, wanted: Any) -> None:
        for name in ("doc_id", "text"):
            if documents.column_names.count(name) != 1:
                raise ColumnError(
                    f"documents: one column {name!r} expected; available: {documents.column_names}; "
                    "rename the columns to doc_id and text"
                )
        table: Any = documents
        ids, text = (text_column(table[name], "documents", name) for name in ("doc_id", "text"))
        asked = pc.is_in(ids, value_set=wanted.cast(pa.large_string()))
        kept = pc.fill_null(pc.and_(asked, pc.greater(pc.binary_length(text), 0)), False)
        self._ids = _one(ids.filter(kept))
        self._texts = _one(text.filter(kept))

    def __len__(self) -> int:
        """Documents asked for that have a text; of an id that comes twice both count."""
        return len(self._ids)

    def find(self, ids: Any) -> npt.NDArray[np.int64]:
        """Place of each id's text, -1 for none; of an id that comes twice, the first."""
        found = pc.index_in(ids.cast(pa.large_string()), value_set=self._ids)
        places: npt.NDArray[np.int64] = pc.fill_null(found, -1).to_numpy().astype(np.int64)
        return places

    def take(self, places: npt.NDArray[np.int64]) -> Any:
        """Texts at places that were found."""
        return pc.take(self._texts, pa.array(places))

    def get(self, ids: Sequence[Any]) -> list[str | None]:
        """Texts of a few documents."""
        places = self.find(pa.array([None if doc_id is None else str(doc_id) for doc_id in ids], pa.string()))
        return [str(self.take(places[[i]])[0].as_py()) if place >= 0 else None for i, place in enumerate(places)]


def text_column(column: Any, table: str, name: str) -> Any:
    """Strings of any kind, or ids that are integers as their digits, as large strings.

    Args:
        column: Arrow data.
        table: what it is a column of, for errors.
        name: the column.

    Raises:
        ColumnError: another type.
    """
    return column.cast(text_kind(column.type, table, name)).cast(pa.large_string())


def text_kind(given: pa.DataType, table: str, name: str) -> Any:
    """The type without its dictionary; ColumnError where it is none for texts, or ids."""
    kind: Any = given.value_type if isinstance(given, pa.DictionaryType) else given
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if not any(is_text(kind) for is_text in texts) and not (name == "doc_id" and pa.types.is_integer(kind)):
        raise ColumnError(f"{table}: column {name!r} is {given}; give strings")
    return kind


def _one(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column

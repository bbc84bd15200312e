"""What every source of records can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from .report import ReadReport

INDEX = "_index"
"""Virtual column of NDJSON: the search index that a bulk action line, or a line's prefix, names."""
FILE = "_file"
"""Virtual column of text files: the file's name without endings."""


class Source(ABC):
    """Records with columns, of whatever Arrow types they come in. Nested columns have dotted names."""

    format: str
    names: tuple[str, ...] = ()
    """Base names of the files, in the order they are read."""
    one_shot: bool = False
    """Whether the records can be read only once."""
    rows: int | None = None
    """Number of records where it is known without reading."""
    schemas: Sequence[pa.Schema] = ()
    """Of the files, or of the stream, where they have schemas; their metadata may say how the log was made."""

    @abstractmethod
    def columns(self) -> list[str]:
        """Names for messages and guesses; of nested columns the leaves."""

    @abstractmethod
    def find(self, paths: Iterable[str]) -> set[str]:
        """Those of the (dotted) names that the source has.

        Raises:
            ColumnError: a name occurs more than once.
        """

    @abstractmethod
    def types(self, paths: Iterable[str]) -> dict[str, pa.DataType]:
        """Arrow types of existing columns."""

    @abstractmethod
    def scan(
        self, wanted: Mapping[str, str], report: ReadReport, batch_rows: int, lists: Iterable[str] = ()
    ) -> pa.RecordBatchReader:
        """Streams columns under new names.

        Args:
            wanted: new name → the source's name, in the order of the result.
            report: `rows_in` and `quarantine` are counted here.
            batch_rows: upper bound of rows per batch, where the format allows a choice.
            lists: new names of the columns that hold lists, for formats without a schema.
        """

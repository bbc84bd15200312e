"""What a log calls the top position: 0 where it has rows at position 0, at least half as many as at 1; else 1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from ..exceptions import DataError
from ..plain import plain
from .base import Source
from .files import naming
from .parquet import ParquetSource
from .report import ReadReport
from .types import is_text


def base(zeros: int, ones: int) -> int:
    """The rule."""
    return 0 if zeros and 2 * zeros >= ones else 1


def zeros_and_ones(column: pa.Array) -> tuple[int, int]:
    """Rows at position 0 and at position 1, of numbers or of text that holds digits."""
    column = plain(column)
    if pat.is_null(column.type):
        return 0, 0
    if is_text(column.type):
        column = column.cast(pa.large_binary())
        return _count(column, b"0", b"0.0"), _count(column, b"1", b"1.0")
    if pat.is_floating(column.type) or pat.is_decimal(column.type):
        column = column.cast(pa.float64())
    return _count(column, 0), _count(column, 1)


def _count(column: pa.Array, *values: Any) -> int:
    return int(pc.sum(pc.is_in(column, value_set=pa.array(values, column.type))).as_py() or 0)


def detect(source: Source, path: str, batch_rows: int) -> int:
    """Base of a log that can be read again: by the statistics of Parquet files, else by reading the column."""
    if isinstance(source, ParquetSource) and all(footer.at_least(path, 1) for footer in source.chunks):
        return 1
    zeros = ones = 0
    name = source.names[0] if len(source.names) == 1 else "a file of the log"
    # Arrow's scanner hands on its own errors, which quote cells.
    with naming(name), source.scan({"position": path}, ReadReport(), batch_rows) as reader:
        for batch in reader:
            z, o = zeros_and_ones(batch.column(0))
            zeros, ones = zeros + z, ones + o
    return base(zeros, ones)


def detect_ahead(reader: pa.RecordBatchReader, name: str) -> tuple[int, pa.RecordBatchReader]:
    """Base by the first batch of a stream that can be read only once, and a stream that checks it to the end.

    Args:
        reader: the stream.
        name: its column of positions.

    Raises:
        DataError: at the end of the stream, when the rule over all rows gives another base.
    """
    schema = reader.schema
    ahead = []
    for batch in reader:
        ahead.append(batch)
        if batch.num_rows:
            break
    found = base(*zeros_and_ones(ahead[-1].column(name))) if ahead else 1

    def checked() -> Iterator[pa.RecordBatch]:
        zeros = ones = 0
        for batches in (ahead, reader):
            for batch in batches:
                z, o = zeros_and_ones(batch.column(name))
                zeros, ones = zeros + z, ones + o
                yield batch
        if (zeros or ones) and base(zeros, ones) != found:
            raise DataError(
                f"the first rows of the stream look as if positions start at {found}, all rows together do not; "
                "say what the top position is called with --read.position-base 0 or 1"
            )

    return found, pa.RecordBatchReader.from_batches(schema, checked())

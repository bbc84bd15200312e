"""Logs with a row per result shown: columns are chosen and renamed, and stream through untouched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from ..config import ReadConfig
from .base import Source
from .mapping import Mapping
from .report import ReadReport


def stream(
    source: Source, mapping: Mapping, config: ReadConfig, report: ReadReport, keep: Iterable[str] = ()
) -> pa.RecordBatchReader:
    """The log's rows under canonical names, columns to `keep` under their own, constants last."""
    wanted = {name: paths[0] for name, paths in mapping.columns.items()} | {name: name for name in keep}
    reader = source.scan(wanted, report, config.batch_rows)
    return with_constants(reader, mapping.constants) if mapping.constants else reader


def with_constants(reader: pa.RecordBatchReader, constants: dict[str, str]) -> pa.RecordBatchReader:
    """Adds columns that have one value in every row; empty text is null."""
    kind = pa.dictionary(pa.int8(), pa.string())
    schema = pa.schema([*reader.schema, *((name, kind) for name in constants)])

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in reader:
            zeros = pa.repeat(pa.scalar(0, pa.int8()), batch.num_rows)
            values = (pa.array([value or None], pa.string()) for value in constants.values())
            added = [pa.DictionaryArray.from_arrays(zeros, value) for value in values]
            yield pa.RecordBatch.from_arrays([*batch.columns, *added], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())

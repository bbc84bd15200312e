"""Query logs of ir_datasets: whatever has `qlogs_iter`, as records with lists of structs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pyarrow as pa

from ..exceptions import DataError
from .arrow import ArrowSource

ROWS = 10_000


def is_qlogs(log: object) -> bool:
    """Whether `log` is a dataset with a query log."""
    return hasattr(log, "qlogs_iter")


def of_dataset(log: Any) -> ArrowSource:
    """The records of the query log, as often as they are asked for.

    Raises:
        DataError: there are none.
    """
    first = next(iter(log.qlogs_iter()), None)
    if first is None:
        raise DataError("the query log has no records")
    schema = pa.RecordBatch.from_pylist([_plain(first)]).schema

    def opens() -> pa.RecordBatchReader:
        def batches() -> Iterator[pa.RecordBatch]:
            every = iter(log.qlogs_iter())
            while records := list(islice(every, ROWS)):
                yield pa.RecordBatch.from_pylist([_plain(record) for record in records], schema)

        return pa.RecordBatchReader.from_batches(schema, batches())

    return ArrowSource(opens)


def _plain(record: Any) -> dict[str, Any]:
    return {**record._asdict(), "items": [item._asdict() for item in record.items]}

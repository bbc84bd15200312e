"""Errors of a log that broke off while it was read: Arrow's interface says that it did, the source remembers why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from .. import _hardneg
from ..exceptions import DataError
from ..read import RawLog

__all__ = ["named_errors", "unbroken"]

BROKE_OFF = "the input stream broke off while it was read"


def unbroken(
    reader: pa.RecordBatchReader, raw: RawLog, stream: _hardneg.Stream | None = None
) -> Iterator[pa.RecordBatch]:
    """Batches; where they break off, the named error: what Arrow says can quote values."""
    try:
        yield from reader
    except (pa.ArrowException, OSError, ValueError):
        raise raw.error or (stream and stream.failure()) or DataError(BROKE_OFF) from None


@contextmanager
def named_errors(raw: RawLog, stream: _hardneg.Stream | None = None) -> Iterator[None]:
    """Arrow's C interface hands on that a stream broke, not why; the source and the stream remember."""
    try:
        yield
    except (DataError, pa.ArrowException, OSError) as error:
        failed = raw.error or (stream and stream.failure()) or error
        if failed is not error:
            raise failed from None
        raise

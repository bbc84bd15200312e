"""Times and numbers of events, for joining them. Rows that only pass through are left to the core."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pat

from ..plain import plain

NONE = np.iinfo(np.int64).min
"""Stands for no time."""
UTC = datetime.UTC
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = datetime.timedelta(microseconds=1)
EPOCH_UNITS = ((1e11, "epoch_s", 1_000_000.0), (1e14, "epoch_ms", 1_000.0), (1e17, "epoch_us", 1.0))
"""Below which size an epoch number counts what, and how many microseconds that is; above all, nanoseconds."""


def microseconds(column: pa.ChunkedArray, notations: dict[str, int]) -> npt.NDArray[np.int64]:
    """Microseconds since 1970, UTC, of timestamps, dates, ISO 8601 text and epoch numbers; NONE where there is none.

    Args:
        column: times of any type that the timestamp column may have.
        notations: counts by notation are added here.
    """
    column = plain(column)
    if pat.is_temporal(column.type):
        typed = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        out: npt.NDArray[np.int64] = typed.fill_null(NONE).to_numpy().astype(np.int64)
        return out
    values, places = _encode(column)
    times = np.full(len(values) + 1, NONE, dtype=np.int64)
    for i, n in enumerate(np.bincount(places, minlength=len(values) + 1)[:-1]):
        micros, notation = read_time(values[i])
        times[i] = NONE if micros is None else micros
        if notation:
            notations[notation] = notations.get(notation, 0) + int(n)
    return times[places]


def _encode(column: pa.ChunkedArray) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Distinct values as text, and each row's place among them (one past the end for null)."""
    encoded = plain(column).combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    values = [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in encoded.dictionary.to_pylist()]
    return values, encoded.indices.fill_null(len(values)).to_numpy().astype(np.int64)


def read_time(text: str) -> tuple[int | None, str]:
    """One time and its notation; "" for empty text, "unreadable" for what is no time."""
    text = text.strip()
    if not text:
        return None, ""
    try:
        return _from_epoch(text)
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        return (moment - EPOCH) // MICROSECOND, "iso8601"
    except (ValueError, OverflowError):
        return None, "unreadable"


def _from_epoch(text: str) -> tuple[int, str]:
    value = int(text) if text.lstrip("+-").isdigit() else float(text)
    if not math.isfinite(value) or abs(value) >= 2**63:
        raise ValueError
    for limit, notation, unit in EPOCH_UNITS:
        if abs(value) < limit:
            return round(value * unit), notation
    return int(value // 1000), "epoch_ns"


def numbers(column: pa.ChunkedArray, read: Callable[[str], float] = float) -> npt.NDArray[np.float64]:
    """Numbers of a column of text or numbers; NaN for null and for what `read` refuses with a ValueError."""
    values, places = _encode(column)
    out = np.full(len(values) + 1, np.nan)
    for i, value in enumerate(values):
        try:
            out[i] = read(value)
        except ValueError:
            out[i] = np.nan
    return out[places]

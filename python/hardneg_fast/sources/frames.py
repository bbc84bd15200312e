"""Grouping and looking up in columns that are in memory, for joining events."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..exceptions import DataError
from ..plain import plain

Indices = npt.NDArray[np.int64]


def text(name: str, column: pa.ChunkedArray) -> pa.Array:
    """A column as text, empty text as null.

    Raises:
        DataError: bytes that are not UTF-8.
    """
    try:
        values = plain(column).cast(pa.large_string()).combine_chunks()
    except pa.ArrowException:
        raise DataError(f"column {name!r}: not UTF-8; write the events again in UTF-8") from None
    return pc.if_else(pc.equal(values, ""), pa.scalar(None, values.type), values)


def coalesce(columns: list[pa.Array]) -> pa.Array:
    """For each row the first of the columns that has a value."""
    return pc.coalesce(*columns)


def int64(column: pa.Array | pa.ChunkedArray, null: int = 0) -> Indices:
    """Whole numbers, nulls replaced."""
    out: Indices = column.fill_null(null).to_numpy().astype(np.int64)
    return out


def codes(*columns: pa.Array) -> Indices:
    """One number from 0 up for each distinct combination of values; null is a value like any other."""
    out = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        encoded = column.dictionary_encode(null_encoding="encode")
        pairs = out * max(len(encoded.dictionary), 1) + encoded.indices.to_numpy().astype(np.int64)
        out = np.unique(pairs, return_inverse=True)[1].astype(np.int64)
    return out


def order(table: pa.Table, *keys: str) -> Indices:
    """Row numbers in ascending order of the keys that the table has, nulls last (as Arrow does unless told)."""
    have = [(key, "ascending") for key in keys if key in table.schema.names]
    return int64(pc.sort_indices(table, sort_keys=have))


def first(groups: Indices, column: pa.Array, sequence: Indices, count: int) -> pa.Array:
    """For each group the first value that is not null, going through the rows in the given sequence."""
    valid = pc.is_valid(column).to_numpy(zero_copy_only=False)
    backwards = sequence[valid[sequence]][::-1]
    place = np.full(count, -1, dtype=np.int64)
    place[groups[backwards]] = backwards  # of equal groups the last assignment stays
    return take(column, place)


def take(column: pa.Array, places: Indices) -> pa.Array:
    """Values at places, null where the place is -1."""
    return column.take(pa.array(places, pa.int64(), mask=places < 0))


def earliest(groups: Indices, values: Indices, count: int, none: int) -> Indices:
    """For each group its least value; `none` stands for no value, in and out."""
    out = np.full(count, np.iinfo(np.int64).max, dtype=np.int64)
    known = values != none
    np.minimum.at(out, groups[known], values[known])
    return np.where(out == np.iinfo(np.int64).max, none, out)

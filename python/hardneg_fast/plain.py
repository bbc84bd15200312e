"""Arrow data as libraries hand it out, brought to what all of Arrow's kernels know: for what Python computes on."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.types as pat


def has_capsule(data: object) -> bool:
    """Whether `data` hands out Arrow data by itself."""
    return hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__")


def unwrapped(data: Any) -> Any:
    """What a lazy frame of narwhals wraps, which has no Arrow data of its own; anything else as it is."""
    return data.to_native() if hasattr(data, "to_native") and not has_capsule(data) else data


def plain_type(t: pa.DataType) -> pa.DataType:
    """The type that `plain` gives for a type: no dictionaries, no views, no extensions."""
    if isinstance(t, pa.BaseExtensionType):
        return plain_type(t.storage_type)
    if pat.is_dictionary(t):
        return plain_type(t.value_type)
    if pat.is_string_view(t):
        return pa.large_string()
    if pat.is_binary_view(t) or pat.is_fixed_size_binary(t):
        return pa.large_binary()
    return t


def plain(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The same values in a plain layout."""
    if isinstance(column, pa.ChunkedArray):
        return pa.chunked_array([plain(chunk) for chunk in column.chunks], plain_type(column.type))
    if isinstance(column.type, pa.BaseExtensionType):
        return plain(column.storage)
    if pat.is_dictionary(column.type):
        return plain(column.dictionary).take(column.indices)
    return column.cast(plain_type(column.type))


def plain_table(table: pa.Table) -> pa.Table:
    """A table with all columns in a plain layout."""
    return pa.table([plain(column) for column in table.columns], names=table.column_names)

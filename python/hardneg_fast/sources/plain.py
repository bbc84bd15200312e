"""Layouts that few of Arrow's kernels know, brought to those that all know: for what the reader itself computes on."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.types as pat


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

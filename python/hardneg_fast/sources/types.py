"""Which Arrow types a canonical column may have; everything else is refused by name, with what to do about it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.types as pat

from ..exceptions import ColumnError

TEXT = frozenset({"user_id", "session_id", "search_id", "query", "doc_id", "surface", "action"})
NUMBERS = frozenset({"position", "dwell_ms", "click_ms", "n_clicks", "propensity"})
FLAGS = frozenset({"clicked", "visible"})
NAMED = frozenset({"query", "doc_id", "surface", "action"})
"""Text that is read as text; identifiers of people and pages are hashed, and may be any bytes."""
LISTS = frozenset({"documents", "clicks", "clicked_documents"})
TEXT_TYPES = (
    pat.is_string, pat.is_large_string, pat.is_string_view, pat.is_binary, pat.is_large_binary, pat.is_binary_view,
    pat.is_fixed_size_binary,
)  # fmt: skip


def is_text(t: pa.DataType) -> bool:
    """Text or bytes of any layout, by itself or in a dictionary."""
    if pat.is_dictionary(t):
        return is_text(t.value_type)
    return any(is_kind(t) for is_kind in TEXT_TYPES)


def is_list(t: pa.DataType) -> bool:
    """Lists of a layout that can be read."""
    return any(is_kind(t) for is_kind in (pat.is_list, pat.is_large_list, pat.is_fixed_size_list))


def check(canonical: str, column: str, found: pa.DataType) -> None:
    """Refuses a type that the canonical column cannot have.

    Raises:
        ColumnError: names the column, its type, and the cast that helps.
    """
    t = found.storage_type if isinstance(found, pa.BaseExtensionType) else found
    t = t.value_type if pat.is_dictionary(t) else t
    advice = _advice(canonical, t)
    if t is not found and canonical in NAMED and pat.is_fixed_size_binary(t):
        advice = "its values are stored as bytes that are no text (a UUID, say); cast it to text"
    if advice:
        raise ColumnError(f"column {column!r} has type {found}, which cannot be {canonical!r}: {advice}")


def _advice(canonical: str, t: pa.DataType) -> str:
    """What to do about type `t`; "" if it is fine."""
    if canonical in LISTS and is_list(t):
        value = t.value_type.value_type if pat.is_dictionary(t.value_type) else t.value_type
        scalar = is_text(value) or pat.is_integer(value) or pat.is_boolean(value) or pat.is_null(value)
        return "" if scalar else "cast its items to text or whole numbers"
    if pat.is_struct(t):
        return "name one of its fields, with a dot: column.field"
    if pat.is_list_view(t) or pat.is_large_list_view(t):
        return "cast it to a plain list"
    if is_list(t):
        return "it holds lists; one value a row is expected (lists of results: --columns documents=…)"
    if pat.is_run_end_encoded(t) or pat.is_union(t) or pat.is_map(t) or pat.is_interval(t):
        return "cast it to text or a number"
    if pat.is_duration(t) or pat.is_time(t):
        return "cast it to a number of milliseconds"
    if pat.is_decimal(t):
        whole = pat.is_decimal128(t) and t.scale == 0
        return "" if whole and canonical not in LISTS else "cast it to a whole number, or a double"
    if is_text(t) or pat.is_null(t):
        return ""
    return _advice_of_plain(canonical, t)


def _advice_of_plain(canonical: str, t: pa.DataType) -> str:
    if canonical in LISTS:
        return "lists, or text that holds a list, are expected"
    if pat.is_temporal(t):
        return "" if canonical == "timestamp" else "cast it to text"
    if canonical in TEXT:
        # 2^53 + 1 and 2^53 are one double: two people would become one.
        advice = "identifiers that are floats may have lost digits; cast to a whole number or text"
        return advice if pat.is_floating(t) else ""
    if pat.is_boolean(t):
        return "" if canonical in FLAGS else "a number is expected"
    return ""

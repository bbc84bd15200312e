"""Lists of results in columns: Arrow lists of any layout, or text that holds a list as JSON or Python writes it."""

from __future__ import annotations

import ast
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from ..plain import plain
from .types import is_list


def parse_list(text: str) -> list[Any]:
    """The list that a text cell holds.

    Raises:
        ValueError: it holds none.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        try:
            value = ast.literal_eval(text.strip())
        except (SyntaxError, RecursionError, MemoryError, TypeError):
            raise ValueError from None
    if not isinstance(value, list):
        raise ValueError  # noqa: TRY004 - one error for every cell that is no list
    return value


def as_lists(column: pa.Array) -> tuple[pa.Array, list[bool]]:
    """A column as list<string>, and for each row whether its cell could be read. Flags become "true" and "false"."""
    target = pa.list_(pa.string())
    if is_list(column.type):
        return _decoded(column) if pat.is_dictionary(column.type.value_type) else column.cast(target), [True] * len(
            column
        )
    values: list[list[str] | None] = []
    good = []
    for cell in plain(column).cast(pa.string()).to_pylist():
        try:
            values.append(None if cell is None else [_text(item) for item in parse_list(cell)])
            good.append(True)
        except ValueError:
            values.append(None)
            good.append(False)
    return pa.array(values, target), good


def _decoded(column: pa.Array) -> pa.Array:
    """Lists of dictionary codes as lists of text; there is no cast for these."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    values = plain(pc.list_flatten(column)).cast(pa.string())
    return pa.ListArray.from_arrays(offsets, values, mask=pc.is_null(column))


def _text(item: Any) -> str:
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, (str, int)):
        return str(item)
    raise ValueError

"""Paths into nested columns.

`a.b` is a field, `a[].b` the field of each item of a list, `a[key=x].b` that of the item whose `key` is x, as Google
Analytics keeps its parameters.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from ..plain import plain
from .frames import int64

Step = str | tuple[str, str] | None
"""A field, the item whose field has a value, or every item."""
_STEP = re.compile(r"([^.\[\]]+)|\[(?:([^=\[\]]+)=([^\[\]]*))?\]|\.")


def is_deep(path: str) -> bool:
    """Whether a path goes into lists."""
    return "[" in path


def steps(path: str) -> list[Step]:
    """A path taken apart."""
    out: list[Step] = []
    for match in _STEP.finditer(path):
        if match[0] == ".":
            continue
        out.append(match[1] if match[1] else (match[2], match[3]) if match[2] else None)
    return out


def last_name(path: str) -> str:
    """The last field that a path names."""
    return next((step for step in reversed(steps(path)) if isinstance(step, str)), path)


def getter(path: str) -> Callable[[Any], Any]:
    """Reads a path of Python values as JSON has them; None where there is nothing."""
    parts = steps(path)
    return lambda value: _walk(value, parts)


def _walk(value: Any, parts: list[Step]) -> Any:
    for at, step in enumerate(parts):
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        elif not isinstance(value, list):
            return None
        elif step is None:
            return [_walk(item, parts[at + 1 :]) for item in value]
        else:
            key, wanted = step
            value = next((item for item in value if isinstance(item, dict) and str(item.get(key)) == wanted), None)
    return value


def pick(column: pa.Array, parts: list[Step]) -> pa.Array:
    """The same for Arrow columns.

    Raises:
        KeyError: the type has no such field or list.
    """
    if not parts:
        return column
    step, rest = parts[0], parts[1:]
    if isinstance(step, str):
        if not pat.is_struct(column.type) or column.type.get_field_index(step) < 0:
            raise KeyError(step)
        return pick(pc.struct_field(column, step), rest)
    if not (pat.is_list(column.type) or pat.is_large_list(column.type) or pat.is_fixed_size_list(column.type)):
        raise KeyError("[]")
    items = pc.list_flatten(column)
    if step is None:
        inner = pick(items, rest)
        offsets = np.concatenate([[0], np.cumsum(int64(pc.list_value_length(column)))])
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), inner, mask=pc.is_null(column))
    key, wanted = step
    keys = plain(pick(items, [key])).cast(pa.string())
    found = np.flatnonzero(pc.fill_null(pc.equal(keys, wanted), False).to_numpy(zero_copy_only=False))
    parents = int64(pc.list_parent_indices(column))[found]
    places = np.full(len(column), -1, dtype=np.int64)
    places[parents[::-1]] = found[::-1]  # of several the first stays
    return pick(items.take(pa.array(places, pa.int64(), mask=places < 0)), rest)

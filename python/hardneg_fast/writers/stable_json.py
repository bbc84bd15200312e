"""JSON that is the same bytes for the same content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def to_json(content: Mapping[str, Any]) -> bytes:
    """Keys sorted, two spaces, a line end; dates in ISO 8601, numbers that are not finite as null."""
    text = json.dumps(_plain(content), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    # Half of a surrogate pair cannot be written as UTF-8; backslashreplace makes it the JSON escape that it is.
    return (text + "\n").encode("utf-8", "backslashreplace")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if value - value == 0 else None
    if value is None or isinstance(value, (str, int)):
        return value
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "item"):  # a number of numpy
        return _plain(value.item())
    raise TypeError(f"a report holds plain values, not {type(value).__name__}")

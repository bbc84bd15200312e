"""The key of the pseudonyms, or a part of it, in anything that may be read."""

from __future__ import annotations

from collections.abc import Mapping

from ..keys import Key
from .checks import Check
from .scan import Found
from .search import WIDTH, Needles


def of_key(key: Key) -> Needles:
    """Every eight bytes of the key."""
    material = key.material()
    return Needles([material[i : i + WIDTH] for i in range(len(material) - WIDTH + 1)])


def key_material(key: Key | None, found: Mapping[str, Found], *, messages: int) -> Check:
    """Whether eight bytes of the key in a row were found anywhere, raw, as hexadecimal or as base64."""
    if key is None:
        return Check("key", "not checked", "no key was given to look for (--key)")
    also = f" and in {messages:,} files of messages" if messages else "; no messages of runs were given (--messages)"
    if found["key"].numbers:
        return Check("key", "fail", f"parts of key {key.id} stand in {found['key'].said()}: replace the key")
    return Check("key", "pass", f"key {key.id}: no eight bytes of it in the output{also}")

"""Content hashes for things that have no identifier of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def content_id(parts: Iterable[str | Iterable[str | None] | None]) -> str:
    """Hex SHA-256 over the parts, each with its kind and length before it, so that no two contents collide by joining.

    A part is text, a list of text, or None; the answer depends on nothing else, so not on the order of rows.
    """
    digest = hashlib.sha256()
    for part in parts:
        _add(digest, part)
    return digest.hexdigest()


def _add(digest: hashlib._Hash, part: str | Iterable[str | None] | None) -> None:
    if part is None:
        digest.update(b"n")
    elif isinstance(part, str):
        data = part.encode()
        digest.update(b"s" + len(data).to_bytes(4, "big") + data)
    else:
        items = list(part)
        digest.update(b"l" + len(items).to_bytes(4, "big"))
        for item in items:
            _add(digest, item)

"""The normalised query, its hash, and canonical order."""

from __future__ import annotations

import functools
import hashlib
import unicodedata

# Unicode's White_Space property, spelled out: str.isspace() is close to it but not the same.
WHITE_SPACE = frozenset("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | {
    chr(code) for code in range(0x2000, 0x200B)
}


def normalize(text: str) -> str:
    for _ in range(4):
        folded = unicodedata.normalize("NFKC", text).casefold()
        if folded == text:
            break
        text = folded
    # reading: white space is Unicode's White_Space property, control characters are category Cc; format characters
    # (Cf: zero-width space and joiners, BOM) are neither and stay.
    blanked = "".join(" " if c in WHITE_SPACE or unicodedata.category(c) == "Cc" else c for c in text)
    return " ".join(word for word in blanked.split(" ") if word)


@functools.lru_cache(maxsize=100_000)
def canonical_key(text: str) -> tuple[int, bytes]:
    """What strings are sorted by everywhere: the head of their SHA-256, then their bytes."""
    raw = text.encode()
    return int.from_bytes(hashlib.sha256(raw).digest()[:8], "big"), raw


def code(text: str) -> bytes:
    """What sampling takes for a query or a document: the head of its SHA-256."""
    return hashlib.sha256(text.encode()).digest()[:8]


def query_id(text: str) -> str:
    """Name of a query that is normalised already."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]

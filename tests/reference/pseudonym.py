"""Keyed pseudonyms: HKDF-SHA256 for the key of a field, HMAC-SHA256 for a value."""

from __future__ import annotations

import hashlib
import hmac


def lp(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part


def hkdf_sha256(ikm: bytes, info: bytes) -> bytes:
    """RFC 5869 without a salt, for 32 bytes: so one block of the expansion is the answer."""
    prk = hmac.new(bytes(32), ikm, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\x01", hashlib.sha256).digest()


def pseudonym(master_key: bytes, field: str, value: str, epoch: str = "", dataset: str = "") -> bytes:
    info = b"hardneg_fast/v1" + lp(field.encode()) + lp(epoch.encode()) + lp(dataset.encode())
    key = hkdf_sha256(master_key, info)
    return hmac.new(key, b"s" + lp(value.encode()), hashlib.sha256).digest()[:16]

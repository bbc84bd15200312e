"""The hash behind every sampling decision: SipHash-2-4 under a key made of the seed."""

from __future__ import annotations

import functools
import hashlib

MASK = 2**64 - 1


def rotate(word: int, bits: int) -> int:
    return (word << bits | word >> (64 - bits)) & MASK


def sip_round(v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
    v0 = (v0 + v1) & MASK
    v1 = rotate(v1, 13) ^ v0
    v0 = rotate(v0, 32)
    v2 = (v2 + v3) & MASK
    v3 = rotate(v3, 16) ^ v2
    v0 = (v0 + v3) & MASK
    v3 = rotate(v3, 21) ^ v0
    v2 = (v2 + v1) & MASK
    v1 = rotate(v1, 17) ^ v2
    v2 = rotate(v2, 32)
    return v0, v1, v2, v3


def siphash24(key: bytes, message: bytes) -> int:
    """Aumasson and Bernstein 2012: two rounds a word, four at the end."""
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = (k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573)
    zeros = bytes(7 - len(message) % 8)
    padded = message + zeros + bytes([len(message) % 256])
    for start in range(0, len(padded), 8):
        word = int.from_bytes(padded[start : start + 8], "little")
        v = (v[0], v[1], v[2], v[3] ^ word)
        v = sip_round(*sip_round(*v))
        v = (v[0] ^ word, v[1], v[2], v[3])
    v = (v[0], v[1], v[2] ^ 0xFF, v[3])
    for _ in range(4):
        v = sip_round(*v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


@functools.lru_cache(maxsize=100_000)
def seed_hash(seed: int, domain: str, *parts: bytes) -> int:
    # reading: a seed is taken modulo 2^64, so that negative ones have a meaning.
    key = hashlib.sha256(b"hardneg_fast/seed/v1" + (seed % 2**64).to_bytes(8, "big")).digest()[:16]
    message = domain.encode() + b"\x00" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return siphash24(key, message)

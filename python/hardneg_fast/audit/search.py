"""Many byte strings looked for at every place of a buffer at once, raw, as hexadecimal and as base64.

Rabin & Karp 1987 (IBM J. Res. Dev. 31(2)) with a window of eight bytes, on whole arrays: each place's window, read as
one number, is looked up in a table of bits (Bloom 1970, Commun. ACM 13(7)); the few places that hit are compared in
full. A million needles hardly slow the search. An automaton (Aho-Corasick) would need a node for each of their bytes,
and a dependency.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]

WIDTH = 8
"""Bytes of a window. Shorter needles would be met by chance: a million of six bytes in a gigabyte of noise some 4
times, of eight 0.00005 times."""

STEP = 1 << 15
"""Places looked at together: their windows stay in the second cache."""

MIXES = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))
"""Odd numbers whose products' first bits are hashes (Dietzfelbinger et al. 1997, J. Algorithms 25(1))."""

BITS = np.array([1 << i for i in range(8)], np.uint8)
HEX = re.compile(rb"[0-9A-Fa-f]{16,}")
BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{22,}")
"""From 22 characters, what 16 bytes, the shortest digest, come to."""
URL_SAFE = bytes.maketrans(b"-_", b"+/")


class Needles:
    """Byte strings of at least `WIDTH` bytes, each by its number.

    Args:
        values: what is looked for.
        fold: compare ASCII letters without case.
        words: values of digits alone count only where no letter or digit is next to them; others anywhere.
    """

    def __init__(self, values: Sequence[bytes], *, fold: bool = False, words: bool = False) -> None:
        self._fold, self._words = fold, words
        self._values = [value.lower() for value in values] if fold else list(values)
        first, last = (self._windows(at) for at in (slice(None, WIDTH), slice(-WIDTH, None)))
        # Ids share their beginning (user_0001) or their end (@mail.com): each is met by the rarer of the two.
        use_first = _shared(first) < _shared(last)
        windows = np.where(use_first, first, last)
        order = np.argsort(windows, kind="stable")
        self._sorted, self._numbers, self._at_first = windows[order], order, use_first[order]
        bits = min(30, max(12, len(values).bit_length() + 4))
        self._shift = np.uint64(64 - bits)
        marks = np.zeros(1 << bits, np.bool_)
        for mix in MIXES:
            marks[(windows * mix) >> self._shift] = True
        self._table = np.packbits(marks, bitorder="little")
        self._groups: dict[int, list[tuple[bytes, int, bool]]] = {}

    def __len__(self) -> int:
        return len(self._values)

    def _windows(self, part: slice) -> Array:
        return np.frombuffer(b"".join(value[part] for value in self._values), "<u8").astype(np.uint64)

    def _marked(self, windows: Array, mix: np.uint64) -> Array:
        """Places of windows that may be there, by one hash."""
        bit = (windows * mix) >> self._shift
        found = self._table.take((bit >> np.uint64(3)).view(np.int64))
        found &= BITS.take((bit & np.uint64(7)).view(np.int64))
        return np.flatnonzero(found)

    def find(self, buffer: bytes) -> set[int]:
        """Numbers of the needles that stand anywhere in a buffer, as they are."""
        if len(buffer) < WIDTH or not self._values:
            return set()
        if self._fold:
            buffer = buffer.lower()
        found: set[int] = set()
        for start in range(0, len(buffer) - WIDTH + 1, STEP):
            stop = min(len(buffer) - WIDTH + 1, start + STEP)
            windows = np.ndarray((stop - start,), "<u8", buffer, start, (1,)).astype(np.uint64)
            places = self._marked(windows, MIXES[0])
            places = places[self._marked(windows[places], MIXES[1])]
            hits = windows[places]
            left = np.searchsorted(self._sorted, hits)
            same = self._sorted[np.minimum(left, len(self._sorted) - 1)] == hits
            for place, at in zip((places[same] + start).tolist(), left[same].tolist(), strict=True):
                found.update(self._here(buffer, place, at))
        return found

    def _here(self, buffer: bytes, place: int, at: int) -> Iterator[int]:
        """Needles, of those that share the window at `place`, that stand there whole."""
        if at not in self._groups:
            end = int(np.searchsorted(self._sorted, self._sorted[at], side="right"))
            numbers = zip(self._numbers[at:end].tolist(), self._at_first[at:end].tolist(), strict=True)
            self._groups[at] = [(self._values[n], n, first) for n, first in numbers]
        for value, number, first in self._groups[at]:
            start = place if first else place + WIDTH - len(value)
            end = start + len(value)
            if start >= 0 and buffer[start:end] == value and self._stands_alone(buffer, value, start, end):
                yield number

    def _stands_alone(self, buffer: bytes, value: bytes, start: int, end: int) -> bool:
        if not self._words or not value.isdigit():
            return True
        return not (buffer[max(0, start - 1) : start].isalnum() or buffer[end : end + 1].isalnum())


def _shared(windows: Array) -> Array:
    """How many have the same window, for each."""
    _, inverse, counts = np.unique(windows, return_inverse=True, return_counts=True)
    return counts[inverse]


def encoded(buffer: bytes) -> Iterable[tuple[str, bytes]]:
    """What stands in a buffer as hexadecimal and as base64, decoded at every alignment; runs are apart."""
    runs = HEX.findall(buffer)
    if runs:
        pairs = (run[shift : len(run) - (len(run) - shift) % 2] for run in runs for shift in (0, 1))
        yield "hexadecimal", b"\n".join(bytes.fromhex(pair.decode()) for pair in pairs)
    # Hexadecimal throughout is that, looked at run by run: a pattern that looks ahead starts again at every character.
    runs = [run for run in BASE64.findall(buffer) if not HEX.fullmatch(run)]
    if runs:
        texts = (run[shift:].translate(URL_SAFE) for run in runs for shift in range(4))
        yield "base64", b"\n".join(base64.b64decode(_padded(text)) for text in texts)


def _padded(text: bytes) -> bytes:
    """Base64 of whole length: a single last character holds no byte, and is cut."""
    text = text[: len(text) - 1] if len(text) % 4 == 1 else text
    return text + b"=" * (-len(text) % 4)

"""Words of texts: runs of letters, marks and digits of a text that is normalised like queries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

from .. import _hardneg

__all__ = ["Worded", "worded"]

pc: Any = pyarrow.compute

BETWEEN = r"[^\p{L}\p{M}\p{N}]+"
BATCH = 1 << 14
"""Texts at a time: their words are many times as many."""


@dataclass(frozen=True)
class Worded:
    """Words of some texts, end to end."""

    words: pa.Array
    """In the order of the texts, as often as they stand there."""
    starts: npt.NDArray[np.int64]
    """Where each text's words begin, and one past the last text's."""


def worded(texts: pa.ChunkedArray | pa.Array) -> Iterator[Worded]:
    """Words of texts, a batch of texts at a time; of a null or empty text none."""
    chunks = texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]
    for chunk in chunks:
        for at in range(0, len(chunk), BATCH):
            yield _worded(chunk.slice(at, BATCH))


def _worded(texts: pa.Array) -> Worded:
    # Nothing is scrubbed: what comes of the words leaves as documents' ids, or not at all.
    plain = json.dumps({"action": "off", "kinds": []})
    normal = pa.array(_hardneg.normalize(texts, scrub=(plain, None), key=None))
    lists = pc.split_pattern_regex(pc.fill_null(normal, ""), pattern=BETWEEN)
    words = lists.flatten()
    # A text that begins or ends between words has an empty one there.
    real = pc.greater(pc.binary_length(words), 0)
    before = np.concatenate([[0], np.cumsum(real.to_numpy(zero_copy_only=False))])
    offsets = lists.offsets.to_numpy()
    return Worded(words.filter(real), before[offsets - offsets[0]])

"""How hard the negatives are: where they stood, and which of the query's words they share. Of what is written alone."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from .mined import Mined
from .texts import Texts

__all__ = ["hardness"]

pc: Any = pyarrow.compute

PLACES = {"1 to 3": (1, 3), "4 to 6": (4, 6), "7 to 10": (7, 10), "11 and more": (11, np.inf)}
"""Mean positions that are counted together: first and last."""
SAMPLE = 10_000
"""Training rows whose words are compared, evenly out of all."""


def hardness(mined: Mined, texts: Texts | None) -> dict[str, Any]:
    """Negatives by mean position, and the mean share of a query's words that its documents have.

    Under k-users counts are multiples of K. `words` has `positive`, `negative` and, for comparison, `other`: a negative
    of a row half the table away. It is left out where there are no texts. A word is a run of letters and digits, in
    lower case.
    """
    placed = mined.negatives.column("position_neg").drop_null().to_numpy()
    k = mined.privacy.get("k") or 1
    found: dict[str, Any] = {
        "positions": [
            {"place": name, "rows": int(((placed >= first) & (placed <= last)).sum()) // k * k}
            for name, (first, last) in PLACES.items()
        ],
        "without_position": (mined.negatives.num_rows - len(placed)) // k * k,
    }
    words = None if texts is None else _words(mined.triplets, texts)
    return found | ({} if words is None else {"words": words})


def _words(triplets: pa.Table, texts: Texts) -> dict[str, float] | None:
    at = np.unique(np.linspace(0, triplets.num_rows - 1, min(SAMPLE, triplets.num_rows)).astype(np.int64))
    rows: Any = triplets.take(pa.array(at))
    places = [texts.find(rows[name]) for name in ("positive", "negative_1")]
    known = np.flatnonzero((places[0] >= 0) & (places[1] >= 0))
    asked = [_of(query) for query in rows["query"].take(pa.array(known)).to_pylist()]
    if len(known) < 2 or not all(asked):
        return None
    positive, negative = ([_of(text) for text in texts.take(at[known]).to_pylist()] for at in places)
    half = len(negative) // 2
    shares = {"positive": positive, "negative": negative, "other": negative[half:] + negative[:half]}
    return {name: round(float(np.mean(list(map(_share, asked, held)))), 3) for name, held in shares.items()}


def _of(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _share(asked: set[str], held: set[str]) -> float:
    return len(asked & held) / len(asked)

"""How hard the negatives are: where they stood, and which of the query's words they share. Of what is written alone."""

from __future__ import annotations

import re
from typing import Any, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute

from .mined import Mined
from .texts import Texts

__all__ = ["Places", "hardness", "hardness_of", "places_in_sample", "places_of", "words_of"]

pc: Any = pyarrow.compute

PLACES = {"1 to 3": (1, 3), "4 to 6": (4, 6), "7 to 10": (7, 10), "11 and more": (11, np.inf)}
"""Mean positions that are counted together: first and last."""
SAMPLE = 10_000
"""Training rows whose words are compared, evenly out of all."""


class Places(TypedDict):
    """Negatives by mean position; exact, and they add up."""

    rows: list[int]
    """For each of `PLACES`."""
    without: int
    """Without a position."""


def hardness(mined: Mined, texts: Texts | None) -> dict[str, Any]:
    """Negatives by mean position, and the mean share of a query's words that its documents have.

    Under k-users counts are multiples of K. `words` has `positive`, `negative` and, for comparison, `other`: a negative
    of a row half the table away. It is left out where there are no texts. A word is a run of letters and digits, in
    lower case.
    """
    return hardness_of(places_of(mined.negatives), mined.privacy.get("k"), words_of(sample_of(mined.triplets), texts))


def hardness_of(places: Places, k: int | None, words: dict[str, float] | None) -> dict[str, Any]:
    """What `places_of` counted, as it may be shown, beside what `words_of` compared."""
    least = k or 1
    found: dict[str, Any] = {
        "positions": [
            {"place": name, "rows": n // least * least} for name, n in zip(PLACES, places["rows"], strict=True)
        ],
        "without_position": places["without"] // least * least,
    }
    return found | ({} if words is None else {"words": words})


def places_of(negatives: pa.Table) -> Places:
    """Negatives by mean position."""
    placed = negatives.column("position_neg").drop_null().to_numpy()
    rows = [int(((placed >= first) & (placed <= last)).sum()) for first, last in PLACES.values()]
    return {"rows": rows, "without": negatives.num_rows - len(placed)}


def places_in_sample(rows: int) -> Any:
    """Which of so many training rows are compared."""
    return np.unique(np.linspace(0, rows - 1, min(SAMPLE, rows)).astype(np.int64))


def sample_of(triplets: pa.Table) -> pa.Table:
    """The training rows whose words are compared."""
    return triplets.take(pa.array(places_in_sample(triplets.num_rows)))


def words_of(rows: pa.Table, texts: Texts | None) -> dict[str, float] | None:
    """The mean shares of a query's words that the documents of training rows have; None where it is not known."""
    if texts is None:
        return None
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

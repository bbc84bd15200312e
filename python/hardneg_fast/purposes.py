"""Presets of selection: what negatives are for, as settings measured in benches/quality/README.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["PURPOSES"]

PURPOSES: Mapping[str, Mapping[str, Any]] = {
    # In-batch negatives are there anyway: half hard, half of them from anywhere.
    "retriever": {"max_negatives_per_query": 8, "easy_negatives": 4, "fill": "easy"},
    # Mostly what was shown, with a few from further down, or from anywhere, so that a model sees those, too.
    "reranker": {"max_negatives_per_query": 8, "semi_negatives": 2, "fill": "easy"},
    # Losses over pairs: preferences between two documents of a page.
    "pairwise": {"rules": ("skip_above", "last_click_skip_above", "click_no_click_next"), "num_negatives": 1},
    # Few and pure.
    "strict": {"max_p_false_negative": 0.02},
}
"""Name → option of `select` → value."""

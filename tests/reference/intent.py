"""What satisfied somebody for another query of the same intent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .related import related

if TYPE_CHECKING:
    from hardneg_fast.config import SelectConfig


def words_of(query: str) -> set[str]:
    """Runs of letters and digits."""
    return set("".join(c if c.isalpha() or c.isnumeric() else " " for c in query).split())


def elsewhere(evidence: dict, config: SelectConfig, k: int | None) -> set[tuple[str, str]]:
    """(query, document) where a query of the same intent has a satisfied click on the document."""
    from hardneg_fast.config import RelatedConfig

    clicks = {
        pair: row["satisfied_clicks"] if k is None else row["satisfied_clicks"] // k * k
        for pair, row in evidence.items()
        if row["users_satisfied"] >= (k or 0)
    }
    clicks = {pair: n for pair, n in clicks.items() if n > 0}
    queries = {query for query, _ in clicks}
    same = set()
    if config.same_intent_clicks < 1:
        near, _ = related(clicks, RelatedConfig(top_related=100, top_documents=0))
        same |= {(query, other) for query, other, cosine, _ in near if cosine > config.same_intent_clicks}
    if config.same_intent_words < 1:
        said = {query: words_of(query) for query in queries}

        def weight(word: str) -> int:
            return math.floor(1024 * math.log((len(queries) + 1) / sum(word in s for s in said.values())) + 0.5)

        def dot(a: str, b: str) -> int:
            return sum(weight(word) ** 2 for word in said[a] & said[b])

        for a in queries:
            for b in queries - {a}:
                norms = dot(a, a) * dot(b, b)
                if norms and dot(a, b) / math.sqrt(norms) > config.same_intent_words:
                    same.add((a, b))
    return {(a, doc) for a, b in same for query, doc in clicks if query == b}

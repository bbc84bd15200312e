"""Clicks by (query, doc_id) to related queries, and to documents clicked there and not here."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .normalize import canonical_key

if TYPE_CHECKING:
    from hardneg_fast.config import RelatedConfig

UNIT = 2**30


def related(clicks: dict[tuple[str, str], int], config: RelatedConfig) -> tuple[list[tuple], list[tuple]]:
    """Rows (query, related_query, cosine, rank) and (query, doc_id, score, rank)."""
    vectors: dict[str, dict[str, int]] = {}
    for (query, doc), n in clicks.items():
        if n > 0:
            vectors.setdefault(query, {})[doc] = n

    def in_graph(doc: str) -> bool:
        degree = sum(doc in vector for vector in vectors.values())
        return config.min_queries_per_document <= degree <= config.max_queries_per_document

    docs = {doc for vector in vectors.values() for doc in vector}
    graph = {doc for doc in docs if in_graph(doc)}

    def dot(a: str, b: str) -> int:
        return sum(vectors[a][doc] * vectors[b].get(doc, 0) for doc in vectors[a] if doc in graph)

    related_rows, document_rows = [], []
    for query in sorted(vectors, key=canonical_key):
        near = []
        for other in vectors:
            if other != query and dot(query, other) > 0:
                cosine = dot(query, other) / math.sqrt(float(dot(query, query) * dot(other, other)))
                near.append((math.floor(cosine * UNIT + 0.5), other))
        near.sort(key=lambda pair: (-pair[0], canonical_key(pair[1])))
        near = near[: config.top_related]
        related_rows += [(query, other, cosine / UNIT, i) for i, (cosine, other) in enumerate(near, 1)]
        scores: dict[str, int] = {}
        for cosine, other in near:
            for doc, n in vectors[other].items():
                if doc not in vectors[query]:
                    scores[doc] = scores.get(doc, 0) + cosine * n
        best = sorted((d for d in scores if scores[d] > 0), key=lambda d: (-scores[d], canonical_key(d)))
        document_rows += [(query, d, scores[d] / UNIT, i) for i, d in enumerate(best[: config.top_documents], 1)]
    return related_rows, document_rows

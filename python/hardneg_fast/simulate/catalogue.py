"""The world that users search: intents, the queries that word them, documents, and who is relevant to what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .vocabulary import NEEDS_PER_DOMAIN

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Grades = npt.NDArray[np.uint8]

DOCUMENTS_PER_INTENT = 9
CANDIDATES = 23
"""Documents that a query can show: those of its intent and two of each of seven related intents."""
EPOCHS = 3
"""Versions of the ranker over the log's time; a document's standing changes from one to the next."""
MAX_VARIANTS = 6

_QUERIES_PER_IMPRESSION = 0.0225
_MEAN_VARIANTS = 3.0
_ZIPF = 0.85


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """All that is fixed before anybody searches.

    Codes are row numbers; queries of one intent, and documents of one intent, are neighbours.
    """

    intent_of: Codes
    """Query → intent."""
    variant_of: Grades
    """Query → which wording of its intent."""
    first_query: Codes
    """Intent → its first query; one entry more than there are intents."""
    popularity: npt.NDArray[np.float64]
    """Intent → cumulative share of fresh searches, ending in 1."""
    candidates: Codes
    """Intent x CANDIDATES → documents."""
    grades: Grades
    """Query x CANDIDATES → 0 not relevant, 1 partly, 2 fully."""
    scores: Floats
    """Query x CANDIDATES → the ranker's standing opinion."""
    document_grades: Grades
    """Document → grade for the intent it was written for."""
    appeal: Floats
    """Document → factor of its snippet on attractiveness; negative for click bait."""
    drift: Floats
    """EPOCHS x documents → change of score."""

    @property
    def n_queries(self) -> int:
        """Number of queries that can be asked."""
        return len(self.intent_of)

    @property
    def n_documents(self) -> int:
        """Number of documents."""
        return len(self.document_grades)


def make_catalogue(impressions: int, rng: np.random.Generator) -> Catalogue:
    """Draw a world of a size that fits a log of `impressions` rows."""
    topics = max(1, round(impressions * _QUERIES_PER_IMPRESSION / _MEAN_VARIANTS / NEEDS_PER_DOMAIN))
    intents = topics * NEEDS_PER_DOMAIN
    variants = 1 + rng.binomial(MAX_VARIANTS - 1, (_MEAN_VARIANTS - 1) / (MAX_VARIANTS - 1), intents)
    first_query = np.concatenate([[0], np.cumsum(variants)]).astype(np.int32)
    intent_of = np.repeat(np.arange(intents, dtype=np.int32), variants)
    variant_of = (np.arange(len(intent_of)) - first_query[intent_of]).astype(np.uint8)

    weights = (1.0 + np.arange(intents)) ** -_ZIPF
    popularity = np.cumsum(rng.permutation(weights / weights.sum()))
    popularity[-1] = 1.0

    documents = intents * DOCUMENTS_PER_INTENT
    document_grades = rng.choice(3, documents, p=[0.72, 0.15, 0.13]).astype(np.uint8)
    candidates = _candidates(intents, rng)
    grades = _grades(intent_of, candidates, document_grades, rng)
    # The wording moves the ranker as much as the intent does: one intent's wordings show overlapping, unlike lists.
    shared = rng.standard_normal(candidates.shape, dtype=np.float32)[intent_of]
    scores = np.float32(0.75) * shared
    scores += np.float32(0.55) * rng.standard_normal(scores.shape, dtype=np.float32)
    scores += np.float32(0.55) * grades

    draw = rng.random(documents)
    appeal = (0.85 + 0.3 * rng.random(documents)).astype(np.float32)
    appeal[draw < 0.08] = 0.4
    appeal[draw > 0.98] = -1.0
    drift = np.float32(0.45) * rng.standard_normal((EPOCHS, documents), dtype=np.float32)
    return Catalogue(
        intent_of=intent_of,
        variant_of=variant_of,
        first_query=first_query,
        popularity=popularity,
        candidates=candidates,
        grades=grades,
        scores=scores,
        document_grades=document_grades,
        appeal=appeal,
        drift=drift,
    )


def _candidates(intents: int, rng: np.random.Generator) -> Codes:
    """Own documents first, then two different ones of each of the next seven intents of the topic."""
    own = np.arange(intents)[:, None] * DOCUMENTS_PER_INTENT + np.arange(DOCUMENTS_PER_INTENT)
    topic, place = np.divmod(np.arange(intents), NEEDS_PER_DOMAIN)
    parts = [own]
    for step in range(1, (CANDIDATES - DOCUMENTS_PER_INTENT) // 2 + 1):
        sibling = topic * NEEDS_PER_DOMAIN + (place + step) % NEEDS_PER_DOMAIN
        one = rng.integers(DOCUMENTS_PER_INTENT, size=intents)
        other = (one + 1 + rng.integers(DOCUMENTS_PER_INTENT - 1, size=intents)) % DOCUMENTS_PER_INTENT
        parts.append((sibling * DOCUMENTS_PER_INTENT)[:, None] + np.stack([one, other], axis=1))
    return np.concatenate(parts, axis=1).astype(np.int32)


def _grades(intent_of: Codes, candidates: Codes, document_grades: Grades, rng: np.random.Generator) -> Grades:
    own = document_grades[candidates[:, :DOCUMENTS_PER_INTENT]]
    related = rng.random((len(candidates), CANDIDATES - DOCUMENTS_PER_INTENT), dtype=np.float32) < 0.04
    grades: Grades = np.concatenate([own, related.astype(np.uint8)], axis=1)[intent_of]
    # A wording can be pickier than its intent.
    grades[(grades > 0) & (rng.random(grades.shape, dtype=np.float32) < 0.06)] -= 1
    return grades

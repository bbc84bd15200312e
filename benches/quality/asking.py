"""What is asked, and what the ranker holds ready: queries as variants of intents, and a pool of results for each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .corpora import Collection, Intent
from .ranking import Index, top
from .scenarios import Scenario

POOL = 60  # results that can be shown for a query; a search shows ten or twenty of them
CANDIDATES = 150  # of which the ranker's standing errors choose the pool
EPOCHS = 3  # versions of the ranker


@dataclass(frozen=True)
class Asks:
    """An ask is an intent in the words of a query; two intents can share a query."""

    queries: list[str]
    query_of: np.ndarray
    intent_of: np.ndarray
    share: np.ndarray
    """Of all sessions, that begin with it."""
    nearby: np.ndarray
    """Of each intent, five that people turn to from it."""


def make_asks(draw: np.random.Generator, collection: Collection, scenario: Scenario) -> Asks:
    """Variants of every intent, popular ones and rare ones."""
    n = len(collection.intents)
    popular = np.empty(n)
    popular[draw.permutation(n)] = (np.arange(n) + 5.0) ** -0.9
    rows: dict[tuple[str, int], float] = {}
    for i, intent in enumerate(collection.intents):
        wanted = 1 + draw.poisson(max(collection.variants * scenario.variants - 1, 0))
        kept = [" ".join(slot[0] for slot in intent.slots)]
        for _ in range(3 * wanted):
            if len(kept) >= wanted:
                break
            if (made := _variant(draw, intent, scenario.paraphrase)) not in kept:
                kept.append(made)
        weights = (np.arange(len(kept)) + 1.0) ** -0.8
        for query, weight in zip(kept, popular[i] * weights / weights.sum(), strict=True):
            rows[query, i] = weight
    queries = sorted({query for query, _ in rows})
    at = {query: row for row, query in enumerate(queries)}
    share = np.array([*rows.values()])
    return Asks(
        queries,
        np.array([at[query] for query, _ in rows]),
        np.array([intent for _, intent in rows]),
        share / share.sum(),
        _nearby(collection.intents),
    )


def _variant(draw: np.random.Generator, intent: Intent, paraphrase: float) -> str:
    said = []
    for slot in intent.slots:
        if draw.random() < paraphrase:
            if len(slot) > 1:
                said.append(slot[int(draw.integers(1, len(slot)))])
        elif draw.random() > 0.12:
            said.append(slot[0])
    while len(said) < min(2, len(intent.slots)):
        said.append(intent.slots[int(draw.integers(len(intent.slots)))][0])
    said = list(dict.fromkeys(said))
    if draw.random() < 0.3:
        said = [said[i] for i in draw.permutation(len(said))]
    if draw.random() < 0.4:
        said.append(intent.extras[int(draw.integers(len(intent.extras)))])
    return " ".join(said)


def _nearby(intents: list[Intent]) -> np.ndarray:
    """The five intents that share most words with each (Jaccard), ties by number."""
    sets = [frozenset(word for slot in intent.slots for word in slot) for intent in intents]
    alike = np.array([[len(a & b) / len(a | b) for b in sets] for a in sets])
    np.fill_diagonal(alike, -1)
    return np.argsort(-alike, axis=1, kind="stable")[:, :5]


@dataclass(frozen=True)
class Pools:
    """Results that can be shown, a row a query; and what people make of them, a row an ask."""

    docs: np.ndarray
    """(query, place) → document."""
    scores: np.ndarray
    """(epoch, query, place), in standard deviations."""
    grade: np.ndarray
    """(ask, place) → 0, 1, 2."""
    appeal: np.ndarray
    """(ask, place) → P(click | examined, not for its rank's sake)."""
    plain: np.ndarray
    """Likewise, were it not relevant."""
    bait: np.ndarray
    """Of each document, whether it is clickbait."""
    arrives: np.ndarray
    """Of each document, the part of the log's time before which it is not there."""
    expires: np.ndarray
    """(ask, place) → the part of the log's time after which it is no answer any more; above 1: never."""
    bm25: np.ndarray
    """(query, document)."""
    drifted: np.ndarray
    """Of each judgment of the collection, whether it expires."""


def make_pools(
    draw: np.random.Generator, collection: Collection, asks: Asks, scenario: Scenario, index: Index
) -> Pools:
    """What the ranker can show, and how it looks to whom."""
    bm25 = index.bm25(asks.queries)
    latent = index.project(asks.queries) @ index.documents.T
    lexical = _standard(bm25)
    score = lexical + 0.7 * _standard(latent)
    del latent
    candidates = top(score, CANDIDATES)
    held = np.take_along_axis(score, candidates, 1)
    held += scenario.standing_noise * draw.standard_normal(held.shape)
    chosen = top(held, POOL)
    docs = np.take_along_axis(candidates, chosen, 1)
    held = np.take_along_axis(held, chosen, 1)
    held /= held.std(axis=1, keepdims=True) + 1e-9
    scores = held + scenario.epoch_noise * draw.standard_normal((EPOCHS, *held.shape))

    n_docs = len(collection.texts)
    keys = collection.intent_of * n_docs + collection.doc_of
    wanted = asks.intent_of[:, None] * n_docs + docs[asks.query_of]
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    grade = np.where(keys[place] == wanted, collection.grade_of[place], 0).astype(np.int8)
    # A snippet belongs to what is wanted and the document: the same in all words of an intent.
    dull = draw.random(len(keys)) < scenario.bad_snippets
    bait = draw.random(n_docs) < scenario.clickbait
    near = np.clip(np.take_along_axis(lexical, docs, 1), 0, 4)
    plain = collection.attraction[0] * np.exp(0.5 * draw.standard_normal(docs.shape)) + 0.015 * near
    plain = np.where(bait[docs], 0.45, np.clip(plain, 0, 0.3))[asks.query_of]
    quality = np.exp(0.15 * draw.standard_normal(len(keys)))
    good = np.array(collection.attraction)[grade] * np.where(dull, 0.15, quality)[place]
    appeal = np.where(grade > 0, np.where(bait[docs][asks.query_of], np.maximum(good, 0.45), good), plain)
    expires, arrives = np.full(len(keys), 2.0), np.zeros(n_docs)
    drifted = draw.random(len(keys)) < scenario.drift
    expires[drifted] = draw.uniform(0.2, 0.8, drifted.sum())
    late = np.unique(collection.doc_of)
    late = late[draw.random(len(late)) < scenario.drift]
    arrives[late] = draw.uniform(0.2, 0.8, len(late))
    over = np.where(grade > 0, expires[place], 2.0)
    scores, appeal, plain, over = (a.astype(np.float32) for a in (scores, np.clip(appeal, 0, 0.95), plain, over))
    return Pools(docs, scores, grade, appeal, plain, bait, arrives, over, bm25, drifted)


def _standard(scores: np.ndarray) -> np.ndarray:
    """Centred and scaled by each row's hundred highest."""
    best = np.partition(scores, -100, axis=1)[:, -100:] if scores.shape[1] > 100 else scores
    return (scores - best.mean(axis=1, keepdims=True)) / (best.std(axis=1, keepdims=True) + 1e-6)

"""A world from a seed: a click log, and the truth behind it.

`simulate` writes log, documents, queries, truth, bm25 (a retrieval run) and manifest to a folder: the same bytes for
the same arguments, on one machine. Every search is one person's with one intent; people believe the truth of their own
intent, and read, err and click as scenarios.py says. Nobody's real habits are in here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .asking import Asks, make_asks, make_pools
from .corpora import Collection, generated, vaswani
from .people import PAGE, SHOWN, Searches, human, joined, machines, repeated
from .ranking import Index, top
from .scenarios import SCENARIOS

START = np.datetime64("2026-01-01T00:00:00", "us")
RUN_DEPTH = 1_000  # documents of the BM25 run, per query
VERSION = 1  # of the worlds: raised when the same arguments begin to mean another world


def collection_of(name: str, seed: int) -> Collection:
    """A collection by name; the generated one is another for every seed."""
    if name == "vaswani":
        return vaswani()
    if name == "generated":
        return generated(seed)
    raise ValueError(f"no collection {name!r}; there are generated, vaswani")


def simulate(folder: Path, *, collection: Collection, scenario: str, impressions: int, seed: int) -> Path:
    """Writes a world to `folder`, and returns it."""
    terms = SCENARIOS[scenario]
    draws = [np.random.default_rng([seed, step]) for step in range(2, 7)]
    asks = make_asks(draws[0], collection, terms)
    index = Index(collection.texts)
    pools = make_pools(draws[1], collection, asks, terms, index)
    machine = terms.click_bots + terms.scrapers * SHOWN / PAGE + terms.spam + terms.duplicates
    # A session is 1.55 searches or so, a search 11.2 results; what is too much is cut off below.
    sessions = int(impressions * 1.12 / (1 + machine) / (11.2 * 1.42)) + 1
    n_users = max(40, impressions // 133)
    people = human(draws[2], pools, asks, terms, n_users, sessions)
    parts = [people, repeated(draws[3], people, terms.duplicates)]
    parts += machines(draws[3], pools, asks, terms, len(people), n_users, sessions)
    searches = _cut(draws[4], joined(parts), impressions)
    building = folder.with_name(folder.name + ".building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    facts = _write_log(building / "log.parquet", draws[4], searches, asks, collection)
    documents = {"doc_id": collection.doc_ids, "text": collection.texts}
    pq.write_table(pa.table(documents), building / "documents.parquet", compression="zstd")
    _write_queries(building / "queries.parquet", asks)
    truth = _truth(asks, collection, pools.drifted)
    _write_pairs(building / "truth.parquet", asks.queries, collection.doc_ids, *truth[:2], {"grade": truth[2]})
    best = top(pools.bm25, RUN_DEPTH)
    rows = np.repeat(np.arange(len(best)), best.shape[1])
    rank = np.tile(np.arange(1, best.shape[1] + 1, dtype=np.int16), len(best))
    scores = np.take_along_axis(pools.bm25, best, 1).ravel()
    kept = scores > 0
    run = {"rank": rank[kept], "score": scores[kept]}
    _write_pairs(building / "bm25.parquet", asks.queries, collection.doc_ids, rows[kept], best.ravel()[kept], run)
    facts |= _shown(searches, asks, collection, truth)
    manifest = {
        "version": VERSION,
        "collection": collection.name,
        "seed": seed,
        "asked": impressions,
        "documents": len(collection.texts),
        "intents": len(collection.intents),
        "scenario": dataclasses.asdict(terms),
        **facts,
    }
    (building / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    return building.rename(folder)


def _cut(draw: np.random.Generator, searches: Searches, impressions: int) -> Searches:
    """Whole sessions, at random, until the log is as long as asked; in order of time."""
    _, session = np.unique(searches.session, return_inverse=True)
    order = draw.permutation(session.max() + 1)
    rows = np.bincount(session, searches.depth)
    kept = np.zeros(len(order), bool)
    kept[order[: np.searchsorted(np.cumsum(rows[order]), impressions, side="right")]] = True
    searches = searches.take(np.flatnonzero(kept[session]))
    return searches.take(np.lexsort((searches.user, searches.time)))


def _named(draw: np.random.Generator, letter: str, codes: np.ndarray) -> pa.DictionaryArray:
    """Names that do not tell machines from people, or early from late."""
    distinct, at = np.unique(codes, return_inverse=True)
    names = [f"{letter}{i:07d}" for i in draw.permutation(len(distinct))]
    return pa.DictionaryArray.from_arrays(pa.array(at.astype(np.int32)), names)


def _write_log(path: Path, draw: np.random.Generator, searches: Searches, asks: Asks, collection: Collection) -> dict:
    shown = np.arange(SHOWN) < searches.depth[:, None]
    row, place = np.nonzero(shown)
    clicked, dwell = searches.clicked[shown], np.round(searches.dwell[shown] * 1_000).astype(np.int64)
    # People read a result in a second and a half, and come back from each click before the next.
    before = np.cumsum(searches.dwell, axis=1) - searches.dwell + 1.5 * np.arange(1, SHOWN + 1)
    click_ms = np.round(before[shown] * 1_000).astype(np.int64)
    micro = np.round(searches.time * 1e6).astype(np.int64)
    user, session = _named(draw, "u", searches.user), _named(draw, "s", searches.session)
    search = _named(draw, "p", np.arange(len(searches)))

    def column(values: pa.DictionaryArray) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(values.indices.take(pa.array(row)), values.dictionary)

    def coded(codes: np.ndarray, names: list[str]) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), names)

    table = pa.table(
        {
            "user_id": column(user),
            "session_id": column(session),
            "search_id": column(search),
            "query": coded(asks.query_of[searches.ask][row], asks.queries),
            "doc_id": coded(searches.docs[shown], collection.doc_ids),
            "position": pa.array(place + 1, pa.int32()),
            "clicked": clicked,
            "dwell_ms": pa.array(dwell, mask=~clicked),
            "click_ms": pa.array(click_ms, mask=~clicked),
            "timestamp": pa.array((START + micro)[row], pa.timestamp("us", "UTC")),
        }
    )
    pq.write_table(table, path, compression="zstd", row_group_size=1_000_000)
    digest = hashlib.sha256()
    for part in (row, place, searches.docs[shown], clicked, dwell, micro, searches.ask):
        digest.update(np.ascontiguousarray(part).tobytes())
    return {
        "impressions": len(row),
        "searches": len(searches),
        "users": len(user.dictionary),
        "queries": len(np.unique(asks.query_of[searches.ask])),
        "click_rate": round(float(clicked.mean()), 4),
        "sha256": digest.hexdigest(),
    }


def _write_queries(path: Path, asks: Asks) -> None:
    """A row an ask: a query, what is meant by it, and how often that is."""
    names = pa.DictionaryArray.from_arrays(pa.array(asks.query_of.astype(np.int32)), asks.queries)
    pq.write_table(pa.table({"query": names, "intent": asks.intent_of, "share": asks.share}), path, compression="zstd")


def _truth(asks: Asks, collection: Collection, drifted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Query, document, grade: the best grade for any intent that the query is used for, as things are at the end."""
    alive = ~drifted
    intent, doc, grade = collection.intent_of[alive], collection.doc_of[alive], collection.grade_of[alive]
    starts = np.searchsorted(intent, np.arange(len(collection.intents) + 1))
    n = (starts[1:] - starts[:-1])[asks.intent_of]
    at = np.repeat(starts[asks.intent_of] - np.concatenate([[0], np.cumsum(n)[:-1]]), n) + np.arange(n.sum())
    key = np.repeat(asks.query_of, n) * len(collection.texts) + doc[at]
    distinct, inverse = np.unique(key, return_inverse=True)
    best = np.zeros(len(distinct), np.int8)
    np.maximum.at(best, inverse, grade[at])
    return distinct // len(collection.texts), distinct % len(collection.texts), best


def _write_pairs(path: Path, queries: list[str], doc_ids: list[str], query, doc, more: dict) -> None:
    named = {
        "query": pa.DictionaryArray.from_arrays(pa.array(query.astype(np.int32)), queries),
        "doc_id": pa.DictionaryArray.from_arrays(pa.array(doc.astype(np.int32)), doc_ids),
    }
    pq.write_table(pa.table(named | more), path, compression="zstd")


def _shown(searches: Searches, asks: Asks, collection: Collection, truth: tuple[np.ndarray, ...]) -> dict:
    """How much of what is shown is relevant: of distinct pairs, and of impressions."""
    shown = np.arange(SHOWN) < searches.depth[:, None]
    keys = (asks.query_of[searches.ask][:, None] * len(collection.texts) + searches.docs)[shown]
    relevant = truth[0] * len(collection.texts) + truth[1]
    pairs = np.unique(keys)
    return {
        "shown_pairs": len(pairs),
        "shown_pairs_relevant": round(float(np.isin(pairs, relevant).mean()), 4),
        "impressions_relevant": round(float(np.isin(keys, relevant).mean()), 4),
        "truth_pairs": len(relevant),
    }

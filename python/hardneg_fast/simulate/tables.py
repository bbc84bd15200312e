"""The five files of a simulation, written in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..writers.parquet import open_parquet
from .catalogue import CANDIDATES, Catalogue
from .pages import RESULTS, Pages, make_pages
from .people import People
from .texts import document_texts, numbered, query_texts

CHUNK_SEARCHES = 100_000
"""Pages played at a time: with 10 results each, a row group. It is part of the result."""
_CHUNK_TEXTS = 200_000

_CODED = pa.dictionary(pa.int32(), pa.string())
LOG_SCHEMA = pa.schema(
    [
        ("user_id", _CODED),
        ("session_id", _CODED),
        ("search_id", _CODED),
        ("query", _CODED),
        ("doc_id", _CODED),
        ("position", pa.int32()),
        ("clicked", pa.bool_()),
        ("dwell_ms", pa.int64()),
        ("timestamp", pa.timestamp("us", tz="UTC")),
        ("click_ms", pa.int64()),
    ]
)


@dataclass
class Tally:
    """What the log holds: masks of queries asked and documents shown, and sums over rows."""

    asked: npt.NDArray[np.bool_]
    shown: npt.NDArray[np.bool_]
    clicks: int = 0
    shown_relevant: int = 0


def write_log(path: Path, world: Catalogue, people: People, seed: int) -> Tally:
    """Play all sessions, a chunk at a time, each from a generator of its own."""
    tally = Tally(asked=np.zeros(world.n_queries, bool), shown=np.zeros(world.n_documents, bool))
    ends = np.cumsum(people.session_searches)
    done = 0
    with open_parquet(path, LOG_SCHEMA, level=1) as writer:
        for number, start in enumerate(range(0, int(ends[-1]), CHUNK_SEARCHES), 1):
            rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, number])))
            until = int(np.searchsorted(ends, start + CHUNK_SEARCHES, side="right"))
            if until == done:  # a session longer than a chunk ends in a later one
                continue
            pages = make_pages(world, people, done, until, rng)
            first_search = int(ends[done - 1]) if done else 0
            writer.write_table(_log_table(world, pages, first_search))
            tally.asked[pages.query] = True
            tally.shown[pages.documents] = True
            tally.clicks += int(pages.clicked.sum())
            tally.shown_relevant += int((pages.grades > 0).sum())
            done = until
    return tally


def _log_table(world: Catalogue, pages: Pages, first_search: int) -> pa.Table:
    n = len(pages.query)
    unclicked = ~pages.clicked.ravel()
    columns = [
        _repeated(_coded(pages.user, lambda codes: numbered("u", codes))),
        _repeated(_coded(pages.session, lambda codes: numbered("s", codes))),
        _repeated(_coded(np.arange(first_search, first_search + n), lambda codes: numbered("p", codes))),
        _repeated(_coded(pages.query, lambda codes: query_texts(world, codes))),
        _coded(pages.documents.ravel(), lambda codes: numbered("d", codes)),
        pa.array(np.tile(np.arange(1, RESULTS + 1, dtype=np.int32), n)),
        pa.array(pages.clicked.ravel()),
        pa.array(pages.dwell_ms.ravel(), mask=unclicked),
        pa.array(np.repeat(pages.shown_ms * 1000, RESULTS)).cast(LOG_SCHEMA.field("timestamp").type),
        pa.array(pages.click_ms.ravel(), mask=unclicked),
    ]
    return pa.Table.from_arrays(columns, schema=LOG_SCHEMA)


def _coded(codes: npt.NDArray[Any], name: Callable[[npt.NDArray[Any]], Any]) -> Any:
    """A dictionary column over the distinct codes that occur, in ascending order.

    Codes are dense, so marking them and counting marks is several times faster than sorting them.
    """
    low = int(codes.min())
    seen = np.zeros(int(codes.max()) - low + 1, bool)
    seen[codes - low] = True
    place = (np.cumsum(seen) - 1).astype(np.int32)
    return _dictionary(place[codes - low], name(np.flatnonzero(seen) + low))


def _dictionary(places: npt.NDArray[np.int32], entries: Any) -> Any:
    indices: Any = pa.array(places)
    return pa.DictionaryArray.from_arrays(indices, entries)


def _repeated(column: Any) -> Any:
    """A value a page, made a value a row."""
    return _dictionary(np.repeat(column.indices.to_numpy(), RESULTS), column.dictionary)


def write_documents(path: Path, world: Catalogue) -> None:
    """doc_id, text of every document."""
    schema = pa.schema([("doc_id", pa.string()), ("text", pa.string())])
    with open_parquet(path, schema) as writer:
        for codes in _chunks(np.arange(world.n_documents), _CHUNK_TEXTS):
            writer.write_table(
                pa.Table.from_arrays([numbered("d", codes), document_texts(world, codes)], schema=schema)
            )


def write_queries(path: Path, world: Catalogue, asked: npt.NDArray[Any]) -> None:
    """Text of every query asked."""
    schema = pa.schema([("query", pa.string())])
    with open_parquet(path, schema) as writer:
        for codes in _chunks(asked, _CHUNK_TEXTS):
            writer.write_table(pa.Table.from_arrays([query_texts(world, codes)], schema=schema))


def write_truth(path: Path, world: Catalogue, asked: npt.NDArray[Any]) -> None:
    """query, doc_id, relevance of every candidate of every query asked."""
    schema = pa.schema([("query", _CODED), ("doc_id", _CODED), ("relevance", pa.float64())])
    with open_parquet(path, schema) as writer:
        for codes in _chunks(asked, _CHUNK_TEXTS // 4):
            row = np.repeat(np.arange(len(codes), dtype=np.int32), CANDIDATES)
            queries = _dictionary(row, query_texts(world, codes))
            documents = world.candidates[world.intent_of[codes]].ravel()
            relevance = world.grades[codes].ravel() / 2.0
            columns = [queries, _coded(documents, lambda seen: numbered("d", seen)), pa.array(relevance)]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def write_candidates(path: Path, world: Catalogue) -> None:
    """query, doc_id, position: the ranker's standing list, of every query that can be asked.

    It is settled before anybody searches, and lists queries that nobody asked alike: nothing in it comes from the log.
    """
    schema = pa.schema([("query", _CODED), ("doc_id", _CODED), ("position", pa.int32())])
    with open_parquet(path, schema) as writer:
        for codes in _chunks(np.arange(world.n_queries), _CHUNK_TEXTS // 4):
            standing = np.argsort(-world.scores[codes], axis=1, kind="stable")[:, :RESULTS]
            documents = np.take_along_axis(world.candidates[world.intent_of[codes]], standing, 1).ravel()
            queries = _dictionary(np.repeat(np.arange(len(codes), dtype=np.int32), RESULTS), query_texts(world, codes))
            positions = pa.array(np.tile(np.arange(1, RESULTS + 1, dtype=np.int32), len(codes)))
            columns = [queries, _coded(documents, lambda seen: numbered("d", seen)), positions]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _chunks(codes: npt.NDArray[Any], size: int) -> Iterator[npt.NDArray[Any]]:
    for start in range(0, len(codes), size):
        yield codes[start : start + size]

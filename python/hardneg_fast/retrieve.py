"""Documents that BM25 finds for queries: candidates that need no log (Robertson & Zaragoza 2009, section 3.2).

With the package bm25s (Lù 2024), which scores when it indexes; its defaults, Lucene's form with k1 = 1.5, b = 0.75.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

from .config import SelectConfig
from .exceptions import UsageError
from .sources.arrow import arrays_of
from .writers.given import given_table
from .writers.texts import text_column
from .writers.words import worded

__all__ = ["check", "retrieve"]

pc: Any = pyarrow.compute

BATCH = 256
"""Queries between two looks at whether to go on. A query has a score of every document only while it is worked on."""

OTHER = ""
"""Stands for every word that no query has: it makes documents long, and nothing more."""


def retrieve(
    queries: object,
    documents: object,
    /,
    *,
    top: int = 200,
    threads: int = 0,
    progress: Callable[[str, int, float | None], object] | None = None,
) -> pa.Table:
    """What BM25 finds for each query, best first: for `retrieved`, or for `candidates` of queries that are public.

    Words are runs of letters, marks and digits of texts as queries are normalised: nothing is stemmed, and languages
    that do not set words apart need another engine. Equal scores go by doc_id, so the order of documents changes
    nothing. Only documents that share a word with the query are found.

    Args:
        queries: Arrow data of one column of texts.
        documents: table or Parquet file with doc_id and text; of an id that comes twice, the first counts.
        top: documents a query, at most.
        threads: 0 for all cores.
        progress: called with "retrieve", queries done and their share; what it raises stops the work.

    Returns:
        query (as given), doc_id, rank from 1, score.

    Raises:
        UsageError: the package bm25s is not there; `top` is below 1, `threads` below 0; no Arrow data.
        ColumnError, FileError: `documents` cannot be read.
    """
    for name, number, least in (("top", top, 1), ("threads", threads, 0)):
        if type(number) is not int or number < least:
            raise UsageError(f"{name} is {number!r}; give a whole number, {least} or more")
    asked = pa.chunked_array([text_column(part, "queries", "query") for part in arrays_of(queries)])
    asked = pc.drop_null(asked).unique()
    index = _Index.of(given_table(documents, "documents", ["doc_id", "text"]), asked)
    found: list[_Found] = []
    with ThreadPoolExecutor(threads or cpu_count() or 1) as workers:
        for batch in _batches(range(len(asked))):
            found += workers.map(lambda query: index.best(query, top), batch)
            if progress is not None:
                progress("retrieve", batch.stop, batch.stop / len(asked))
    lengths = [len(one.places) for one in found]
    places = np.concatenate([one.places for one in found]) if found else np.zeros(0, np.int64)
    scores = np.concatenate([one.scores for one in found]) if found else np.zeros(0, np.float32)
    ranks = [np.arange(1, n + 1) for n in lengths]
    return pa.table(
        {
            "query": asked.take(pa.array(np.repeat(np.arange(len(asked)), lengths))),
            "doc_id": index.ids.take(pa.array(places)),
            "rank": pa.array(np.concatenate(ranks) if ranks else [], pa.int32()),
            "score": pa.array(scores, pa.float64()),
        },
        schema=pa.schema(
            [("query", pa.string()), ("doc_id", pa.string()), ("rank", pa.int32()), ("score", pa.float64())]
        ),
    )


def check(select: SelectConfig, *, documents: bool, retrieved: bool) -> None:
    """Refuses, before a log is read, a retriever that could not work, or whose work nobody would take.

    Args:
        select: options, their preset's among them.
        documents: whether documents are given.
        retrieved: whether a table of retrieved documents is.

    Raises:
        UsageError: one of the two.
    """
    if select.retriever != "bm25":
        if retrieved and select.semi_negatives == select.easy_negatives == 0 and select.fill == "none":
            raise UsageError(
                "retrieved documents are given, and nothing takes them: set select.semi_negatives or select.fill"
            )
        # With fill easy random ones take the places of those that are not there.
        if not retrieved and (select.semi_negatives > 0 or select.fill == "semi") and select.fill != "easy":
            what = "select.semi_negatives takes" if select.semi_negatives > 0 else "select.fill semi takes"
            raise UsageError(
                f"{what} retrieved documents, and none are given: --retrieved FILE (retrieved=…), or "
                "--select.retriever bm25"
            )
        return
    if not documents:
        raise UsageError(
            "select.retriever bm25 finds documents by their texts, and has none: --documents FILE (documents=…)"
        )
    if retrieved:
        raise UsageError("retrieved documents are given, and select.retriever is bm25: leave out one of them")
    if select.semi_negatives == 0 and select.fill == "none":
        raise UsageError(
            "select.retriever is bm25, and nothing takes what it finds: set select.semi_negatives or select.fill"
        )
    _engine()


@dataclass(frozen=True)
class _Found:
    places: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Index:
    ids: pa.Array
    """Of documents that have words, by their bytes."""
    engine: Any
    """None where nothing can be found."""
    queries: Sequence[Sequence[int]]
    """Numbers of each query's words."""

    @classmethod
    def of(cls, documents: pa.Table, queries: pa.Array) -> _Index:
        bm25s = _engine()
        vocabulary: dict[str, int] = {OTHER: 0}
        numbers: list[list[int]] = []
        for part in worded(queries):
            words = part.words.to_pylist()
            every = [vocabulary.setdefault(word, len(vocabulary)) for word in words]
            numbers += [every[a:b] for a, b in zip(part.starts, part.starts[1:], strict=False)]
        ids, texts = _each_once(documents)
        known = pa.array([*vocabulary], pa.string())
        of_texts: list[npt.NDArray[np.int32]] = []
        for part in worded(texts):
            every = pc.fill_null(pc.index_in(part.words.cast(pa.string()), value_set=known), 0)
            of_texts += np.split(every.to_numpy(), part.starts[1:-1])
        some = np.array([len(words) > 0 for words in of_texts], bool)
        ids = ids.filter(pa.array(some))
        if not len(ids) or len(vocabulary) == 1:
            return cls(ids, None, numbers)
        engine = bm25s.BM25()
        corpus = SimpleNamespace(ids=_Lists([words for words in of_texts if len(words)]), vocab=vocabulary)
        engine.index(corpus, create_empty_token=False, show_progress=False)
        return cls(ids, engine, numbers)

    def best(self, query: int, top: int) -> _Found:
        """The best documents of a query: places in `ids`."""
        words = self.queries[query]
        if self.engine is None or not words:
            return _Found(np.zeros(0, np.int64), np.zeros(0, np.float32))
        scores = self.engine.get_scores_from_ids(words)
        # The last of the best of a sixteenth is no better than that of all: it spares most a closer look.
        some = scores[::16]
        some = some[some > 0]
        places = np.flatnonzero(scores >= np.partition(some, -top)[-top] if len(some) > top else scores > 0)
        if len(places) > top:
            # The least score that is still in decides alone: which of its equals a partition puts first is chance.
            least = np.partition(scores[places], -top)[-top]
            above = places[scores[places] > least]
            places = np.concatenate([above, places[scores[places] == least][: top - len(above)]])
        # Stable: of equal scores the lower place, so the lower id, comes first.
        places = np.sort(places)
        places = places[np.argsort(-scores[places], kind="stable")]
        return _Found(places, scores[places])


class _Lists:
    """Arrays as lists of numbers, each made while it is looked at: all at once they would take ten times as much."""

    def __init__(self, arrays: list[npt.NDArray[np.int32]]) -> None:
        self._arrays = arrays

    def __len__(self) -> int:
        return len(self._arrays)

    def __iter__(self) -> Iterator[list[int]]:
        return (array.tolist() for array in self._arrays)


def _engine() -> Any:
    try:
        import bm25s
    except ImportError:
        raise UsageError(
            "BM25 needs the package bm25s, not installed: pip install 'hardneg_fast[bm25]' or pip install bm25s"
        ) from None
    return bm25s


def _each_once(documents: pa.Table) -> tuple[pa.Array, pa.Array]:
    """Ids by their bytes, each once, and their texts."""
    ids: Any = text_column(documents["doc_id"], "documents", "doc_id")
    texts: Any = text_column(documents["text"], "documents", "text")
    order = pc.sort_indices(ids)
    ids, texts = ids.take(order).combine_chunks(), texts.take(order)
    again = pc.fill_null(pc.equal(ids, _before(ids)), False)
    kept = pc.and_(pc.is_valid(ids), pc.invert(again))
    return ids.filter(kept).cast(pa.string()), texts.filter(kept)


def _before(ids: pa.Array) -> pa.Array:
    """Each one's neighbour; null for the first."""
    return pa.concat_arrays([pa.nulls(min(1, len(ids)), ids.type), ids[:-1]])


def _batches(rows: range) -> Iterator[range]:
    return (rows[at : at + BATCH] for at in range(0, len(rows), BATCH))

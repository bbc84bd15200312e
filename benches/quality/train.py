"""Models trained on mined rows, on a CPU: a LambdaMART reranker, a static-token retriever; nDCG@10, intents held out.

Every miner's rows train the same models from the same start, so differences are the rows'. A query without a negative
is in nobody's training data. Intents, not queries, are held out, and drawn anew for intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import lightgbm as lgb
import numpy as np
import polars as pl
import scipy.sparse as sp

from .intervals import Share
from .ranking import Index, top

DEPTH = 80  # BM25 results that the reranker orders
HELD_OUT = 1 / 3  # of the intents
# Both models' settings were chosen once, by the level that c_naive's rows reach on a tuning world; not by a difference.
BATCH, MINED, EPOCHS, RATE, TEMPERATURE = 96, 4, 6, 0.03, 0.05
FOREST = {
    "objective": "lambdarank", "num_leaves": 7, "learning_rate": 0.08, "min_data_in_leaf": 50, "feature_fraction": 0.8,
    "bagging_fraction": 0.8, "bagging_freq": 1, "seed": 0, "deterministic": True, "force_row_wise": True,
    "num_threads": 2, "verbosity": -1,
}  # fmt: skip
TREES = 120


@dataclass(frozen=True)
class Rows:
    """What a miner made for a world: query, doc_id of positives and of negatives."""

    positives: pl.DataFrame
    negatives: pl.DataFrame


class School:
    """A world's texts and truth, for training and for tests."""

    def __init__(self, folder: Path, seed: int) -> None:
        documents = pl.read_parquet(folder / "documents.parquet")
        named = pl.col("query").cast(pl.String)
        asks = pl.read_parquet(folder / "queries.parquet").with_columns(named)
        self.queries = asks["query"].unique().sort().to_list()
        self.at = {query: i for i, query in enumerate(self.queries)}
        self.doc_at = {doc: i for i, doc in enumerate(documents["doc_id"])}
        intents = asks["intent"].unique().sort().to_numpy()
        held = np.random.default_rng([seed, 99]).random(len(intents)) < HELD_OUT
        meant = asks.group_by("query").agg(pl.col("intent").unique(), main=pl.col("intent").sort_by("share").last())
        is_held = dict(zip(intents, held, strict=True))
        mains = dict(zip(meant["query"], meant["main"], strict=True))
        tested = {q: [is_held[i] for i in found] for q, found, _ in meant.iter_rows()}
        # A query of two intents, one held out, is in neither part.
        self.train = {self.at[q] for q, of in tested.items() if not any(of)}
        self.test = np.array(sorted(self.at[q] for q, of in tested.items() if all(of)))
        self.intent = np.array([mains[self.queries[q]] for q in self.test])
        self.index = Index(documents["text"].to_list())
        self.bags = self.index.bags(self.queries)
        self.bm25 = self.index.bm25(self.queries)
        self.best = self.bm25.max(axis=1)
        self.latent = self.index.project(self.queries)
        truth = pl.read_parquet(folder / "truth.parquet").with_columns(pl.col("query", "doc_id").cast(pl.String))
        q, d = self._codes(truth["query"]), self._codes(truth["doc_id"], documents=True)
        self.grades = sp.csr_array((truth["grade"].to_numpy().astype(float), (q, d)), shape=self.bm25.shape)
        self.candidates = top(self.bm25[self.test], DEPTH)

    def _codes(self, names: pl.Series, *, documents: bool = False) -> np.ndarray:
        at = self.doc_at if documents else self.at
        return np.array([at[name] for name in names], dtype=np.int64)

    def pairs(self, table: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Codes of query and doc_id, queries for training only, in canonical order."""
        table = table.select(pl.col("query", "doc_id").cast(pl.String)).unique().sort("query", "doc_id")
        q, d = self._codes(table["query"]), self._codes(table["doc_id"], documents=True)
        kept = np.isin(q, np.fromiter(self.train, np.int64))
        return q[kept], d[kept]

    def features(self, q: np.ndarray, d: np.ndarray) -> np.ndarray:
        """What the reranker sees of a pair: lexical and latent."""
        index, idf = self.index, self.index.idf
        parts = []
        for at in range(0, len(q), 20_000):
            rows, docs = q[at : at + 20_000], d[at : at + 20_000]
            asked, held = self.bags[rows], index.counts[docs]
            both = sp.csr_array(asked.astype(bool).multiply(held))
            n, n_held = np.asarray(asked.astype(bool).sum(axis=1)).ravel(), np.diff(both.indptr)
            matched = sp.csr_array((idf[both.indices], both.indices, both.indptr), shape=both.shape)
            weight = sp.csr_array((idf[asked.indices], asked.indices, asked.indptr), shape=asked.shape)
            logs = sp.csr_array((np.log1p(both.data) * idf[both.indices], both.indices, both.indptr), shape=both.shape)
            total, found = np.asarray(weight.sum(axis=1)).ravel(), np.asarray(matched.sum(axis=1)).ravel()
            length = np.asarray(held.sum(axis=1)).ravel()
            score = self.bm25[rows, docs]
            best = self.best[rows]
            cosine = (self.latent[rows] * index.documents[docs]).sum(axis=1)
            highest, most = (np.asarray(of.max(axis=1).todense()).ravel() for of in (matched, both))
            times = np.asarray(both.sum(axis=1)).ravel()
            columns = (
                *(score, score / np.maximum(best, 1e-6), cosine, score * cosine, n, length),
                *(n_held, n_held / np.maximum(n, 1), found, found / np.maximum(total, 1e-6), highest),
                *(np.asarray(logs.sum(axis=1)).ravel(), most, times / np.maximum(length, 1)),
            )
            parts.append(np.stack(columns, axis=1))
        return np.concatenate(parts)

    @cached_property
    def tested(self) -> np.ndarray:
        """Features of the candidates of the test queries, one after the other."""
        return self.features(np.repeat(self.test, self.candidates.shape[1]), self.candidates.ravel())

    def ndcg(self, ranked: np.ndarray) -> np.ndarray:
        """nDCG@10 (exponential gain) of ranked documents, a row a test query."""
        discount = 1 / np.log2(np.arange(2, 12))
        out = np.zeros(len(self.test))
        for row, query in enumerate(self.test):
            known = self.grades[[query]]
            gains = dict(zip(known.indices, 2**known.data - 1, strict=True))
            ideal = np.sort([*gains.values()])[::-1][:10]
            if len(ideal):
                got = np.array([gains.get(doc, 0.0) for doc in ranked[row, :10]])
                out[row] = (got * discount[: len(got)]).sum() / (ideal * discount[: len(ideal)]).sum()
        return out


def reranker(school: School, rows: Rows) -> np.ndarray:
    """nDCG@10 of each test query after LambdaMART (Burges 2010) on positives and negatives."""
    pos, neg = school.pairs(rows.positives), school.pairs(rows.negatives)
    both = np.intersect1d(pos[0], neg[0])
    q, d = np.append(pos[0], neg[0]), np.append(pos[1], neg[1])
    label = np.append(np.ones(len(pos[0]), int), np.zeros(len(neg[0]), int))
    kept = np.flatnonzero(np.isin(q, both))
    kept = kept[np.lexsort((d[kept], label[kept], q[kept]))]
    groups = np.unique(q[kept], return_counts=True)[1]
    data = lgb.Dataset(school.features(q[kept], d[kept]), label[kept], group=groups, params={"verbosity": -1})
    model = lgb.train(FOREST, data, TREES)
    scores = model.predict(school.tested).reshape(school.candidates.shape)
    order = np.argsort(-scores, axis=1, kind="stable")
    return school.ndcg(np.take_along_axis(school.candidates, order, 1))


def retriever(school: School, rows: Rows) -> np.ndarray:
    """nDCG@10 of each test query over the whole collection, after training token vectors.

    A text is its tf-idf weighted sum of token vectors, normalised; they start as those of latent semantic analysis. The
    loss is the softmax over a batch's positives and each query's mined negatives (van den Oord et al. 2018).
    """
    (pos_q, pos_d), (neg_q, neg_d) = school.pairs(rows.positives), school.pairs(rows.negatives)
    order = np.argsort(neg_q, kind="stable")
    neg_q, neg_d = neg_q[order], neg_d[order]
    low, high = np.searchsorted(neg_q, pos_q, "left"), np.searchsorted(neg_q, pos_q, "right")
    kept = high > low
    pos_q, pos_d, low, high = pos_q[kept], pos_d[kept], low[kept], high[kept]
    asked, held = school.index.weighted(school.bags), school.index.weighted(school.index.counts)
    vectors = school.index.terms.copy() * 10
    draw, step = np.random.default_rng(0), 0
    first, second = np.zeros_like(vectors), np.zeros_like(vectors)
    for _ in range(EPOCHS):
        shuffled = draw.permutation(len(pos_q))
        for at in range(0, len(shuffled) - BATCH + 1, BATCH):
            rows_of = shuffled[at : at + BATCH]
            mined = low[rows_of, None] + draw.integers(0, (high - low)[rows_of, None], (BATCH, MINED))
            docs = np.append(pos_d[rows_of], neg_d[mined].ravel())
            grad = _gradient(asked[pos_q[rows_of]], held[docs], vectors, pos_q[rows_of], pos_d[rows_of])
            step += 1
            first += 0.1 * (grad - first)
            second += 0.001 * (grad * grad - second)
            vectors -= RATE * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    seek, find = _unit(asked[school.test] @ vectors)[0], _unit(held @ vectors)[0]
    return school.ndcg(top(seek @ find.T, 10))


def _unit(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    norms = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return rows / norms, norms


def _gradient(
    asked: sp.csr_array, held: sp.csr_array, vectors: np.ndarray, query: np.ndarray, doc: np.ndarray
) -> np.ndarray:
    """Of the mean loss by the token vectors. A query's own mined documents and all positives of the batch compete."""
    n = len(query)
    seek, seek_norm = _unit(asked @ vectors)
    find, find_norm = _unit(held @ vectors)
    logits = seek @ find.T / TEMPERATURE
    mine = np.zeros(logits.shape, bool)
    mine[:, :n] = True
    # A second positive of the same query in the batch is no negative, nor the same document for another query.
    mine[:, :n] &= (query[:, None] != query) & (doc[:, None] != doc) | np.eye(n, dtype=bool)
    columns = n + np.arange(n)[:, None] * MINED + np.arange(MINED)
    mine[np.arange(n)[:, None], columns] = True
    logits[~mine] = -np.inf
    logits -= logits.max(axis=1, keepdims=True)
    p = np.exp(logits)
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(n), np.arange(n)] -= 1
    p /= n * TEMPERATURE
    to_seek, to_find = p @ find, p.T @ seek
    to_seek = (to_seek - seek * (to_seek * seek).sum(axis=1, keepdims=True)) / seek_norm
    to_find = (to_find - find * (to_find * find).sum(axis=1, keepdims=True)) / find_norm
    return (asked.T @ to_seek + held.T @ to_find).astype(np.float32)


MODELS = {"reranker": reranker, "retriever": retriever}


@dataclass(frozen=True)
class Lesson:
    """nDCG@10 of one miner's models in one world, and their differences to the naive miner's; a place an intent."""

    ndcg: dict[str, Share]
    difference: dict[str, Share]


def lessons(folder: Path, seed: int, made: dict[str, Rows], against: str) -> dict[str, Lesson]:
    """Trains every miner's models in a world."""
    school = School(folder, seed)
    found = {name: {model: work(school, rows) for model, work in MODELS.items()} for name, rows in made.items()}
    _, group = np.unique(school.intent, return_inverse=True)

    def share(values: np.ndarray) -> Share:
        return Share(np.bincount(group, values), np.bincount(group).astype(float))

    base = found[against]
    return {
        name: Lesson({m: share(v) for m, v in of.items()}, {m: share(v - base[m]) for m, v in of.items()})
        for name, of in found.items()
    }

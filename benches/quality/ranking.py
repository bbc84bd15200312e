"""BM25 and latent semantic analysis of a collection: the simulated ranker's parts, and features of the trained ones."""

from __future__ import annotations

from functools import cached_property

import bm25s
import numpy as np
import scipy.sparse as sp

from .corpora import words

DIMENSIONS = 96
CHUNK = 512  # queries scored at a time


class Index:
    """Scores of queries over all documents of a collection."""

    def __init__(self, texts: list[str]) -> None:
        tokens = [words(text) for text in texts]
        self.vocabulary = {word: i for i, word in enumerate(sorted({word for text in tokens for word in text}))}
        self._bm25 = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
        ids = [[self.vocabulary[word] for word in text] for text in tokens]
        self._bm25.index((ids, self.vocabulary), show_progress=False)
        self.counts = self._rows(ids)
        self.idf = np.log1p(len(texts) / np.maximum(np.diff(self.counts.tocsc().indptr), 1)).astype(np.float32)

    def _rows(self, ids: list[list[int]]) -> sp.csr_array:
        """Counts of words, a row a text."""
        starts = np.cumsum([0, *map(len, ids)])
        flat = np.fromiter((i for row in ids for i in row), np.int64, starts[-1])
        made = sp.csr_array((np.ones(len(flat), np.float32), flat, starts), shape=(len(ids), len(self.vocabulary)))
        made.sum_duplicates()
        return made

    def bags(self, queries: list[str]) -> sp.csr_array:
        """Counts of the words that documents have."""
        return self._rows([[self.vocabulary[w] for w in words(query) if w in self.vocabulary] for query in queries])

    def bm25(self, queries: list[str]) -> np.ndarray:
        """BM25 (k1 1.2, b 0.75) of queries and documents, float32."""
        out = np.zeros((len(queries), self.counts.shape[0]), np.float32)
        for row, query in enumerate(queries):
            known = [word for word in words(query) if word in self.vocabulary]
            if known:
                out[row] = self._bm25.get_scores(known)
        return out

    def weighted(self, bags: sp.csr_array) -> sp.csr_array:
        """Unit rows of tf-idf."""
        made = bags.copy()
        made.data = (1 + np.log(made.data)) * self.idf[made.indices]
        norms = np.sqrt(np.asarray(made.multiply(made).sum(axis=1)).ravel())
        return sp.csr_array(sp.diags_array(1 / np.maximum(norms, 1e-9)) @ made)

    @cached_property
    def _latent(self) -> tuple[np.ndarray, np.ndarray]:
        """Words and documents in the space of the largest singular vectors (Halko et al. 2011, randomized)."""
        matrix = self.weighted(self.counts)
        wide = min(DIMENSIONS, min(matrix.shape) - 10)
        basis = matrix @ np.random.default_rng(0).standard_normal((matrix.shape[1], wide + 8), np.float32)
        for _ in range(2):
            basis = np.linalg.qr(matrix @ (matrix.T @ np.linalg.qr(basis)[0]))[0]
        _, _, right = np.linalg.svd((matrix.T @ basis).T, full_matrices=False)
        terms = np.ascontiguousarray(right[:wide].T, dtype=np.float32)
        return terms, unit(matrix @ terms)

    @property
    def terms(self) -> np.ndarray:
        """Words in the latent space."""
        return self._latent[0]

    @property
    def documents(self) -> np.ndarray:
        """Documents in the latent space, unit rows."""
        return self._latent[1]

    def project(self, queries: list[str]) -> np.ndarray:
        """Queries in the latent space, unit rows."""
        return unit(self.weighted(self.bags(queries)) @ self.terms)


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length one; a row of zeros stays."""
    return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)).astype(np.float32)


def top(scores: np.ndarray, depth: int) -> np.ndarray:
    """Columns of the `depth` highest scores of each row, highest first, ties by column."""
    depth = min(depth, scores.shape[1])
    out = np.empty((len(scores), depth), np.int32)
    for at in range(0, len(scores), CHUNK):
        part = scores[at : at + CHUNK]
        found = np.sort(np.argpartition(-part, depth - 1, axis=1)[:, :depth], axis=1)
        order = np.argsort(-np.take_along_axis(part, found, 1), axis=1, kind="stable")
        out[at : at + CHUNK] = np.take_along_axis(found, order, 1)
    return out

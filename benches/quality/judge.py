"""The judge: what mined rows are worth against the truth.

Only `run` imports this (tests/test_quality_bench.py sees to it): what chooses settings may read a judgment of tuning
worlds, and never the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from .intervals import Share

RUN_DEPTH = 1_000  # BM25 ranks beyond are all one more


@dataclass(frozen=True)
class Truth:
    """What is known of a world and of nobody's log."""

    relevant: pl.DataFrame
    """query, doc_id, grade."""
    searches: pl.DataFrame
    """query → n, its share of the log's traffic: of every query that was asked."""
    bm25: pl.DataFrame
    """query, doc_id, rank."""

    @classmethod
    def of(cls, folder: Path) -> Truth:
        """The world in a folder."""
        named = pl.col("query", "doc_id").cast(pl.String)
        log = pl.scan_parquet(folder / "log.parquet").select(pl.col("query").cast(pl.String), "search_id")
        return cls(
            pl.read_parquet(folder / "truth.parquet").with_columns(named),
            log.group_by("query").agg(n=pl.col("search_id").n_unique()).sort("query").collect(),
            pl.read_parquet(folder / "bm25.parquet", columns=["query", "doc_id", "rank"]).with_columns(named),
        )

    @property
    def keys(self) -> set[tuple[str, str]]:
        """Pairs that are relevant."""
        return set(self.relevant.select("query", "doc_id").iter_rows())


@dataclass(frozen=True)
class Judgment:
    """One miner in one world. Arrays have a place for every query that was asked, in order of its text."""

    fnr: Share
    """Share of negatives that are relevant."""
    fnr_hard: Share
    """Of those of kind `hard`."""
    hard: np.ndarray
    """Hard negatives of each query."""
    all: np.ndarray
    """Negatives of each query."""
    traffic: np.ndarray
    positives: Share
    """Share of positives that are relevant."""
    bm25_rank: float
    """Mean BM25 rank of hard negatives; of all where there are none."""
    top50: float
    """Share of them in the BM25 top 50."""
    distinct: float
    """Distinct documents over negatives."""
    hubs: float
    """Share of negatives whose document is one of the hundred most used."""
    deciles: dict[str, list[tuple[int, float, float]]]
    """Of p_false_negative, if given, for `hard` ones and for `all`: n, mean p, share that is relevant."""
    rules: dict[str, tuple[int, int]]
    """Of each rule, if given: distinct negatives, and how many are relevant; one of two rules counts for both."""

    def coverage(self, least: int, *, hard: bool = True, traffic: bool = False) -> Share:
        """Queries with at least so many negatives, of all that were asked."""
        enough = ((self.hard if hard else self.all) >= least).astype(float)
        weight = self.traffic if traffic else np.ones(len(enough))
        return Share(enough * weight, weight)

    def covered_positives(self, least: int, *, hard: bool = False) -> Share:
        """Likewise, of those that have a positive."""
        have = (self.positives.of > 0).astype(float)
        return Share(((self.hard if hard else self.all) >= least) * have, have)


def judge(truth: Truth, negatives: pl.DataFrame, positives: pl.DataFrame, k: int | None = None) -> Judgment:
    """Judges negatives (query, neg_id, kind, perhaps p_false_negative) and positives (query, pos_id).

    Several rows of one (query, document) are one negative, hard if any is, with the least p. With `k`, more than k
    negatives of a query is an error.

    Raises:
        ValueError: more than k, or a query that nobody asked.
    """
    queries = truth.searches["query"]
    at = pl.DataFrame({"query": queries, "at": np.arange(len(queries))})
    relevant = truth.relevant.select("query", doc_id="doc_id", relevant=pl.lit(1.0))
    wide = negatives.with_columns(pl.col("query", "neg_id").cast(pl.String))
    guessed = "p_false_negative" in wide.columns and wide["p_false_negative"].null_count() < wide.height
    p = pl.col("p_false_negative").cast(pl.Float64).min() if guessed else pl.lit(None, pl.Float64).first()
    rows = (
        wide.group_by("query", doc_id="neg_id")
        .agg(hard=(pl.col("kind") == "hard").any(), p=p)
        .join(at, on="query", how="left")
        .join(relevant, on=["query", "doc_id"], how="left")
        .join(truth.bm25, on=["query", "doc_id"], how="left")
        .with_columns(pl.col("relevant").fill_null(0.0), pl.col("rank").fill_null(RUN_DEPTH + 1))
        .sort("query", "doc_id")
    )
    if rows["at"].null_count():
        raise ValueError(f"negatives of a query that nobody asked: {rows.filter(pl.col('at').is_null())['query'][0]!r}")
    place, hits, hard = rows["at"].to_numpy(), rows["relevant"].to_numpy(), rows["hard"].to_numpy().astype(bool)

    def per_query(weights: np.ndarray) -> np.ndarray:
        return np.bincount(place, weights, minlength=len(queries)) if len(place) else np.zeros(len(queries))

    n_all, n_hard = per_query(np.ones(len(place))), per_query(hard.astype(float))
    if k is not None and n_all.max(initial=0) > k:
        raise ValueError(f"a query has {int(n_all.max())} negatives; at most {k} were asked for")
    found = positives.select(pl.col("query").cast(pl.String), doc_id=pl.col("pos_id").cast(pl.String)).unique()
    found = found.join(at, on="query").join(relevant, on=["query", "doc_id"], how="left")
    known = np.bincount(found["at"].to_numpy(), minlength=len(queries)).astype(float)
    right = np.bincount(found["at"].to_numpy(), found["relevant"].fill_null(0.0).to_numpy(), minlength=len(queries))
    profile = rows["rank"].to_numpy()[hard if hard.any() else slice(None)]
    uses = rows.group_by("doc_id").agg(n=pl.len())["n"].sort(descending=True).to_numpy()
    return Judgment(
        Share(per_query(hits), n_all),
        Share(per_query(hits * hard), n_hard),
        n_hard,
        n_all,
        truth.searches["n"].to_numpy().astype(float),
        Share(right, known),
        float(profile.mean()) if len(profile) else float("nan"),
        float((profile <= 50).mean()) if len(profile) else float("nan"),
        len(uses) / max(len(place), 1),
        float(uses[:100].sum() / max(len(place), 1)),
        {kind: _deciles(rows["p"].to_numpy()[of], hits[of]) for kind, of in (("hard", hard), ("all", hard | True))}
        if guessed
        else {},
        _rules(wide, relevant),
    )


def _rules(rows: pl.DataFrame, relevant: pl.DataFrame) -> dict[str, tuple[int, int]]:
    if "rule" not in rows.columns:
        return {}
    rows = rows.select("rule", "query", doc_id="neg_id").unique().join(relevant, on=["query", "doc_id"], how="left")
    found = rows.group_by("rule").agg(n=pl.len(), hits=pl.col("relevant").count()).sort("rule")
    return {rule: (n, hits) for rule, n, hits in found.iter_rows()}


def _deciles(p: np.ndarray, hits: np.ndarray) -> list[tuple[int, float, float]]:
    """By p, ten groups of one size."""
    known = ~np.isnan(p)
    p, hits = p[known], hits[known]
    order = np.argsort(p, kind="stable")
    parts = [part for part in np.array_split(order, 10) if len(part)]
    return [(len(part), float(p[part].mean()), float(hits[part].mean())) for part in parts]

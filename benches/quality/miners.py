"""Reference miners, a few lines each: what ours is measured against.

A miner is a function of what is seen of a world, and of k. It returns pairs (query, doc, kind), at most k a query, of
queries that have a reference positive.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
import scipy.sparse as sp
from scipy.special import betainc

from .corpora import words
from .seen import Counted, Seen

PRIOR = (0.5, 3.0)  # Beta, of a click given examination
DEEP = (10, 200)  # BM25 ranks that deep documents come from, above and including


def fitted(counted: Counted, slot: np.ndarray, passes: int = 40) -> np.ndarray:
    """P(examined) of each slot by EM: clicks are Bernoulli(attraction of the pair times examination of the slot).

    With positions for slots this is the position-based model (Richardson et al. 2007), with positions and last clicks
    above the user browsing model (Dupret & Piwowarski 2008). The first slot is examined for sure.
    """
    distinct, at = np.unique(slot, return_inverse=True)
    n, c = counted.cell_impressions.astype(float), (counted.cell_clicks + counted.rejected).astype(float)
    pair_n, slot_n = np.bincount(counted.pair, n), np.bincount(at, n)
    theta, alpha = np.full(len(distinct), 0.5), np.full(len(pair_n), 0.2)
    theta[0] = 1.0
    for _ in range(passes):
        t, a = theta[at], alpha[counted.pair]
        missed = (n - c) / np.maximum(1 - t * a, 1e-12)
        alpha = (np.bincount(counted.pair, c + missed * a * (1 - t)) + 1) / (pair_n + 10)
        theta = np.bincount(at, c + missed * t * (1 - a)) / slot_n
        theta[0] = 1.0
    out = np.zeros(4096)
    out[distinct] = theta
    return out[slot]


@dataclass(frozen=True)
class Pairs:
    """(query, doc) pairs with a score; lower is taken first."""

    query: np.ndarray
    doc: np.ndarray
    score: np.ndarray

    def where(self, kept: np.ndarray) -> Pairs:
        """Some of them."""
        return Pairs(self.query[kept], self.doc[kept], self.score[kept])


class Bench:
    """What several miners use, made once for a world."""

    def __init__(self, seen: Seen, truth: set[int] | None = None) -> None:
        self.seen, self.n_docs = seen, len(seen.docs)
        self.truth = truth  # for the oracle alone

    def key(self, query: np.ndarray, doc: np.ndarray) -> np.ndarray:
        """One number a pair."""
        return np.asarray(query, np.int64) * self.n_docs + doc

    @cached_property
    def examined_raw(self) -> np.ndarray:
        """Expected examinations of each raw pair, PBM."""
        c = self.seen.raw
        return np.bincount(c.pair, c.cell_impressions * fitted(c, c.slot // 64 * 64))

    @cached_property
    def examined_raw_ubm(self) -> np.ndarray:
        """Likewise, UBM."""
        c = self.seen.raw
        return np.bincount(c.pair, c.cell_impressions * fitted(c, c.slot))

    @cached_property
    def examined(self) -> np.ndarray:
        """Of each cleaned pair, UBM; what was left at once was examined."""
        c = self.seen.clean
        return np.bincount(c.pair, (c.cell_impressions - c.rejected) * fitted(c, c.slot) + c.rejected)

    @cached_property
    def clicked(self) -> np.ndarray:
        """Keys of pairs with a click of anybody."""
        c = self.seen.raw
        return self.key(c.query, c.doc)[c.clicks > 0]

    @cached_property
    def positives(self) -> pl.DataFrame:
        """The reference positives: two satisfied clicks, or one of few looks; debiased rate >= .08; the best four."""
        c, looks = self.seen.clean, self.examined
        rate = (PRIOR[0] + c.clicks) / (sum(PRIOR) + looks)
        good = ((c.clicks >= 2) | ((c.clicks == 1) & (looks < 4))) & (rate >= 0.08)
        return self.table(self.first(Pairs(c.query, c.doc, -rate).where(good), 4, everywhere=True), "positive")

    @cached_property
    def wanted(self) -> np.ndarray:
        """Of each query, whether it has a positive."""
        out = np.zeros(len(self.seen.queries), bool)
        out[self.positives["q"].to_numpy()] = True
        return out

    @cached_property
    def _positive_keys(self) -> np.ndarray:
        return self.key(self.positives["q"].to_numpy(), self.positives["doc"].to_numpy())

    def without(self, pairs: Pairs, keys: np.ndarray) -> Pairs:
        """Pairs that are not among the keys."""
        return pairs.where(~np.isin(self.key(pairs.query, pairs.doc), keys))

    def first(self, pairs: Pairs, k: int, *, everywhere: bool = False) -> Pairs:
        """The first k of each query that has a positive, without its positives."""
        if not everywhere:
            pairs = self.without(pairs.where(self.wanted[pairs.query]), self._positive_keys)
        order = np.lexsort((pairs.doc, pairs.score, pairs.query))
        pairs = Pairs(pairs.query[order], pairs.doc[order], pairs.score[order])
        new = np.flatnonzero(np.diff(pairs.query, prepend=-1))
        place = np.arange(len(order)) - np.repeat(new, np.diff(np.append(new, len(order))))
        return pairs.where(place < k)

    def table(self, pairs: Pairs, kind: str = "hard") -> pl.DataFrame:
        """As a data frame of codes."""
        columns = {"q": pairs.query.astype(np.int64), "doc": pairs.doc.astype(np.int64)}
        return pl.DataFrame(columns).with_columns(kind=pl.lit(kind))

    def shuffled(self, pairs: Pairs) -> Pairs:
        """In random order, the same whoever else is there: by a hash of the pair (splitmix64)."""
        z = (self.key(pairs.query, pairs.doc).astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
        return Pairs(pairs.query, pairs.doc, z >> np.uint64(11))

    def of(self, counted: Counted) -> Pairs:
        """All pairs shown, near the top first."""
        return Pairs(counted.query, counted.doc, counted.mean_position)

    def below(self, bound: float, quantile: float) -> Pairs:
        """Cleaned pairs whose click rate given examination is below the bound with that probability."""
        c, looks = self.seen.clean, self.examined
        sure = betainc(PRIOR[0] + c.clicks, PRIOR[1] + np.maximum(looks - c.clicks, 0), bound)
        return self.of(c).where((sure >= quantile) & (looks >= 1))

    @cached_property
    def _similarity(self) -> tuple[sp.csr_array, sp.csr_array, sp.csr_array]:
        """Between queries: cosine of satisfied clicks, cosine of tf-idf, successions."""
        n, c = len(self.seen.queries), self.seen.clean
        clicks = sp.csr_array((c.clicks.astype(np.float64), (c.query, c.doc)), shape=(n, self.n_docs))
        said = [words(query) for query in self.seen.queries]
        number = {word: i for i, word in enumerate(sorted({w for text in said for w in text}))}
        at = [(q, number[w]) for q, text in enumerate(said) for w in set(text)]
        rows, columns = (np.array(side) for side in zip(*at, strict=True))
        idf = np.log((n + 1) / np.bincount(columns))
        texts = sp.csr_array((idf[columns], (rows, columns)), shape=(n, len(number)))
        s = self.seen.successions
        ends = s["q"].to_numpy(), s["next"].to_numpy()
        follows = sp.csr_array((s["n"].to_numpy().astype(float), ends), shape=(n, n))
        return _cosine(clicks), _cosine(texts), sp.csr_array(follows + follows.T)

    @cached_property
    def same_intent(self) -> sp.csr_array:
        """Queries that likely ask for the same, each itself included."""
        click, text, follow = self._similarity
        near = _above(click, 0.2) + _above(text, 0.3)
        same = _above(click, 0.5) + _above(text, 0.6) + _above(follow, 1.5).multiply(near)
        return _above(sp.csr_array(same + sp.eye_array(same.shape[0])), 0)

    @cached_property
    def related(self) -> sp.csr_array:
        """Queries that have to do with each other, same intent or not; how much."""
        click, text, follow = self._similarity
        made = _above(click, 0.1).multiply(click) + _above(text, 0.3).multiply(text) + 0.2 * _above(follow, 1.5)
        return sp.csr_array(made - sp.diags_array(made.diagonal()))

    def _clicked_in(self, queries: sp.csr_array, *, satisfied: bool) -> sp.csr_array:
        """(query, doc) → clicks in those queries."""
        c = self.seen.clean if satisfied else self.seen.raw
        clicks = sp.csr_array((c.clicks.astype(float), (c.query, c.doc)), shape=(queries.shape[0], self.n_docs))
        return sp.csr_array(queries @ clicks)

    @cached_property
    def vetoed(self) -> np.ndarray:
        """Keys of pairs with a satisfied click in a query of likely the same intent."""
        found = self._clicked_in(self.same_intent, satisfied=True).tocoo()
        return self.key(found.row, found.col)[found.data > 0]

    @cached_property
    def from_related(self) -> Pairs:
        """Documents clicked for related queries, most first."""
        found = self._clicked_in(self.related, satisfied=False).tocoo()
        return Pairs(found.row.astype(np.int64), found.col.astype(np.int64), -found.data)

    @cached_property
    def deep(self) -> Pairs:
        """Documents down the BM25 run that nobody with that intent clicked, in random order."""
        run = self.seen.bm25.filter(pl.col("rank").is_between(*DEEP))
        pairs = Pairs(*(run[name].to_numpy().astype(np.int64) for name in ("q", "doc", "rank")))
        found = self._clicked_in(self.same_intent, satisfied=False).tocoo()
        return self.shuffled(self.without(pairs, self.key(found.row, found.col)[found.data > 0]))

    def filled(self, hard: Pairs, k: int) -> pl.DataFrame:
        """Hard ones, and deep documents where there are fewer than k."""
        keys = self.key(hard.query, hard.doc)
        deep = self.without(self.deep, keys)
        # Hard ones stand before all deep ones, in their own order.
        both = Pairs(
            np.append(hard.query, deep.query), np.append(hard.doc, deep.doc),
            np.append(np.argsort(np.argsort(hard.score, kind="stable")) - len(keys), deep.score.astype(float)),
        )  # fmt: skip
        chosen = self.first(both, k)
        kind = np.where(np.isin(self.key(chosen.query, chosen.doc), keys), "hard", "semi")
        return self.table(chosen).with_columns(kind=pl.Series(kind))


def _cosine(rows: sp.csr_array) -> sp.csr_array:
    norms = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    unit = sp.csr_array(sp.diags_array(1 / np.maximum(norms, 1e-12)) @ rows)
    return sp.csr_array(unit @ unit.T)


def _above(matrix: sp.csr_array, least: float) -> sp.csr_array:
    """1 where the matrix is above `least`."""
    made = sp.csr_array(matrix > least).astype(np.float64)
    made.eliminate_zeros()
    return made


def a_random(b: Bench, k: int) -> pl.DataFrame:
    """Documents of the collection that were not clicked for the query."""
    wanted = np.flatnonzero(b.wanted)
    query = np.repeat(wanted, 4 * k)
    pairs = Pairs(query, np.random.default_rng(0).integers(0, b.n_docs, len(query)), np.arange(len(query)))
    keys = b.key(pairs.query, pairs.doc)
    pairs = pairs.where(np.isin(np.arange(len(keys)), np.unique(keys, return_index=True)[1]))
    return b.table(b.first(b.without(pairs, b.clicked), k), "easy")


def b_bm25(b: Bench, k: int) -> pl.DataFrame:
    """The best forty by BM25 that were not clicked."""
    run = b.seen.bm25.filter(pl.col("rank") <= 40)
    pairs = Pairs(*(run[name].to_numpy().astype(np.int64) for name in ("q", "doc", "rank")))
    return b.table(b.first(b.without(pairs, b.clicked), k))


def c_naive(b: Bench, k: int) -> pl.DataFrame:
    """Shown, never clicked."""
    c = b.seen.raw
    return b.table(b.first(b.of(c).where(c.clicks == 0), k))


def c0_session(b: Bench, k: int) -> pl.DataFrame:
    """Not clicked in some search, whatever other searches say."""
    c = b.seen.raw
    return b.table(b.first(b.of(c).where(c.clicks < c.impressions), k))


def _skips(b: Bench) -> Pairs:
    last = pl.col("position").filter(pl.col("clicked")).max().over("search_id")
    found = b.seen.rows.filter(~pl.col("clicked") & (pl.col("position") < last)).group_by("q", "doc").agg(n=pl.len())
    return Pairs(
        *(found[name].to_numpy().astype(np.int64) for name in ("q", "doc")), -found["n"].to_numpy().astype(float)
    )


def d_skipabove(b: Bench, k: int) -> pl.DataFrame:
    """Above a click and not clicked (Joachims 2002), the most often so first."""
    return b.table(b.first(_skips(b), k))


def d2(b: Bench, k: int) -> pl.DataFrame:
    """Likewise, and never clicked."""
    return b.table(b.first(b.without(_skips(b), b.clicked), k))


def _debiased(b: Bench, looks: np.ndarray, k: int) -> pl.DataFrame:
    c = b.seen.raw
    sure = betainc(PRIOR[0] + c.clicks, PRIOR[1] + np.maximum(looks - c.clicks, 0), 0.15)
    return b.table(b.first(b.of(c).where((sure >= 0.9) & (looks >= 4)), k))


def e_debias(b: Bench, k: int) -> pl.DataFrame:
    """Upper bound of the debiased rate, PBM."""
    return _debiased(b, b.examined_raw, k)


def e_ubm(b: Bench, k: int) -> pl.DataFrame:
    """Likewise, UBM."""
    return _debiased(b, b.examined_raw_ubm, k)


def f_clean(b: Bench, k: int) -> pl.DataFrame:
    """Likewise, of the cleaned log."""
    return b.table(b.first(b.below(0.15, 0.9), k))


def fv_veto(b: Bench, k: int) -> pl.DataFrame:
    """And nobody was satisfied by it who likely wanted the same."""
    return b.table(b.first(b.without(b.below(0.15, 0.9), b.vetoed), k))


def fv20(b: Bench, k: int) -> pl.DataFrame:
    """The same at a looser bound."""
    return b.table(b.first(b.without(b.below(0.20, 0.9), b.vetoed), k))


def fv25(b: Bench, k: int) -> pl.DataFrame:
    """Looser still, in random order."""
    return b.table(b.first(b.shuffled(b.without(b.below(0.25, 0.8), b.vetoed)), k))


def g_related_naive(b: Bench, k: int) -> pl.DataFrame:
    """Clicked for a related query, not for this one."""
    return b.table(b.first(b.without(b.from_related, b.clicked), k))


def _there(b: Bench, pairs: Pairs) -> Pairs:
    """Those that were clicked for related queries."""
    return pairs.where(np.isin(b.key(pairs.query, pairs.doc), b.key(b.from_related.query, b.from_related.doc)))


def g_related(b: Bench, k: int) -> pl.DataFrame:
    """Clicked for a related query; here examined and rejected."""
    return b.table(b.first(_there(b, b.below(0.15, 0.9)), k))


def g_rel_veto(b: Bench, k: int) -> pl.DataFrame:
    """And the queries that it was clicked for likely ask for something else."""
    return b.table(b.first(_there(b, b.without(b.below(0.15, 0.9), b.vetoed)), k))


def y_best(b: Bench, k: int) -> pl.DataFrame:
    """Half of fv20, the rest deep documents."""
    return b.filled(b.first(b.without(b.below(0.20, 0.9), b.vetoed), k // 2), k)


def y_rand(b: Bench, k: int) -> pl.DataFrame:
    """Three quarters of fv25, the rest deep documents."""
    return b.filled(b.first(b.shuffled(b.without(b.below(0.25, 0.8), b.vetoed)), 3 * k // 4), k)


def _k_users(threshold: int) -> Callable[[Bench, int], pl.DataFrame]:
    def mine(b: Bench, k: int) -> pl.DataFrame:
        c = b.seen.clean
        known = b.key(c.query, c.doc)[(c.users >= threshold) & (b.seen.query_users[c.query] >= threshold)]
        pairs = b.below(0.15, 0.9)
        return b.table(b.first(pairs.where(np.isin(b.key(pairs.query, pairs.doc), known)), k))

    mine.__doc__ = f"f_clean, of queries asked and pairs shown to at least {threshold} users."
    return mine


def z_oracle_shown(b: Bench, k: int) -> pl.DataFrame:
    """Shown, and in truth not relevant."""
    if b.truth is None:
        raise ValueError("the oracle needs the truth")
    return b.table(b.first(b.without(b.of(b.seen.raw), np.array(sorted(b.truth))), k))


MINERS: dict[str, Callable[[Bench, int], pl.DataFrame]] = {
    f.__name__: f
    for f in (
        *(a_random, b_bm25, c_naive, c0_session, d_skipabove, d2, e_debias, e_ubm, f_clean, fv_veto, fv20, fv25),
        *(g_related_naive, g_related, g_rel_veto, y_best, y_rand, z_oracle_shown),
    )
} | {f"h_k{k}": _k_users(k) for k in (5, 10, 20)}


def frontier(name: str) -> Callable[[Bench, int], pl.DataFrame] | None:
    """`f@.2/.9` and `fv@.25/.8`: f and fv at another upper bound and quantile, in random order; else None."""
    if not (found := re.fullmatch(r"(fv?)@(\.\d+)/(\.\d+)", name)):
        return None
    vetoes, bound, quantile = found[1] == "fv", float(found[2]), float(found[3])

    def mine(b: Bench, k: int) -> pl.DataFrame:
        pairs = b.below(bound, quantile)
        return b.table(b.first(b.shuffled(b.without(pairs, b.vetoed) if vetoes else pairs), k))

    return mine

"""evidence and select, under differential privacy: attractiveness from noisy clicks, pairs that noise does not explain.

Post-processing: this sees a released table and public constants.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from .config import ContrastConfig, SelectConfig
from .exceptions import UsageError

__all__ = ["Contrasts", "attractiveness", "check", "contrasts", "filled"]

pc: Any = pyarrow.compute

NOT_THERE = ("chain_users", "duplicate_words", "duplicate_vectors", "max_queries_per_document", "validation")
"""Options that no release takes into account; who sets one counts on it."""


@dataclass(frozen=True, kw_only=True)
class Contrasts:
    """Negatives of a private release."""

    negatives: pa.Table = field(repr=False)
    """As in docs/ARCHITECTURE.md, select."""
    positives: pa.Table = field(repr=False)
    """query, doc_id: one a query that has negatives."""
    triplets: pa.Table = field(repr=False)
    """query, positive, negative_1 … negative_n, in document ids."""
    compared: int
    """Pairs of a positive and another document."""
    reversed: Any = field(repr=False)
    """Of each negative that was compared: how likely its document is at least as attractive as its positive, by the
    normal law of the noise in both. Not corrected for the positive having been chosen as the best."""
    capped: int
    """Negatives beyond `select.max_negatives_per_query`, and the places that are kept for retrieved ones."""
    retrieved: int = 0
    """Negatives of kind semi."""


def attractiveness(released: pa.Table, examined: Any) -> tuple[Any, Any]:
    """Clicks divided by the examination of their position, and the standard deviation of the noise in them.

    Inverse propensity scoring (Joachims, Swaminathan & Schnabel 2017, WSDM, section 4) of released clicks. In units of
    (scaled) users who would have clicked had they looked; comparable within a query. Where impressions of documents
    were released, too, clicks are of as many users as the query's documents were shown to on average.
    """
    clicks, variance = (released[name].to_numpy() for name in ("clicks", "clicks_variance"))
    worth, noise = clicks / examined, np.sqrt(variance) / examined
    if released.num_rows == 0 or released["exposures"].null_count:
        return worth, noise
    share, doubt = _exposure(released)
    # The ratio's variance to first order (delta method).
    return worth / share, np.sqrt(noise**2 + (worth / share) ** 2 * doubt**2) / share


SPREAD = 0.5
"""Impressions of a query's documents are taken to differ from their mean by this part of it, a priori."""

LEAST = 0.1
"""A document is taken to have been shown at least this part of the mean."""


def _exposure(released: pa.Table) -> tuple[Any, Any]:
    """Each document's impressions by the mean of its query's documents, and the standard deviation of what is unsure.

    Noisy impressions are shrunk towards their mean, as a normal prior has it.
    """
    seen, variance = (released[name].to_numpy() for name in ("exposures", "exposures_variance"))
    of = released["query"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    mean = (np.bincount(of, seen) / np.bincount(of))[of]
    known = mean > 0
    relative = np.where(known, seen / np.where(known, mean, 1), 1)
    doubt = np.where(known, variance / np.where(known, mean, 1) ** 2, np.inf)
    kept = SPREAD**2 / (SPREAD**2 + doubt)
    return np.maximum(1 + kept * (relative - 1), LEAST), SPREAD * np.sqrt(1 - kept)


def check(config: ContrastConfig, select: SelectConfig) -> None:
    """Refuses options before a log is looked at, and paid for.

    Raises:
        UsageError: numbers that cannot be; options that would do nothing; `refill` is random, which needs documents of
            other queries, that a private release does not judge.
    """
    if off := [name for name in NOT_THERE if getattr(select, name) != getattr(SelectConfig(), name)]:
        raise UsageError(
            f"under differential privacy nothing goes by {', '.join(f'select.{name}' for name in off)}; leave it out"
        )
    if select.refill == "random":
        raise UsageError("select.refill random is not there under differential privacy; choose drop or repeat")
    for name, value in (("margin", config.margin), ("confidence", config.confidence)):
        if not 0 < value < math.inf:
            raise UsageError(f"contrast.{name} is {value!r}; give a number above 0")
    if select.retriever == "bm25" and select.semi_negatives == select.max_negatives_per_query:
        raise UsageError(
            "under differential privacy only queries with a negative that was released get retrieved ones, and "
            "select.semi_negatives leaves it no place: give less than select.max_negatives_per_query"
        )
    if select.semi_negatives > select.max_negatives_per_query:
        raise UsageError("select.semi_negatives is part of select.max_negatives_per_query, and more than it")
    if not 0 < select.retrieved_from <= select.retrieved_to:
        raise UsageError("select.retrieved_from and select.retrieved_to are ranks from 1, the first not above the last")
    if select.num_negatives < 1 or select.max_negatives_per_query < 1:
        raise UsageError("select.num_negatives and select.max_negatives_per_query are 1 or more")


def contrasts(
    released: pa.Table, examined: Any, /, *, config: ContrastConfig, select: SelectConfig, seed: int = 0
) -> Contrasts:
    """One positive a query, the document with the greatest lower bound, and the documents well below it.

    d is a negative of p where margin a_p - a_d > confidence sqrt((margin s_p)^2 + s_d^2), with a the attractiveness and
    s the standard deviation of its noise, and a_p > 0.

    Args:
        released: as `PrivateReleased.table`, rows of a query together.
        examined: P(examined) of each row.
        config: the rule.
        select: caps and tuples: max_negatives_per_query, num_negatives, refill (`drop` or `repeat`).
        seed: of the order.
    """
    worth, noise = attractiveness(released, examined)
    queries = released["query"].combine_chunks().dictionary_encode()
    of = queries.indices.to_numpy().astype(np.int64)
    starts = np.flatnonzero(np.r_[True, of[1:] != of[:-1]]) if len(of) else np.zeros(0, np.int64)
    positive = _best(worth - config.confidence * noise, of, starts)
    gap = config.margin * worth[positive] - worth
    spread = np.sqrt((config.margin * noise[positive]) ** 2 + noise**2)
    rows = np.arange(len(of))
    judged = (rows != positive) & (worth[positive] > 0)
    chosen = np.flatnonzero(judged & (gap > config.confidence * spread))
    # Which of them a cap keeps, and in which order they come, is by hash of their names: not the hardest first.
    order = _order(released, chosen, seed)
    chosen = chosen[np.lexsort((order, of[chosen]))]
    place = np.arange(len(chosen)) - np.searchsorted(of[chosen], of[chosen]) if len(chosen) else chosen
    semi = select.semi_negatives if select.retriever == "bm25" else 0
    kept = chosen[place < select.max_negatives_per_query - semi]
    negatives = _negatives(released, kept, positive[kept])
    return Contrasts(
        negatives=negatives,
        positives=released.take(pa.array(np.unique(positive[kept]))).select(["query", "doc_id"]),
        triplets=_triplets(negatives, select),
        compared=int(judged.sum()),
        reversed=_reversed(worth, noise, kept, positive[kept]),
        capped=len(chosen) - len(kept),
    )


def _reversed(worth: Any, noise: Any, negative: Any, positive: Any) -> Any:
    """P(worth of the negative >= that of the positive), both normal about what was released."""
    by = (worth[negative] - worth[positive]) / np.hypot(noise[negative], noise[positive])
    return np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in by.tolist()])


def filled(
    chosen: Contrasts, released: pa.Table, found: pa.Table, /, *, select: SelectConfig, seed: int = 0
) -> Contrasts:
    """The same with documents that were retrieved for its queries, after the others.

    Of ranks `retrieved_from` to `retrieved_to`, those that nothing was released of: what users made of others is known,
    as far as noise lets it.

    Args:
        chosen: of `contrasts`.
        released: what it was made of.
        found: query, doc_id, rank: of a public corpus, by nothing but the query.
        select: how many: `semi_negatives`, `fill`, `max_negatives_per_query`; tuples.
        seed: of which.
    """
    band = found.filter((pc.field("rank") >= select.retrieved_from) & (pc.field("rank") <= select.retrieved_to))
    judged = released.select(["query", "doc_id"]).cast(band.select(["query", "doc_id"]).schema)
    free = band.join(judged, ["query", "doc_id"], join_type="left anti", use_threads=False)
    queries = pc.unique(chosen.negatives["query"])
    of = pc.index_in(free["query"], value_set=queries)
    free, of = free.filter(pc.is_valid(of)), pc.drop_null(of).to_numpy().astype(np.int64)
    order = _order(free, np.arange(free.num_rows), seed, "semi")
    by_query = np.lexsort((order, of))
    place = np.arange(len(of)) - np.searchsorted(of[by_query], of[by_query]) if len(of) else by_query
    own = pc.index_in(chosen.negatives["query"], value_set=queries).to_numpy().astype(np.int64)
    left = select.max_negatives_per_query - np.bincount(own, minlength=len(queries))
    wanted = left if select.fill != "none" else np.minimum(left, select.semi_negatives)
    taken = by_query[place < wanted[of[by_query]]]
    rows = pa.concat_tables([chosen.negatives, _retrieved(free.take(pa.array(taken)), chosen.negatives.schema)])
    # Stable: retrieved ones come after the others of their query.
    negatives = rows.take(pa.array(np.argsort(np.r_[own, of[taken]], kind="stable")))
    return replace(chosen, negatives=negatives, triplets=_triplets(negatives, select), retrieved=len(taken))


def _retrieved(found: pa.Table, schema: pa.Schema) -> pa.Table:
    n = found.num_rows
    columns: dict[str, Any] = {
        "query_id": pa.array([_query_id(query) for query in found["query"].to_pylist()], pa.string()),
        "query": found["query"],
        "neg_id": found["doc_id"],
        "rule": pa.array(["retrieved"] * n, pa.string()),
        "kind": pa.array(["semi"] * n, pa.string()),
    }
    return pa.table([columns.get(f.name, pa.nulls(n, f.type)) for f in schema], schema=schema)


def _query_id(query: str) -> str:
    return hashlib.sha256(query.encode()).hexdigest()[:16]


def _best(bound: Any, of: Any, starts: Any) -> Any:
    """By row, the row of its query with the greatest bound; the first of equals."""
    order = np.lexsort((np.arange(len(of)), -bound, of))
    first = order[starts]
    return np.repeat(first, np.diff(np.r_[starts, len(of)]))


def _order(released: pa.Table, rows: Any, seed: int, domain: str = "negative") -> Any:
    table = released.take(pa.array(rows))
    names = zip(table["query"].to_pylist(), table["doc_id"].to_pylist(), strict=True)
    digest = [hashlib.sha256(f"{domain}\0{seed}\0{len(q)}\0{q}\0{d}".encode()).digest()[:8] for q, d in names]
    return np.frombuffer(b"".join(digest), ">u8").astype(np.uint64)


def _negatives(released: pa.Table, rows: Any, positives: Any) -> pa.Table:
    wanted, preferred = released.take(pa.array(rows)), released.take(pa.array(positives))
    n = len(rows)
    ids = [_query_id(query) for query in wanted["query"].to_pylist()]
    columns: dict[str, Any] = {
        "query_id": pa.array(ids, pa.string()),
        "query": wanted["query"],
        "pos_id": preferred["doc_id"],
        "neg_id": wanted["doc_id"],
        "rule": pa.array(["contrast"] * n, pa.string()),
        "kind": pa.array(["hard"] * n, pa.string()),
        "position_pos": preferred["position"],
        "position_neg": wanted["position"],
        "expected_clicks": pa.nulls(n, pa.float64()),
        "examinations": pa.nulls(n, pa.float64()),
        "users": pa.nulls(n, pa.int64()),
        "p_false_negative": pa.nulls(n, pa.float64()),
        "weight": pa.nulls(n, pa.float64()),
        "split": pa.nulls(n, pa.string()),
    }
    return pa.table(columns)


def _triplets(negatives: pa.Table, select: SelectConfig) -> pa.Table:
    """Each query's negatives in rows of `num_negatives`."""
    width = select.num_negatives
    queries, positives, others = (negatives[name].to_pylist() for name in ("query", "pos_id", "neg_id"))
    rows: list[list[str]] = []
    at = 0
    while at < len(queries):
        end = at
        while end < len(queries) and queries[end] == queries[at]:
            end += 1
        own = others[at:end]
        whole = len(own) - len(own) % width
        short = own[whole:]
        if short and select.refill == "repeat":
            short = [(short + own)[i % (len(short) + len(own))] for i in range(width)]
        tuples = [own[i : i + width] for i in range(0, whole, width)] + ([short] if len(short) == width else [])
        rows += [[queries[at], positives[at], *chosen] for chosen in tuples]
        at = end
    names = ["query", "positive", *(f"negative_{i + 1}" for i in range(width))]
    return pa.table({name: pa.array([row[i] for row in rows], pa.string()) for i, name in enumerate(names)})

"""Alike queries, and what they tell of a document: by the formulas of docs/ARCHITECTURE.md, select."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from .normalize import code
from .related import related
from .release import Released
from .relevance import kinds
from .seedhash import seed_hash

if TYPE_CHECKING:
    from hardneg_fast.config import SelectConfig

WORDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
CLICKS = (0.05, 0.1, 0.2, 0.4, 0.6)


def words_of(query: str) -> set[str]:
    """Runs of letters and digits."""
    return set("".join(c if c.isalpha() or c.isnumeric() else " " for c in query).split())


def satisfied_of(evidence: dict, k: int | None) -> dict[tuple[str, str], int]:
    """Satisfied clicks as they may be shown, where there are any."""
    clicks = {
        pair: row["satisfied_clicks"] if k is None else row["satisfied_clicks"] // k * k
        for pair, row in evidence.items()
        if row["users_satisfied"] >= (k or 0)
    }
    return {pair: n for pair, n in clicks.items() if n > 0}


def alike(clicks: dict[tuple[str, str], int], config: SelectConfig) -> dict[tuple[str, str], tuple[float, float]]:
    """(query, alike query) → cosines of words and of clicks, the latter 0 where it is not above both limits."""
    from hardneg_fast.config import RelatedConfig

    queries = {query for query, _ in clicks}
    by_clicks = min(config.alike_clicks, config.same_intent_clicks)
    by_words = min(config.alike_words, config.same_intent_words)
    said = {query: words_of(query) for query in queries}

    @cache
    def weight(word: str) -> int:
        return math.floor(1024 * math.log((len(queries) + 1) / sum(word in s for s in said.values())) + 0.5)

    def dot(a: str, b: str) -> int:
        return sum(weight(word) ** 2 for word in said[a] & said[b])

    def words(a: str, b: str) -> float:
        norms = dot(a, a) * dot(b, b)
        return dot(a, b) / math.sqrt(norms) if norms else 0.0

    near = {}
    if by_clicks < 1:
        rows, _ = related(clicks, RelatedConfig(top_related=100, top_documents=0))
        near = {(a, b): (words(a, b), cosine) for a, b, cosine, _ in rows if cosine > by_clicks}
    if by_words < 1:
        for a in queries:
            for b in queries - {a}:
                if words(a, b) > by_words:
                    near.setdefault((a, b), (words(a, b), 0.0))
    return near


def elsewhere(evidence: dict, config: SelectConfig, k: int | None) -> set[tuple[str, str]]:
    """(query, document) where a query of the same intent has a satisfied click on the document."""
    clicks = satisfied_of(evidence, k)
    near = alike(clicks, config)
    same = {pair for pair, (w, c) in near.items() if w > config.same_intent_words or c > config.same_intent_clicks}
    return {(a, doc) for a, b in same for query, doc in clicks if query == b}


def intents(
    near: dict[tuple[str, str], tuple[float, float]], queries: set[str], config: SelectConfig
) -> dict[str, frozenset[str]]:
    """Query → the queries of its intent: joined directly or through others; too many, from the strongest on."""
    limits = config.same_intent_words, config.same_intent_clicks

    def strength(cosines: tuple[float, float]) -> int:
        pairs = [(c, limit) for c, limit in zip(cosines, limits, strict=True) if c > limit]
        return max((1 + math.floor(min(1, (c - limit) / (1 - limit)) * 30) for c, limit in pairs), default=0)

    links = [(strength(cosines), code(a), code(b), a, b) for (a, b), cosines in near.items()]
    links = sorted((link for link in links if link[0]), key=lambda link: (-link[0], link[1], link[2]))

    def grown(most: float) -> dict[str, frozenset[str]]:
        found = {query: frozenset([query]) for query in queries}
        for *_, a, b in links:
            both = found[a] | found[b]
            if len(both) <= most:
                found |= dict.fromkeys(both, both)
        return found

    most = max(16, math.ceil(len(queries) / 40))
    whole, limited = grown(math.inf), grown(most)
    return {query: limited[query] if len(whole[query]) > most else whole[query] for query in queries}


def held_out_below(share: float, intents: dict[str, frozenset[str]], seed: int) -> int:
    """The seed hash of an intent below which intents are held out: those before it come nearest to the share."""
    placed = sorted((seed_hash(seed, "split", min(map(code, own))), len(own)) for own in {*intents.values()})
    sums = [sum(size for _, size in placed[:i]) for i in range(len(placed) + 1)]
    best = min(range(len(sums)), key=lambda i: abs(sums[i] - share * sums[-1]))
    return placed[best][0] if best < len(placed) else 2**64 - 1


def told(evidence: dict, config: SelectConfig, k: int | None = None) -> Iterator[tuple[str, str, str, float, float]]:
    """(query, document, alike query, cosines of words and clicks) where both were shown the document.

    The cosine of clicks leaves the document out, and is nan where nothing is left.
    """
    clicks = satisfied_of(evidence, k)
    squares: dict[str, int] = {}
    for (query, _), n in clicks.items():
        squares[query] = squares.get(query, 0) + n * n
    shown: dict[str, set[str]] = {}
    for query, doc in evidence:
        shown.setdefault(query, set()).add(doc)
    for (a, b), (words, _) in alike(clicks, config).items():
        both = shown[a] & shown[b]
        dot = sum(clicks.get((a, doc), 0) * clicks.get((b, doc), 0) for doc in both)
        for doc in both:
            x, y = clicks.get((a, doc), 0), clicks.get((b, doc), 0)
            norms = (squares[a] - x * x) * (squares[b] - y * y)
            yield a, doc, b, words, (dot - x * y) / math.sqrt(norms) if norms > 0 else math.nan


def sign(words: float, clicks: float, agreement: list[tuple[float, float | None, float]]) -> float:
    """Share of agreement of two queries, out of the table that was fitted."""
    by_words = sum(words >= edge for edge in WORDS)
    if math.isnan(clicks):
        by_clicks = len(CLICKS) + 2
    else:
        by_clicks = 0 if clicks <= 0 else 1 + sum(clicks >= edge for edge in CLICKS)
    return agreement[by_words * (len(CLICKS) + 3) + by_clicks][2]


def ratios(chances: dict, prior: float, model: dict) -> dict[tuple[int, int], float]:
    """Likelihood of a history under each kind over that under all."""
    out = {}
    for (attractive, relevant), after in chances.items():
        share = model["attractive"][relevant]
        out[attractive, relevant] = after / ((share if attractive else 1 - share) * (prior if relevant else 1 - prior))
    return out


def p_relevant(
    released: Released, evidence: dict, config: SelectConfig, model: dict, found: dict
) -> dict[tuple[str, str], float]:
    """P(relevant) of every pair by its own history and by what alike queries tell, given how often these agree."""
    own = {pair: kinds(released.histories[pair], model) for pair in evidence}
    ratio = {pair: ratios(*own[pair], model) for pair in evidence}
    sums: dict[tuple[str, str], dict] = {}
    for query, doc, other, words, clicks in told(evidence, config):
        agree = sign(words, clicks, found["agreement"])
        here = sums.setdefault((query, doc), dict.fromkeys(own[query, doc][0], 0))
        for kind, value in ratio[other, doc].items():
            # reading: what is kept of other queries is kept as thousandths of a logarithm.
            value = math.exp(max(min(round(math.log(value) * 1000), 32_000), -32_000) / 1000) if value else 0.0
            # reading: factors are multiplied by logarithms, in whole numbers of 2^-40, which no order shows in.
            factor = agree * value + (1 - agree)
            here[kind] += int(math.log(factor) * 2**40) if factor else -(2**63)
    out = {}
    for pair, (chances, _) in own.items():
        alone = chances[0, 1] + chances[1, 1]
        if pair not in sums:
            out[pair] = alone
            continue
        before = {kind: chances[kind] / ratio[pair][kind] for kind in chances}
        most = max(sums[pair].values())
        pooled = {kind: before[kind] * math.exp((sums[pair][kind] - most) / 2**40) for kind in chances}
        total = sum(pooled.values())
        after = {kind: pooled[kind] / total * ratio[pair][kind] for kind in chances}
        likelihood = sum(after.values())
        there, here_ = (1 - found["apart"]) * likelihood, found["apart"]
        out[pair] = (there * (after[0, 1] + after[1, 1]) / likelihood + here_ * alone) / (there + here_)
    return out

"""Guards and orders by what a model says, one pair at a time."""

from __future__ import annotations

import math
from collections import Counter

from .bm25 import words
from .normalize import code
from .seedhash import seed_hash


def fired(config, score, least, overlap=None, cosine=None) -> str | None:
    """The first guard of scores that fires; None stands for what is not known."""
    if overlap is not None and config.duplicate_words < 1 and overlap > config.duplicate_words:
        return "duplicate_words"
    if cosine is not None and config.duplicate_vectors < 1 and cosine > config.duplicate_vectors:
        return "duplicate_vectors"
    margins = config.absolute_margin is not None or config.relative_margin is not None
    on = margins or config.max_score is not None or config.min_score is not None
    if on and (score is None or (margins and least is None)):
        return "no_score"
    if config.max_score is not None and score > config.max_score:
        return "max_score"
    if config.min_score is not None and score < config.min_score:
        return "min_score"
    if config.absolute_margin is not None and score > least - config.absolute_margin:
        return "absolute_margin"
    if config.relative_margin is not None and score > least - abs(least) * config.relative_margin:
        return "relative_margin"
    return None


def place(config, seed: int, domain: str, query: str, doc: str, score, least) -> tuple:
    """Where a document stands among its query's."""
    hashed = seed_hash(seed, domain, code(query), code(doc))
    if config.order == "score":
        return (1, hashed) if score is None else (0, -score)
    if config.order == "ambiguous":
        if score is None or least is None:
            return (1, hashed)
        away = score - least - config.ambiguous_b
        waited = -math.log((hashed + 0.5) / 2**64)
        return (0, math.log(waited) + config.ambiguous_a * away * away)
    return (0, hashed)


def chosen(rows: list[dict], positives: dict, scores: dict, config, seed: int) -> tuple[list, Counter]:
    """(query, document)s that stay of rows that passed all other guards, and how many each guard took.

    reading: of a document that several rows propose each row counts, as everywhere; retrieved documents are looked at
    only where there is a place for one.
    """
    kept, guards = [], Counter()
    for query in dict.fromkeys(row["query"] for row in rows):
        own = [row for row in rows if row["query"] == query]
        least = min((scores[query, d] for d in positives[query] if (query, d) in scores), default=None)

        def passing(row, query=query, least=least):
            why = fired(config, scores.get((query, row["neg_id"])), least)
            p = row["p_false_negative"]
            if why is None and p is not None and p > config.max_p_false_negative:
                why = "p_false_negative"
            guards.update([why] if why else [])
            return why is None

        def first(docs, domain, wanted, query=query, least=least):
            # reading: ties of hard ones go by the document's bytes, of others by canonical order.
            tie = str.encode if domain == "negative" else code
            key = {d: (place(config, seed, domain, query, d, scores.get((query, d)), least), tie(d)) for d in docs}
            return sorted(docs, key=key.__getitem__)[:wanted]

        most = config.max_negatives_per_query
        hard = {row["neg_id"] for row in own if row["kind"] == "hard" and passing(row)}
        docs = first(hard, "negative", most - config.semi_negatives)
        wanted = most - len(docs)
        wanted = wanted if config.fill == "semi" else min(wanted, config.semi_negatives)
        semi = {row["neg_id"] for row in own if row["kind"] == "semi" and passing(row)} if wanted else set()
        kept += [(query, doc) for doc in docs + first(semi, "semi", wanted)]
    return kept, guards


def jaccard(a: str, b: str) -> float:
    """Of their words."""
    left, right = {*words(a)}, {*words(b)}
    return len(left & right) / len(left | right) if left | right else 0.0

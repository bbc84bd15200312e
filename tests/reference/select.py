"""Evidence to negatives and triplets: positives, rules, guards, caps, rows."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .alike import elsewhere, p_relevant, satisfied_of, told
from .normalize import canonical_key, code, query_id
from .release import Released
from .seedhash import seed_hash

if TYPE_CHECKING:
    from hardneg_fast.config import SelectConfig

PREFERENCE_RULES = ("skip_above", "last_click_skip_above", "click_no_click_next")
DRAWS = 64


@dataclass
class Selected:
    negatives: list[dict]
    """In output order."""
    triplets: list[dict]
    funnel: Counter
    """Exact, not rounded: queries, positives, candidates (overall and by rule), drops by guard and cap, negatives."""


def half_up(total: int, number: int) -> int | None:
    """total / number, rounded half up, in whole numbers."""
    return (2 * total + number) // (2 * number) if number else None


def reported(value: float | None, k: int | None) -> float | None:
    return value if k is None or value is None else value // k * k


def find_positives(query: str, evidence: dict, p: dict, config: SelectConfig, k: int | None) -> list[str]:
    """All documents that qualify, best first."""
    found = []
    for (own, doc), row in evidence.items():
        if own != query or row["users_satisfied"] < max(config.positive_users, k or 0, 1):
            continue
        if p and config.positive_p_relevant > 0:
            if p[own, doc] >= config.positive_p_relevant:
                found.append(doc)
            continue
        enough = row["satisfied_clicks"] >= 2 or (row["satisfied_clicks"] >= 1 and row["impressions"] < 4)
        if enough and row["coec"] > config.positive_coec:
            found.append(doc)
    score = p if p and config.positive_p_relevant > 0 else {pair: row["coec"] for pair, row in evidence.items()}
    return sorted(found, key=lambda doc: (-score[query, doc], canonical_key(doc)))


def find_candidates(
    query: str, positives: list[str], released: Released, evidence: dict, related: set, config: SelectConfig
) -> dict[tuple[str | None, str], str]:
    """(pos_id, neg_id) → the first rule that yields it."""
    found: dict[tuple[str | None, str], str] = {}
    docs = {doc: row for (own, doc), row in evidence.items() if own == query}
    for rule in config.rules:
        if rule in PREFERENCE_RULES:
            for own, preferred, skipped, named in released.preferences:
                # reading: preferred is one of the positives kept, not only one that would qualify.
                if own == query and named == rule and preferred in positives:
                    found.setdefault((preferred, skipped), rule)
        for doc, row in docs.items():
            at = row["mean_position"]
            if (
                (rule == "shown_not_clicked" and row["rejections"] >= 1)
                or (rule == "skipped" and row["skips"] >= 1)
                or (rule == "clicked_for_related" and row["rejections"] >= 1 and (query, doc) in related)
                or (
                    rule == "top_shown_never_clicked"
                    and row["clicks"] == 0
                    and at is not None
                    and at <= config.top_positions
                )
            ):
                found.setdefault((None, doc), rule)
    return found


def guard(
    pos_id: str | None, is_positive: bool, vetoed: bool, row: dict, p: float, page_rules: bool, config: SelectConfig
) -> str | None:
    """The first guard that fires; `p` is P(relevant), nan where it is not known."""
    # reading: the limit of P(relevant) is asked last, of preferences too.
    last = "p_false_negative" if config.max_p_false_negative < 1 and p > config.max_p_false_negative else None
    if config.own_positive == "strict":
        # reading: `clicks` says the same as users_clicked >= 1, for a clicked impression is a vote first of all.
        clicked = row["clicks"] >= 1
    elif config.own_positive == "satisfied":
        clicked = row["satisfied_clicks"] >= 1
    else:
        # reading: users_clicked as it is, below K too: a guard reports nothing.
        clicked = row["users_clicked"] >= config.own_positive_users
    # reading: a document that qualifies as a positive is never a negative, kept by max_positives_per_query or not.
    if clicked or is_positive:
        return "own_positive"
    if vetoed:
        return "same_intent"
    if (row["examinations"] or 0.0) < config.min_examinations:
        return "min_examinations"
    if pos_id is not None:
        return last
    # reading: where each row is a page of its own, no page was abandoned: the guard is one of the page rules.
    if config.abandoned == "drop" and page_rules and row["rejections"] == 0:
        return "abandoned"
    if row["p_zero"] > config.alpha:
        return "zero_click_significance"
    if row["coec"] >= config.negative_coec:
        return "coec"
    if row["impressions"] < config.min_impressions:
        return "min_impressions"
    # reading: 1 is off by name, not by what a bound rounds to.
    if config.max_ctr_upper < 1.0 and row["ctr_upper"] > config.max_ctr_upper:
        return "ctr_upper"
    return last


def select(
    released: Released,
    evidence: dict,
    config: SelectConfig,
    seed: int,
    k: int | None,
    model: dict | None = None,
    found: dict | None = None,
) -> Selected:
    """Selects; with a fitted `model` (hn.Evidence.model) and what was learnt of alike queries (hn.Selected.told)."""
    funnel: Counter = Counter()
    p = {}
    if found and model and model["kinds"]:
        p = p_relevant(released, evidence, config, model, found)
    satisfied = satisfied_of(evidence, k)
    related = {(query, doc) for query, doc, other, _, _ in told(evidence, config, k) if (other, doc) in satisfied}
    queries = sorted({query for query, _ in evidence}, key=canonical_key)
    there = elsewhere(evidence, config, k)
    positives: dict[str, list[str]] = {}
    kept: dict[str, dict[tuple[str | None, str], str]] = {}
    places: dict[str, list[str]] = {}
    for query in queries:
        qualified = find_positives(query, evidence, p, config, k)
        positives[query] = qualified[: config.max_positives_per_query]
        # reading: the candidates of a query without a positive are not even counted.
        if not positives[query]:
            continue
        funnel.update(queries=1, positives=len(positives[query]))
        kept[query] = {}
        candidates = find_candidates(query, positives[query], released, evidence, related, config)
        for (pos_id, neg_id), rule in candidates.items():
            funnel.update(["candidates", rule])
            row, vetoed = evidence[query, neg_id], (query, neg_id) in there
            here = p.get((query, neg_id), math.nan)
            reason = guard(pos_id, neg_id in qualified, vetoed, row, here, released.page_rules, config)
            if reason:
                funnel[reason] += 1
            else:
                kept[query][pos_id, neg_id] = rule
        places[query] = cap_query(query, kept[query], evidence, p, config, seed, funnel)
    cap_documents(kept, places, config, seed, funnel)

    negatives, triplets = [], []
    released_docs = sorted({doc for _, doc in released.pairs}, key=canonical_key)
    for query in places:
        for neg_id in places[query]:
            for pos_id in [None, *positives[query]]:
                if (pos_id, neg_id) in kept[query]:
                    rule = kept[query][pos_id, neg_id]
                    negatives.append(negative(query, pos_id, neg_id, rule, released, evidence, p, config, k))
        for positive in positives[query]:
            own = [doc for doc in places[query] if (None, doc) in kept[query] or (positive, doc) in kept[query]]
            for row in rows_of(query, own, released, released_docs, config, seed):
                names = {f"negative_{n}": doc for n, doc in enumerate(row, 1)}
                triplets.append({"query": query, "positive": positive} | names)
    funnel["negatives"] = len(negatives)
    return Selected(negatives, triplets, funnel)


def drawn(hashed: int, examinations: float | None, p: float | None) -> float:
    """Where `order` examined puts a document: a waiting time at the rate examinations / p, its logarithm."""
    weight = max(examinations or 0.0, 0.1) / (1.0 if p is None else max(p, 0.001))
    return math.log(-math.log((hashed + 0.5) / 2**64)) - math.log(weight)


def cap_query(
    query: str, kept: dict, evidence: dict, p: dict, config: SelectConfig, seed: int, funnel: Counter
) -> list[str]:
    """The documents of a query that stay, each at its place."""

    def place(doc: str) -> tuple:
        hashed = seed_hash(seed, "negative", code(query), code(doc))
        if config.order == "random":
            # reading: ties of a seed hash go by the document's bytes, here and for `reuse` by canonical order.
            return hashed, doc.encode()
        if config.order == "examined":
            return drawn(hashed, evidence[query, doc]["examinations"], p.get((query, doc))), doc.encode()
        return -evidence[query, doc]["skip_weight"], doc.encode()

    docs = sorted({neg_id for _, neg_id in kept}, key=place)[: config.max_negatives_per_query]
    # reading: caps count (pos_id, neg_id) pairs, as guards do, so that the funnel adds up.
    for pair in [pair for pair in kept if pair[1] not in docs]:
        del kept[pair]
        funnel["max_negatives_per_query"] += 1
    return docs


def cap_documents(kept: dict, places: dict, config: SelectConfig, seed: int, funnel: Counter) -> None:
    """Reuse; runs after the cap of every query, which is not filled up again."""
    for doc in {doc for docs in places.values() for doc in docs}:
        users = [query for query, docs in places.items() if doc in docs]
        users.sort(key=lambda query: (seed_hash(seed, "reuse", code(doc), code(query)), canonical_key(query)))
        for query in users[config.max_queries_per_document :]:
            places[query].remove(doc)
            for pair in [pair for pair in kept[query] if pair[1] == doc]:
                del kept[query][pair]
                funnel["max_queries_per_document"] += 1


def negative(
    query: str,
    pos_id: str | None,
    neg_id: str,
    rule: str,
    released: Released,
    evidence: dict,
    p: dict,
    config: SelectConfig,
    k: int | None,
) -> dict:
    row = evidence[query, neg_id]
    if pos_id is None:
        # reading: an absolute negative has no position of a positive.
        position_pos, position_neg = None, half_up(row["position_sum"], row["positioned"])
        users = row["users_shown"]
    else:
        votes = released.preferences[query, pos_id, neg_id, rule]
        position_pos = half_up(votes["position_preferred_sum"], votes["users"])
        position_neg = half_up(votes["position_skipped_sum"], votes["users"])
        users = votes["users"]
    carried = {name: row[name] for name in config.carry}
    if k is not None:
        # reading: with users_clicked below K the reported clicks are 0 too, however many there were.
        if row["users_clicked"] < k and "clicks" in carried:
            carried["clicks"] = 0
        if row["users_satisfied"] < k and "satisfied_clicks" in carried:
            carried["satisfied_clicks"] = 0
        for name in ("coec", "p_zero", "ctr_upper", "p_examined", "rejections", "skips", "skip_weight"):
            if name in carried:
                carried[name] = None
        if carried.get("mean_position") is not None:
            carried["mean_position"] = math.floor(carried["mean_position"] + 0.5)
    return {
        "query_id": query_id(query),
        "query": query,
        "pos_id": pos_id,
        "neg_id": neg_id,
        "rule": rule,
        "kind": "hard",
        # reading: positions are not rounded down to multiples of K (all of a page's would be 0): they are no counts.
        "position_pos": position_pos,
        "position_neg": position_neg,
        # reading: of the negative document, for preferences too.
        "expected_clicks": reported(row["expected_clicks"], k),
        # reading: under k-users these follow from rounded figures, which a test of their own looks at.
        "examinations": row["examinations"],
        "users": reported(users, k),
        "p_false_negative": p.get((query, neg_id)),
        "weight": 1 - p[query, neg_id] if p else None,
        "split": None,
        # reading: carried columns are those of (query, neg_id); a mean position is no count.
    } | {name: value if name == "mean_position" else reported(value, k) for name, value in carried.items()}


def rows_of(
    query: str, own: list[str], released: Released, released_docs: list[str], config: SelectConfig, seed: int
) -> list[list[str]]:
    """A positive's negatives in rows of num_negatives."""
    # reading: a positive without negatives has no row to fill.
    rows = [own[start : start + config.num_negatives] for start in range(0, len(own), config.num_negatives)]
    if not rows or len(rows[-1]) == config.num_negatives:
        return rows
    last = list(rows.pop())
    if config.refill == "repeat":
        # reading: from the start, round and round if they are too few; a row may then name a document twice.
        i = 0
        while len(last) < config.num_negatives:
            last.append(own[i % len(own)])
            i += 1
    if config.refill == "random":
        # reading: every short row counts its own draws from 0, so positives of one query see the same documents.
        for i in range(DRAWS):
            if len(last) == config.num_negatives:
                break
            drawn = seed_hash(seed, "refill", code(query), i.to_bytes(8, "big")) % len(released_docs)
            doc = released_docs[drawn]
            # reading: "never shown for this one" is by released pairs; what was not released is not known.
            if (query, doc) not in released.pairs and doc not in last:
                last.append(doc)
    if len(last) == config.num_negatives:
        rows.append(last)
    return rows

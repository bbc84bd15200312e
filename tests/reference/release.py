"""Counts to released: everything, or what at least K users stand behind."""

from __future__ import annotations

from dataclasses import dataclass

from .count import Counts


@dataclass
class Released:
    k: int | None
    page_rules: bool
    """False where each row is a page of its own, and pages say nothing."""
    queries: dict
    pairs: dict
    cells: dict
    """(query, doc_id, position) → clicks, impressions and their weights."""
    histories: dict
    """(query, doc_id) → cells by position and previous click, as reference.relevance takes them."""
    preferences: dict
    successions: dict
    succession_clicks: dict
    pages: dict


def release(counts: Counts, k: int | None) -> Released:
    if k is not None and not counts.has_users:
        raise ValueError("k-users needs user_id, which the log has not")
    # Everybody is at least 0 users strong, so without privacy the same lines let everything pass.
    least = k or 0

    # reading: counts that pass stay exact inside `released`, users_clicked and users_satisfied and clicks below K too:
    # guard F1 sees them. "Count as 0" is what positives (which need K users) and reported figures make of them.
    queries = {key: dict(value) for key, value in counts.queries.items() if value["users"] >= least}
    pairs = {
        (query, doc): dict(value)
        for (query, doc), value in counts.pairs.items()
        if (query,) in queries and value["users_shown"] >= least
    }
    cells = {}
    histories = {}
    for (query, doc, position, previous_click, _fold), value in counts.cells.items():
        if (query, doc) in pairs:
            cell = cells.setdefault((query, doc, position), {"clicks": 0, "impressions": 0})
            cell["clicks"] += value["clicks"]
            cell["impressions"] += value["impressions"]
            place = {"position": position, "previous_click": previous_click}
            histories.setdefault((query, doc), []).append(value | place)
    for cell in cells.values():
        cell |= {"clicks_variance": 0, "impressions_variance": 0, "weighting": 1}
    # reading: the ends of a preference pass as pairs of its query, those of a succession as queries.
    preferences = {
        (query, preferred, skipped, rule): dict(value)
        for (query, preferred, skipped, rule), value in counts.preferences.items()
        if value["users"] >= least and (query, preferred) in pairs and (query, skipped) in pairs
    }
    successions = {
        (query, following): dict(value)
        for (query, following), value in counts.successions.items()
        if value["users"] >= least and (query,) in queries and (following,) in queries
    }
    # reading: a document clicked after needs K users, its succession, and to pass as a pair of the next query.
    succession_clicks = {
        (query, following, doc): dict(value)
        for (query, following, doc), value in counts.succession_clicks.items()
        if value["users"] >= least and (query, following) in successions and (following, doc) in pairs
    }
    # reading: whole pages carry no user count, so k-users can vouch for none of them and releases none.
    pages = dict(counts.pages) if k is None else {}
    return Released(
        k, counts.page_rules, queries, pairs, cells, histories, preferences, successions, succession_clicks, pages
    )

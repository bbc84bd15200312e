"""Who searches and when: users, their habits, their sessions, the queries of a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .catalogue import Catalogue, Codes, Floats, Grades, Ints
from .vocabulary import NEEDS_PER_DOMAIN

Model = Literal["pbm", "dbn", "mixed", "trust"]

PBM, DBN, CLICKER, SCRAPER, TRUST = range(5)
"""Kinds of user; TRUST examines as PBM, and clicks what is at the top because it is there."""

START_MS = 1_772_409_600_000
"""2026-03-02T00:00:00Z, a Monday: when the log begins."""
DAYS = 28
GAP_MS = 31 * 60_000
"""Idle time between two sessions of a user, at least: above the usual 30 minutes."""
BUDGET_MS = 6 * 60_000
"""Time that a session may take for each of its searches."""

_IMPRESSIONS_PER_USER = 110
_SEARCHES_PER_SESSION = 2.5
_MAX_SEARCHES = 12
_ROBOTS = 0.002
_DAY_MS = 86_400_000


@dataclass(frozen=True, kw_only=True)
class People:
    """Users, and their sessions in order of time. Codes are row numbers."""

    kind: Grades
    """User → PBM, DBN, CLICKER, SCRAPER or TRUST."""
    eta: Floats
    """User → how steeply examination falls: position^-eta."""
    session_user: Ints
    """Session → user."""
    session_start: Ints
    """Session → milliseconds since 1970."""
    session_searches: Ints
    """Session → number of searches."""


def make_people(impressions: int, searches: int, model: Model, rng: np.random.Generator) -> People:
    """Draw users and sessions with `searches` searches in all; every user comes at least once where there is room."""
    users = max(1, round(impressions / _IMPRESSIONS_PER_USER))
    robots = int(users * _ROBOTS)
    kind = np.full(users, {"dbn": DBN, "trust": TRUST}.get(model, PBM), np.uint8)
    if model == "mixed":
        kind[rng.random(users) < 0.5] = DBN
    order = rng.permutation(users)
    clickers, scrapers, humans = order[:robots], order[robots : 2 * robots], order[2 * robots :]
    kind[clickers], kind[scrapers] = CLICKER, SCRAPER
    eta = np.clip(rng.normal(0.75, 0.15, users), 0.4, 1.4).astype(np.float32)

    user = np.concatenate([np.repeat(clickers, 6), np.repeat(scrapers, 4)])
    length = np.concatenate([rng.integers(6, 13, 6 * robots), rng.integers(20, 41, 4 * robots)])
    wanted = int((searches - length.sum()) / _SEARCHES_PER_SESSION * 1.1) + 10
    # Log-normal activity, without users whom any log's owner would take for a program.
    activity = np.minimum(rng.lognormal(0.0, 1.3, len(humans)), 90.0)
    cumulative = np.cumsum(activity / activity.sum())
    again = np.searchsorted(cumulative[:-1], rng.random(max(0, wanted - len(humans))))
    user = np.concatenate([user, humans, humans[again]])
    human = np.minimum(rng.geometric(1 / _SEARCHES_PER_SESSION, len(user) - len(length)), _MAX_SEARCHES)
    length = np.concatenate([length, human])
    total = np.cumsum(length)
    kept = int(np.searchsorted(total, searches)) + 1
    user, length = user[:kept], length[:kept]
    length[-1] -= total[kept - 1] - searches

    start = _starts(user, length, rng)
    by_time = np.lexsort((user, start))
    return People(
        kind=kind,
        eta=eta,
        session_user=user[by_time],
        session_start=START_MS + start[by_time],
        session_searches=length[by_time],
    )


def _starts(user: Ints, length: Ints, rng: np.random.Generator) -> Ints:
    """Milliseconds since the log's start, by day and evening; a user's sessions are at least a gap apart."""
    n = len(user)
    evening = rng.random(n) < 0.6
    hour = np.where(evening, rng.normal(20.0, 2.0, n), rng.normal(12.5, 2.5, n)) % 24.0
    drawn = rng.integers(DAYS, size=n) * _DAY_MS + (hour * 3_600_000).astype(np.int64)
    order = np.lexsort((drawn, user))
    drawn, who = drawn[order], user[order]
    room = length[order] * BUDGET_MS + GAP_MS
    # start = max(drawn, end of the one before): less what lies before it, that is a running maximum, per user.
    before = np.cumsum(room) - room
    first = np.concatenate([[True], who[1:] != who[:-1]])
    before -= before[np.maximum.accumulate(np.where(first, np.arange(n), 0))]
    rank = np.cumsum(first) * np.int64(2 * DAYS * _DAY_MS + int(before.max(initial=0)))
    start = np.empty(n, np.int64)
    start[order] = np.maximum.accumulate(drawn - before + rank) - rank + before
    return start


def walk_queries(world: Catalogue, searches: Ints, rng: np.random.Generator) -> tuple[Codes, Ints]:
    """Queries of sessions, one session after the other, and the place of each search in its session (from 0).

    The first is drawn by popularity; the next is another wording (55 %), a related intent (20 %) or a new need.
    """
    n = int(searches.sum())
    begin = np.cumsum(searches) - searches
    place = np.arange(n) - np.repeat(begin, searches)
    draw = rng.random((4, n))
    fresh = np.searchsorted(world.popularity, draw[0], side="right")
    step = 1 + (draw[2] * (NEEDS_PER_DOMAIN - 1)).astype(np.int64)
    intent = np.zeros(n, np.int64)
    for at in range(int(searches.max(initial=0))):
        here = np.flatnonzero(place == at) if at < _MAX_SEARCHES else begin[searches > at] + at
        if at == 0:
            intent[here] = fresh[here]
            continue
        before = intent[here - 1]
        topic, need = np.divmod(before, NEEDS_PER_DOMAIN)
        related = topic * NEEDS_PER_DOMAIN + (need + step[here]) % NEEDS_PER_DOMAIN
        how = draw[1, here]
        intent[here] = np.where(how < 0.55, before, np.where(how < 0.75, related, fresh[here]))
    # The first wordings of an intent are the usual ones.
    variants = np.diff(world.first_query)[intent]
    query = world.first_query[intent] + (draw[3] ** 1.6 * variants).astype(np.int32)
    return query.astype(np.int32), place

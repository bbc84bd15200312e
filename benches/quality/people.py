"""Who searches, reads and clicks: people by sessions, and machines among them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .asking import EPOCHS, Asks, Pools
from .scenarios import Scenario

PAGE, SHOWN = 10, 20  # results of a page, and of two
ROUNDS = 4  # searches of a session at most
SPAN = 30 * 86_400.0  # seconds of the log
SATISFIES = np.array([0.03, 0.5, 0.8])  # P(a click satisfies) by grade
DWELL = np.log([7.0, 35.0, 65.0])  # medians in seconds, by grade
BAIT_DWELL = np.log(4.0)
CHUNK = 20_000  # searches simulated at a time


@dataclass(frozen=True)
class Searches:
    """A row a search: who, when, what, and twenty results of which `depth` were shown."""

    user: np.ndarray
    session: np.ndarray
    time: np.ndarray
    """Seconds since the start."""
    ask: np.ndarray
    docs: np.ndarray
    depth: np.ndarray
    clicked: np.ndarray
    dwell: np.ndarray
    """Seconds; 0 where not clicked."""

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: np.ndarray) -> Searches:
        """Some of them."""
        return Searches(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def joined(parts: list[Searches]) -> Searches:
    """One table of several."""
    return Searches(*(np.concatenate([getattr(p, name) for p in parts]) for name in Searches.__dataclass_fields__))


@dataclass(frozen=True)
class _People:
    cascades: np.ndarray
    steepness: np.ndarray
    goes_on: np.ndarray
    """P(a DBN user reads the next result)."""


def _read(
    draw: np.random.Generator, pools: Pools, asks: Asks, scenario: Scenario, people: _People, user: np.ndarray,
    ask: np.ndarray, time: np.ndarray,
) -> tuple[np.ndarray, ...]:  # fmt: skip
    """Results, depth, clicks, dwell times and whether people had what they wanted, of some searches."""
    n, query = len(ask), asks.query_of[ask]
    part = time / SPAN
    docs = pools.docs[query]
    score = pools.scores[np.minimum((part * EPOCHS).astype(int), EPOCHS - 1), query]
    score = score + scenario.jitter * draw.standard_normal(score.shape, np.float32)
    score[pools.arrives[docs] > part[:, None]] = -1e9
    place = np.argpartition(-score, SHOWN - 1, axis=1)[:, :SHOWN]
    place = np.take_along_axis(place, np.argsort(-np.take_along_axis(score, place, 1), axis=1, kind="stable"), 1)
    docs = np.take_along_axis(docs, place, 1)
    over = np.take_along_axis(pools.expires[ask], place, 1) < part[:, None]
    grade = np.where(over, 0, np.take_along_axis(pools.grade[ask], place, 1))
    appeal, plain = (np.take_along_axis(table[ask], place, 1) for table in (pools.appeal, pools.plain))
    appeal = np.where(over, plain, appeal)
    rank = np.arange(SHOWN) % PAGE
    appeal = appeal + scenario.trust * (1 - appeal) * np.exp(-rank / 2) * (np.arange(SHOWN) < PAGE)
    looks = draw.random((n, SHOWN)) < (rank + 1.0) ** -people.steepness[user][:, None]
    likes, pleases = draw.random((n, SHOWN)) < appeal, draw.random((n, SHOWN)) < SATISFIES[grade]
    pleases &= ~pools.bait[docs]
    on = draw.random((n, SHOWN)) < people.goes_on[user][:, None]
    cascades = people.cascades[user]
    clicked, done = np.zeros((n, SHOWN), bool), np.zeros(n, bool)
    turned = np.ones(n, bool)
    for first in (0, PAGE):
        reading = turned & ~done
        for r in range(first, first + PAGE):
            clicks = np.where(cascades, reading, looks[:, r] & turned) & likes[:, r]
            clicked[:, r] = clicks
            done |= clicks & pleases[:, r]
            reading &= ~(clicks & pleases[:, r]) & on[:, r]
        if first == 0:
            turned = draw.random(n) < np.where(done, 0.02, np.where(clicked.any(axis=1), 0.08, 0.22))
    depth = np.where(turned, SHOWN, PAGE)
    shown = np.arange(SHOWN) < depth[:, None]
    slips = shown & ~clicked & (draw.random((n, SHOWN)) < scenario.accidents)
    dwell = np.exp(np.where(pools.bait[docs], np.minimum(DWELL[grade], BAIT_DWELL), DWELL[grade])
                   + 0.8 * draw.standard_normal((n, SHOWN)))  # fmt: skip
    dwell = np.where(slips, draw.uniform(0.3, 3.0, (n, SHOWN)), dwell)
    clicked |= slips
    return docs, depth, clicked, np.where(clicked, dwell, 0.0), done


def _chunked(draw: np.random.Generator, pools: Pools, asks: Asks, scenario: Scenario, people: _People, *columns):
    cut = [_read(draw, pools, asks, scenario, people, *(c[at : at + CHUNK] for c in columns))
           for at in range(0, len(columns[0]), CHUNK)]  # fmt: skip
    return tuple(np.concatenate(part) for part in zip(*cut, strict=True))


def human(
    draw: np.random.Generator, pools: Pools, asks: Asks, scenario: Scenario, n_users: int, sessions: int
) -> Searches:
    """Searches of people, session by session: a first query, then another way to say it, or something nearby."""
    people = _People(
        draw.random(n_users) < scenario.cascade,
        np.clip(draw.normal(scenario.steepness, 0.2, n_users), 0, None),
        draw.beta(17, 3, n_users),
    )
    activity = np.minimum(draw.pareto(1.3, n_users) + 1, 100)
    user = draw.choice(n_users, sessions, p=activity / activity.sum())
    favourites = draw.choice(len(asks.share), (n_users, 5), p=asks.share)
    by_intent = np.argsort(asks.intent_of, kind="stable")
    starts = np.searchsorted(asks.intent_of[by_intent], np.arange(asks.nearby.shape[0] + 1))
    cumulated = np.concatenate([[0.0], np.cumsum(asks.share[by_intent])])

    def said(intent: np.ndarray) -> np.ndarray:
        """An ask of each intent, by popularity."""
        low, high = cumulated[starts[intent]], cumulated[starts[intent + 1]]
        found = np.searchsorted(cumulated, low + draw.random(len(intent)) * (high - low), side="right") - 1
        return by_intent[np.clip(found, starts[intent], starts[intent + 1] - 1)]

    ask = draw.choice(len(asks.share), sessions, p=asks.share)
    loyal = draw.random(sessions) < 0.4
    ask[loyal] = favourites[user[loyal], draw.integers(0, 5, loyal.sum())]
    part = draw.random(sessions)
    if scenario.drift:  # what people ask moves too
        trend = asks.intent_of[ask] % 4
        part = np.select([trend == 0, trend == 1], [np.sqrt(part), 1 - np.sqrt(part)], part)
    time, session = part * (SPAN - 7_200), np.arange(sessions)
    found = []
    for _ in range(ROUNDS):
        docs, depth, clicked, dwell, done = _chunked(draw, pools, asks, scenario, people, user, ask, time)
        found.append(Searches(user, session, time, ask, docs, depth, clicked, dwell))
        again = draw.random(len(user)) < np.where(done, 0.08, 0.45)
        if not again.any():
            break
        time = (time + dwell.sum(axis=1) + 10 + draw.exponential(30, len(time)))[again]
        user, session, intent = user[again], session[again], asks.intent_of[ask[again]]
        turns = draw.random(len(user)) < 0.3
        intent = np.where(turns, asks.nearby[intent, draw.integers(0, asks.nearby.shape[1], len(user))], intent)
        ask = said(intent)
    return joined(found)


def machines(draw: np.random.Generator, pools: Pools, asks: Asks, scenario: Scenario, n_people: int, first_user: int,
             first_session: int) -> list[Searches]:  # fmt: skip
    """Click bots, scrapers and click spam, beside `n_people` searches of people. None of them reads."""
    made = []
    bad = np.array([[int(p) for p in np.flatnonzero(g == 0)[:12]][-1:] or [0] for g in pools.grade]).ravel()
    none = _People(np.zeros(1, bool), np.zeros(1), np.zeros(1))
    still = Scenario(accidents=0.0, trust=0.0, jitter=scenario.jitter)
    for kind, share in (("click", scenario.click_bots), ("scrape", scenario.scrapers), ("spam", scenario.spam)):
        n = round(share * n_people)
        if not n:
            continue
        user = first_user + np.arange(n) // (60 if kind != "scrape" else 150)
        first_user = int(user[-1]) + 1
        session = first_session + np.arange(n) // 20
        first_session = int(session[-1]) + 1
        if kind == "scrape":  # they know the tail as well as the head
            ask = draw.integers(0, len(asks.share), n)
        elif kind == "spam":  # each of its users promotes four documents
            promoted = draw.choice(len(asks.share), (n, 4), p=asks.share)
            ask = promoted[user - user[0], draw.integers(0, 4, n)]
        else:
            ask = draw.choice(len(asks.share), n, p=asks.share)
        # Sessions of twenty searches, half a minute apart.
        time = draw.uniform(0, SPAN - 7_200, int(session[-1]) + 1)[session] + np.arange(n) % 20 * 30.0
        docs, _, _, _, _ = _chunked(draw, pools, asks, still, none, np.zeros(n, int), ask, time)
        depth = np.full(n, SHOWN if kind == "scrape" else PAGE)
        if kind == "click":
            clicked = draw.random(docs.shape) < 0.55
            dwell = np.where(draw.random((n, 1)) < 0.5, 2.0, draw.uniform(0.2, 1.2, docs.shape))
        elif kind == "scrape":
            clicked, dwell = np.zeros(docs.shape, bool), np.zeros(docs.shape)
        else:
            clicked = docs == pools.docs[asks.query_of[ask], bad[ask]][:, None]
            dwell = np.exp(np.log(20) + 0.6 * draw.standard_normal(docs.shape))
        clicked &= np.arange(SHOWN) < depth[:, None]
        made.append(Searches(user, session, time, ask, docs, depth, clicked, np.where(clicked, dwell, 0.0)))
    return made


def repeated(draw: np.random.Generator, searches: Searches, share: float) -> Searches:
    """Searches logged twice, two seconds later."""
    again = searches.take(np.flatnonzero(draw.random(len(searches)) < share))
    return replace(again, time=again.time + 2.0)

"""Result pages: what the ranker shows, what users look at and click, how long they stay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .catalogue import EPOCHS, Catalogue, Codes, Floats, Grades, Ints
from .people import BUDGET_MS, CLICKER, DAYS, DBN, PBM, SCRAPER, START_MS, TRUST, People, walk_queries

Flags = npt.NDArray[np.bool_]

RESULTS = 10
"""Results on a page."""

_ATTRACTIVE = np.array([0.07, 0.32, 0.55], np.float32)
"""Grade → chance that a result looked at is clicked."""
_SATISFIES = np.array([0.05, 0.40, 0.75], np.float32)
"""Grade → chance that a click ends a DBN user's search."""
_GOES_ON = 0.90
"""DBN: chance of looking at the next result where nothing satisfied."""
_TRUST = 0.05
"""Extra chance of a click at the top because it is the top; falls as 1/position."""
_BLIND_TRUST = 0.3
"""The same of users who trust."""
_ACCIDENT = 0.006
"""Chance of a click by accident on a result looked at."""
_DWELL_S = np.array([7.0, 35.0, 65.0])
"""Grade → median seconds on the document."""
_RANK = np.arange(1, RESULTS + 1, dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Pages:
    """Some pages, in order of their time. Per page a code, per result a row of RESULTS."""

    session: Ints
    user: Ints
    query: Codes
    shown_ms: Ints
    documents: Codes
    grades: Grades
    clicked: Flags
    dwell_ms: Ints
    click_ms: Ints


def make_pages(world: Catalogue, people: People, first: int, last: int, rng: np.random.Generator) -> Pages:
    """Play sessions `first` to `last` (exclusive)."""
    searches = people.session_searches[first:last]
    session = np.repeat(np.arange(first, last), searches)
    user = people.session_user[session]
    query, place = walk_queries(world, searches, rng)
    epoch = np.clip((people.session_start[session] - START_MS) * EPOCHS // (DAYS * 86_400_000), 0, EPOCHS - 1)
    documents, grades = _rank(world, query, epoch, rng)
    kind = people.kind[user]
    clicked, accident = _click(grades, world.appeal[documents], kind, people.eta[user], rng)
    dwell, click, took = _times(grades, clicked, accident, kind, rng)
    shown = people.session_start[session] + _offsets(took, place, searches)
    order = np.lexsort((session, shown))
    return Pages(
        session=session[order],
        user=user[order],
        query=query[order],
        shown_ms=shown[order],
        documents=documents[order],
        grades=grades[order],
        clicked=clicked[order],
        dwell_ms=dwell[order],
        click_ms=click[order],
    )


def _rank(world: Catalogue, query: Codes, epoch: Ints, rng: np.random.Generator) -> tuple[Codes, Grades]:
    """The best candidates by standing score, the epoch's drift and a jitter of each search."""
    candidates = world.candidates[world.intent_of[query]]
    score = rng.standard_normal(candidates.shape, dtype=np.float32)
    score *= np.float32(0.5)
    score += world.scores[query]
    score += world.drift.ravel()[candidates + (epoch * world.n_documents)[:, None]]
    top = np.argpartition(-score, RESULTS, axis=1)[:, :RESULTS]
    top = np.take_along_axis(top, np.argsort(-np.take_along_axis(score, top, 1), axis=1, kind="stable"), 1)
    return np.take_along_axis(candidates, top, 1), np.take_along_axis(world.grades[query], top, 1)


def _click(grades: Grades, appeal: Floats, kind: Grades, eta: Floats, rng: np.random.Generator) -> tuple[Flags, Flags]:
    """Clicks, and which of them are accidents."""
    attractive = np.where(appeal < 0, np.float32(0.4), _ATTRACTIVE[grades] * np.abs(appeal))
    trust = np.where(kind == TRUST, np.float32(_BLIND_TRUST), np.float32(_TRUST))[:, None]
    attractive += trust / _RANK * (1 - attractive)
    looked = np.zeros(grades.shape, bool)
    clicked = rng.random(grades.shape, dtype=np.float32) < attractive
    accident = rng.random(grades.shape, dtype=np.float32) < _ACCIDENT

    pbm = (kind == PBM) | (kind == TRUST)
    examination = _RANK ** -eta[pbm, None]
    looked[pbm] = rng.random(examination.shape, dtype=np.float32) < examination

    dbn = np.flatnonzero(kind == DBN)
    looking = np.ones(len(dbn), bool)
    stops = rng.random((len(dbn), RESULTS, 2), dtype=np.float32)
    for rank in range(RESULTS):
        looked[dbn, rank] = looking
        satisfied = clicked[dbn, rank] & (stops[:, rank, 0] < _SATISFIES[grades[dbn, rank]])
        looking &= ~satisfied & (stops[:, rank, 1] < _GOES_ON)

    accident &= looked & ~clicked
    clicked = (clicked & looked) | accident
    robot = kind == CLICKER
    clicked[robot] = rng.random((int(robot.sum()), RESULTS)) < 0.6
    clicked[kind == SCRAPER] = False
    accident &= clicked
    return clicked, accident


def _times(
    grades: Grades, clicked: Flags, accident: Flags, kind: Grades, rng: np.random.Generator
) -> tuple[Ints, Ints, Ints]:
    """Per result dwell and click time after the page was shown; per page the time until the user moves on (ms)."""
    dwell = np.zeros(clicked.shape, np.int64)
    read = np.zeros(clicked.shape, np.int64)
    page, rank = np.nonzero(clicked)
    robot = (kind == CLICKER)[page]
    seconds = _DWELL_S[grades[page, rank]] * rng.lognormal(0.0, 0.8, len(page))
    short = accident[page, rank] | robot
    seconds[short] = rng.uniform(0.2, 1.2, int(short.sum()))
    dwell[page, rank] = np.clip(seconds * 1000, 150, 900_000).astype(np.int64)
    read[page, rank] = np.where(robot, 200, 800 + rng.lognormal(8.3, 0.7, len(page))).astype(np.int64)
    # Most pages are read top down; some users begin with what is below.
    upwards = rng.random(len(clicked)) < 0.12
    spent = dwell + read
    passed = np.cumsum(spent, axis=1)
    whole = passed[:, -1]
    begun = np.where(upwards[:, None], whole[:, None] - passed, passed - spent)
    click = begun + read
    robotic = (kind == CLICKER) | (kind == SCRAPER)
    thought = np.where(robotic, rng.integers(1_500, 4_000, len(kind)), 4_000 + rng.lognormal(9.3, 0.9, len(kind)))
    return dwell, click, whole + thought.astype(np.int64)


def _offsets(took: Ints, place: Ints, searches: Ints) -> Ints:
    """Milliseconds from the session's start to each of its pages; sessions over their budget are played faster."""
    passed = np.cumsum(took) - took
    begin = np.flatnonzero(place == 0)
    offset = passed - np.repeat(passed[begin], searches)
    last = np.append(begin[1:], len(place)) - 1
    budget = searches * BUDGET_MS
    factor = np.minimum(1.0, budget / np.maximum(offset[last], 1))
    # One millisecond a search keeps pages of a session apart whatever the factor.
    offsets: Ints = (offset * np.repeat(factor, searches)).astype(np.int64) + place
    return offsets

"""Small logs for tests of private releases, and the core laid open on them."""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
from collections.abc import Mapping, Sequence

import pyarrow as pa

from hardneg_fast import _hardneg
from hardneg_fast.anonymize import scrubbing
from hardneg_fast.calibration import BIAS_ONE, GRID
from hardneg_fast.config import Config

Users = Mapping[str, Sequence[str]]
"""What each user asks."""


def table(users: Users) -> pa.Table:
    """A log in which each user asks each item, one result a page."""
    rows = [(user, item) for user, items in users.items() for item in items]
    return pa.table(
        {
            "user_id": pa.array([user for user, _ in rows], pa.string()),
            "search_id": [f"s{i}" for i in range(len(rows))],
            "query": pa.array([item for _, item in rows], pa.string()),
            "doc_id": ["d"] * len(rows),
            "position": pa.array([1] * len(rows), pa.int32()),
            "clicked": [False] * len(rows),
        }
    )


def pairs_table(users: Users) -> pa.Table:
    """A log in which each user clicks each item, a query and a document "query|document", one result a page."""
    rows = [(user, *item.split("|")) for user, items in users.items() for item in items]
    user, query, doc = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "user_id": pa.array(user, pa.string()),
            "search_id": [f"s{i}" for i in range(len(rows))],
            "query": pa.array(query, pa.string()),
            "doc_id": pa.array(doc, pa.string()),
            "position": pa.array([1] * len(rows), pa.int32()),
            "clicked": [True] * len(rows),
        }
    )


def contributions(log: pa.Table | Users, *, shown: bool = False) -> _hardneg.Contributions:
    """What the core keeps of a log."""
    config = Config()
    options = {f.name: getattr(config.count, f.name) for f in dataclasses.fields(config.count)} | {
        "since": None,
        "until": None,
        "page_counts": False,
        "preferences": False,
        "cell_detail": False,
        "max_pairs_per_user": 0,
        "min_page_length": 1,
    }
    return _hardneg.contribute(
        (log if isinstance(log, pa.Table) else table(log)).to_reader(),
        options=json.dumps(options),
        scrub=scrubbing(config.scrub),
        position_base=1,
        has_pages=True,
        shown=shown,
        threads=1,
        memory=64 << 20,
        spill=tempfile.gettempdir(),
    )


def keys(core: _hardneg.Contributions, *, max_items: int = 50, sigma: int = 1, rounds: int = 1) -> _hardneg.Keys:
    """All queries, after so many rounds of equal weights: released in the last one, whatever their scores."""
    thresholds = [GRID << 30] * (rounds - 1) + [-(GRID << 30)]
    biases = [[BIAS_ONE]] * rounds
    return core.select(max_items=max_items, sigma=sigma, thresholds=thresholds, biases=biases, threads=1)


def sums(users: Users, *, max_items: int = 50) -> dict[str, float]:
    """By query what all users add together, next to without noise: good for 1e-4 of what one user may add."""
    found = keys(contributions(users), max_items=max_items)
    return {query: score / GRID for query, score in zip(found.queries, found.scores, strict=True)}


def distance(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Euclidean, over all items of either."""
    return math.sqrt(sum((one.get(item, 0.0) - other.get(item, 0.0)) ** 2 for item in {*one, *other}))

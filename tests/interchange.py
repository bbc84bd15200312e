"""One log, what is made of it, and the rows of a table: what interchange tests of every library share."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import hardneg_fast as hn

KEY = hn.Key(bytes(range(32)))
COUNTED = ("queries", "cells", "pairs", "preferences")
MINED = ("negatives", "triplets", "positives", "queries", "by_position")
SUMS = """
    SELECT user_id, sum(search_id) AS search_id, query, doc_id, sum("position") AS "position",
        sum(CAST(clicked AS BIGINT)) AS clicked, sum(dwell_ms) AS dwell_ms, "timestamp"
    FROM log GROUP BY user_id, log.search_id, query, doc_id, log."position", "timestamp"
"""
"""The log with numbers and flags as sums of groups of one row each."""


def click_log() -> pa.Table:
    """400 pages of five results: signs of several bytes, nulls in numbers, a few rows that cannot be used."""
    draw = random.Random(3)
    queries = ["Zürich Schuhe", "東京 ホテル", "boots", "pan 🍳"]
    start = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
    rows = []
    for page in range(400):
        user, query, clicked = f"u{draw.randrange(30)}", draw.randrange(4), draw.randrange(2, 6)
        for position in range(1, 6):
            click = position == (3 if query == 0 else clicked)
            rows.append(
                {
                    "user_id": user,
                    "search_id": page + 2**40,
                    "query": queries[query],
                    "doc_id": None if page % 100 == 99 else f"d{query}_{position}é",
                    "position": position,
                    "clicked": click,
                    "dwell_ms": 10_000 + page if click and page % 2 else None,
                    "timestamp": start + datetime.timedelta(minutes=20 * page),
                }
            )
    times = pa.timestamp("us", "UTC")
    table = pa.Table.from_pylist(rows)
    return table.set_column(7, "timestamp", table["timestamp"].cast(times))


def texts() -> pa.Table:
    """A text for each document of the log but one."""
    ids = [f"d{query}_{position}é" for query in range(4) for position in range(1, 6)]
    return pa.table({"doc_id": ids[:-1], "text": [f"Text of {i}" for i in ids[:-1]]})


def made_of(log: Callable[[], object]) -> dict[str, Any]:
    """Everything that `count` and `mine` make of a log, which is asked for anew each time: it may be a stream."""
    counts = hn.count(log(), key=KEY)
    mined = hn.mine(log(), privacy=hn.Privacy(mode="k_users", k=3), key=KEY)
    found: dict[str, Any] = {f"counts.{name}": pa.table(counts.table(name)) for name in COUNTED}
    found |= {name: getattr(mined, name) for name in MINED}
    return found | {"quarantine": counts.quarantine, "funnel": mined.report["funnel"]}


def with_texts(documents: object, out: Path) -> pa.Table:
    """Triplets of the log with the texts of some documents."""
    hn.mine(click_log(), out, privacy=hn.Privacy(mode="k_users", k=3), documents=documents, key=KEY, overwrite=True)
    return pq.read_table(out / "triplets")


def results() -> dict[str, Callable[[], Any]]:
    """Every kind of object with Arrow data that the package hands out; a stream is made anew each time."""
    log = click_log()
    counts, none = hn.count(log, key=KEY), hn.count(log[:5], key=KEY)
    evidence = hn.evidence(hn.release(counts, privacy=hn.Privacy(mode="k_users", k=3)))
    negatives = hn.select(evidence).negatives
    mined = hn.mine(log, privacy=hn.Privacy(mode="k_users", k=3), key=KEY)
    return {
        "pairs": lambda: counts.pairs,
        "cells": lambda: counts.cells,
        "preferences": lambda: counts.preferences,
        "successions": lambda: counts.successions,
        "an empty table": lambda: none.successions,
        "negatives of select": lambda: negatives,
        "negatives of mine": lambda: mined.negatives,
        "triplets of mine": lambda: mined.triplets,
        "read": lambda: hn.read(log),
    }


def by_content(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows in an order that engines cannot change; times in UTC."""

    def plain(value: Any) -> Any:
        return value.astimezone(datetime.UTC) if isinstance(value, datetime.datetime) else value

    return sorted(({name: plain(v) for name, v in row.items()} for row in rows), key=lambda row: repr([*row.values()]))

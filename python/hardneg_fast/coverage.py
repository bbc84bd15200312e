"""Which queries have negatives, by how many users asked them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

pc: Any = pyarrow.compute

EDGES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)
"""Where classes of popularity begin, in users; under k-users in multiples of K, as users are shown."""

COUNTED = ("queries", "with_1", "with_4")


def counted_by_users(queries: pa.Table, negatives: pa.Table, k: int | None) -> list[list[int]]:
    """By class of `EDGES`: queries, those with a negative, those with four; exact, and they add up over parts.

    Args:
        queries: query, users; one row a query of the log.
        negatives: query, neg_id; rows of a query follow each other, and in it those of a document.
        k: the threshold; only queries with so many users count. None: all count.
    """
    least = k or 1
    queries = queries.filter(pc.greater_equal(queries["users"], least))
    edges = [edge * least for edge in EDGES]
    rows = _classes(queries["users"].to_numpy(), _each(queries["query"], negatives), edges)
    return [[*counted.values()] for _, counted in rows]


def shown_by_users(counted: Sequence[Sequence[int]], k: int | None) -> list[dict[str, int | None]]:
    """What `counted_by_users` counted, as it may be shown: counts of queries are rounded down to multiples of K.

    Returns:
        A row a class with queries in it: users `from` and `below` (null: any more), `queries`, `with_1`, `with_4`.
    """
    least = k or 1
    ends = [None if edge is None else edge * least for edge in (*EDGES[1:], None)]
    return [
        {
            "from": edge * least,
            "below": below,
            **{name: n // least * least for name, n in zip(COUNTED, counts, strict=True)},
        }
        for edge, below, counts in zip(EDGES, ends, counted, strict=True)
        if counts[0] >= least
    ]


def coverage_of_released(released: pa.Table, negatives: pa.Table) -> list[dict[str, int | None]]:
    """The same of a release under differential privacy, by impressions as they were released.

    Args:
        released: query, impressions (with noise, so below 1, too), rows of a query together and alike.
        negatives: as for `counted_by_users`.

    Returns:
        As `shown_by_users`, of released impressions instead of users; `from` is null where they are below 1.
    """
    asked = released.group_by("query", use_threads=False).aggregate([("impressions", "first")])
    each = _each(asked["query"], negatives)
    rows = _classes(asked["impressions_first"].to_numpy(), each, [None, *EDGES])
    return [{**row, **counted} for row, counted in rows if counted["queries"]]


def _classes(size: Any, each: Any, edges: list[Any]) -> Iterator[tuple[dict[str, int | None], dict[str, int]]]:
    """Classes of queries by their size, and how many there are, with at least one, and with at least four negatives."""
    for first, beyond in zip(edges, [*edges[1:], None], strict=True):
        among = (size >= (-np.inf if first is None else first)) & (size < (np.inf if beyond is None else beyond))
        counted = {f"with_{m}": int((each[among] >= m).sum()) for m in (1, 4)}
        yield {"from": first, "below": beyond}, {"queries": int(among.sum()), **counted}


def _each(queries: Any, negatives: pa.Table) -> Any:
    """How many documents are negatives of each query."""
    named, each_named = _documents_of(negatives)
    places = pc.index_in(queries, value_set=named)
    known = pc.is_valid(places).to_numpy()
    return np.where(known, np.append(each_named, 0)[pc.fill_null(places, -1).to_numpy()], 0)


def _documents_of(negatives: pa.Table) -> tuple[Any, npt.NDArray[np.int64]]:
    """Queries, each once, and how many documents each has, by where columns change: hashing all would take seconds."""
    query, document = (negatives[name].combine_chunks() for name in ("query", "neg_id"))
    if not len(query):
        return query, np.zeros(0, np.int64)
    begins = np.append(True, pc.not_equal(query[1:], query[:-1]).to_numpy(zero_copy_only=False))
    differs = np.append(True, pc.not_equal(document[1:], document[:-1]).to_numpy(zero_copy_only=False))
    first = np.flatnonzero(begins)
    return query.take(pa.array(first)), np.add.reduceat((begins | differs).astype(np.int64), first)

"""Which queries have negatives, by how many users asked them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

pc: Any = pyarrow.compute

EDGES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)
"""Where classes of popularity begin, in users; under k-users in multiples of K, as users are shown."""


def coverage(queries: pa.Table, negatives: pa.Table, k: int | None) -> list[dict[str, int | None]]:
    """Queries that may be named, and those of them with at least one and at least four negatives, by users.

    Args:
        queries: query, users; one row a query of the log.
        negatives: query, neg_id; rows of a query follow each other, and in it those of a document.
        k: the threshold; only queries with so many users count, and counts of queries are rounded down to multiples
            of it. None: all count.

    Returns:
        A row a class with queries in it: users `from` and `below` (null: any more), `queries`, `with_1`, `with_4`.
    """
    least = k or 1
    queries = queries.filter(pc.greater_equal(queries["users"], least))
    users = queries["users"].to_numpy()
    named, each_named = _documents_of(negatives)
    places = pc.index_in(queries["query"], value_set=named)
    known = pc.is_valid(places).to_numpy()
    each = np.where(known, np.append(each_named, 0)[pc.fill_null(places, -1).to_numpy()], 0)
    edges = [edge * least for edge in EDGES]
    rows = []
    for first, beyond in zip(edges, [*edges[1:], None], strict=True):
        among = users >= first if beyond is None else (users >= first) & (users < beyond)
        if n := int(among.sum()) // least * least:
            counted = {f"with_{m}": int((each[among] >= m).sum()) // least * least for m in (1, 4)}
            rows.append({"from": first, "below": beyond, "queries": n, **counted})
    return rows


def _documents_of(negatives: pa.Table) -> tuple[Any, npt.NDArray[np.int64]]:
    """Queries, each once, and how many documents each has, by where columns change: hashing all would take seconds."""
    query, document = (negatives[name].combine_chunks() for name in ("query", "neg_id"))
    if not len(query):
        return query, np.zeros(0, np.int64)
    begins = np.append(True, pc.not_equal(query[1:], query[:-1]).to_numpy(zero_copy_only=False))
    differs = np.append(True, pc.not_equal(document[1:], document[:-1]).to_numpy(zero_copy_only=False))
    first = np.flatnonzero(begins)
    return query.take(pa.array(first)), np.add.reduceat((begins | differs).astype(np.int64), first)

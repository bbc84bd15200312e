"""Which queries have negatives, by how many users asked them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

pc: Any = pyarrow.compute

EDGES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)
"""Where classes of popularity begin, in users; under k-users in multiples of K, as users are shown."""


def coverage(queries: pa.Table, negatives: pa.Table, k: int | None) -> list[dict[str, int | None]]:
    """Queries that may be named, and those of them with at least one and at least four negatives, by users.

    Args:
        queries: query, users; one row a query of the log.
        negatives: query, neg_id; a document may come more than once.
        k: the threshold; only queries with so many users count, and counts of queries are rounded down to multiples
            of it. None: all count.

    Returns:
        A row a class with queries in it: users `from` and `below` (null: any more), `queries`, `with_1`, `with_4`.
    """
    least = k or 1
    queries = queries.filter(pc.greater_equal(queries["users"], least))
    users = queries["users"].to_numpy()
    pairs = negatives.select(["query", "neg_id"]).group_by(["query", "neg_id"], use_threads=False).aggregate([])
    having = pairs.group_by("query", use_threads=False).aggregate([("neg_id", "count")])
    places = pc.index_in(queries["query"], value_set=having["query"].combine_chunks())
    found = having["neg_id_count"].to_numpy()
    each = np.where(pc.is_valid(places).to_numpy(), np.append(found, 0)[pc.fill_null(places, -1).to_numpy()], 0)
    edges = [edge * least for edge in EDGES]
    rows = []
    for first, beyond in zip(edges, [*edges[1:], None], strict=True):
        among = users >= first if beyond is None else (users >= first) & (users < beyond)
        if n := int(among.sum()) // least * least:
            counted = {f"with_{m}": int((each[among] >= m).sum()) // least * least for m in (1, 4)}
            rows.append({"from": first, "below": beyond, "queries": n, **counted})
    return rows

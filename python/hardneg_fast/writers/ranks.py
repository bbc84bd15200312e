"""Lists of documents by query that say their ranks: best first, whatever the order of the rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.types as pat

from ..exceptions import ColumnError, DataError

pc: Any = pyarrow.compute

RANKS = ("rank",)
"""The column that says a document's rank, from 1."""


def check_ranks(schema: pa.Schema, name: str) -> None:
    """Refuses ranks that are no whole numbers.

    Raises:
        ColumnError: such a column.
    """
    ranks = next((column for column in RANKS if column in schema.names), None)
    if ranks is not None and not pat.is_integer(schema.field(ranks).type):
        raise ColumnError(f"{name}: column {ranks!r} is {schema.field(ranks).type}; give whole numbers, 1 for the best")


def by_rank(table: pa.Table, name: str) -> pa.Table:
    """Pairs (query, doc_id) in the order of the ranks where there are any, else as they come.

    Each query's ranks are 1 to the length of its list: which documents one list lacks, nothing would tell.

    Args:
        table: query, doc_id, maybe one of `RANKS`; in plain layouts.
        name: what it is called in errors.

    Raises:
        ColumnError, DataError: ranks that cannot be.
    """
    check_ranks(table.schema, name)
    said = next((column for column in RANKS if column in table.column_names), None)
    pairs = table.select(["query", "doc_id"])
    if said is None or not table.num_rows:
        return pairs
    if table[said].null_count:
        row = pc.index(pc.is_null(table[said]), True).as_py()
        raise DataError(f"{name}: row {row} has no {said}; give each row one, or leave the column out, rows best first")
    # Beyond 2^53 floats are no whole numbers any more, nor is anything a rank.
    rank = np.minimum(table[said].cast(pa.float64(), safe=False).to_numpy(), 2.0**53).astype(np.int64)
    codes = pc.fill_null(table["query"].combine_chunks().dictionary_encode().indices, -1)
    query = codes.to_numpy(zero_copy_only=False).astype(np.int64)
    _check_whole(query, rank, name, said)
    # Queries that are spelled alike but for case become one: of documents of equal rank the lower id then comes first.
    ids = table["doc_id"].cast(pa.string())
    order = pc.sort_indices(pa.table({"rank": rank, "id": ids}), sort_keys=[("rank", "ascending"), ("id", "ascending")])
    return pairs.take(order)


def _check_whole(query: Any, rank: Any, name: str, said: str) -> None:
    order = np.lexsort((rank, query))
    sorted_query = query[order]
    starts = np.flatnonzero(np.r_[True, sorted_query[1:] != sorted_query[:-1]])
    lengths = np.diff(np.r_[starts, len(order)])
    place = np.arange(1, len(order) + 1) - np.repeat(starts, lengths)
    wrong = np.flatnonzero(rank[order] != place)
    if not len(wrong):
        return
    row, found, wanted = int(order[wrong[0]]), int(rank[order[wrong[0]]]), int(place[wrong[0]])
    what = (
        f"has {said} {found}, and ranks begin at 1"
        if found < 1
        else f"has {said} {found}, which another document of its query has too"
        if found < wanted
        else f"has {said} {found}, and its query has no {said} {wanted}"
    )
    raise DataError(
        f"{name}: row {row} {what}; number each query's documents from 1 without gaps, or leave the column out, rows "
        "best first"
    )

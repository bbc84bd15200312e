"""What tables beside the log were good for: notes of the report where they matched nothing, or reach nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute

from ..config import SelectConfig
from ..plain import plain
from ..release import Released

__all__ = ["notes_beside"]

pc: Any = pyarrow.compute

BY_QUERY = ("positives", "extra_negatives", "retrieved")
"""Tables whose documents may be others than were shown."""


def notes_beside(
    select: SelectConfig,
    beside: Mapping[str, pa.Table],
    *,
    queries: pa.Table | None = None,
    released: Released | None = None,
) -> list[str]:
    """What to say of tables beside the log.

    Without privacy that is how many of their rows the log knows. Under k-users nothing is said of what was not
    released, nor how many rows of a table match, which may itself be made of the log: only where none names a query
    of the output, which whoever has both sees as well.

    Args:
        select: options.
        beside: the tables.
        queries: `queries` of the output.
        released: without privacy, all pairs of the log.
    """
    notes = _too_short(select, beside.get("retrieved"))
    given = {name: table for name, table in beside.items() if name in ("known_relevant", *BY_QUERY) and table.num_rows}
    if released is not None and released.privacy.mode == "none" and given:
        known = _known(released, pa.concat_tables([table.select(["query"]) for table in given.values()]))
        for name, table in given.items():
            n, found = table.num_rows, _found(table, known, by_query=name in BY_QUERY)
            what = "a query" if name in BY_QUERY else "a query and document"
            # Of a search engine's results most may be for other queries.
            if found == 0 or (found < n and name != "retrieved"):
                notes.append(f"{name}: {found:,} of {n:,} pairs name {what} of the log")
    elif queries is not None:
        for name, table in given.items():
            if not pc.any(pc.is_in(table["query"], value_set=queries["query"].combine_chunks())).as_py():
                notes.append(f"{name}: none of its pairs names a query of this output")
    return notes


def _too_short(select: SelectConfig, retrieved: pa.Table | None) -> list[str]:
    if retrieved is None or (select.semi_negatives == 0 and select.fill == "none"):
        return []
    each = retrieved.group_by(["query", "doc_id"]).aggregate([]).group_by("query").aggregate([([], "count_all")])
    deepest = pc.max(each["count_all"]).as_py() or 0
    if deepest >= select.retrieved_from:
        return []
    band = f"{select.retrieved_from} to {select.retrieved_to}"
    return [f"retrieved: no document has a rank of {band} (deepest: {deepest}); lower select.retrieved_from"]


def _known(released: Released, asked: pa.Table) -> pa.Table:
    """Pairs (query, doc_id) of the log whose queries were asked about, each once."""
    wanted, found = pc.unique(asked["query"].cast(pa.large_string())), []
    for batch in pa.RecordBatchReader.from_stream(released.table()):
        query, doc = (plain(batch[name]).cast(pa.large_string()) for name in ("query", "doc_id"))
        own = pc.is_in(query, value_set=wanted)
        found.append(pa.table({"query": query.filter(own), "doc_id": doc.filter(own)}))
    schema = pa.schema([("query", pa.large_string()), ("doc_id", pa.large_string())])
    return pa.concat_tables([schema.empty_table(), *found]).group_by(["query", "doc_id"]).aggregate([])


def _found(table: pa.Table, known: pa.Table, *, by_query: bool) -> int:
    columns = [table[name].cast(pa.string()).cast(pa.large_string()) for name in ("query", "doc_id")]
    pairs = pa.table(columns, names=["query", "doc_id"])
    if by_query:
        return int(pc.sum(pc.is_in(pairs["query"], value_set=pc.unique(known["query"]))).as_py() or 0)
    return int(pairs.join(known, ["query", "doc_id"], join_type="left semi").num_rows)

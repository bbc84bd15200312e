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
    if released is not None and released.privacy.mode == "none":
        # Of a search engine's results most may be for other queries.
        judged = {name: given.pop(name) for name in [*given] if name != "retrieved"}
        known = _known(released, [table["query"] for table in judged.values()]) if judged else None
        for name, table in judged.items():
            n, found = table.num_rows, _found(table, known, by_query=name in BY_QUERY)
            what = "a query" if name in BY_QUERY else "a query and document"
            if found < n:
                notes.append(f"{name}: {found:,} of {n:,} pairs name {what} of the log")
    if queries is not None:
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
    return [f"retrieved: no document has a rank of {band}; lower select.retrieved_from"]


def _known(released: Released, asked: list[pa.ChunkedArray]) -> pa.Table:
    """Pairs (query, doc_id) of the log whose queries were asked about, each once."""
    wanted = pc.unique(pa.chunked_array([chunk for some in asked for chunk in some.cast(pa.large_string()).chunks]))
    found = []
    for batch in pa.RecordBatchReader.from_stream(released.table()):
        # Texts are looked at once each, and only those of rows that count are taken out of their dictionaries.
        own = _is_in(batch["query"], wanted)
        rows = batch.select(["query", "doc_id"]).filter(own)
        query, doc = (plain(rows[name]).cast(pa.large_string()) for name in ("query", "doc_id"))
        found.append(pa.table({"query": query, "doc_id": doc}))
    schema = pa.schema([("query", pa.large_string()), ("doc_id", pa.large_string())])
    return pa.concat_tables([schema.empty_table(), *found]).group_by(["query", "doc_id"]).aggregate([])


def _is_in(texts: pa.Array, wanted: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(texts.type):
        return _is_in(texts.dictionary, wanted).take(texts.indices)
    return pc.is_in(plain(texts).cast(pa.large_string()), value_set=wanted)


def _found(table: pa.Table, known: pa.Table, *, by_query: bool) -> int:
    columns = [table[name].cast(pa.string()).cast(pa.large_string()) for name in ("query", "doc_id")]
    pairs = pa.table(columns, names=["query", "doc_id"])
    if by_query:
        return int(pc.sum(pc.is_in(pairs["query"], value_set=pc.unique(known["query"]))).as_py() or 0)
    return int(pairs.join(known, ["query", "doc_id"], join_type="left semi").num_rows)

"""Logs of searches and events: search records say what was asked and returned, events what was shown and clicked.

OpenSearch User Behavior Insights, and what other engines log alike.

A page is a `query_id`. Its time and query are those of its query record (the earliest, where one query_id has several;
where those disagree about the query, what the events say). A log without any impression event takes the documents that
the server returned for impressions, in their order; a note says so. Positions are shifted for each application by
itself, because applications that share an index number them differently.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..config import ReadConfig
from ..exceptions import ColumnError
from . import events, frames, times
from .base import Source
from .frames import Indices
from .mapping import Mapping
from .report import ReadReport

RETURNED = "impressions are hits returned by the server, not known to be seen"


def read(source: Source, mapping: Mapping, config: ReadConfig, report: ReadReport) -> pa.Table:
    """The impressions of such a log.

    Raises:
        ColumnError: no query_id, or no action_name and no list of hits, so nothing to join.
    """
    if "search_id" not in mapping:
        raise ColumnError(
            f"a log of searches and events needs search ids ({', '.join(mapping.preset.columns['search_id'])}); "
            "say what stands for them with --columns search_id=…"
        )
    records = events.load(source, mapping, config, report)
    asked = _is_query(records, mapping.preset.searches)
    queries, actions = records.filter(asked), records.filter(pc.invert(asked))
    parts = events.split(actions, config, report)
    impressions = parts.impressions
    if len(impressions):
        position = _with_hits(impressions, queries, events.placed(impressions, mapping.preset, config, report))
    else:
        impressions = _returned(queries)
        position = impressions["place"].combine_chunks()
        report.position_bases[""] = 1
        report.notes.append(RETURNED)
    _note_objects(actions, report)
    facts, page_time = _with_pages(impressions, queries, actions)
    on = events.by_search(facts, parts.clicks)
    return events.attach(facts, parts.clicks, on, position, page_time, report)


def _with_hits(impressions: pa.Table, queries: pa.Table, position: pa.Array | None) -> pa.Array | None:
    """Positions, where the events have none those of the documents among the hits."""
    if "hits" not in queries.schema.names or (position is not None and not position.null_count):
        return position
    returned = _returned(queries)
    sides = (impressions, returned)
    keys = frames.codes(
        *(pa.concat_arrays([s[name].combine_chunks() for s in sides]) for name in ("search_id", "doc_id"))
    )
    here, there = keys[: len(impressions)], keys[len(impressions) :]
    places = frames.earliest(there, frames.int64(returned["place"]), int(keys.max(initial=-1)) + 1, times.NONE)[here]
    hits = pa.array(places, pa.int64(), mask=places == times.NONE)
    return hits if position is None else frames.coalesce([position, hits])


def _is_query(records: pa.Table, column: str) -> pa.Array:
    """Search records by their index's name; where it says nothing, by what they have no value of."""
    if column not in records.schema.names:
        return pa.array([True] * len(records))
    by_action = pc.is_null(records[column].combine_chunks())
    if "index" not in records.schema.names:
        return by_action
    index = records["index"].combine_chunks()
    asked, acted = (pc.match_substring(index, part, ignore_case=True) for part in ("queries", "events"))
    return pc.if_else(pc.fill_null(asked, False), True, pc.if_else(pc.fill_null(acted, False), False, by_action))


def _returned(queries: pa.Table) -> pa.Table:
    """A row for each hit of each page's earliest query record that has hits."""
    if "hits" not in queries.schema.names:
        return _rows(queries.slice(0, 0), np.zeros(0, np.int64), pa.array([], pa.large_string()))
    queries = queries.filter(pc.and_(pc.is_valid(queries["hits"]), pc.is_valid(queries["search_id"])))
    # Records alike but for their hits are told apart by these.
    hits_text = pc.binary_join(queries["hits"].combine_chunks(), "\x1f")
    sequence = frames.order(queries.append_column("hits_text", hits_text), "time", "query", "user_id", "hits_text")
    groups = frames.codes(queries["search_id"].combine_chunks())
    chosen = np.sort(sequence[np.unique(groups[sequence], return_index=True)[1]])
    queries = queries.take(pa.array(chosen))
    hits = queries["hits"].combine_chunks()
    return _rows(queries, frames.int64(pc.list_parent_indices(hits)), pc.list_flatten(hits))


def _rows(queries: pa.Table, page: Indices, docs: pa.Array) -> pa.Table:
    starts = np.searchsorted(page, page)
    names = {"search_id", "user_id", "session_id", "surface", "query", "time"} & set(queries.schema.names)
    columns = {name: queries[name].take(pa.array(page)) for name in sorted(names)}
    columns["doc_id"] = docs.cast(pa.large_string())
    columns["place"] = pa.array(np.arange(len(page)) - starts + 1, pa.int64())
    return pa.table(columns)


def _sequence(table: pa.Table) -> Indices:
    """Records by time, ties by content, so that no choice depends on the order of lines."""
    return frames.order(table, "time", "query", "user_id", "session_id", "surface", "action", "doc_id")


def _note_objects(actions: pa.Table, report: ReadReport) -> None:
    if "doc_id" in actions.schema.names and (without := actions["doc_id"].null_count):
        lost = report.quarantine.get("event_without_object", 0)
        report.notes.append(
            f"{without:,} of {len(actions):,} events name no document; {lost:,} of those are impressions or clicks"
        )


def _with_pages(impressions: pa.Table, queries: pa.Table, actions: pa.Table) -> tuple[pa.Table, Indices]:
    """Impressions with what their page's query record, or other events of the page, know; and the page's time."""
    sides = (impressions, queries, actions)
    searches = frames.codes(pa.concat_arrays([side["search_id"].combine_chunks() for side in sides]))
    count = int(searches.max(initial=-1)) + 1
    here, asked, acted = np.split(searches, np.cumsum([len(impressions), len(queries)]))
    sequences = {"queries": _sequence(queries), "actions": _sequence(actions)}

    def known(name: str) -> list[pa.Array]:
        own = [impressions[name].combine_chunks()] if name in impressions.schema.names else []
        if name not in queries.schema.names:
            return own
        of_query = frames.first(asked, queries[name].combine_chunks(), sequences["queries"], count)
        of_events = frames.first(acted, actions[name].combine_chunks(), sequences["actions"], count)
        return [*own, *(frames.take(column, here) for column in (of_query, of_events))]

    for name in ("user_id", "session_id", "surface", "query"):
        if not (columns := known(name)):
            continue
        value = frames.coalesce(columns)
        if name == "query" and len(columns) > 1:
            disputed = _disputed(asked, queries, count)[here]
            value = pc.if_else(pa.array(disputed), value, frames.coalesce([columns[-2], *columns]))
        names = impressions.schema.names
        impressions = (
            impressions.set_column(names.index(name), name, value) if name in names
            else impressions.append_column(name, value)
        )  # fmt: skip
    none = times.NONE
    of_query, of_page = (
        frames.earliest(groups, frames.int64(side["time"], none), count, none)[here]
        for groups, side in ((asked, queries), (here, impressions))
    )
    return impressions, np.where(of_query == none, of_page, of_query)


def _disputed(asked: Indices, queries: pa.Table, count: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Pages whose query records do not agree on the query."""
    has = pc.is_valid(queries["query"]).to_numpy().astype(bool)
    pairs = np.unique(np.stack([asked, frames.codes(queries["query"].combine_chunks())])[:, has], axis=1)
    return np.bincount(pairs[0], minlength=count) > 1

"""Logs of impression events and click events: clicks are joined to the impressions that they are clicks on.

Unlike rows and pages, events are held in memory: a click may stand anywhere in the log.

With `search_id`, a click belongs to the impressions of its (search, document). Without, to the latest earlier
impression of its (user, query, document) at most `join_minutes` older, and impression events become pages: those of one
(user, session, query) that follow each other within ten seconds and repeat neither a document nor a position. Such a
page gets its `search_id` from its content. A user is who `user_id` says, else `session_id`.

Every impression carries the time of its page, which is that of its earliest impression event.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..config import ReadConfig
from ..exceptions import ColumnError
from ..plain import plain
from . import frames, lists, times
from .base import Source
from .encoding import content_id
from .frames import Indices
from .mapping import Mapping
from .positions import base
from .presets import Preset
from .report import ReadReport
from .types import is_list

PAGE_GAP = 10_000_000
"""Microseconds between two impression events of one page, at most."""
NO_POSITION = -(1 << 31)
"""Stands for a position that is not a whole number: the core counts it as impossible."""
AS_TEXT = ("action", "search_id", "user_id", "session_id", "query", "doc_id", "surface", "index", "page")
CARRIED = ("user_id", "session_id", "search_id", "query", "doc_id", "surface", "visible", "propensity")


def load(source: Source, mapping: Mapping, config: ReadConfig, report: ReadReport) -> pa.Table:
    """All records: text columns as text, `hits` as lists, and `time` in microseconds besides the other columns."""
    wanted = {f"{name}/{i}": path for name, paths in mapping.columns.items() for i, path in enumerate(paths)}
    hits = {key for key in wanted if key.startswith("hits/")}
    raw = source.scan(wanted, report, config.batch_rows, lists=hits).read_all()
    columns: dict[str, pa.Array | pa.ChunkedArray] = {}
    for name, paths in mapping.columns.items():
        found = [raw.column(f"{name}/{i}") for i in range(len(paths))]
        if name == "hits" or any(is_list(column.type) for column in found):
            columns[name] = frames.coalesce([_filled_lists(column) for column in found])
        elif name in AS_TEXT or len(found) > 1:
            columns[name] = frames.coalesce([frames.text(name, column) for column in found])
        else:
            columns[name] = plain(found[0])
    for name, value in mapping.constants.items():
        columns[name] = pa.array([value or None] * raw.num_rows, pa.large_string())
    if "timestamp" in columns:
        stamps = columns.pop("timestamp")
        micros = times.microseconds(pa.chunked_array([stamps]) if isinstance(stamps, pa.Array) else stamps,
                                    report.timestamp_notations)  # fmt: skip
    else:
        micros = np.full(raw.num_rows, times.NONE, dtype=np.int64)
    columns["time"] = pa.array(micros, mask=micros == times.NONE)
    table = exploded(pa.table(columns), mapping.preset, report)
    if mapping.preset.dwell_to_next and "session_id" in columns and "dwell_ms" not in columns:
        table = table.append_column("dwell_ms", until_next(table))
    return carried(table, mapping.preset.carry, config.join_minutes) if mapping.preset.carry else table


def exploded(table: pa.Table, preset: Preset, report: ReadReport) -> pa.Table:
    """A row for each document of events that name several; other lists must be as long, or say nothing."""
    listed = [f.name for f in table.schema if is_list(f.type) and f.name != "hits"]
    if "doc_id" not in listed:
        for name in listed:
            raise ColumnError(f"{name} holds lists, and doc_id does not; map doc_id to the list of documents")
        return table.append_column("place", pa.nulls(len(table), pa.int64())) if preset.place else table
    lengths = frames.int64(pc.list_value_length(table["doc_id"]))
    shares = np.maximum(lengths, 1)  # an event without documents stays, for what else it says
    rows = np.repeat(np.arange(len(table)), shares)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(shares) - shares, shares)
    out: dict[str, pa.Array] = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        if name not in listed:
            out[name] = column.take(pa.array(rows))
            continue
        own = frames.int64(pc.list_value_length(column))
        report.count("list_length_mismatch", int(((own != lengths) & (own > 0)).sum()))
        at = np.where((own == lengths)[rows] & (lengths[rows] > 0), (np.cumsum(own) - own)[rows] + place, -1)
        values = frames.take(pc.list_flatten(column), at)
        out[name] = values if name == "position" else frames.text(name, pa.chunked_array([values]))
    if preset.place:
        out["place"] = pa.array(place + 1, pa.int64(), mask=lengths[rows] == 0)
    return pa.table(out)


def until_next(table: pa.Table) -> pa.Array:
    """Milliseconds from each event to the next later one of its session; null for the last, and without a time."""
    moments = _moments(table)
    groups = frames.codes(table["session_id"].combine_chunks())
    sequence = np.lexsort((moments, groups))
    group, moment = groups[sequence], moments[sequence]
    # Documents of one event have one time: the next event is the next other time.
    first = np.ones(len(sequence), dtype=bool)
    first[1:] = (group[1:] != group[:-1]) | (moment[1:] != moment[:-1])
    starts = np.flatnonzero(first)
    after = np.full(len(starts), times.NONE)
    same = group[starts[1:]] == group[starts[:-1]]
    after[:-1][same] = moment[starts[1:]][same]
    later = np.empty(len(sequence), dtype=np.int64)
    later[sequence] = after[np.cumsum(first) - 1]
    known = (later != times.NONE) & (moments != times.NONE)
    return pa.array(np.where(known, later - moments, 0) / 1000, mask=~known)


def carried(table: pa.Table, keys: tuple[str, ...], minutes: float) -> pa.Table:
    """Events without a query get that of the latest earlier event with equal keys, else of the earliest later one."""
    have = [name for name in keys if name in table.column_names]
    if "query" not in table.column_names or not have:
        return table
    query = table["query"].combine_chunks()
    groups = frames.codes(*(table[name].combine_chunks() for name in have))
    moments = _moments(table)
    sequence = frames.order(table.append_column("group", pa.array(groups)), "group", "time", "query")
    known = pc.is_valid(query).to_numpy(zero_copy_only=False)[sequence]
    rank = np.arange(len(sequence))
    before = np.maximum.accumulate(np.where(known, rank, -1))
    after = np.minimum.accumulate(np.where(known, rank, len(sequence))[::-1])[::-1]
    source = np.full(len(sequence), -1, dtype=np.int64)
    for found in (after, before):  # the earlier one wins
        inside = (found >= 0) & (found < len(sequence))
        row = sequence[np.where(inside, found, 0)]
        near = inside & (groups[row] == groups[sequence])
        near &= (moments[row] != times.NONE) & (moments[sequence] != times.NONE)
        near &= np.abs(moments[row] - moments[sequence]) <= minutes * 60e6
        source[sequence[near]] = row[near]
    filled = frames.coalesce([query, frames.take(query, source)])
    return table.set_column(table.column_names.index("query"), "query", filled)


def _filled_lists(column: pa.ChunkedArray) -> pa.Array:
    """Lists of text, empty ones as null so that the next column may have the value."""
    values = lists.as_lists(column.combine_chunks())[0]
    return pc.if_else(pc.equal(pc.list_value_length(values), 0), pa.scalar(None, values.type), values)


@dataclass
class Split:
    """Impression events and click events."""

    impressions: pa.Table
    clicks: pa.Table


def split(events: pa.Table, config: ReadConfig, report: ReadReport) -> Split:
    """Tells events apart by their action and sets aside those that cannot be joined."""
    shown = pc.is_in(events["action"], pa.array(config.impression_actions, pa.large_string())).combine_chunks()
    clicked = pc.is_in(events["action"], pa.array(config.click_actions, pa.large_string())).combine_chunks()
    useful = pc.or_(shown, clicked)
    report.count("other_action", len(events) - (pc.sum(useful).as_py() or 0))
    report.click_actions, report.other_actions = (
        config.click_actions,
        _named(events.filter(pc.invert(useful))),
    )
    for name, reason in (("doc_id", "event_without_object"), ("search_id", "event_without_search")):
        if name in events.schema.names:
            lacking = pc.and_(useful, pc.is_null(events[name].combine_chunks()))
            report.count(reason, pc.sum(lacking).as_py() or 0)
            useful = pc.and_(useful, pc.invert(lacking))
    return Split(events.filter(pc.and_(useful, shown)), events.filter(pc.and_(useful, clicked)))


NAMED, DISTINCT = 5, 100
"""Other actions that are named, and how many different ones there may be: more are ids, not actions."""


def _named(events: pa.Table) -> dict[str, int]:
    """The most frequent actions, with records. What only one user has in this column may be that user's name."""
    counts = pc.value_counts(pc.drop_null(events["action"]))
    if len(counts) > DISTINCT:
        return {}

    who = next((name for name in ("user_id", "session_id") if name in events.schema.names), None)

    def shared(action: str) -> bool:
        if who is None:
            return True
        users = pc.drop_null(events[who].filter(pc.equal(events["action"], action)))
        return bool(len(users) and pc.any(pc.not_equal(users, users[0])).as_py())

    found = [(str(value), n) for value, n in zip(*(part.to_pylist() for part in counts.flatten()), strict=True)]
    often = sorted(found, key=lambda item: (-item[1], item[0]))
    return dict(itertools.islice((item for item in often if shared(item[0])), NAMED))


def read(source: Source, mapping: Mapping, config: ReadConfig, report: ReadReport) -> pa.Table:
    """The impressions of a log of events.

    Raises:
        ColumnError: neither search ids nor what it takes to do without.
    """
    if "search_id" not in mapping and not ({"user_id", "session_id"} & set(mapping.columns) and "timestamp" in mapping):
        raise ColumnError("events without search_id need timestamp, and user_id or session_id; map them with --columns")
    preset = mapping.preset
    parts = split(load(source, mapping, config, report), config, report)
    impressions, clicks = parts.impressions, parts.clicks
    position = placed(impressions, preset, config, report)
    if "search_id" in mapping:
        on = by_search(impressions, clicks)
        pages = frames.codes(impressions["search_id"].combine_chunks())
    else:
        minutes = np.inf if preset.relative_time else config.join_minutes
        on = by_time(impressions, clicks, minutes, preset.join)
        pages, ids = group_pages(impressions, position)
        impressions = impressions.append_column("search_id", pa.array(ids, pa.large_string()))
    moments = _moments(impressions)
    page_time = frames.earliest(pages, moments, int(pages.max(initial=-1)) + 1, times.NONE)[pages]
    table = attach(impressions, clicks, on, position, page_time, report)
    # Relative times order events, and are no dates.
    timed = "timestamp" in mapping and not preset.relative_time
    return table if timed else table.drop_columns(["timestamp", "click_ms"])


def placed(impressions: pa.Table, preset: Preset, config: ReadConfig, report: ReadReport) -> pa.Array | None:
    """Positions from 1: places in the lists of documents where the preset says so, else what the log says."""
    if preset.place:
        report.position_bases[""] = 1
        return impressions["place"].combine_chunks()
    return shifted_positions(impressions, config, report)


def _moments(events: pa.Table) -> Indices:
    return frames.int64(events["time"], times.NONE)


def shifted_positions(impressions: pa.Table, config: ReadConfig, report: ReadReport) -> pa.Array | None:
    """Positions from 1, each surface by what it calls the top one; None where the log has no positions."""
    if "position" not in impressions.schema.names:
        return None
    read = times.numbers(impressions["position"], _whole)
    known = ~np.isnan(read)
    found = np.where(known, read, NO_POSITION).astype(np.int64)
    surface = (
        impressions["surface"].fill_null("") if "surface" in impressions.schema.names
        else pa.chunked_array([[""] * len(found)], pa.large_string())
    ).combine_chunks().dictionary_encode()  # fmt: skip
    places = surface.indices.to_numpy()
    bases = np.ones(len(surface.dictionary) + 1, dtype=np.int64)
    for i, name in enumerate(surface.dictionary.to_pylist()):
        here = found[places == i]
        auto = base(int((here == 0).sum()), int((here == 1).sum()))
        bases[i] = auto if config.position_base == "auto" else int(config.position_base)
        report.position_bases[name] = int(bases[i])
    found = np.where(found == NO_POSITION, found, found + 1 - bases[places])
    return pa.array(found, mask=~known)


def _whole(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        return NO_POSITION if value.strip() else np.nan
    return number if number.is_integer() and abs(number) < -NO_POSITION else np.nan if np.isnan(number) else NO_POSITION


def by_search(impressions: pa.Table, clicks: pa.Table) -> tuple[Indices, Indices]:
    """Join keys of impressions and of clicks by (search, document); a click's key is -1 where nothing was shown."""
    keys = _codes_of_both(impressions, clicks, "search_id", "doc_id")
    shown, clicked = keys[: len(impressions)], keys[len(impressions) :]
    return shown, np.where(np.isin(clicked, shown), clicked, -1)


def by_time(
    impressions: pa.Table, clicks: pa.Table, minutes: float, on: tuple[str, ...] = ("user_id", "query", "doc_id")
) -> tuple[Indices, Indices]:
    """Join keys by (user, query, document) and time: each impression by itself, each click the latest before it."""
    count = len(impressions)
    names = impressions.schema.names
    shared = ["session_id" if key == "user_id" and key not in names else key for key in on]
    if missing := [name for name in shared if name not in names]:
        raise ColumnError(
            f"clicks are joined to what was shown by {shared}, and the log has no {missing}: map them with --columns, "
            "or name other columns in the mapping file's join"
        )
    groups = _codes_of_both(impressions, clicks, *shared)
    moments = np.concatenate([_moments(impressions), _moments(clicks)])
    is_click = np.arange(len(groups)) >= count
    # A click at the very time of an impression follows it; of impressions at one time the upper place comes last.
    depth = np.zeros(len(groups))
    if count and "position" in names:
        column = impressions["position"].combine_chunks().cast(pa.string())
        depth[:count] = pc.rank(column, sort_keys="descending", tiebreaker="dense").to_numpy(zero_copy_only=False)
    sequence = np.lexsort((depth, is_click, moments, groups))
    rank = np.arange(len(sequence))
    latest = np.maximum.accumulate(np.where(is_click[sequence], -1, rank))
    before = np.where(latest < 0, 0, sequence[latest]) if len(sequence) else sequence
    age = moments[sequence] - moments[before]
    joined = (latest >= 0) & (groups[before] == groups[sequence]) & (moments[before] != times.NONE)
    joined &= (age <= minutes * 60e6) & (age >= 0)
    keys = np.full(len(groups), -1, dtype=np.int64)
    keys[sequence] = np.where(joined, before, -1)
    return np.arange(count), keys[count:]


def _codes_of_both(impressions: pa.Table, clicks: pa.Table, *names: str) -> Indices:
    """Codes of the impressions, then of the clicks."""
    sides = (impressions, clicks)
    return frames.codes(*(pa.concat_arrays([side[name].combine_chunks() for side in sides]) for name in names))


def group_pages(impressions: pa.Table, position: pa.Array | None) -> tuple[Indices, list[str]]:
    """Pages of impressions without search ids: each row's page, and its derived search_id."""
    keys = [name for name in ("user_id", "session_id", "query") if name in impressions.schema.names]
    table = impressions.drop_columns(["place"]) if "place" in impressions.schema.names else impressions
    table = table.append_column("place", position) if position is not None else table
    groups = frames.codes(*(impressions[name].combine_chunks() for name in keys))
    sequence = frames.order(table, *keys, "time", "place", "doc_id")
    moments, docs = _moments(impressions), impressions["doc_id"].to_pylist()
    places = position.to_pylist() if position is not None else [None] * len(docs)
    pages = np.zeros(len(docs), dtype=np.int64)
    members: list[list[int]] = []
    seen: set[object] = set()
    for i, row in enumerate(sequence.tolist()):
        last = int(sequence[i - 1])
        near = i > 0 and groups[row] == groups[last] and moments[row] - moments[last] <= PAGE_GAP
        marks = {docs[row], *([places[row]] if places[row] is not None else [])}
        if not near or marks & seen:
            members.append([])
            seen = set()
        seen |= marks
        members[-1].append(row)
        pages[row] = len(members) - 1
    facts = [impressions[name].to_pylist() for name in keys]
    ids = [
        content_id([*(fact[page[0]] for fact in facts), str(moments[page[0]]), [docs[row] for row in page]])
        for page in members
    ]
    return pages, [ids[page] for page in pages.tolist()]


def attach(
    impressions: pa.Table,
    clicks: pa.Table,
    on: tuple[Indices, Indices],
    position: pa.Array | None,
    page_time: Indices,
    report: ReadReport,
) -> pa.Table:
    """The canonical table: impressions with what their clicks say.

    Args:
        impressions: one row each.
        clicks: one row each.
        on: join keys of both; -1 for clicks on nothing that was shown, which are quarantined.
        position: positions from 1, if there are any. A document shown twice on a page is clicked at its upper place.
        page_time: microseconds, for each impression.
        report: takes the quarantine.
    """
    shown, clicked = on
    joined = clicked >= 0
    report.count("click_without_impression", int((~joined).sum()))
    keys, count = clicked[joined], int(shown.max(initial=-1)) + 1
    upper = np.ones(len(shown), dtype=bool)
    if position is not None:
        places = frames.int64(position)
        upper = places == frames.earliest(shown, places, count, times.NONE)[shown]
    n_clicks = np.where(upper, np.bincount(keys, minlength=count)[shown], 0)
    first_click = frames.earliest(keys, _moments(clicks)[joined], count, times.NONE)[shown]
    delay = np.round((first_click - page_time) / 1000)
    known = (n_clicks > 0) & (first_click != times.NONE) & (page_time != times.NONE) & (delay >= 0)
    columns = {name: impressions[name] for name in CARRIED if name in impressions.schema.names}
    if position is not None:
        columns["position"] = position
    columns["clicked"] = pa.array(n_clicks > 0)
    columns["n_clicks"] = pa.array(n_clicks)
    columns["click_ms"] = pa.array(np.where(known, delay, 0).astype(np.int64), mask=~known)
    columns["timestamp"] = pa.array(page_time, mask=page_time == times.NONE).cast(pa.timestamp("us", "UTC"))
    if "dwell_ms" in clicks.schema.names:
        dwell = np.full(count, -np.inf)
        values = times.numbers(clicks["dwell_ms"])[joined]
        np.maximum.at(dwell, keys[~np.isnan(values)], values[~np.isnan(values)])
        columns["dwell_ms"] = pa.array(dwell[shown], mask=~np.isfinite(dwell[shown]) | (n_clicks == 0))
    return pa.table(columns)

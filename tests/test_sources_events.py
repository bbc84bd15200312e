"""Events without a preset: clicks find their impressions, by search id or by time, in any order of lines."""

import datetime
import json
import random

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hardneg_fast as hn
from hardneg_fast.config import ReadConfig
from hardneg_fast.exceptions import ColumnError
from hardneg_fast.read import open_log
from hardneg_fast.sources import times
from hardneg_fast.sources.events import carried, until_next

T0 = datetime.datetime(2024, 12, 10, tzinfo=datetime.UTC)


def event(action, doc, at, position=None, search="s", user="u", query="q", **more):
    return {"action": action, "doc_id": doc, "timestamp": (T0 + datetime.timedelta(seconds=at)).isoformat(),
            "position": position, "search_id": search, "user_id": user, "query": query, **more}  # fmt: skip


def read(events, **options):
    log = open_log(pa.Table.from_pylist(events), ReadConfig(**options))
    return log.reader().read_all().to_pylist(), log


def facts(rows, *names):
    return sorted((tuple(row[name] for name in names) for row in rows), key=str)


WITH_SEARCH = [
    event("impression", "a", 0, 0), event("impression", "b", 1, 1), event("impression", "b", 1, 2),
    event("click", "b", 5), event("click", "b", 3), event("click", "z", 5), event("click", "a", 5, search="other"),
    event("impression", None, 0, 3), event("click", "a", 2, search=None), event("scroll", "a", 2),
    event("impression", "c", 9, 0, search="t"), event("click", "c", 8, search="t"),
]  # fmt: skip


def test_clicks_join_by_search_and_document():
    rows, log = read(WITH_SEARCH)
    assert facts(rows, "search_id", "doc_id", "position", "clicked", "n_clicks", "click_ms") == [
        ("s", "a", 1, False, 0, None), ("s", "b", 2, True, 2, 3000), ("s", "b", 3, False, 0, None),
        ("t", "c", 1, True, 1, None),
    ]  # fmt: skip
    assert {row["timestamp"] for row in rows if row["search_id"] == "s"} == {T0}, "the page's time"
    assert log.report.quarantine == {
        "other_action": 1, "event_without_object": 1, "event_without_search": 1, "click_without_impression": 2,
    }  # fmt: skip
    assert log.report.timestamp_notations == {"iso8601": 12}
    assert (log.position_base, log.has_pages, log.report.shape) == (1, True, "events")


def test_the_order_of_lines_makes_no_difference():
    rows, log = read(WITH_SEARCH)
    names = sorted(rows[0])
    for seed in range(5):
        shuffled = random.Random(seed).sample(WITH_SEARCH, len(WITH_SEARCH))
        again, log_again = read(shuffled)
        assert facts(again, *names) == facts(rows, *names)
        assert log_again.report.quarantine == log.report.quarantine


def test_events_without_times_are_impressions_without_times():
    """Their column was there, full of nulls, and every row was set aside for it."""
    timed, _ = read(WITH_SEARCH)
    bare = [{name: value for name, value in row.items() if name != "timestamp"} for row in WITH_SEARCH]
    rows, _ = read(bare)
    assert not {"timestamp", "click_ms"} & set(rows[0])
    names = ("search_id", "doc_id", "position", "clicked", "n_clicks")
    assert facts(rows, *names) == facts(timed, *names)
    config = hn.Config(count=hn.CountConfig(robots="keep"))
    report = hn.mine(pa.Table.from_pylist(bare), privacy=hn.Privacy.none(), config=config).report
    assert "null_timestamp" not in report["quarantine"]


def test_bases_are_found_for_each_surface():
    events = [event("impression", f"d{i}", 0, i, surface="zero") for i in range(3)]
    events += [event("impression", f"d{i}", 0, i, search="t", surface="one") for i in range(1, 4)]
    events += [event("impression", "d9", 0, 1, search="v", surface=None)]
    rows, log = read(events)
    assert log.report.position_bases == {"zero": 0, "one": 1, "": 1}
    assert [row["position"] for row in rows] == [1, 2, 3, 1, 2, 3, 1]
    rows, _ = read(events, position_base="0")
    assert [row["position"] for row in rows] == [1, 2, 3, 2, 3, 4, 2]


def test_positions_that_are_no_numbers_are_left_to_the_quarantine():
    rows, _ = read(
        [event("impression", d, 0, p) for d, p in (("a", "1"), ("b", "x"), ("c", None), ("d", "2.5"), ("e", "3.0"))]
    )
    found = {row["doc_id"]: row["position"] for row in rows}
    assert (found["a"], found["e"]) == (1, 3)
    assert found["c"] is None
    assert found["b"] < 1
    assert found["d"] < 1


def test_actions_and_dwell_times_can_be_named():
    events = [event("shown", "a", 0, ms=None), *(event("open", "a", 1, ms=ms) for ms in ("1500", "90", "?"))]
    rows, _ = read(events, impression_actions=("shown",), click_actions=("open",), columns={"dwell_ms": "ms"})
    assert facts(rows, "clicked", "n_clicks", "dwell_ms") == [(True, 3, 1500.0)]


def without_search(*events):
    return [{k: v for k, v in e.items() if k != "search_id"} for e in events]


def test_without_search_ids_pages_follow_from_time():
    events = without_search(
        *(event("impression", d, t, p) for d, t, p in (("a", 0, 1), ("b", 8, 2), ("c", 16, 3))),
        event("impression", "d", 27, 4),  # more than ten seconds later
        event("impression", "d", 28, 1),  # repeats a document
        event("impression", "e", 29, 1),  # repeats a position
        event("impression", "a", 0, 1, user="v"),
    )
    rows, _ = read(events)
    pages = {}
    for row in rows:
        pages.setdefault(row["search_id"], []).append((row["doc_id"], (row["timestamp"] - T0).seconds))
    assert sorted(pages.values()) == [
        [("a", 0)], [("a", 0), ("b", 0), ("c", 0)], [("d", 27)], [("d", 28)], [("e", 29)],
    ]  # fmt: skip
    shuffled, _ = read(random.Random(1).sample(events, len(events)))
    assert facts(shuffled, "search_id", "doc_id", "position") == facts(rows, "search_id", "doc_id", "position")


def test_without_search_ids_a_click_belongs_to_the_latest_impression_before_it():
    clicked_at = [605, 600, 599, 600 + 31 * 60, -1]
    events = without_search(
        *(event("impression", "a", at, 1) for at in (0, 600)),
        *(event("click", "a", at) for at in clicked_at),
        event("click", "b", 5),
        event("click", "a", 601, user="v"),
        event("click", "a", 601, query="other"),
    )
    rows, log = read(events)
    assert facts(rows, "timestamp", "n_clicks", "click_ms") == [
        (T0, 1, 599_000), (T0 + datetime.timedelta(seconds=600), 2, 0),
    ]  # fmt: skip
    assert log.report.quarantine == {"click_without_impression": 5}
    assert read(events, join_minutes=40)[1].report.quarantine == {"click_without_impression": 4}


def test_what_the_time_join_needs():
    events = [{k: v for k, v in e.items() if k not in ("search_id", "user_id")} for e in WITH_SEARCH]
    with pytest.raises(ColumnError, match="need timestamp, and user_id or session_id"):
        read(events)
    rows, _ = read([{**e, "session_id": "x"} for e in events])
    assert rows
    with pytest.raises(ColumnError, match=r"columns not found: \['action'\]"):
        open_log(pa.Table.from_pylist([{"query": "q", "doc_id": "d"}]), ReadConfig(shape="events"))


def test_dataframes_with_views_and_categories():
    frame = pl.DataFrame(WITH_SEARCH).with_columns(
        pl.col("search_id", "user_id", "action", "query").cast(pl.Categorical)
    )
    table = open_log(frame, ReadConfig()).reader().read_all()
    names = ("search_id", "doc_id", "position", "n_clicks", "click_ms", "user_id")
    assert facts(table.to_pylist(), *names) == facts(read(WITH_SEARCH)[0], *names)


def test_logs_without_impressions_or_clicks():
    rows, log = read([event("click", "a", 0)])
    assert rows == []
    assert log.report.quarantine == {"click_without_impression": 1}
    assert read(without_search(event("click", "a", 0)))[0] == []
    assert read([event("impression", "a", 0)])[0][0]["clicked"] is False
    assert read(without_search(event("impression", "a", 0)))[0][0]["n_clicks"] == 0


def test_times_of_any_notation_are_one_time(tmp_path):
    path = tmp_path / "log.ndjson"
    epoch = 1733788800
    times = [epoch, str(epoch), epoch * 1000, epoch * 10**6, epoch * 10**9, float(epoch), "2024-12-10T00:00:00Z",
             "2024-12-10", "2024-12-10T01:00:00+01:00"]  # fmt: skip
    lines = [{**event("impression", f"d{i}", 0, search=f"s{i}"), "timestamp": t} for i, t in enumerate(times)]
    lines.append({**event("impression", "e", 0, search="e"), "timestamp": "yesterday"})
    path.write_text("\n".join(map(json.dumps, lines)))
    log = open_log(path, ReadConfig())
    stamps = log.reader().read_all()["timestamp"].to_pylist()
    assert stamps == [T0] * len(times) + [None]
    assert log.report.timestamp_notations == {
        "epoch_s": 3, "epoch_ms": 1, "epoch_us": 1, "epoch_ns": 1, "iso8601": 3, "unreadable": 1,
    }  # fmt: skip


def test_a_click_goes_to_the_upper_of_two_places_shown_at_once():
    """By time alone both places qualify; which line came first must not decide."""
    shown = without_search(*(event("impression", "a", 0, place) for place in (1, 5)))
    (click,) = without_search(event("click", "a", 3))
    for events in ([*shown, click], [click, *reversed(shown)]):
        rows, _ = read(events)
        assert facts(rows, "position", "clicked") == [(1, True), (5, False)]


EVENTS = st.lists(
    st.tuples(st.sampled_from("xy"), st.sampled_from(["p", "q", None]), st.none() | st.integers(0, 400),
              st.sampled_from(["red", "blue", None])), max_size=12,
)  # fmt: skip


@settings(max_examples=150)
@given(EVENTS, st.randoms(use_true_random=False))
def test_carried_queries_and_times_to_the_next_event_against_naive_twins(rows, order):
    def table(rows):
        session, page, at, query = zip(*rows, strict=True) if rows else ((), (), (), ())
        kinds = [("session_id", pa.large_string()), ("page", pa.large_string()), ("query", pa.large_string())]
        columns = [pa.array(c, kind) for c, (_, kind) in zip((session, page, query), kinds, strict=True)]
        time = pa.array([None if t is None else t * 10_000_000 for t in at], pa.int64())
        return pa.table([*columns, time], names=[*(name for name, _ in kinds), "time"])

    def naive_query(row):
        session, page, at, query = row
        others = [] if at is None else [r for r in rows if r[:2] == (session, page) and r[3] and r[2] is not None]
        before = [r for r in others if 0 <= at - r[2] <= 180]
        after = [r for r in others if 0 < r[2] - at <= 180]
        nearest = max((r[2] for r in before), default=None)
        if query:
            return {query}
        if before:
            return {r[3] for r in before if r[2] == nearest}
        soonest = min((r[2] for r in after), default=None)
        return {r[3] for r in after if r[2] == soonest} or {None}

    def naive_dwell(row):
        later = [r[2] for r in rows if r[0] == row[0] and None not in (row[2], r[2]) and r[2] > row[2]]
        return (min(later) - row[2]) * 10_000 if later else None

    assert times.NONE < 0
    filled = carried(table(rows), ("session_id", "page"), 30)["query"].to_pylist()
    assert all(got in naive_query(row) for got, row in zip(filled, rows, strict=True))
    assert until_next(table(rows)).to_pylist() == [naive_dwell(row) for row in rows]
    mixed = order.sample(range(len(rows)), len(rows))
    again = carried(table([rows[i] for i in mixed]), ("session_id", "page"), 30)["query"].to_pylist()
    assert again == [filled[i] for i in mixed], "whatever the order of lines"

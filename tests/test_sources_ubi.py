"""User Behavior Insights: the two published samples, and the corners of the mapping."""

import json
import random

import polars as pl
import pyarrow.compute as pc
import pytest

from hardneg_fast.config import ReadConfig
from hardneg_fast.exceptions import ColumnError
from hardneg_fast.read import open_log

UBI = ReadConfig(preset="ubi")


def read(log):
    opened = open_log(log, UBI)
    return opened.reader().read_all(), opened.report


def test_the_published_events(data_dir):
    table, report = read(data_dir / "ubi-chorus/ubi_queries_events.ndjson")
    assert table.num_rows == 1999
    assert pc.count_distinct(table["search_id"]).as_py() == 262
    assert pc.sum(table["clicked"]).as_py() == 168
    assert report.position_bases == {"esci_ubi_sample": 0, "Chorus": 1}
    assert pc.min(table["position"]).as_py() == 1
    assert report.timestamp_notations == {"iso8601": 3492, "epoch_ms": 429}
    assert report.rows_in == 473 + 3448
    assert report.quarantine == {"other_action": 1151, "click_without_impression": 52}
    assert "710 of 3,448 events name no document; 0 of those are impressions or clicks" in report.notes
    for name in ("user_id", "session_id", "surface", "timestamp"):
        assert table[name].null_count == 0, name


def test_the_published_dump_of_returned_hits(data_dir):
    table, report = read(data_dir / "ubi-chorus/log_events.zip")
    assert pc.count_distinct(table["search_id"]).as_py() == 859
    assert pc.sum(table["n_clicks"]).as_py() == 832
    assert pc.sum(table["clicked"]).as_py() == 716
    assert "impressions are hits returned by the server, not known to be seen" in report.notes
    assert report.position_bases == {"": 1}
    assert "dwell_ms" not in table.schema.names


def test_the_order_of_records_makes_no_difference(data_dir, tmp_path):
    lines = (data_dir / "ubi-chorus/ubi_queries_events.ndjson").read_text().splitlines()
    pairs = [f"{a}\n{b}" for a, b in zip(lines[::2], lines[1::2], strict=True)]
    path = tmp_path / "shuffled.ndjson"
    path.write_text("\n".join(random.Random(7).sample(pairs, len(pairs))))
    keys = [("search_id", "ascending"), ("position", "ascending"), ("doc_id", "ascending")]
    ours, report = read(data_dir / "ubi-chorus/ubi_queries_events.ndjson")
    theirs, again = read(path)
    assert ours.sort_by(keys).equals(theirs.sort_by(keys))
    assert (again.quarantine, again.position_bases) == (report.quarantine, report.position_bases)


def query(**more):
    return {"query_id": "s", "client_id": "c", "user_query": "shoes", "timestamp": "2024-12-10T00:00:00Z", **more}


def event(action="impression", doc="a", ordinal=1, at="2024-12-10T00:00:05Z", **more):
    attributes = {"object": {"object_id": doc}, "position": {"ordinal": ordinal}, "session_id": "e"}
    return {"action_name": action, "query_id": "s", "timestamp": at, "event_attributes": attributes, **more}


def write(tmp_path, *records, name="log.ndjson"):
    path = tmp_path / name
    path.write_text("\n".join(map(json.dumps, records)))
    return path


def only(table):
    (row,) = table.to_pylist()
    return row


def test_the_query_record_gives_the_page_its_facts(tmp_path):
    row = only(read(write(tmp_path, event(), query(application="app")))[0])
    assert (row["user_id"], row["session_id"], row["query"], row["surface"]) == ("c", "e", "shoes", "app")
    assert row["timestamp"].isoformat() == "2024-12-10T00:00:00+00:00"


def test_users_and_sessions_are_the_first_that_are_not_empty(tmp_path):
    row = only(read(write(tmp_path, event(client_id="", user_id=7, session_id="top", user_query="shoes")))[0])
    assert (row["user_id"], row["session_id"], row["query"]) == ("7", "top", "shoes")
    assert row["timestamp"].isoformat() == "2024-12-10T00:00:05+00:00", (
        "without a query record, the earliest impression"
    )


def test_a_query_id_with_several_query_records(tmp_path):
    again = query(timestamp="2024-12-09T00:00:00Z")
    row = only(read(write(tmp_path, query(), again, event(user_query="SHOES")))[0])
    assert (row["query"], row["timestamp"].day) == ("shoes", 9), "the earliest, which agree on the query"
    row = only(read(write(tmp_path, query(), {**again, "user_query": "hats"}, event(user_query="SHOES")))[0])
    assert row["query"] == "SHOES", "where they disagree, what the event says"
    row = only(read(write(tmp_path, query(), {**again, "user_query": "hats"}, event()))[0])
    assert row["query"] == "hats"


def test_returned_hits_are_impressions_only_where_there_are_no_others(tmp_path):
    hits = query(query_response_hit_ids=["x", 5], query_attributes={"application": "app"})
    table, _ = read(write(tmp_path, hits, event("item_click", 5)))
    found = [(r["doc_id"], r["position"], r["clicked"], r["session_id"], r["click_ms"]) for r in table.to_pylist()]
    assert found == [("x", 1, False, "e", None), ("5", 2, True, "e", 5000)]
    assert read(write(tmp_path, hits, event("click"), event()))[0]["doc_id"].to_pylist() == ["a"]


def test_what_cannot_be_joined_is_counted(tmp_path):
    nowhere, bare = {**event("click"), "query_id": None}, {**event("search"), "event_attributes": None}
    records = [event(user_query="q"), event(doc=None), event("click", doc=None), nowhere, bare]
    records += [event("click", "z"), event("add_to_cart")]
    _, report = read(write(tmp_path, *records))
    assert report.quarantine == {
        "event_without_object": 2, "event_without_search": 1, "click_without_impression": 1, "other_action": 2,
    }  # fmt: skip


def test_structs_of_arrow_data_work_like_json():
    frame = pl.DataFrame([event(client_id="c", user_query="q"), event("click", client_id="c", user_query="q")])
    row = only(read(frame)[0])
    assert (row["user_id"], row["doc_id"], row["n_clicks"], row["session_id"]) == ("c", "a", 1, "e")


def test_two_files_queries_and_events(tmp_path):
    write(tmp_path, query(), name="ubi_queries.ndjson")
    write(tmp_path, event(), name="ubi_events.ndjson")
    assert only(read(tmp_path)[0])["query"] == "shoes"


def test_a_log_that_is_something_else(tmp_path):
    with pytest.raises(ColumnError, match=r"columns not found: .*'action_name'"):
        read(write(tmp_path, {"uid": 1, "q": "shoes"}))

"""`inspect`: published logs are recognised, faults are explained, and no identifier or query is shown."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
from hardneg_fast import cli
from hardneg_fast.config import ReadConfig
from hardneg_fast.exceptions import DataError, FileError
from hardneg_fast.inspection import MEANINGS, inspect

ROWS = {
    "uid": ["secret-1", "secret-1", "secret-2", None], "q": ["secret q", "secret q", "other q", "x"],
    "item_id": [11, 12, 11, 13], "rank": [0, 1, 0, 1], "is_click": [0, 1, 0, 7], "ts": [1733788800000] * 4,
    "request_id": ["r1", "r1", "r2", "r3"],
}  # fmt: skip


def look(log, **options):
    return inspect(log, config=ReadConfig(**options))


def test_ubi(data_dir):
    found = look(data_dir / "ubi-chorus/ubi_queries_events.ndjson")
    text = "\n".join(found.lines())
    assert (found.preset, found.shape, found.rows_in) == ("ubi", "events", 3921)
    assert found.rows == 1999
    assert found.quarantine["null_query"] == 67
    assert found.position_bases == {"esci_ubi_sample": 0, "Chorus": 1}
    assert "429 as epoch milliseconds" in text
    assert "start at 0 in esci_ubi_sample" in text
    assert "52 click_without_impression: clicks on what no impression shows" in text
    assert "710 of 3,448 events name no document" in text
    assert found.command.endswith("-o OUT --k-users 10 --preset ubi")


def test_columns_that_stand_for_nothing_are_named():
    log = pa.table({"uid": [1], "phrase": ["a"], "sku": ["b"], "is_click": [1], "serp": [7], "seconds": [1.5]})
    found = look(log)
    assert found.unread == ["serp", "seconds"]
    assert "not read    serp, seconds: --columns NAME=THEIRS takes one in" in found.lines()
    assert look(log, columns={"search_id": "serp", "dwell_ms": "seconds"}).unread == []


@pytest.mark.parametrize(
    ("path", "preset", "rows", "pages"),
    [
        ("ubi-chorus/log_events.zip", "ubi", 15_166, 859),
        ("trec-session-2014/train_per_query_quid.txt", "trec-session", 28_720, 2792),
        ("openbandit-sample/bts/men.csv", "obd", 10_000, None),
        ("click_model_oracles/synth_dbn_10k.parquet", None, 100_000, 10_000),
    ],
)
def test_published_logs_are_recognised(data_dir, path, preset, rows, pages):
    found = look(data_dir / path)
    assert (found.preset, found.rows, found.distinct.get("pages"), found.problem) == (preset, rows, pages, None)
    assert (
        "its 1" in found.reasons[0]
        or "50 lines have" in found.reasons[0]
        or "by its name" in found.reasons[0]
        or preset == "obd"
    )


@pytest.mark.parametrize("make", [pa.table, pl.DataFrame])
def test_unknown_names_are_guessed_and_figures_given(make):
    found = look(make(ROWS))
    assert found.columns == {
        "user_id": "uid", "query": "q", "doc_id": "item_id", "position": "rank", "clicked": "is_click",
        "timestamp": "ts", "search_id": "request_id",
    }  # fmt: skip
    assert found.distinct == {"users": 2, "queries": 2, "documents": 2, "pages": 2}
    assert found.position_bases == {"": 0}
    assert found.clicks_by_position == {1: (2, 0), 2: (1, 1)}
    assert found.quarantine == {"null_user_id": 1}
    assert found.timestamp_notations == {"epoch_ms": 4}
    assert "--columns user_id=uid," in found.command
    assert "LOG" in found.command


def test_nothing_of_people_is_shown():
    found = look(pa.table(ROWS))
    for text in ("\n".join(found.lines()), json.dumps(found.to_dict())):
        assert "secret" not in text
        assert "other q" not in text
        assert "r1" not in text


def test_what_is_lacking_is_said_with_what_it_switches_off():
    found = look(pa.table({"query": ["a", "b"], "doc_id": ["x", "y"], "clicked": [1, 1]}))
    text = "\n".join(found.lines())
    for what in (
        "no user_id",
        "no search_id either",
        "no position",
        "no timestamp",
        "no dwell_ms",
        "no impressions without",
    ):
        assert what in text, what
    assert (found.command, found.no_command[:27]) == ("", "the log holds clicks only: ")
    assert found.lines()[-1] == "next        nothing to run yet: " + found.no_command
    known = look(pa.table({"search_id": [1, 1], "query": ["a", "b"], "doc_id": ["x", "y"], "clicked": [1, 0]}))
    assert not any("no search_id" in what or "without a click" in what for what in known.lacking)


N = 600
PAGES = {
    "user_id": [f"u{i // 5 % 60}" for i in range(N)],
    "search_id": [f"s{i // 5}" for i in range(N)],
    "query": ["q"] * N,
    "doc_id": [f"d{(i + i // 5) % 7}" for i in range(N)],
    "position": [i % 5 + 1 for i in range(N)],
    "clicked": [i % 5 == 2 and i % 7 < 4 for i in range(N)],
    "timestamp": [1733788800 + i // 5 * 60 for i in range(N)],
}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"clicked": [False] * N}, "no row is clicked"),
        ({"clicked": [True] * N}, "clicks only"),
        ({"clicked": ["maybe"] * N}, "no record can be used"),
        ({"query": [""] * N}, "no row has a query"),
        ({"search_id": [f"s{i}" for i in range(N)]}, "each row has a search_id of its own"),
        ({"user_id": [f"u{i}" for i in range(N)], "search_id": None}, "each row has a user, query and time of its own"),
        ({name: [] for name in PAGES}, "the log has no records"),
    ],
)
def test_no_command_is_named_that_would_find_nothing(changed, why, tmp_path):
    columns = {name: values for name, values in {**PAGES, **changed}.items() if values is not None}
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    found = look(tmp_path / "log.parquet")
    assert found.command == ""
    assert why in found.no_command
    assert found.lines()[-1].startswith("next        nothing to run yet: ")
    # Which is so.
    try:
        mined = hn.mine(tmp_path / "log.parquet", privacy=hn.Privacy.none())
    except hn.DataError:
        return
    assert mined.triplets.num_rows == 0


@pytest.mark.parametrize(
    "dropped", [(), ("user_id",), ("search_id",), ("user_id", "clicked"), ("position", "timestamp")]
)
def test_the_command_that_is_named_can_be_run(dropped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    columns = {f"my {name}" if name == "clicked" else name: v for name, v in PAGES.items() if name not in dropped}
    pq.write_table(pa.table(columns), "my log.parquet")
    found = look("my log.parquet", columns={} if "clicked" in dropped else {"clicked": "my clicked"})
    assert ("--k-users 10" in found.command) == ("user_id" not in dropped)
    assert ("--no-privacy" in found.command) == ("user_id" in dropped)
    if "clicked" not in dropped:
        assert cli.main(shlex.split(found.command)[1:]) == 0


@pytest.mark.parametrize("content", ["query;doc_id;clicked\na;b;1\n", "u1,red shoes,d1,1\nu2,red shoes,d2,0\n"])
def test_files_without_known_names_get_no_command(content, tmp_path):
    (tmp_path / "log.csv").write_text(content)
    found = look(tmp_path / "log.csv")
    assert found.command == ""
    assert found.lines()[-1].startswith("next        nothing to run yet: the first line names no column")


def test_short_pages_and_few_users_are_met():
    rows = {name: [v for i, v in enumerate(values) if i % 5 < 2] for name, values in PAGES.items()}
    assert (
        "--count.min-page-length 2" in look(pa.table({**rows, "clicked": [1, 0] * (len(rows["query"]) // 2)})).command
    )
    few = look(pa.table({**PAGES, "user_id": ["u1", "u2", "u3"] * (N // 3)}))
    assert "fewer than 10 users: --k-users 10 would name nothing; a longer log helps" in few.notes


def test_other_actions_are_named_and_lists_replaced(tmp_path):
    def write(others: list[str], users: Sequence[str] = "uv") -> Path:
        both = [("impression", d) for d in "abc"] + [("click", "a")] + [(action, "a") for action in others]
        same = {"query": "q", "timestamp": 1733788800}
        lines = [{**same, "search_id": u, "user_id": u, "action": a, "doc_id": d} for u in users for a, d in both]
        (tmp_path / "log.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return tmp_path / "log.ndjson"

    others = ["open"] * 9 + ["scroll"] * 3 + ["share"] * 2 + ["b", "c", "d", "jane.doe@example.com", "\x1b[2Jx"]
    text = "\n".join(look(write(others), shape="events").lines())
    assert "most often open 18, scroll 6, share 4, " in text
    assert "jane" not in text
    assert (
        "if one is a click: --read.click-actions click,item_click,ACTION (replaces the list, now: click,item_click)"
        in text
    )
    found = look(write(others), shape="events", click_actions=("click", "open"))
    assert found.click_actions == ["click", "open"]
    assert found.command.endswith("--read.shape events --read.click-actions click,open")
    assert "now: click,open" in "\n".join(found.lines())
    # Ids in the place of actions are not named.
    assert look(write([f"user-{i}" for i in range(101)]), shape="events").other_actions == {}
    # Nor what one user alone has there.
    assert look(write(["jane"], ["u"]), shape="events").other_actions == {}


def test_columns_that_cannot_be_guessed_are_a_finding_not_an_error():
    found = look(pa.table({"user": [1], "q": ["x"], "blob": ["y"]}))
    assert "columns not found: ['doc_id', 'clicked']" in found.problem
    assert "--columns user_id=user,query=q,doc_id=…,clicked=…" in found.command.replace("'", "")
    assert found.lines()[-2].startswith("problem")


def test_what_is_configured_is_not_guessed_again(tmp_path):
    path = tmp_path / "my log.csv"
    path.write_text("user,query,doc_id,click,label\nu,q,d,1,0\nu,q,e,0,1\n")
    found = look(path, columns={"clicked": "label"})
    assert found.columns == {"user_id": "user", "clicked": "label"}
    assert f"mine '{path}' -o OUT" in found.command


def test_a_sample_says_that_it_is_one():
    table = pa.table({"query": ["q"] * 100, "doc_id": list(range(100)), "clicked": [0] * 100})
    found = inspect(table, config=ReadConfig(batch_rows=7), sample=30)
    assert (found.rows, found.sampled) == (30, True)
    assert any("the first 30 only were read" in line for line in found.lines())
    whole = inspect(table, config=ReadConfig(batch_rows=7), sample=100)
    assert (whole.rows, whole.sampled) == (100, False)


def test_every_reason_counted_has_its_sentence(tmp_path):
    path = tmp_path / "log.ndjson"
    rows = [{"clicked": 9}, {"query": ""}, {"query": "q" * 2000}, {"position": "x"}, {"timestamp": "x"}]
    rows += [{"dwell_ms": -5}, {"timestamp": 10}, {"clicked": None}]
    good = {"query": "q", "doc_id": "d", "clicked": 0, "position": 1, "timestamp": 1733788800, "dwell_ms": 1}
    path.write_text("".join(json.dumps({**good, **row}) + "\n" for row in rows) + "broken\n")
    found = look(path)
    assert set(found.quarantine) == {
        "broken_line", "clicked_impossible", "null_query", "query_too_long", "position_impossible", "dwell_impossible",
        "timestamp_unreadable", "timestamp_impossible", "null_clicked",
    }  # fmt: skip
    assert set(found.quarantine) <= set(MEANINGS)


def test_logs_that_are_not_there_or_break_off(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        look(tmp_path / "none.csv")

    def batches():
        yield pa.record_batch(ROWS)
        raise ValueError("secret")

    with pytest.raises(DataError, match="own stream failed") as caught:
        look(pa.RecordBatchReader.from_batches(pa.record_batch(ROWS).schema, batches()), position_base="0")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("dwell", "said"), [(35, True), (35_000, False)])
def test_dwell_times_in_seconds_are_noticed(dwell, said):
    log = pa.table({"query": ["q"] * 4, "doc_id": [*"abcd"], "clicked": [1, 1, 1, 0], "dwell_ms": [dwell] * 3 + [None]})
    assert any("are they seconds" in line for line in inspect(log).lines()) is said

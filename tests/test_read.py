"""The read stage as a whole: presets on published logs, mapping by configuration, and reports that hold no values."""

import dataclasses
import json

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardneg_fast.config import ReadConfig
from hardneg_fast.exceptions import ColumnError, FileError, UsageError
from hardneg_fast.read import open_log

CANONICAL = {
    "user_id", "session_id", "search_id", "query", "doc_id", "position", "clicked", "dwell_ms", "click_ms", "timestamp",
    "n_clicks", "visible", "propensity", "action", "surface",
}  # fmt: skip
TABLE = pa.table({"uid": [1], "q": ["a"], "item": ["d"], "hit": [1], "noise": ["n"]})
COLUMNS = {"query": "q", "doc_id": "item", "clicked": "hit"}


def test_obd(data_dir):
    files = [data_dir / f"openbandit-sample/{policy}/men.csv" for policy in ("random", "bts")]
    log = open_log(files, ReadConfig(preset="obd"))
    table = log.reader().read_all()
    assert (table.num_rows, log.position_base, log.has_pages) == (20_000, 1, False)
    assert table["query"].unique().to_pylist() == ["men"]
    assert "user_id" not in table.schema.names
    assert pc.sum(pc.equal(table["clicked"], "1")).as_py() == sum(
        line.split(",")[4] == "1" for file in files for line in file.read_text().splitlines()[1:]
    )
    assert table["propensity"][0].as_py() == "0.029411764705882353", "as it was written"
    assert log.report.rows_in == 20_000


def test_obd_as_a_table_needs_a_query():
    table = pa.table({"item_id": [1], "position": [1], "click": [0], "propensity_score": [0.5], "timestamp": [1]})
    with pytest.raises(ColumnError, match="_file"):
        open_log(table, ReadConfig(preset="obd"))
    log = open_log(table, ReadConfig(preset="obd", constants={"query": "men"}))
    assert log.reader().read_all()["query"].to_pylist() == ["men"]


def test_trec_session(data_dir):
    log = open_log(f"{data_dir}/trec-session-2014/*_per_query_quid.txt", ReadConfig(preset="trec-session"))
    table = log.reader().read_all()
    assert table.num_rows == (2872 + 361 + 363) * 10
    assert pc.sum(pc.equal(table["clicked"], "1")).as_py() == 1293 + 152 + 165
    assert pc.all(pc.starts_with(table["doc_id"], "clueweb12-")).as_py()
    assert table["user_id"].equals(table["session_id"])
    assert log.report.quarantine == {}
    assert "timestamp" not in table.schema.names


def test_click_model_sessions(data_dir):
    log = open_log(
        data_dir / "click_model_oracles/synth_pbm_10k.parquet",
        ReadConfig(columns={"query": "query_id", "clicked": "click", "position": "rank", "search_id": "session_id"}),
    )
    assert log.reader().read_all().num_rows == log.report.rows_in == 100_000
    assert (log.position_base, log.has_pages) == (1, True)
    assert log.schema.field("query").type == pa.int32(), "nothing is cast"


def test_only_canonical_names_come_out(data_dir):
    for path, preset in (("ubi-chorus/ubi_queries_events.ndjson", "ubi"), ("openbandit-sample/bts/men.csv", "obd"),
                         ("trec-session-2014/test_per_query_quid.txt", "trec-session")):  # fmt: skip
        log = open_log(data_dir / path, ReadConfig(preset=preset))
        assert set(log.schema.names) <= CANONICAL
        assert log.reader().schema.equals(log.schema)


def test_mapping_and_constants():
    log = open_log(TABLE, ReadConfig(columns=COLUMNS, constants={"surface": "web", "user_id": ""}))
    assert log.reader().read_all().to_pylist() == [
        {"query": "a", "doc_id": "d", "clicked": 1, "surface": "web", "user_id": None}
    ]
    click_only = open_log(
        TABLE.select(["q", "item"]), ReadConfig(columns={"query": "q", "doc_id": "item"}, constants={"clicked": "1"})
    )
    assert click_only.reader().read_all()["clicked"].to_pylist() == ["1"]


def test_a_mapping_wins_over_the_same_name_and_over_the_preset():
    table = pa.table({"query": ["raw"], "clean": ["clean"], "doc_id": ["d"], "clicked": [0]})
    assert open_log(table, ReadConfig(columns={"query": "clean"})).reader().read_all()["query"].to_pylist() == ["clean"]
    events = pa.table({"action_name": ["impression"], "query_id": ["s"], "text": ["mine"], "user_query": ["theirs"],
                       "event_attributes": [{"object": {"object_id": "d"}}]})  # fmt: skip
    log = open_log(events, ReadConfig(preset="ubi", columns={"query": "text"}))
    assert log.reader().read_all()["query"].to_pylist() == ["mine"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"columns": {"querry": "q"}}, UsageError, r"no such canonical columns: \['querry'\]"),
        ({"columns": COLUMNS, "constants": {"query": "x"}}, UsageError, r"mapped and constant at once: \['query'\]"),
        (
            {"columns": {**COLUMNS, "user_id": "who"}},
            ColumnError,
            r"columns not found: \['who'\]; available: \['uid', 'q'",
        ),
        ({}, ColumnError, r"columns not found: \['query', 'doc_id', 'clicked'\].*--columns user_id="),
        ({"preset": "ubi"}, ColumnError, "columns not found"),
        ({"preset": "nonesuch"}, UsageError, "no preset 'nonesuch'"),
    ],
)
def test_options_and_columns_that_cannot_be(options, error, message):
    with pytest.raises(error, match=message):
        open_log(TABLE, ReadConfig(**options))


def test_reports_are_plain_data_with_base_names_at_most(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("query,doc_id,clicked,user_id\nsecret query,secret doc,1,secret user\nragged\n")
    log = open_log(path, ReadConfig())
    log.reader().read_all()
    text = json.dumps(dataclasses.asdict(log.report))
    assert json.loads(text)["quarantine"] == {"broken_line": 1}
    assert "secret" not in text
    assert str(tmp_path) not in text
    assert "secret" not in repr(log)


def test_a_file_that_is_cut_after_it_was_opened(tmp_path):
    path = tmp_path / "log.csv.gz"
    with pa.CompressedOutputStream(str(path), "gzip") as stream:
        stream.write(b"query,doc_id,clicked\n" + b"".join(b"q%d,d%d,0\n" % (i, i * i) for i in range(400_000)))
    log = open_log(path, ReadConfig())
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(FileError, match=r"log\.csv\.gz: damaged, cut short"):
        log.reader().read_all()
    assert isinstance(log.error, FileError)


VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6)


@given(st.lists(st.tuples(VALUES, VALUES, st.booleans()), min_size=1, max_size=30), st.integers(1, 40))
def test_every_format_gives_the_same_rows(tmp_path_factory, rows, batch_rows):
    folder = tmp_path_factory.mktemp("formats")
    queries, docs, clicks = zip(*rows, strict=True)
    table = pa.table({"query": queries, "doc_id": docs, "clicked": [str(c).lower() for c in clicks]})
    pq.write_table(table, folder / "log.parquet")
    names = table.schema.names
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row.values()) for row in table.to_pylist()]
    (folder / "log.csv").write_bytes("\n".join([",".join(names), *quoted]).encode() + b"\n")
    (folder / "log.ndjson").write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    for path in folder.iterdir():
        read = open_log(path, ReadConfig(batch_rows=batch_rows)).reader().read_all()
        assert read.to_pylist() == table.to_pylist(), path.suffix


def test_sessions_that_stand_for_users_are_known_by_the_mapping():
    table = pa.table({"sid": ["s"], "query": ["q"], "doc_id": ["d"], "clicked": [True]})
    both = open_log(table, ReadConfig(columns={"user_id": "sid", "session_id": "sid"})).report
    assert both.sessions_stand_for_users
    assert both.notes == ["sessions stand for users"]
    assert not open_log(table, ReadConfig(columns={"session_id": "sid"})).report.sessions_stand_for_users

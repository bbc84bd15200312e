"""Every preset: from a sample written by hand after the public schema to canonical rows, its traps among them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
from hardneg_fast import inspection
from hardneg_fast.cli import main
from hardneg_fast.config import ReadConfig
from hardneg_fast.read import open_log
from hardneg_fast.sources import files, presets, qlogs
from hardneg_fast.sources.paths import getter, pick, steps

SAMPLES = Path(__file__).parent / "data/sources"
PRESETS = presets.names()
NONE = object()


def sample(name: str) -> Path:
    return next((SAMPLES / name).iterdir())


def canonical(name: str, log: object = None, **options) -> tuple[list[dict], object]:
    """Rows as the core makes them of the reader's."""
    log = sample(name) if log is None else log
    raw = open_log(log, ReadConfig(preset=name, **options))
    reader, _ = inspection._canonical(raw.reader(), raw.position_base)
    return reader.read_all().to_pylist(), raw.report


# query, document, position, clicked
EXPECTED = {
    "elastic": [
        ("shoes", "a", 1, False), ("shoes", "b", 2, True), ("shoes", "c", 3, False),
        ("shoes", "b", 1, True), ("shoes", "d", 2, False), ("shoes", "a", 1, False),
    ],
    "algolia": [
        ("red shoes", "x", 1, False), ("red shoes", "y", 2, True), ("red shoes", "z", 3, True),
        ("hats", "y", 1, False),
    ],
    "ga4": [("boots", "A", 1, False), ("boots", "B", 2, True), ("boots", "C", None, False), ("hats", "B", 1, False)],
    "snowplow": [("unified log", "A", 1, False), ("unified log", "B", 2, True)],
    "aol": [
        ("westchester.gov", "http://www.westchestergov.com", 1, True), ('space "photo', "http://www.nasa.gov", 4, True),
        ("lottery", "http://www.calottery.com", 1, True), ("lottery", "http://www.calottery.com", 1, True),
    ],
    "ebnerd": [
        ("front page", "30", NONE, False), ("front page", "20", NONE, False), ("front page", "10", NONE, True),
        ("front page", "20", NONE, True), ("front page", "40", NONE, True),
    ],
    "trec-session": [("3", "5", 1, True), ("3", "6", 2, False), ("4", "6", 1, False), ("4", "5", 2, False)],
    "orcas": [
        ("why is the sky blue", "D1968574", NONE, True), ('sky\'s "blue" colour', "D22", NONE, True),
    ],
    "yandex": [
        ("192902", "632428", 1, False), ("192902", "309585", 2, True), ("192902", "319567", 3, True),
        ("11", "632428", 1, False), ("11", "7", 2, True), ("12", "8", 1, False),
    ],
    "yandex-relevance": [
        ("5 213", "1", 1, False), ("5 213", "2", 2, False), ("5 213", "3", 3, True),
        ("5 213", "2", 1, True), ("5 213", "4", 2, False), ("6 213", "9", 1, False),
    ],
    "mind": [
        ("front page", "N55689", NONE, True), ("front page", "N35729", NONE, False),
        ("front page", "N-2", NONE, False), ("front page", "N39317", NONE, False), ("front page", "N55689", NONE, True),
    ],
    "tripclick": [
        ("asthma (steroids)", "1", 1, False), ("asthma (steroids)", "2", 2, True), ("asthma (steroids)", "3", 3, False),
        (" flu cold", "5", 1, True), (" flu cold", "6", 2, False),
        (" flu cold", "5", 1, False), (" flu cold", "6", 2, False),
    ],
    "ir-datasets": [("rentdirect com", "d1", 1, True), ("rentdirect com", "d2", 2, False)],
    "obd": [("all", "59", 3, False), ("all", "60", 1, True)],
    "ubi": [("ps4", "B1", 1, False), ("ps4", "B2", 2, True)],
    "solr-ubi": [("ps4", "7", 1, False), ("ps4", "8", 2, True)],
    "coveo": [("return policy", "h1", 1, False), ("return policy", "h2", 2, True)],
    "meilisearch": [("lamp", "0", 1, True), ("lamp", "5", 2, False)],
    "sogou": [
        ("360安全卫士", "download.it.com.cn/softweb/1.html", 8, True),
        ("哄抢救灾物资", "news.21cn.com/a.shtml", 1, True),
    ],
    "baidu-ultr": [("22 33", "aa", 1, False), ("22 33", "bb", 2, True), ("44", "aa", 1, True)],
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_sample_to_canonical_rows(name):
    rows, report = canonical(name)
    # Lists without a query are set aside by the next stage.
    found = [(r["query"], r["doc_id"], r.get("position", NONE), r["clicked"]) for r in rows if r["query"]]
    assert sorted(found, key=repr) == sorted(EXPECTED[name], key=repr)
    assert report.preset == name


def test_every_preset_has_a_sample():
    assert {*EXPECTED} == {*PRESETS}
    docs = (Path(__file__).parents[1] / "docs/SOURCES.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in docs for name in PRESETS)


@pytest.mark.parametrize("name", sorted({*EXPECTED} - {"solr-ubi"}))
def test_inspect_recognises_the_sample(name):
    found = inspection.inspect(sample(name))
    assert found.preset == name
    assert found.confidence >= 0.4
    assert "confidence" in found.reasons[0]


def by(rows: list[dict], *names: str) -> set[tuple]:
    return {tuple(row[name] for name in names) for row in rows}


def test_clicks_belong_to_the_latest_search_before_them():
    rows, report = canonical("elastic")
    clicked = {(r["timestamp"].isoformat(), r["doc_id"], r["click_ms"]) for r in rows if r["clicked"]}
    assert clicked == {("2024-03-01T10:00:00+00:00", "b", 7000), ("2024-03-01T10:05:00+00:00", "b", 9000)}
    assert report.quarantine == {"other_action": 1, "click_without_impression": 1}, "the click of other words"
    assert len(by(rows, "search_id")) == 3


def test_lists_in_events_and_positions_from_hits():
    rows, report = canonical("algolia")
    assert by(rows, "search_id", "user_id", "surface") == {
        ("q1", "anon-1", "products"), ("q2", "anon-1", "products"),
    }  # fmt: skip
    assert report.quarantine == {"other_action": 1}
    short = json.loads('{"eventType":"view","userToken":"u","queryID":"q","objectIDs":["a","b"],"positions":[1]}')
    table = pa.Table.from_pylist([{**short, "query": "w", "timestamp": 1700000000}])
    rows, report = canonical("algolia", table)
    assert by(rows, "doc_id", "position") == {("a", None), ("b", None)}
    assert report.quarantine == {"list_length_mismatch": 1}


def test_a_query_is_carried_within_its_page_only():
    rows = [row for row in canonical("ga4")[0] if row["query"]]
    assert len(by(rows, "session_id")) == 2, "one number of a session, two users"
    assert by(rows, "surface") == {("search_results",)}, "the list of another page has no query"
    clicked = next(r for r in rows if r["clicked"])
    assert (clicked["user_id"], clicked["click_ms"]) == ("1.2", 4000)


def test_ga4_as_parquet_is_ga4_as_json(tmp_path):
    """Real types: numbers, lists of structs."""
    records = [json.loads(line) for line in sample("ga4").read_text().splitlines()]
    for record in records:
        record["event_timestamp"] = int(record["event_timestamp"])
        for param in record["event_params"]:
            value = param["value"]
            value["int_value"] = int(value["int_value"]) if value.get("int_value") else None
            value.setdefault("string_value", None)
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "events.parquet")
    keys = ("query", "doc_id", "position", "clicked", "user_id", "session_id", "surface", "timestamp", "click_ms")
    ours, theirs = canonical("ga4", tmp_path / "events.parquet")[0], canonical("ga4")[0]
    assert by(ours, *keys) == by(theirs, *keys)
    assert len(ours) == len(theirs)


def test_click_only_logs_say_so():
    for name in ("aol", "orcas", "sogou"):
        rows, report = canonical(name)
        assert any("clicks only" in note for note in report.notes)
        assert all(row["clicked"] for row in rows)
    rows, _ = canonical("aol")
    assert len(by(rows, "search_id")) == 3, "rows of one user, query and time are one page"


def test_shuffled_orders_have_no_positions():
    for name in ("mind", "ebnerd"):
        preset = presets.load(name)
        assert preset.constants["position"] == ""
        assert any("shuffled" in note for note in preset.notes)
    rows, _ = canonical("ebnerd")
    assert by(rows, "doc_id", "dwell_ms") == {
        ("30", None), ("20", None), ("10", 12_500), ("40", None),
    }, "of two clicks nobody knows whose the time is"  # fmt: skip
    rows, _ = canonical("mind")
    assert not any(row.get("position") for row in rows)
    assert {r["timestamp"].hour for r in rows} == {9, 18}, "half a day is not lost"
    log = pa.concat_tables([pa.Table.from_pylist([
        {"impression_id": i, "user_id": i % 9, "session_id": i, "impression_time": 1_684_000_000 + i,
         "article_ids_inview": [1, 2, 3], "article_ids_clicked": [1], "next_read_time": 7.5}
        for i in range(60)
    ])])  # fmt: skip
    rows, _ = canonical("ebnerd", log)
    assert by(rows, "doc_id", "clicked", "dwell_ms") == {("1", True, 7500), ("2", False, None), ("3", False, None)}
    config = hn.Config(read=ReadConfig(preset="ebnerd"), count=hn.CountConfig(robots="keep"))
    report = hn.mine(log, privacy=hn.Privacy.none(), config=config).report
    assert {"skip_above", "top_shown_never_clicked"} <= report["rules_off"].keys(), "refused by name"


def test_dwell_is_the_time_to_the_next_event():
    rows, report = canonical("yandex")
    dwell = {r["doc_id"]: r["dwell_ms"] for r in rows if r["clicked"]}
    assert dwell == {"309585": 402_000, "319567": None, "7": 15_000}, "a session's last click has none: satisfied"
    assert by(rows, "user_id", "session_id") == {("123123123", "744899"), ("5", "744900")}
    assert "timestamp" not in rows[0], "times since the start of a session are no dates"
    assert report.quarantine == {"broken_line": 1}
    rows, report = canonical("yandex-relevance")
    assert report.quarantine == {"click_without_impression": 1}
    assert report.sessions_stand_for_users


def test_page_blocks_and_encodings(tmp_path):
    rows, _ = canonical("baidu-ultr")
    assert len(by(rows, "search_id")) == 2
    assert by(rows, "dwell_ms") >= {(12_500,), (3_000,)}
    broken = tmp_path / "SogouQ"
    broken.write_bytes(sample("sogou").read_bytes() + b"00:00:02\tu\t[\xff\xff]\t1 1\tx.cn\n")
    rows, report = canonical("sogou", broken)
    assert len(rows) == 2
    assert report.quarantine == {"broken_line": 1}
    csv = tmp_path / "log.csv"
    csv.write_bytes("query,doc_id,clicked\n鞋,d,1\n".encode("gbk"))
    mapping = tmp_path / "gbk.toml"
    mapping.write_text('[source]\nshape = "rows"\nencoding = "gbk"\n[columns]\nquery = "query"\ndoc_id = "doc_id"\n'
                       'clicked = "clicked"\n')  # fmt: skip
    rows = open_log(csv, ReadConfig(preset=str(mapping))).reader().read_all().to_pylist()
    assert rows[0]["query"] == "鞋"


class LogItem(NamedTuple):
    doc_id: str
    clicked: bool


class Qlog(NamedTuple):
    session_id: str
    query_id: str
    query: str
    query_orig: str
    time: object
    items: tuple[LogItem, ...]


class Dataset:
    def qlogs_iter(self):
        import datetime

        at = datetime.datetime(2013, 1, 1)
        for i in range(2_500):
            yield Qlog(f"s{i % 7}", "q", "asthma", "asthma", at, (LogItem("a", False), LogItem("b", i % 2 == 0)))


def test_query_logs_of_ir_datasets_as_objects(monkeypatch):
    monkeypatch.setattr(qlogs, "ROWS", 1_000)
    log = Dataset()
    raw = open_log(log, ReadConfig(preset="ir-datasets"))
    for _ in range(2):
        table = raw.reader().read_all()
        assert table.num_rows == 5_000
    rows, _ = canonical("ir-datasets", log)
    assert by(rows, "query", "doc_id", "position", "clicked") == {
        ("asthma", "a", 1, False), ("asthma", "b", 2, False), ("asthma", "b", 2, True),
    }  # fmt: skip
    assert by(rows, "user_id") == by(rows, "session_id"), "who has no user id is a session"


def test_paths_into_lists_are_one_thing_in_json_and_arrow():
    record = {"a": [{"k": "x", "v": {"n": 1}}, {"k": "y", "v": {"n": 2}}, {"k": "x", "v": {"n": 3}}], "b": None}
    empty = {"a": [], "b": None}
    column = pa.Table.from_pylist([record, empty, {"a": None}, record])["a"].combine_chunks()
    for path in ("a[].k", "a[].v.n", "a[key=x].v.n", "a[k=x].v.n", "a[k=y].v.n", "a[k=z].v.n"):
        python = [getter(path)(r) for r in (record, empty, {"a": None}, record)]
        try:
            arrow = pick(column, steps(path)[1:]).to_pylist()
            sliced = pick(column.slice(1, 3), steps(path)[1:]).to_pylist()
        except KeyError:
            assert path == "a[key=x].v.n"
            continue
        assert arrow == python
        assert sliced == python[1:]


def test_a_mapping_file_of_ones_own(tmp_path, capsys):
    log = tmp_path / "log.ndjson"
    log.write_text('{"who": "u", "q": "red", "shown": [{"id": "a"}, {"id": "b"}], "hit": ["b"]}\n')
    mine = tmp_path / "mine.toml"
    mine.write_text('[source]\nshape = "pages"\n[columns]\nuser_id = "who"\nquery = "q"\n'
                    'documents = "shown[].id"\nclicked_documents = "hit[]"\n')  # fmt: skip
    rows, _ = canonical(str(mine), log)
    assert [(r["doc_id"], r["position"], r["clicked"]) for r in rows] == [("a", 1, False), ("b", 2, True)]
    written = tmp_path / "written.toml"
    assert main(["inspect", str(sample("ubi")), "--write-mapping", str(written)]) == 0
    assert canonical(str(written), sample("ubi"))[0] == canonical("ubi")[0]
    csv = tmp_path / "log.csv"
    csv.write_text("uid,query,sku,isclick\nu,red,a,1\n")
    assert main(["inspect", str(csv), "--write-mapping", str(tmp_path / "csv.toml")]) == 0
    assert 'doc_id = "sku"' in (tmp_path / "csv.toml").read_text()
    assert canonical(str(tmp_path / "csv.toml"), csv)[0][0]["user_id"] == "u"
    hn.mine(log, tmp_path / "out", privacy=hn.Privacy.none(), config=hn.Config(read=ReadConfig(preset=str(mine))))
    assert str(tmp_path).encode() not in (tmp_path / "out/report.json").read_bytes()
    capsys.readouterr()


def test_recipes_that_cannot_be(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("q,d,c\nred,a,1\n")
    for recipe in ('extract = "("', 'replace = {"(" = ""}', 'split = "("', 'join = " "'):
        mapping = tmp_path / "bad.toml"
        mapping.write_text(f'[source]\nshape = "rows"\n[columns]\nquery = {{column = "q", {recipe}}}\n'
                           'doc_id = "d"\nclicked = "c"\n')  # fmt: skip
        with pytest.raises(hn.UsageError, match=r"query cannot be made of \['q'\]"):
            open_log(log, ReadConfig(preset=str(mapping)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[source", "is not TOML"),
        ('[source]\nshape = "lists"', "shape must be rows, pages or events"),
        ('[source]\nshpe = "rows"', r"not known: \['shpe'\]"),
        ('[source]\nshape = "rows"\n[columns]\nquery = {colum = "q"}', "column = … or concat"),
        ('[source]\nshape = "rows"\n[columns]\nquery = {column = "q", cut = "x"}', r"not known: \['cut'\]"),
        ('[source]\nshape = "rows"\n[columns]\nquery = 3', "a column, a list of columns"),
        ('[source]\nshape = "rows"\nheader = "a"', "must be a list of text"),
        ('[source]\nbase = "ubj"', "no preset 'ubj'"),
        ("columns = 3", "must be a table"),
        ("[source]\nbase = 3", "base must be text"),
        ('[source]\nshape = "rows"\nencoding = "gb18031"', "encoding is none that Python knows"),
        ('[source]\nshape = "rows"\nencoding = "hex"', "encoding is none that Python knows"),
        ('[source]\nshape = "rows"\n[columns]\nquery = {column = "q", times = "2"}', "times must be a number"),
        ('[source]\nshape = "rows"\n[columns]\nquery = {column = "q", join = 2}', "join must be text"),
        (
            '[source]\nshape = "rows"\n[columns]\nquery = {column = "q", replace = {"a" = 1}}',
            "replace must be a table of texts",
        ),
        ('[source]\nshape = "rows"\n[columns]\nquery = {column = "=query"}', "query would be made of itself"),
        ('[source]\nshape = "rows"\n[columns]\na = {column = "=b"}\nb = {column = "=a"}', "a would be made of itself"),
        ('[source]\nshape = "pages"\n[codes]\nquery = "../x"', "codes.query must be the name of a file beside the log"),
        ('[source]\nshape = "pages"\n[codes]\nquery = ""', "codes.query must be the name of a file beside the log"),
        ('[source]\nshape = "pages"\n[codes]\nquery = ".."', "codes.query must be the name of a file beside the log"),
        (
            '[source]\nshape = "pages"\n[codes]\nquery = "a\\u0000"',
            "codes.query must be the name of a file beside the log",
        ),
    ],
)
def test_mapping_files_that_cannot_be(tmp_path, text, words):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(hn.UsageError, match=words):
        open_log(sample("ubi"), ReadConfig(preset=str(path)))
    with pytest.raises(hn.FileError, match=r"none\.toml"):
        open_log(sample("ubi"), ReadConfig(preset="none.toml"))
    with pytest.raises(hn.UsageError, match="no preset 'ubj'"):
        open_log(sample("ubi"), ReadConfig(preset="ubj"))


def test_a_mapping_file_that_is_its_own_base(tmp_path):
    one, other = tmp_path / "one.toml", tmp_path / "other.toml"
    one.write_text(f'[source]\nbase = "{other}"')
    other.write_text(f'[source]\nbase = "{one}"')
    with pytest.raises(hn.UsageError, match=r"'one\.toml' is its own base"):
        open_log(sample("ubi"), ReadConfig(preset=str(one)))


def test_addresses_of_object_stores(monkeypatch):
    """file:// for real; s3:// and gs:// through what pyarrow resolves them to, here a file system in memory."""
    assert canonical("aol", sample("aol").as_uri())[0] == canonical("aol")[0]
    store = pafs._MockFileSystem()
    store.create_dir("bucket/logs")
    with store.open_output_stream("bucket/logs/day.txt") as out:
        out.write(sample("aol").read_bytes())
    with store.open_output_stream("bucket/logs/_SUCCESS") as out:
        out.write(b"")
    asked = []

    class Resolver:
        LocalFileSystem, FileType, FileSelector = pafs.LocalFileSystem, pafs.FileType, pafs.FileSelector

        class FileSystem:
            @staticmethod
            def from_uri(uri):
                asked.append(uri)
                return store, uri.split("://")[1].strip("/")

    monkeypatch.setattr(files, "pafs", Resolver)
    for scheme in ("s3", "gs"):
        for path in ("bucket/logs/day.txt", "bucket/logs"):
            assert canonical("aol", f"{scheme}://{path}")[0] == canonical("aol")[0]
    assert len(asked) == 4
    with pytest.raises(hn.FileError, match="no such file"):
        canonical("aol", "s3://bucket/none.txt")

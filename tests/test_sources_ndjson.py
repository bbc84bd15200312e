"""NDJSON: mixed types, nested paths, three ways to name an index, and lines that are set aside."""

import json

import pytest

from hardneg_fast.config import ReadConfig
from hardneg_fast.exceptions import ColumnError, DataError
from hardneg_fast.read import open_log
from hardneg_fast.sources import files, open_source
from hardneg_fast.sources.report import ReadReport

GOOD = {"query": "q", "doc_id": "d", "clicked": 0}


def write(tmp_path, *lines, name="log.ndjson"):
    path = tmp_path / name
    path.write_bytes(b"\n".join(x if isinstance(x, bytes) else json.dumps(x).encode() for x in lines) + b"\n")
    return path


def read(path, **options):
    log = open_log(path, ReadConfig(**options))
    return log.reader().read_all().to_pylist(), log


def test_values_of_any_type_become_text(tmp_path):
    values = ["007", 42, 42.0, 0.5, True, False, None, 2**80, "Zoë", "", -1]
    path = write(tmp_path, *({**GOOD, "position": 1, "timestamp": v} for v in values))
    rows, _ = read(path)
    texts = ["007", "42", "42", "0.5", "true", "false", None, str(2**80), "Zoë", "", "-1"]
    assert [row["timestamp"] for row in rows] == texts


def test_nested_paths_and_names_with_dots(tmp_path):
    path = write(
        tmp_path,
        {"a": {"b": {"q": "nested"}}, "doc_id": "d", "clicked": 1},
        {"a.b.q": "flat", "doc_id": "d", "clicked": 1},
        {"a": None, "doc_id": "d", "clicked": 1},
        {"a": "text", "doc_id": "d", "clicked": 1},
    )
    rows, _ = read(path, columns={"query": "a.b.q"})
    assert [row["query"] for row in rows] == ["nested", "flat", None, None]


@pytest.mark.parametrize(
    "line",
    [
        b'{"query": "q", "doc_id":', b"not json", b"[1, 2]", b"42", b'{"query": "\xff", "doc_id": "d", "clicked": 1}',
        b'{"query": "\\ud800", "doc_id": "d", "clicked": 1}', b'{"query": {"x": 1}, "doc_id": "d", "clicked": 1}',
        b'{"query": ["q"], "doc_id": "d", "clicked": 1}', b'{"query": ' + b"[" * 100_000,
        b'{"clicked": ' + b"9" * 5000 + b"}", b"\x00" * 20,
    ],
)  # fmt: skip
def test_broken_lines_are_counted_and_the_rest_is_read(tmp_path, line):
    rows, log = read(write(tmp_path, GOOD, line, b"", b"  ", GOOD))
    assert len(rows) == 2
    assert log.report.quarantine == {"broken_line": 1}
    assert log.report.rows_in == 3


def test_a_column_may_start_late(tmp_path):
    path = write(tmp_path, *[GOOD] * 1500, {**GOOD, "dwell_ms": 7}, {**GOOD, "meta": {"user_id": "u"}})
    rows, log = read(path)
    assert rows[1500]["dwell_ms"] == "7"
    assert rows[0]["dwell_ms"] is None
    assert "user_id" not in log.schema.names, "the name alone, elsewhere, makes no column"
    with pytest.raises(ColumnError, match=r"columns not found: \['nowhere'\]"):
        read(path, columns={"user_id": "nowhere"})


def test_missing_columns_name_nested_leaves(tmp_path):
    path = write(tmp_path, {"event": {"q": "secret", "at": None}, "uid": "secret"})
    with pytest.raises(ColumnError, match=r"available: \['event.q', 'uid'\]") as caught:
        read(path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "lines",
    [
        [{"index": {"_index": "ubi_queries", "_id": "1"}}, {"n": 1}, {"create": {"_index": "ubi_events"}}, {"n": 2}],
        [b'ubi_queries\t{"n": 1}', b'ubi_events\t{"n": 2}'],
        [{"_index": "ubi_queries", "_source": {"n": 1}}, {"_index": "ubi_events", "_source": {"n": 2}}],
    ],
)
def test_index_names(tmp_path, lines):
    source, _ = open_source(write(tmp_path, *lines, {"n": 3}), ReadConfig())
    report = ReadReport()
    rows = source.scan({"n": "n", "index": "_index"}, report, 10).read_all().to_pylist()
    assert [(row["n"], row["index"]) for row in rows] == [("1", "ubi_queries"), ("2", "ubi_events"), ("3", None)]
    assert report.rows_in == 3, "action lines are no records"


def test_a_record_may_look_like_an_action(tmp_path):
    rows, log = read(write(tmp_path, {**GOOD, "index": 3}, GOOD))
    assert len(rows) == 2
    assert not log.report.quarantine


def test_lines_over_block_borders(tmp_path):
    path = write(tmp_path, *[{**GOOD, "query": f"q{i}" * (i % 50)} for i in range(300)])
    (file,) = files.resolve(path)
    whole = path.read_bytes().splitlines()
    for block in (1, 7, 64, 1 << 20):
        assert [line for line in files.lines(file, block) if line] == whole
    with pytest.raises(DataError, match="a line of more than"):
        list(files.lines(file, 16, longest=64))


def test_no_newline_at_the_end_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "log.ndjson"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + b"\r\n" + json.dumps(GOOD).encode())
    rows, log = read(path)
    assert len(rows) == 2
    assert not log.report.quarantine


def test_batches_make_no_difference(tmp_path):
    path = write(tmp_path, *[{**GOOD, "position": i} for i in range(25)])
    assert read(path, batch_rows=7)[0] == read(path)[0]

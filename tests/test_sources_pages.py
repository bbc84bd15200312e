"""Page rows: lists of any kind become a row for each result, and bad pages are counted."""

import json

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from hardneg_fast.config import ReadConfig
from hardneg_fast.exceptions import ColumnError, DataError, UsageError
from hardneg_fast.read import open_log
from hardneg_fast.sources.encoding import content_id

PAGES = {
    "user_id": ["u", "v"], "query": ["red", "blue"], "timestamp": [1, 2], "documents": [["a", "b", "c"], ["d"]],
    "clicks": [[0, 1, 0], [1]],
}  # fmt: skip
RESULTS = [("red", "a", 1, "0"), ("red", "b", 2, "1"), ("red", "c", 3, "0"), ("blue", "d", 1, "1")]


def read(log, **options):
    opened = open_log(log, ReadConfig(**options))
    return opened.reader().read_all(), opened


def results(table):
    return [(r["query"], r["doc_id"], r["position"], r["clicked"]) for r in table.to_pylist()]


def test_lists_of_every_layout():
    table = pa.table(PAGES)
    fixed = pa.table({**PAGES, "documents": pa.array([["a"], ["d"]], pa.list_(pa.string(), 1)), "clicks": [[0], [1]]})
    assert results(read(table)[0]) == RESULTS
    assert results(read(pl.DataFrame(PAGES))[0]) == RESULTS
    assert results(read(duckdb.from_arrow(table))[0]) == RESULTS
    assert results(read(fixed)[0]) == [("red", "a", 1, "0"), ("blue", "d", 1, "1")]
    categories = pl.DataFrame(PAGES).with_columns(pl.col("documents").cast(pl.List(pl.Categorical)))
    assert results(read(categories)[0]) == RESULTS
    flags = pa.table({**PAGES, "clicks": [[False, True, False], [True]]})
    assert [r[3] for r in results(read(flags)[0])] == ["false", "true", "false", "true"]


@pytest.mark.parametrize("write", [json.dumps, repr])
def test_text_that_holds_lists(tmp_path, write):
    path = tmp_path / "log.tsv"
    rows = zip(*PAGES.values(), strict=True)
    lines = ["\t".join(PAGES), *("\t".join(write(c) if isinstance(c, list) else str(c) for c in row) for row in rows)]
    path.write_text("\n".join(lines))
    table, log = read(path)
    assert results(table) == RESULTS
    assert (log.has_pages, log.position_base, log.report.shape, log.report.rows_in) == (True, 1, "pages", 2)


def test_json_lists_and_text_in_one_log(tmp_path):
    path = tmp_path / "log.ndjson"
    pages = [
        {"query": "red", "documents": ["a", 7, "c"], "clicks": [0, 1, False]},
        {"query": "red", "documents": '["a", 7, "c"]', "clicks": "[0, 1, false]"},
        {"query": "red", "documents": "a, 7", "clicks": []},
        {"query": "red", "documents": [["a"]], "clicks": [0]},
    ]
    path.write_text("\n".join(map(json.dumps, pages)))
    table, log = read(path)
    assert results(table) == [("red", "a", 1, "0"), ("red", "7", 2, "1"), ("red", "c", 3, "false")] * 2
    assert log.report.quarantine == {"broken_line": 2}


def test_clicked_documents():
    table = pa.table({
        "query": ["q1", "q2", "q3"], "search_id": [1, 2, 3], "documents": [[5, 6, 5], [7], [8]],
        "clicked": [[5, 99, 98], None, [8, 8]],
    })  # fmt: skip
    read_back, log = read(table, columns={"clicked_documents": "clicked"})
    assert read_back["clicked"].to_pylist() == [True, False, False, False, True], (
        "a doubled document at its upper place"
    )
    assert read_back["search_id"].to_pylist() == [1, 1, 1, 2, 3]
    assert log.report.quarantine == {"click_outside_page": 2}


def test_bad_pages_are_counted_each_under_its_first_fault(tmp_path):
    path = tmp_path / "log.tsv"
    rows = ['good\t["a"]\t[1]', "empty\t[]\t[]", "null\t\t[]", 'long\t["a"]\t[1, 0]', 'none\t["a"]\t', "odd\tx y\t[1]",
            'call\t__import__("os")\t[1]', 'map\t{"a": 1}\t[1]']  # fmt: skip
    path.write_text("\n".join(["query\tdocuments\tclicks", *rows]))
    table, log = read(path)
    assert table["query"].to_pylist() == ["good"]
    assert log.report.quarantine == {"broken_line": 3, "page_without_documents": 2, "list_length_mismatch": 2}


def test_derived_search_ids_follow_content_not_order():
    table = pa.table(PAGES)
    ids = dict(zip(*read(table)[0].select(["query", "search_id"]).to_pydict().values(), strict=True))
    back = read(table.take([1, 0, 1]))[0]
    assert {(r["query"], r["search_id"]) for r in back.to_pylist()} == set(ids.items())
    expected = content_id([None, "u", "red", "1", ["a", "b", "c"], ["0", "1", "0"]])
    assert ids["red"] == expected
    others = [{**PAGES, "timestamp": [9, 2]}, {**PAGES, "clicks": [[0, 0, 0], [1]]}, {**PAGES, "user_id": ["x", "v"]}]
    for other in others:
        assert read(pa.table(other))[0]["search_id"][0].as_py() != expected


def test_content_ids_do_not_collide_by_joining():
    contents = [
        ["ab", "c"],
        ["a", "bc"],
        [None, "abc"],
        ["", "abc"],
        [["a", "b"], "c"],
        [["a"], "bc"],
        [["ab"], "c"],
        [[], "abc"],
    ]
    assert len({content_id(c) for c in contents}) == len(contents)


def test_a_shuffled_list_has_no_positions():
    table, log = read(pa.table(PAGES), constants={"position": ""})
    assert "position" not in table.schema.names
    assert log.report.position_bases == {}


def test_constants_in_page_rows():
    table, _ = read(pa.table(PAGES).drop(["query"]), constants={"query": "home"})
    assert table["query"].to_pylist() == ["home"] * 4


def test_what_is_missing_or_cannot_be():
    table = pa.table(PAGES)
    with pytest.raises(ColumnError, match=r"columns not found: \['clicks'\]"):
        read(table.drop(["clicks"]))
    with pytest.raises(ColumnError, match=r"'documents'.*cast its items"):
        read(pa.table({**PAGES, "documents": [[1.5], [2.5]]}))
    with pytest.raises(ColumnError, match=r"'documents'.*lists, or text that holds a list"):
        read(pa.table({**PAGES, "documents": [1, 2]}))
    with pytest.raises(UsageError, match="lists cannot be constants"):
        read(table, constants={"clicks": "1"})


CODES = "{'': 0, 'red shoes': 1, 'blue hat': 2}"


def trec(tmp_path, *lines, queries=CODES, urls="{'clueweb-1': 7, 'clueweb-2': 8}"):
    (tmp_path / "query_qid.dict").write_text(queries)
    (tmp_path / "url_uid.dict").write_text(urls)
    path = tmp_path / "log.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_numbers_are_decoded_by_the_dictionaries_beside_the_log(tmp_path):
    path = trec(tmp_path, "3\t1\t[7, 8]\t[1, 1]\t[0, 1]", "3\t2\t[8, 9]\t[1, 1]\t[0, 0]", "4\t5\t[7]\t[1]\t[0]")
    table, log = read(path, preset="trec-session")
    assert results(table) == [
        ("red shoes", "clueweb-1", 1, "0"), ("red shoes", "clueweb-2", 2, "1"), ("blue hat", "clueweb-2", 1, "0"),
    ]  # fmt: skip
    assert log.report.quarantine == {"unknown_code": 2}, "one document, and one page for its query"
    assert table["user_id"].to_pylist() == table["session_id"].to_pylist() == ["3"] * 3
    assert "sessions stand for users" in log.report.notes


def test_without_dictionaries_the_numbers_stay(tmp_path):
    path = trec(tmp_path, "3\t1\t[7, 8]\t[1, 1]\t[0, 1]")
    (tmp_path / "url_uid.dict").unlink()
    table, log = read(path, preset="trec-session")
    assert results(table)[0] == ("red shoes", "7", 1, "0")
    assert "url_uid.dict is not beside the log: documents stay numbers" in log.report.notes


def test_a_dictionary_that_is_none(tmp_path):
    for text in ("[1]", "{1: 'x'}", "import os", "{"):
        with pytest.raises(DataError, match=r"query_qid.dict: not a dictionary"):
            read(trec(tmp_path, "3\t1\t[7]\t[1]\t[0]", queries=text), preset="trec-session")

"""CSV and TSV: everything is text, bad rows are counted, messages quote no cell."""

import re
import subprocess
import sys

import pyarrow as pa
import pytest

from hardneg_fast.config import ReadConfig
from hardneg_fast.exceptions import ColumnError, DataError
from hardneg_fast.inspection import inspect
from hardneg_fast.read import open_log

HEADER = b"user_id,query,doc_id,position,clicked\n"


def write(tmp_path, content, name="log.csv"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def read(path, **options):
    log = open_log(path, ReadConfig(**options))
    return log.reader().read_all(), log


def test_every_column_is_text(tmp_path):
    table, _ = read(write(tmp_path, HEADER + b"007,null,1e5,1,0\n42,,08,2,true\n"))
    assert set(table.schema.types) == {pa.string()}
    assert table.to_pylist() == [
        {"user_id": "007", "query": "null", "doc_id": "1e5", "position": "1", "clicked": "0"},
        {"user_id": "42", "query": None, "doc_id": "08", "position": "2", "clicked": "true"},
    ]


def test_columns_are_chosen_and_renamed(tmp_path):
    path = write(tmp_path, b",q,item,is_click,noise\n1,a,d,0,x\n")
    table, _ = read(path, columns={"query": "q", "doc_id": "item", "clicked": "is_click"}, constants={"surface": "web"})
    assert table.to_pylist() == [{"query": "a", "doc_id": "d", "clicked": "0", "surface": "web"}]


def test_ragged_rows_are_counted_and_the_rest_is_read(tmp_path):
    table, log = read(write(tmp_path, HEADER + b"u,q,d,1,0,extra\nu,q\nu,q,d,2,1\n"))
    assert table["position"].to_pylist() == ["2"]
    assert log.report.quarantine == {"broken_line": 2}
    assert log.report.rows_in == 3
    log.reader().read_all()
    assert log.report.quarantine == {"broken_line": 2}, "counted afresh with every reader"


def test_invalid_utf8_costs_its_row_only(tmp_path):
    table, log = read(write(tmp_path, HEADER + b"u,caf\xe9,d,1,0\nu,caf\xc3\xa9,d,2,0\n"))
    assert table["query"].to_pylist() == ["café"]
    assert log.report.quarantine == {"broken_line": 1}


def test_invalid_utf8_in_a_column_that_is_not_read_costs_nothing(tmp_path):
    table, log = read(write(tmp_path, b"query,doc_id,clicked,agent\nq,d,1,\xff\n"))
    assert table.num_rows == 1
    assert log.report.quarantine == {}


@pytest.mark.parametrize("before", [0, 400_000], ids=["in the first block", "later"])
def test_a_ragged_row_that_is_not_utf8_is_told_from_others(tmp_path, before):
    """Arrow cannot show it to whom sets rows aside, and says so on stderr: hence a process of its own."""
    path = write(tmp_path, HEADER + b"u,q,d,1,0\n" * before + b"u,secret\xe9,d\nu,q,d,2,1\n")
    given = [sys.executable, "-m", "hardneg_fast", "mine", str(path), "--no-privacy", "-o", str(tmp_path / "out")]
    done = subprocess.run(given, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert "log.csv: a row has more or fewer cells than the first and is not UTF-8 text" in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_quotes_hold_line_ends_in_csv_and_nothing_in_tsv(tmp_path):
    table, _ = read(write(tmp_path, HEADER + b'u,"two\nlines",d,1,0\n'))
    assert table["query"].to_pylist() == ["two\nlines"]
    tsv = HEADER.replace(b",", b"\t") + b'u\t"5 inch\td\t1\t0\nu\tpipe"\td\t2\t0\n'
    table, _ = read(write(tmp_path, tsv, "log.tsv"))
    assert table["query"].to_pylist() == ['"5 inch', 'pipe"']


def test_a_quote_that_is_never_closed_is_a_named_error_without_cells(tmp_path):
    path = write(tmp_path, HEADER + b'u,"secret,d,1,0\n' + b"u,secret,d,1,0\n" * 400_000)
    with pytest.raises(DataError, match="quote that is never closed") as caught:
        read(path)
    assert "secret" not in str(caught.value)


def test_missing_columns_are_listed_with_what_there_is(tmp_path):
    with pytest.raises(ColumnError) as caught:
        read(write(tmp_path, b"uid,q,doc_id\nsecret,secret,secret\n"))
    assert "columns not found: ['query', 'clicked']; available: ['uid', 'q', 'doc_id']" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_doubled_columns_are_refused_if_they_are_needed(tmp_path):
    with pytest.raises(ColumnError, match=r"log.csv: columns occur more than once: \['query'\]"):
        read(write(tmp_path, b"query,query,doc_id,clicked\na,b,c,1\n"))
    table, _ = read(write(tmp_path, b"query,x,x,doc_id,clicked\na,b,c,d,1\n"))
    assert table.to_pylist() == [{"query": "a", "doc_id": "d", "clicked": "1"}]


def test_files_that_lack_a_column_of_the_others(tmp_path):
    write(tmp_path, HEADER + b"u,q,d,1,0\n", "a.csv")
    write(tmp_path, b"query,clicked,doc_id\nq,0,d\n", "b.csv")
    with pytest.raises(ColumnError, match=r"b.csv: columns not found: \['position', 'user_id'\]"):
        read(tmp_path)
    write(tmp_path, b"clicked,position,doc_id,query,user_id\n1,2,d,q,u\n", "b.csv")
    table, log = read(tmp_path)
    assert table["position"].to_pylist() == ["1", "2"], "the order of columns may differ"
    assert log.report.rows_in == 2


def test_batches_make_no_difference(tmp_path):
    rows = b"".join(b"u%d,q%d,d%d,%d,%d\n" % (i, i % 7, i % 11, i % 10 + 1, i % 2) for i in range(50_000))
    path = write(tmp_path, HEADER + rows)
    big, _ = read(path)
    small, _ = read(path, batch_rows=10)
    assert big.num_rows == 50_000
    assert big.equals(small)


@pytest.mark.parametrize(
    ("mark", "says"), [(";", "';'; convert it"), ("|", "'|'; convert it"), ("\t", "tabs; name it .tsv")]
)
def test_other_marks_between_cells_are_named(mark, says, tmp_path):
    content = b"\n".join(mark.encode().join(row) for row in ([b"query", b"doc_id", b"clicked"], [b"a", b"b", b"1"]))
    with pytest.raises(ColumnError, match=f"it looks as if parted by {re.escape(says)}"):
        read(write(tmp_path, content))


def test_files_without_a_header_line_have_a_way(tmp_path):
    path = write(tmp_path, b"u1\tred shoes\td1\t1\nu2\tred shoes\td2\t0\n", "log.tsv")
    with pytest.raises(ColumnError, match=r'in a mapping file: header = \["user_id", "query", …\] in its \[source\]'):
        read(path)
    mapping = tmp_path / "mine.toml"
    # Names that are canonical need no [columns].
    mapping.write_text('[source]\nshape = "rows"\nheader = ["user_id", "query", "doc_id", "clicked"]\n')
    rows, _ = read(path, preset=str(mapping))
    assert [(row["user_id"], row["query"], row["doc_id"], row["clicked"]) for row in rows.to_pylist()] == [
        ("u1", "red shoes", "d1", "1"), ("u2", "red shoes", "d2", "0"),
    ]  # fmt: skip
    # Where some are named and others are not, the error says which.
    mapping.write_text(mapping.read_text() + '[columns]\nclicked = "clicked"\n')
    with pytest.raises(ColumnError, match=r'its \[columns\] want query = "query", doc_id = "doc_id"'):
        read(path, preset=str(mapping))


def test_words_for_clicks_are_replaced(tmp_path):
    path = write(tmp_path, b"query,doc_id,bought\na,b,yes\na,c,no\n")
    found = inspect(path, config=ReadConfig(columns={"clicked": "bought"}))
    (recipe,) = re.findall(r"in a mapping file: (.*)", "\n".join(found.lines()))
    mapping = '[source]\nshape = "rows"\n[columns]\nquery = "query"\ndoc_id = "doc_id"\n' + recipe.replace(
        "…", "bought"
    )
    (tmp_path / "mine.toml").write_text(mapping)
    assert [row["clicked"] for row in read(path, preset=str(tmp_path / "mine.toml"))[0].to_pylist()] == ["1", "0"]

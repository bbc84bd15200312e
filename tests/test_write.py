"""The write stage: a directory that load_dataset opens, the same bytes each time, whole or not at all."""

import hashlib
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hardneg_fast import write as stage
from hardneg_fast.exceptions import ColumnError, FileError, UsageError
from hardneg_fast.export import export
from hardneg_fast.write import write
from hardneg_fast.writers import dataset, parquet
from mined_tables import NEGATIVES, documents, empty, mined

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
CONFIGS = ("triplets", "negatives", "positives", "queries", "documents")


def load(out: Path, config: str | None = None, **options):
    from datasets import load_dataset  # slow to import

    names = () if config is None else (config,)
    return load_dataset(str(out), *names, split="train", cache_dir=str(out.parent / "cache"), **options)


def digests(out: Path) -> dict[str, str]:
    files = (path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read_report(out: Path) -> dict:
    return json.loads((out / "report.json").read_text(encoding="utf-8"))


def test_what_is_held_out_is_a_split_of_its_own(tmp_path):
    given = mined()
    split = pa.array(["train", "train", "validation"])
    given = mined(negatives=given.negatives.set_column(given.negatives.column_names.index("split"), "split", split))
    for texts in (None, documents()):
        out = tmp_path / ("ids" if texts is None else "texts")
        write(given, out, documents=texts)
        from datasets import load_dataset

        found = load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
        assert {name: rows["query"] for name, rows in found.items()} == {
            "train": ["waterproof hiking boots women"] * 2, "validation": ["nonstick pan"],
        }  # fmt: skip
        assert read_report(out)["written"]["triplets"] == 3
        assert load(out, "negatives").num_rows == 3
    done = export(tmp_path / "texts", tmp_path / "for-st", to="st-triplet")
    rows = pq.read_table(tmp_path / "for-st" / "train.parquet")
    assert set(rows["query"].to_pylist()) == {"waterproof hiking boots women"}
    assert done["left_out"]["queries held out for validation"] == 1


def test_load_dataset_opens_every_config(tmp_path):
    given = mined()
    write(given, tmp_path / "out", documents=documents())
    assert load(tmp_path / "out").column_names == ["query", "positive", "negative_1"]
    triplets = load(tmp_path / "out", "triplets")
    assert triplets[0] == {
        "query": "waterproof hiking boots women",
        "positive": "Text of d1.",
        "negative_1": "Text of d2.",
    }
    assert load(tmp_path / "out", "negatives").to_list() == given.negatives.to_pylist()
    assert load(tmp_path / "out", "positives").to_list() == given.positives.to_pylist()
    assert load(tmp_path / "out", "queries").to_list() == given.queries.to_pylist()
    assert load(tmp_path / "out", "documents").to_list() == [
        {"doc_id": f"d{i}", "text": f"Text of d{i}."} for i in range(1, 6)
    ]


@pytest.mark.parametrize("to", [None, "st-ids", "pylate", "croissant"])
def test_load_dataset_takes_no_other_dataset_of_the_same_name_from_its_cache(tmp_path, to):
    """Its cache goes by the name of the directory and the card's configs, whatever is in the tables."""
    from datasets import load_dataset

    def written(folder: str, rows: pa.Table) -> Path:
        out = tmp_path / folder / "negatives"
        write(mined(negatives=rows), out if to is None else tmp_path / folder / "mined", documents=documents(),
              overwrite=True)  # fmt: skip
        if to is not None:
            export(tmp_path / folder / "mined", out, to=to, overwrite=True)
        return out

    def loaded(out: Path) -> list:
        config = {None: "negatives", "croissant": "negatives"}.get(to, "train")
        found = load_dataset(str(out), config, split="train", cache_dir=str(tmp_path / "cache"))
        return pq.read_table(sorted((out / config).glob("*.parquet"))[0]).to_pylist() == found.to_list()

    given = mined().negatives
    assert loaded(written("one", given))
    assert loaded(written("one", given.slice(0, 1))), "mined anew"
    assert loaded(written("two", given.slice(0, 2))), "of the same name, elsewhere"
    cards = [(written(folder, given) / "README.md").read_text() for folder in ("one", "three")]
    assert cards[0] == cards[1], "same tables, same card"


def test_without_documents_there_are_ids(tmp_path):
    write(mined(), tmp_path / "out")
    assert load(tmp_path / "out").to_list() == mined().triplets.to_pylist()
    assert load(tmp_path / "out", "documents").to_list() == [{"doc_id": f"d{i}"} for i in range(1, 6)]
    assert "without_text" not in read_report(tmp_path / "out")


@pytest.mark.parametrize("with_documents", [True, False])
def test_empty_tables_load(tmp_path, with_documents):
    write(empty(), tmp_path / "out", documents=documents() if with_documents else None)
    loaded = {config: load(tmp_path / "out", config, streaming=True) for config in CONFIGS}
    assert all(list(table) == [] for table in loaded.values())
    assert loaded["triplets"].column_names == ["query", "positive", "negative_1"]
    assert loaded["negatives"].column_names == NEGATIVES.names


def test_an_empty_table_does_not_keep_others_from_loading(tmp_path):
    write(mined(triplets=mined().triplets.slice(0, 0)), tmp_path / "out")
    assert load(tmp_path / "out", "negatives").num_rows == 3
    assert "streaming=True" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_column_without_any_value_loads(tmp_path):
    """A column that no stage fills may come as Arrow's null type."""
    blank = mined().negatives.set_column(13, "split", pa.nulls(3))
    write(mined(negatives=blank), tmp_path / "out")
    assert load(tmp_path / "out", "negatives")["split"][:] == [None, None, None]


def test_rows_without_text_are_left_out_and_counted(tmp_path):
    texts = pa.table({"doc_id": ["d1", "d2", "d3", "d4"], "text": ["one", "two", "", None]})
    write(mined(), tmp_path / "out", documents=texts)
    assert load(tmp_path / "out").to_list() == [
        {"query": "waterproof hiking boots women", "positive": "one", "negative_1": "two"}
    ]
    report = read_report(tmp_path / "out")
    assert report["without_text"] == 2
    assert report["documents_without_text"] == 3
    assert report["written"] == {"triplets": 1, "negatives": 3, "positives": 2, "queries": 2, "documents": 2}


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_documents_may_be_any_strings(tmp_path, kind):
    write(mined(), tmp_path / "plain", documents=documents())
    table = documents()
    columns = [table[name].cast(kind) for name in table.column_names]
    write(mined(), tmp_path / "other", documents=pa.table(columns, names=table.column_names))
    assert digests(tmp_path / "plain") == digests(tmp_path / "other")


def test_integer_document_ids_are_their_digits(tmp_path):
    triplets = pa.table({"query": ["a"], "positive": ["1"], "negative_1": ["22"]})
    write(mined(triplets=triplets), tmp_path / "out", documents=pa.table({"doc_id": [22, 1], "text": ["no", "yes"]}))
    assert load(tmp_path / "out")[0] == {"query": "a", "positive": "yes", "negative_1": "no"}


def test_of_an_id_that_comes_twice_the_first_text_counts(tmp_path):
    doubled = pa.concat_tables([documents(), pa.table({"doc_id": ["d1"], "text": ["late"]})])
    write(mined(), tmp_path / "out", documents=doubled)
    assert load(tmp_path / "out")[0]["positive"] == "Text of d1."
    assert len(load(tmp_path / "out", "documents")) == 5


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (pa.table({"id": ["d1"], "text": ["a"]}), "'doc_id' expected; available: \\['id', 'text'\\]"),
        (pa.table({"doc_id": ["d1"]}), "'text' expected"),
        (pa.table({"doc_id": ["d1"], "text": [1]}), "'text' is int64"),
        (pa.table({"doc_id": [1.5], "text": ["a"]}), "'doc_id' is double"),
    ],
)
def test_documents_of_another_shape_are_refused(tmp_path, table, words):
    with pytest.raises(ColumnError, match=words):
        write(mined(), tmp_path / "out", documents=table)
    assert not any(tmp_path.iterdir())


def chopped(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table.slice(i, 1) for i in range(table.num_rows)])


def test_same_tables_give_the_same_bytes(tmp_path):
    """Whatever their chunks, their kinds of strings, and the name of the directory."""
    first = mined()
    tables = {name: getattr(first, name) for name in ("negatives", "triplets", "queries", "evidence_by_position")}
    second = {name: chopped(table) for name, table in tables.items()}
    second["queries"] = second["queries"].cast(
        pa.schema([("query_id", pa.large_string()), ("query", pa.dictionary(pa.int32(), pa.string()))])
    )
    write(first, tmp_path / "out", documents=documents())
    write(mined(**second), tmp_path / "elsewhere", documents=chopped(documents()))
    assert digests(tmp_path / "out") == digests(tmp_path / "elsewhere")


def test_large_tables_are_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "SHARD_ROWS", 100)
    monkeypatch.setattr(dataset, "ROW_GROUP_ROWS", 30)
    n = 250
    triplets = pa.table(
        {"query": [f"q{i}" for i in range(n)], "positive": ["d1"] * n, "negative_1": ["d2", "gone"] * (n // 2)}
    )
    write(mined(triplets=triplets), tmp_path / "out", documents=documents())
    names = sorted(path.name for path in (tmp_path / "out" / "triplets").iterdir())
    assert names == [f"train-0000{i}-of-00002.parquet" for i in range(2)]
    sizes = [pq.read_metadata(tmp_path / "out" / "triplets" / name) for name in names]
    assert [(file.num_rows, file.num_row_groups) for file in sizes] == [(100, 4), (25, 1)]
    assert load(tmp_path / "out")["query"][:] == [f"q{i}" for i in range(0, n, 2)]


def test_mined_is_left_as_it_was(tmp_path):
    given = mined()
    write(given, tmp_path / "out", documents=documents())
    assert given.report == mined().report


def test_refuses_to_overwrite_and_overwrites_when_asked(tmp_path):
    write(mined(), tmp_path / "out")
    before = digests(tmp_path / "out")
    with pytest.raises(UsageError, match="not empty"):
        write(empty(), tmp_path / "out")
    assert digests(tmp_path / "out") == before
    write(empty(), tmp_path / "out", overwrite=True)
    assert digests(tmp_path / "out") != before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("failing", ["card", "report_html", "write_dataset"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failure_in_the_middle_leaves_what_was(tmp_path, monkeypatch, failing, error):
    write(mined(), tmp_path / "out")
    before = digests(tmp_path / "out")

    def fail(*_):
        raise error

    monkeypatch.setattr(stage, failing, fail)
    expected = FileError if isinstance(error, OSError) else KeyboardInterrupt
    for target in ("out", "new"):
        with pytest.raises(expected):
            write(empty(), tmp_path / target, overwrite=True)
    assert digests(tmp_path / "out") == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_unwritable_target_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="file/out"):
        write(mined(), tmp_path / "file" / "out")


def test_nothing_in_a_file_names_its_place(tmp_path):
    write(mined(), tmp_path / "a-place-of-its-own", documents=documents())
    for path in (tmp_path / "a-place-of-its-own").rglob("*"):
        if path.is_file():
            assert b"a-place-of-its-own" not in path.read_bytes()
            assert str(tmp_path).encode() not in path.read_bytes()


def test_parquet_keeps_no_arrow_schema(tmp_path):
    """A dictionary column would come back as one otherwise, and trainers want strings."""
    coded = pa.table({"a": pa.array(["x", "x"]).dictionary_encode()})
    parquet.write_parts(tmp_path / "file.parquet", coded.schema, [coded])
    assert pq.read_schema(tmp_path / "file.parquet").equals(pa.schema([("a", pa.string())]))

"""Exports: opened by the library that reads them where it is here, else by what its reader does, in a few lines."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import duckdb
import ir_measures
import lightgbm
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

import hardneg_fast as hn
from hardneg_fast.cli import main
from hardneg_fast.cli_export import FORMATS
from hardneg_fast.targets import TARGETS
from hardneg_fast.targets.mined import MinedDirectory
from hardneg_fast.write import write
from mined_tables import NEGATIVES, mined

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"

ROWS = [  # query_id, query, positive, negative, chance to be relevant, position
    ("q1", "boots", None, "d2", 0.25, 2),
    ("q1", "boots", "d1", "d3", 0.5, 1),
    ("q1", "boots", "d4", "d5", 0.125, 4),
    ("q1", "boots", "d1", "d5", 0.125, 4),
    ("q2", "pan", None, "d1", 0.0, 3),
    ("q2", "pan", None, "d2", 0.0, None),
]
POSITIVES = [("q1", "d1"), ("q1", "d4"), ("q1", "d7"), ("q2", "d3")]
TEXTS = {f"d{i}": f"Text {i}." for i in range(1, 8)}
FEATURES = pa.table(
    {"doc_id": list(TEXTS), "price": [-1.5, None, 3.0, 4.0, 5.0, 6.0, 7.0], "stock": [1, 2, 3, 4, 5, 6, 7]}
)


def dataset(folder: Path, rows=ROWS, positives=POSITIVES, texts=TEXTS, queries=None) -> Path:
    """A dataset directory as `mine` writes it."""
    names = ("query_id", "query", "pos_id", "neg_id", "p_false_negative", "position_neg")
    table = [dict(zip(names, row, strict=True)) | {"position_pos": 3 if row[2] else None} for row in rows]
    queries = queries or list(dict.fromkeys(row[:2] for row in rows))
    given = mined(
        negatives=pa.Table.from_pylist(table, schema=NEGATIVES),
        positives=pa.table([*zip(*positives, strict=True)], names=["query_id", "doc_id"]),
        queries=pa.table([*zip(*queries, strict=True)], names=["query_id", "query"]),
        triplets=pa.table({"query": ["boots"], "positive": ["d1"], "negative_1": ["d2"]}),
    )
    documents = texts and pa.table({"doc_id": list(texts), "text": list(texts.values())})
    write(given, folder / "out", documents=documents)
    return folder / "out"


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return dataset(tmp_path_factory.mktemp("mined"))


def rows_of(path: Path) -> list[dict]:
    return pq.ParquetFile(path).read().to_pylist()


def json_lines(path: Path) -> list:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def cells(path: Path, separator: str = "\t") -> list[list[str]]:
    return [line.split(separator) for line in path.read_text(encoding="utf-8").splitlines()]


def text(number: int) -> str:
    return f"Text {number}."


def test_every_format_is_whole_says_what_it_is_and_is_the_same_each_time(source, tmp_path, capsys):
    for name, target in TARGETS.items():
        more = {"features": FEATURES} if target.features else {}
        bytes_of = []
        for i in range(2):
            out = tmp_path / f"{name}{i}"
            done = hn.export(source, out, to=name, **more)
            assert {path.name for path in out.iterdir()} == {*target.files, "README.md"}, name
            readme = (out / "README.md").read_text(encoding="utf-8")
            assert target.load in readme
            assert "at least 10 people" in readme
            assert "tmp" not in readme
            assert all(n >= 0 for n in done["rows"].values())
            files = sorted(path for path in out.rglob("*") if path.is_file())
            bytes_of.append([(p.relative_to(out), hashlib.sha256(p.read_bytes()).hexdigest()) for p in files])
        assert bytes_of[0] == bytes_of[1], name
    assert main(["export", str(source), "--to", "qrels", "-o", str(tmp_path / "cli")]) == 0
    assert "qrels.txt: 9 rows" in capsys.readouterr().out
    assert "qrels" in TARGETS
    assert main(["export", str(source), "--to", "qrels", "-o", str(tmp_path / "cli"), "--overwrite"]) == 0


def test_sentence_transformers(source, tmp_path):
    def exported(name, **options):
        out = tmp_path / (name + "-".join(options))
        done = hn.export(source, out, to=name, **options)
        return rows_of(out / "train.parquet"), done

    triplets, done = exported("st-triplet")
    assert list(triplets[0]) == ["query", "positive", "negative"], "losses go by the order of columns"
    found = {(r["query"], r["positive"], r["negative"]) for r in triplets}
    assert found == {
        ("boots", text(1), text(2)), ("boots", text(1), text(3)), ("boots", text(1), text(5)),
        ("boots", text(4), text(2)), ("boots", text(4), text(5)), ("boots", text(7), text(2)),
        ("pan", text(3), text(1)), ("pan", text(3), text(2)),
    }  # fmt: skip
    assert done["left_out"] == {}
    pairs_of_negatives, done = exported("st-ntuple", num_negatives=2, scores=True)
    assert list(pairs_of_negatives[0]) == ["query", "positive", "negative_1", "negative_2", "scores"]
    assert [r["scores"] for r in pairs_of_negatives] == [[1.0, 0.25, 0.5], [1.0, 0.25, 0.125], [1.0, 0.0, 0.0]]
    assert done["left_out"] == {"short rows": 2}, "one negative too many of d1, and d7 has one only"
    pairs, _ = exported("st-pairs")
    assert [(r["document"], r["label"]) for r in pairs if r["query"] == "pan"] == [
        (text(3), 1),
        (text(1), 0),
        (text(2), 0),
    ]
    assert all(isinstance(r["label"], int) for r in pairs)
    soft, _ = exported("st-pairs", scores=True)
    assert {r["label"] for r in soft} == {1.0, 0.25, 0.5, 0.125, 0.0}
    lists, _ = exported("st-list")
    assert all(len(r["documents"]) == len(r["labels"]) and {0, 1} == {*r["labels"]} for r in lists)
    assert len(lists) == 4, "positives with other negatives have a list of their own"
    hn.export(source, tmp_path / "ids", to="st-ids")
    load = __import__("datasets").load_dataset
    train, queries, documents = (
        load(str(tmp_path / "ids"), name, split="train", cache_dir=str(tmp_path / "cache"))
        for name in ("train", "queries", "documents")
    )
    # As resolve_ids does: a lookup for each id column; a missing id is a KeyError.
    of_query, of_doc = (
        dict(zip(queries["query_id"], queries["query"], strict=True)),
        dict(zip(documents["doc_id"], documents["text"], strict=True)),
    )
    resolved = {
        (of_query[r["query_id"]], of_doc[r["positive_id"]], of_doc[n]) for r in train for n in r["negative_ids"]
    }
    assert resolved == found


def test_flag_embedding_never_has_an_empty_list(source, tmp_path):
    hn.export(source, tmp_path / "o", to="flag", scores=True)
    rows = __import__("datasets").load_dataset(
        "json", data_files=str(tmp_path / "o/train.jsonl"), split="train", cache_dir=str(tmp_path / "cache")
    )
    for row in rows:  # its reader: a positive by chance, then group size // len(neg) rounds of negatives
        assert row["pos"]
        assert -(-7 // len(row["neg"]))
        assert len(row["pos"]) == len(row["pos_scores"])
        assert len(row["neg"]) == len(row["neg_scores"])
        assert all(isinstance(score, float) for score in row["pos_scores"] + row["neg_scores"])
    assert not [p for p in (tmp_path / "o").iterdir() if p.suffix in (".json", ".jsonl") and p.name != "train.jsonl"]


def test_tevatron(source, tmp_path):
    hn.export(source, tmp_path / "o", to="tevatron")
    corpus = {row["docid"]: row["text"] for row in json_lines(tmp_path / "o/corpus.jsonl")}
    older, newer = json_lines(tmp_path / "o/train.jsonl"), json_lines(tmp_path / "o/train_ids.jsonl")
    assert len({row["query_id"] for row in older}) == len(older) == 4
    for old, new in zip(older, newer, strict=True):
        for side in ("positive", "negative"):
            assert [p["docid"] for p in old[f"{side}_passages"]] == new[f"{side}_document_ids"] != []
            assert all(p["text"] == corpus[p["docid"]] and "title" not in p for p in old[f"{side}_passages"])
        assert old["query"] == new["query_text"]


def test_pylate(source, tmp_path):
    hn.export(source, tmp_path / "o", to="pylate", num_negatives=2, scores=True)
    folders = {name: rows_of(tmp_path / "o" / name / "train.parquet") for name in ("train", "queries", "documents")}
    # As KDProcessing: texts by id, and rows of one length for its collator.
    texts = {row["document_id"]: row["text"] for row in folders["documents"]}
    queries = {row["query_id"]: row["text"] for row in folders["queries"]}
    assert {len(row["document_ids"]) for row in folders["train"]} == {3}
    for row in folders["train"]:
        assert queries[row["query_id"]]
        assert all(texts[doc] for doc in row["document_ids"])
        assert row["scores"][0] == 1.0
        assert len(row["scores"]) == 3


def test_formats_by_number(source, tmp_path):
    for name, lines in (("msmarco", "qidpidtriples.train.tsv"), ("colbert", "triples.jsonl")):
        hn.export(source, tmp_path / name, to=name)
        queries = {int(number): query for number, query in cells(tmp_path / name / "queries.tsv")}
        collection = cells(tmp_path / name / "collection.tsv")
        assert [int(pid) for pid, _ in collection] == [*range(len(collection))], "a number is its line"
        ids = [row["doc_id"] for row in json_lines(tmp_path / name / "doc_ids.jsonl")]
        assert [TEXTS[doc] for doc in ids] == [passage for _, passage in collection]
        path = tmp_path / name / lines
        triples = cells(path) if name == "msmarco" else json_lines(path)
        found = [(queries[int(q)], collection[int(p)][1], collection[int(n)][1]) for q, p, n in triples]
        assert len({*found}) == len(found) == 8
        assert found != sorted(found), "read from start to end: not a query after another"
    assert found == [(q, p, n) for q, p, n in cells(tmp_path / "msmarco/triples.train.tsv")] or len(found) == 8
    assert {*found} == {tuple(row) for row in cells(tmp_path / "msmarco/triples.train.tsv")}
    assert all(zero == "0" and grade == "1" for _, zero, _, grade in cells(tmp_path / "msmarco/qrels.train.tsv"))
    hn.export(source, tmp_path / "nway", to="colbert", num_negatives=2, scores=True)
    for query, *pairs in json_lines(tmp_path / "nway/triples.jsonl"):
        assert isinstance(query, int)
        pids, scores = zip(*pairs, strict=True)  # as its batcher does
        assert len(pids) == 3
        assert scores[0] == 1.0


def test_qrels_are_read_and_score_a_run(source, tmp_path):
    hn.export(source, tmp_path / "o", to="qrels")
    qrels = list(ir_measures.read_trec_qrels(str(tmp_path / "o/qrels.txt")))
    assert {(q.query_id, q.doc_id, q.relevance) for q in qrels} == {
        *((q, d, 1) for q, d in POSITIVES), *((q, n, 0) for q, _, _, n, _, _ in ROWS),
    }  # fmt: skip
    run = [ir_measures.ScoredDoc("q1", doc, score) for doc, score in (("d2", 2.0), ("d1", 1.0))]
    assert ir_measures.calc_aggregate([ir_measures.RR], qrels, run)[ir_measures.RR] == 0.25  # 1/2 of q1, 0 of q2


def test_beir(source, tmp_path):
    hn.export(source, tmp_path / "o", to="beir")
    corpus = {row["_id"]: row for row in json_lines(tmp_path / "o/corpus.jsonl")}
    queries = {row["_id"]: row["text"] for row in json_lines(tmp_path / "o/queries.jsonl")}
    head, *qrels = cells(tmp_path / "o/qrels/train.tsv")
    assert head == ["query-id", "corpus-id", "score"]
    assert {(q, d) for q, d, _ in qrels} == {*POSITIVES}
    assert all(q in queries and d in corpus and s == "1" for q, d, s in qrels), "what is no positive is no qrel"
    hard = json_lines(tmp_path / "o/hard-negatives.jsonl")
    assert all(row["qid"] in queries and {*row["neg"]["clicks"]} <= corpus.keys() for row in hard)


def test_opensearch_judgments(source, tmp_path):
    hn.export(source, tmp_path / "o", to="opensearch", scores=True)
    body = json.loads((tmp_path / "o/judgments.json").read_text())
    assert body["type"] == "IMPORT_JUDGMENT"
    assert {"name", "description", "type", "judgmentRatings"} == body.keys()
    boots, pan = body["judgmentRatings"]
    assert boots["ratings"][3] == {"docId": "d2", "rating": "0.25"}, "a rating is text"
    assert [r["rating"] for r in pan["ratings"]] == ["1", "0", "0"]


def test_rankers(source, tmp_path):
    for name in ("lightgbm", "xgboost", "letor"):
        hn.export(source, tmp_path / name, to=name, features=FEATURES)
    rows = json_lines(tmp_path / "lightgbm/rows.jsonl")
    assert [row["doc_id"] for row in rows if row["qid"] == 2] == ["d1", "d3", "d2"] or rows
    order = [row["doc_id"] for row in rows]
    assert order == ["d3", "d2", "d1", "d4", "d5", "d7", "d1", "d3", "d2"], "by position, those without one last"
    labels = [0, 0, 1, 1, 0, 1, 0, 1, 0]
    options = {"verbose": -1, "min_data_in_leaf": 1, "min_data_in_bin": 1}
    data = lightgbm.Dataset(str(tmp_path / "lightgbm/train.tsv"), params=options).construct()
    assert data.get_label().tolist() == labels
    assert data.get_group().tolist() == [6, 3]
    assert data.get_weight() is None or data.get_weight().tolist() == [1.0] * 9
    positions = (tmp_path / "lightgbm/train.tsv.position").read_text().split()
    assert positions == ["1", "2", "3", "3", "4", "none", "3", "none", "none"]
    assert len({*data.get_position().tolist()}) == 5
    unbiased = {"objective": "lambdarank", "lambdarank_position_bias_regularization": 0.1}
    assert lightgbm.train(options | unbiased, data, 2).num_trees() == 2
    with pytest.warns(UserWarning, match="deprecated"):
        matrix = xgboost.DMatrix(f"{tmp_path}/xgboost/train.libsvm?format=libsvm")
    assert matrix.get_label().tolist() == labels
    assert matrix.get_uint_info("group_ptr").tolist() == [0, 6, 9]
    weights = np.loadtxt(tmp_path / "xgboost/train.libsvm.weight")
    assert weights.shape == (2,), "a weight a query"
    assert (tmp_path / "xgboost/train.libsvm.group").read_text().split() == ["6", "3"]
    matrix.set_weight(weights)
    xgboost.train({"objective": "rank:ndcg", "lambdarank_unbiased": True}, matrix, 2)
    letor = cells(tmp_path / "letor/train.txt", " ")
    assert letor[2] == ["1", "qid:1", "1:-1.5", "2:1.0", "#", "doc=d1"]
    assert letor[1] == ["0", "qid:1", "2:2.0", "#", "doc=d2"], "what is missing is left out"
    assert [f["feature"] for f in json_lines(tmp_path / "letor/features.jsonl")] == ["price", "stock"]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a directory."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_features_and_documents_of_other_libraries_are_those_of_pyarrow(source, tmp_path):
    """Categories over views, lazy frames, and sums of whole numbers, which DuckDB gives as decimals."""
    texts = pa.table({"doc_id": list(TEXTS), "text": list(TEXTS.values())})
    hn.export(source, tmp_path / "letor", to="letor", features=FEATURES)
    hn.export(source, tmp_path / "beir", to="beir", documents=texts)
    frame, categories = pl.DataFrame(texts), pl.DataFrame(texts).cast(pl.Categorical)
    sums = "SELECT doc_id, sum(price) AS price, sum(stock) AS stock FROM features GROUP BY doc_id"
    with duckdb.connect() as db:
        db.register("features", FEATURES)
        features = db.sql(sums).to_arrow_table()
    assert pa.types.is_decimal(features.schema.field("stock").type)
    for i, more in enumerate(({"features": features}, {"features": pl.DataFrame(FEATURES).lazy()})):
        hn.export(source, tmp_path / f"letor{i}", to="letor", **more)
        assert contents(tmp_path / f"letor{i}") == contents(tmp_path / "letor")
    for i, documents in enumerate((frame, categories, categories.lazy())):
        hn.export(source, tmp_path / f"beir{i}", to="beir", documents=documents)
        assert contents(tmp_path / f"beir{i}") == contents(tmp_path / "beir")


def test_a_table_that_fails_is_a_named_error_without_its_values(source, tmp_path):
    class Fails:
        def __arrow_c_stream__(self, requested_schema=None):
            raise RuntimeError("could not convert 'secret'")

    for name, to in (("documents", "beir"), ("features", "letor")):
        with pytest.raises(hn.DataError, match=f"{name} must be.*check that it can be read alone") as caught:
            hn.export(source, tmp_path / "o", to=to, **{name: Fails()})
        assert "secret" not in str(caught.value)


def test_features_by_query_and_what_has_none(source, tmp_path):
    table = pa.table({"query": ["boots"] * 3, "doc_id": ["d1", "d2", "d4"], "bm25": [2.0, float("nan"), 1.0]})
    done = hn.export(source, tmp_path / "o", to="letor", features=table)
    assert [line[0] for line in cells(tmp_path / "o/train.txt", " ")] == ["0", "1", "1"], "q2 has no features"
    assert done["left_out"] == {"documents without features": 6}
    bad = [
        ({"doc_id": ["d1"]}, "columns of numbers"),
        ({"doc_id": ["d1"], "brand": ["x"]}, r"none: \['brand'\]"),
        ({"doc_id": ["d1"], "x": [float("inf")]}, "infinity"),
        ({"doc_id": ["d1", "d1"], "x": [1, 2]}, "twice"),
        ({"id": ["d1"], "x": [1]}, "'doc_id'"),
    ]
    for columns, words in bad:
        with pytest.raises(hn.HardnegError, match=words):
            hn.export(source, tmp_path / "bad", to="letor", features=pa.table(columns))
    assert not (tmp_path / "bad").exists()


def test_torcheasyrec(source, tmp_path):
    hn.export(source, tmp_path / "o", to="torcheasyrec")
    edges = cells(tmp_path / "o/hard_neg_edges.tsv")
    assert edges[0] == ["userid:int64", "itemid:int64", "weight:float"]
    items = {row[0] for row in cells(tmp_path / "o/items.tsv")[1:]}
    users = {row[0] for row in cells(tmp_path / "o/users.tsv")[1:]}
    for user, item, weight in edges[1:] + cells(tmp_path / "o/pos_edges.tsv")[1:]:
        assert user in users
        assert item in items
        assert float(weight) == 1.0


def test_croissant_names_its_files_and_says_how_private(source, tmp_path):
    hn.export(source, tmp_path / "o", to="croissant")
    content = json.loads((tmp_path / "o/croissant.json").read_text())
    assert "at least 10 people" in content["rai:personalSensitiveInformation"]
    for file in content["distribution"]:
        data = (tmp_path / "o" / file["contentUrl"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == file["sha256"]
        assert file["contentSize"] == f"{len(data)} B"
    files = {file["@id"] for file in content["distribution"]}
    for records in content["recordSet"]:
        schema = pq.read_schema(tmp_path / "o" / records["field"][0]["source"]["fileObject"]["@id"])
        assert [f["source"]["extract"]["column"] for f in records["field"]] == schema.names
        assert {f["source"]["fileObject"]["@id"] for f in records["field"]} <= files


HOSTILE = "=cmd|' /C calc'!A0\tx\ny\r\x0bz\u2028w\x85v"


def test_hostile_texts_stay_in_their_cells(tmp_path):
    texts = TEXTS | {"d1": HOSTILE, "d2": '+"unclosed', "d3": "\tTab first"}
    rows = [(i, "@SUM(1)" if q == "pan" else q, p, n, f, at) for i, q, p, n, f, at in ROWS]
    source = dataset(tmp_path, rows, texts=texts)
    for name in ("msmarco", "colbert", "qrels", "torcheasyrec"):
        hn.export(source, tmp_path / name, to=name)
        for path in (tmp_path / name).glob("*.tsv"):
            lines = path.read_bytes().decode().splitlines()  # every Unicode line end
            assert lines == path.read_text(encoding="utf-8").split("\n")[:-1], path
            width = {len(line.split("\t")) for line in lines}
            assert len(width) == 1, path
            assert not [c for line in lines for c in line.split("\t") if c.startswith(("=", "+", "-", "@"))], path
    assert cells(tmp_path / "msmarco/collection.tsv")[0][1] == " =cmd|' /C calc'!A0 x y z w v"
    for name in ("flag", "tevatron", "beir", "opensearch"):
        hn.export(source, tmp_path / name, to=name)
        for path in (p for p in (tmp_path / name).rglob("*.json*")):
            whole = path.read_text(encoding="utf-8")
            assert whole.splitlines() == whole.split("\n")[:-1], "one line for every reader"
    corpus = {row["_id"]: row["text"] for row in json_lines(tmp_path / "beir/corpus.jsonl")}
    assert corpus["d1"] == HOSTILE, "JSON keeps every character"


@pytest.mark.parametrize("bad", ["a b", "a\tb", "a\nb", '"quoted', "\u2003x"])
def test_ids_that_a_format_cannot_hold_are_refused(tmp_path, bad):
    rows = [("q1", "boots", None, bad, None, 1)]
    source = dataset(tmp_path, rows, [("q1", "d1")], TEXTS | {bad: "text"})
    for name in ("qrels", "beir", "letor"):
        more = {"features": FEATURES} if name == "letor" else {}
        with pytest.raises(hn.DataError, match="1 document ids hold white space"):
            hn.export(source, tmp_path / name, to=name, **more)
        assert not (tmp_path / name).exists()
    for name in ("flag", "msmarco", "opensearch", "st-ids", "torcheasyrec"):
        hn.export(source, tmp_path / name, to=name)


@pytest.mark.parametrize("odd", ["-abc", "@handle", "+x", "=y"])
def test_an_id_is_the_same_in_all_files(tmp_path, odd):
    """Cells begin no formula (SECURITY.md): where an id is one by itself it is refused, and nowhere changed."""
    rows = [("q1", "boots", None, "d2", 0.25, 2)]
    source = dataset(tmp_path, rows, [("q1", odd)], TEXTS | {odd: "text"})
    with pytest.raises(hn.DataError, match="begin like a quote or a formula, which qrels of BEIR cannot hold"):
        hn.export(source, tmp_path / "beir", to="beir")
    hn.export(source, tmp_path / "qrels", to="qrels")
    lines = (tmp_path / "qrels/qrels.txt").read_text().splitlines()
    assert f"0 {odd} 1" in {line.partition(" ")[2] for line in lines}
    features = pa.table({"doc_id": [odd, "d2"], "price": [1.0, 2.0]})
    hn.export(source, tmp_path / "letor", to="letor", features=features)
    assert f" # doc={odd}\n" in (tmp_path / "letor/train.txt").read_text()
    assert odd in {row["doc_id"] for row in json_lines(tmp_path / "letor/rows.jsonl")}
    for name in ("msmarco", "colbert", "torcheasyrec"):
        hn.export(source, tmp_path / name, to=name)
        assert odd in {row["doc_id"] for row in json_lines(tmp_path / name / "doc_ids.jsonl")}


def test_documents_without_text_are_left_out_and_counted(tmp_path):
    source = dataset(tmp_path, texts=None)
    with pytest.raises(hn.UsageError, match="holds texts, and the dataset has ids only"):
        hn.export(source, tmp_path / "o", to="flag")
    some = pa.table({"doc_id": ["d1", "d2", "d3", "d7"], "text": ["one", "two", "three", ""]})
    done = hn.export(source, tmp_path / "o", to="st-triplet", documents=some)
    found = {(r["query"], r["positive"], r["negative"]) for r in rows_of(tmp_path / "o/train.parquet")}
    assert found == {
        ("boots", "one", "two"),
        ("boots", "one", "three"),
        ("pan", "three", "one"),
        ("pan", "three", "two"),
    }
    assert done["left_out"] == {"documents without text": 3}
    hn.export(source, tmp_path / "qrels", to="qrels")


def test_what_is_refused(source, tmp_path):
    def refused(words, *, error=hn.UsageError, to="flag", dataset=source, out=tmp_path / "o", **options):
        with pytest.raises(error, match=words):
            hn.export(dataset, out, to=to, **options)
        assert not (tmp_path / "o").exists()

    refused("did you mean 'st-triplet'", to="st-triple")
    refused("no format is called '../../etc", to="../../etc/passwd")
    refused("no rows of one length", num_negatives=2)
    refused("0; 1 to 1,000", to="st-ntuple", num_negatives=0)
    refused("no scores", to="qrels", scores=True)
    refused("no features", features=FEATURES)
    refused("holds features", to="lightgbm")
    refused("inside the dataset", out=source / "export")
    refused("inside the dataset", out=source)
    (tmp_path / "empty").mkdir()
    refused("no dataset directory", error=hn.DataError, dataset=tmp_path / "empty")
    refused("no such file", error=hn.FileError, to="letor", features=tmp_path / "none.parquet")
    changed = shutil.copytree(source, tmp_path / "changed")
    for text in (
        '"none"',
        "[]",
        '{"mode": "dp", "epsilon": "<b>"}',
        '{"mode": "dp", "queries": [1]}',
        '{"claim": "a\\n# b"}',
    ):
        (changed / "privacy.json").write_text(text)
        refused("it is not what mine writes", error=hn.DataError, dataset=changed)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("keep")
    with pytest.raises(hn.UsageError, match=r"holds 'mine\.txt'"):
        hn.export(source, tmp_path / "full", to="flag", overwrite=True)


def test_scores_need_an_estimate(tmp_path):
    source = dataset(tmp_path, [("q1", "boots", None, "d2", None, 1)], [("q1", "d1")])
    with pytest.raises(hn.UsageError, match="p_false_negative, and this dataset has none"):
        hn.export(source, tmp_path / "o", to="flag", scores=True)
    assert not (tmp_path / "o").exists()


docs = st.sampled_from("abcde")
log = st.lists(st.tuples(st.integers(0, 3), st.none() | docs, docs), max_size=12)
good = st.lists(st.tuples(st.integers(0, 3), docs), max_size=8)


@settings(max_examples=30)
@given(log, good)
def test_a_preference_goes_with_its_positive_alone(tmp_path_factory, rows, positives):
    """Against a naive twin: for each positive, absolute negatives and its own preferences."""
    naive = {
        (q, p, n) for q, p in positives for r, against, n in rows
        if r == q and against in (None, p) and (q, n) not in positives
    }  # fmt: skip
    queries = [(str(q), f"query {q}") for q in range(4)]
    source = dataset(
        tmp_path_factory.mktemp("twin"),
        [(str(q), f"query {q}", p, n, None, None) for q, p, n in rows] or [("9", "", None, "a", None, None)],
        [(str(q), d) for q, d in positives] or [("9", "a")],
        queries=queries,
    )
    found = {
        (int(group.query_id), positive, n.doc_id)
        for group in MinedDirectory(source).groups()
        for some, own in group.rows()
        for positive in some
        for n in own
    }
    assert found == naive


def test_exported_triplets_are_those_of_the_dataset(tmp_path):
    hn.simulate(tmp_path / "sim", impressions=60_000, seed=5)
    config = hn.Config(select=hn.SelectConfig(positive_coec=0.5, alpha=1.0, negative_coec=0.9))
    out, log = tmp_path / "out", tmp_path / "sim/log.parquet"
    hn.mine(log, out, privacy=hn.Privacy.k_users(2), config=config, documents=tmp_path / "sim/documents.parquet")
    hn.export(out, tmp_path / "st", to="st-triplet")
    ours = pq.ParquetFile(tmp_path / "st/train.parquet").read().rename_columns(["query", "positive", "negative_1"])
    theirs = pq.read_table(out / "triplets")
    keys = [(name, "ascending") for name in theirs.column_names]
    assert ours.num_rows > 100
    assert ours.sort_by(keys).equals(theirs.sort_by(keys))


def test_the_docs_name_every_format():
    table = (Path(__file__).parents[1] / "docs/TARGETS.md").read_text(encoding="utf-8")
    assert {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")} == {"--to", *TARGETS}
    assert tuple(TARGETS) == FORMATS


def test_a_table_that_was_changed_on_disk_is_refused(source, tmp_path):
    changed = shutil.copytree(source, tmp_path / "changed")
    file = next((changed / "negatives").iterdir())
    whole = file.read_bytes()
    at = pq.ParquetFile(file).metadata.row_group(0).column(0).total_compressed_size
    # Within the pages, behind the first header.
    for place in (at - 1, at - 2, at - 3):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(hn.FileError, match="table 'negatives' cannot be read"):
            hn.export(changed, tmp_path / "out", to="qrels")

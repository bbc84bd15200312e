"""Exports and query logs with the real libraries that `make test` does without.

mlcroissant, scikit-learn, ir_datasets: `make test-targets`.
"""

from __future__ import annotations

import datetime
import json
import warnings
from pathlib import Path

import pyarrow as pa
import pytest

import hardneg_fast as hn
from hardneg_fast.config import ReadConfig
from hardneg_fast.write import write
from mined_tables import documents, mined


@pytest.fixture
def source(tmp_path) -> Path:
    write(mined(), tmp_path / "mined", documents=documents())
    return tmp_path / "mined"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what it is built on
def test_croissant_records(source, tmp_path, caplog):
    import mlcroissant

    hn.export(source, tmp_path / "o", to="croissant")
    opened = mlcroissant.Dataset(str(tmp_path / "o/croissant.json"))
    assert not opened.metadata.ctx.issues.errors
    assert "not standard" not in caplog.text
    rows = list(opened.records("negatives"))
    assert [row["negatives/neg_id"] for row in rows] == [b"d2", b"d3", b"d5"]
    assert [row["negatives/position_neg"] for row in rows] == [2, 1, 3]
    assert {row["queries/query"] for row in opened.records("queries")} == {
        b"waterproof hiking boots women", b"nonstick pan",
    }  # fmt: skip


def test_scikit_learn_opens_letor(source, tmp_path):
    from sklearn.datasets import load_svmlight_file

    names = [f"d{i}" for i in range(1, 6)]
    features = pa.table({"doc_id": names, "a": [0.5, 1.5, 2.5, 3.5, 4.5], "b": [1, 0, 1, 0, 1]})
    hn.export(source, tmp_path / "o", to="letor", features=features)
    x, y, qid = load_svmlight_file(str(tmp_path / "o/train.txt"), query_id=True)
    assert y.tolist() == [0, 0, 1, 0, 1]
    assert qid.tolist() == [1, 1, 1, 2, 2]
    assert x.toarray()[2].tolist() == [0.5, 1.0]


def test_ir_datasets_reads_what_is_exported(source, tmp_path):
    from ir_datasets.formats import TrecQrels, TsvDocPairs
    from ir_datasets.util import PackageDataFile

    class Local(PackageDataFile):
        def path(self, force=True):  # noqa: ARG002 - as it is called
            return self._path

        def stream(self):
            return self._path.open("rb")

    def local(path):
        found = Local("")
        found._path = path
        return found

    hn.export(source, tmp_path / "qrels", to="qrels")
    qrels = list(TrecQrels(local(tmp_path / "qrels/qrels.txt"), {}).qrels_iter())
    assert {(q.query_id, q.doc_id, q.relevance) for q in qrels} == {
        ("q1", "d1", 1), ("q1", "d2", 0), ("q1", "d3", 0), ("q2", "d4", 1), ("q2", "d5", 0),
    }  # fmt: skip
    hn.export(source, tmp_path / "m", to="msmarco")
    pairs = list(TsvDocPairs(local(tmp_path / "m/qidpidtriples.train.tsv")).docpairs_iter())
    ids = [json.loads(line)["doc_id"] for line in (tmp_path / "m/doc_ids.jsonl").read_text().splitlines()]
    assert {(ids[int(p.doc_id_a)], ids[int(p.doc_id_b)]) for p in pairs} == {("d1", "d2"), ("d1", "d3"), ("d4", "d5")}


def test_query_logs_of_ir_datasets():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ir_datasets.datasets import aol_ia, tripclick

    at = datetime.datetime(2006, 3, 1)
    aol = [
        aol_ia.AolQlog("142", "q", "rentdirect com", "rentdirect.com", at, (aol_ia.LogItem("d1", "3", True),)),
        aol_ia.AolQlog("142", "q", "rentdirect com", "rentdirect.com", at, ()),
    ]
    items = (tripclick.LogItem("1", False), tripclick.LogItem("2", True))
    trip = [tripclick.TripClickQlog("s", "q", "asthma", "asthma", at, items)]

    class Log:
        def __init__(self, records):
            self.records = records

        def qlogs_iter(self):
            return iter(self.records)

    for records, who, docs in ((aol, "142", ["d1"]), (trip, "s", ["1", "2"])):
        found = list(hn.read(Log(records), config=hn.Config(read=ReadConfig(preset="ir-datasets"))))
        rows = [row for batch in found for row in batch.to_pylist()]
        assert [row["doc_id"] for row in rows] == docs
        assert {row["user_id"] for row in rows} == {who}
        assert rows[-1]["clicked"] is True

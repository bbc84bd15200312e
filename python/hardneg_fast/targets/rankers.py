"""Learning to rank from numbers: LETOR (SVMrank), LightGBM and XGBoost files, with group, weight and position beside.

Rows of a query follow each other, by position, those without one last: XGBoost takes their order for positions.
Features are the caller's. A label is 1 for a positive and 0 for a negative.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..exceptions import UsageError
from .job import Job, Target

NO_POSITION = "none"
"""Positions are names of places to LightGBM; this is the place of rows without one."""


@dataclass(frozen=True)
class Row:
    """A document of a query."""

    qid: int
    doc_id: str
    label: int
    features: tuple[float | None, ...]
    weight: float | None
    position: int | None


def _groups(job: Job) -> Iterator[list[Row]]:
    """Rows of each query that still has a positive and a negative; without features a document is left out."""
    if job.features is None:
        raise UsageError(
            f"{job.target.name} holds features: give a table with doc_id, maybe query or query_id, and a column of "
            "numbers for each feature: --features FILE (features=…)"
        )
    without, qid = 0, 0
    for group in job.groups():
        documents = [
            *((doc, 1, None, group.position_of.get(doc)) for doc in group.positives),
            *((n.doc_id, 0, n.weight, n.position) for n in group.negatives),
        ]
        rows = []
        for doc, label, weight, position in documents:
            values = job.features.get(group.query_id, group.query, doc)
            without += values is None
            if values is not None:
                rows.append(Row(qid + 1, doc, label, values, weight, position))
        if len({row.label for row in rows}) == 2:
            qid += 1
            yield sorted(rows, key=lambda row: (row.position is None, row.position or 0))
    job.left_out["documents without features"] = without


def _svm(job: Job, name: str, comment: Callable[[Row], str]) -> None:
    """`label qid:N 1:x 2:y # …`; a missing value is left out, features count from 1."""
    job.text_file(
        name,
        (
            f"{row.label} qid:{row.qid} "
            + " ".join(f"{i}:{value!r}" for i, value in enumerate(row.features, 1) if value is not None)
            + comment(row)
            for rows in _groups(job)
            for row in rows
        ),
    )


def _letor(job: Job) -> None:
    job.ids("LETOR")
    _svm(job, "train.txt", lambda row: f" # doc={row.doc_id}")
    _names(job)


def _xgboost(job: Job) -> None:
    _svm(job, "train.libsvm", lambda _: "")
    job.tsv("train.libsvm.group", ((len(rows),) for rows in _groups(job)))
    # One weight a query there: the mean of its rows'.
    weights = [[1.0 if row.weight is None else row.weight for row in rows] for rows in _groups(job)]
    job.tsv("train.libsvm.weight", ((sum(own) / len(own),) for own in weights))
    _positions(job, "train.libsvm.position")
    _names(job)


def _lightgbm(job: Job) -> None:
    job.tsv(
        "train.tsv",
        ((row.label, *row.features) for rows in _groups(job) for row in rows),
    )
    job.tsv("train.tsv.query", ((len(rows),) for rows in _groups(job)))
    flat = (row for rows in _groups(job) for row in rows)
    job.tsv("train.tsv.weight", ((1.0 if row.weight is None else row.weight,) for row in flat))
    _positions(job, "train.tsv.position")
    _names(job)


def _positions(job: Job, name: str) -> None:
    flat = (row for rows in _groups(job) for row in rows)
    job.tsv(name, ((NO_POSITION if row.position is None else row.position,) for row in flat))


def _names(job: Job) -> None:
    """Which query a qid is, and which feature a number."""
    assert job.features is not None  # noqa: S101 - _groups has refused
    job.jsonl("features.jsonl", ({"number": i, "feature": name} for i, name in enumerate(job.features.names, 1)))
    documents = ({"qid": row.qid, "doc_id": row.doc_id} for rows in _groups(job) for row in rows)
    job.jsonl("rows.jsonl", documents)


NAMES = ("features.jsonl", "rows.jsonl")

TARGETS = (
    Target(
        name="lightgbm",
        about="LightGBM ranker: rows, and .query, .weight, .position beside",
        files=("train.tsv", "train.tsv.query", "train.tsv.weight", "train.tsv.position", *NAMES),
        write=_lightgbm,
        load="""import lightgbm

train = lightgbm.Dataset("DIR/train.tsv")  # .query, .weight and .position are found beside it
model = lightgbm.train({"objective": "lambdarank", "lambdarank_position_bias_regularization": 0.1}, train)""",
        text=False,
        features=True,
    ),
    Target(
        name="xgboost",
        about="XGBoost ranker: rows with qid, and .group, .weight (of queries), .position beside",
        files=("train.libsvm", "train.libsvm.group", "train.libsvm.weight", "train.libsvm.position", *NAMES),
        write=_xgboost,
        load="""import numpy, xgboost

train = xgboost.DMatrix("DIR/train.libsvm?format=libsvm")
train.set_weight(numpy.loadtxt("DIR/train.libsvm.weight"))
model = xgboost.train({"objective": "rank:ndcg", "lambdarank_unbiased": True}, train)""",
        text=False,
        features=True,
    ),
    Target(
        name="letor",
        about="LETOR and SVMrank: label qid:N 1:x … # doc",
        files=("train.txt", *NAMES),
        write=_letor,
        load="""from sklearn.datasets import load_svmlight_file

x, y, qid = load_svmlight_file("DIR/train.txt", query_id=True)""",
        text=False,
        features=True,
    ),
)

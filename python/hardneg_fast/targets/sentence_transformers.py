"""sentence-transformers: columns in the order that its losses take them (names do not matter, the label's does)."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from .job import Job, Target

TEXT = pa.string()
LOAD = """from datasets import load_dataset

train = load_dataset("parquet", data_files="DIR/train.parquet", split="train")"""


def _triplet(job: Job) -> None:
    schema = pa.schema([(name, TEXT) for name in ("query", "positive", "negative")])
    rows = ((g.query, job.text(pos), job.text(neg.doc_id)) for g, pos, (neg,) in job.tuples())
    job.parquet("train.parquet", schema, rows)


def _ntuple(job: Job) -> None:
    names = ["query", "positive", *(f"negative_{i + 1}" for i in range(job.num_negatives))]
    schema = pa.schema([(name, TEXT) for name in names])
    schema = schema.append(pa.field("scores", pa.list_(pa.float64()))) if job.scores else schema

    def row(query: str, positive: str, negatives: list[str], scores: list[float]) -> tuple[object, ...]:
        return (query, positive, *negatives, *([scores] if job.scores else []))

    job.parquet(
        "train.parquet",
        schema,
        (
            row(
                g.query,
                job.text(pos),
                [job.text(n.doc_id) for n in own],
                [job.score_of(g, pos), *(job.score(n) for n in own)],
            )
            for g, pos, own in job.tuples()
        ),
    )


def _pairs(job: Job) -> None:
    # An integer label says relevant or not; a float is a soft label, which the same loss takes.
    label = pa.float64() if job.scores else pa.int64()
    schema = pa.schema([("query", TEXT), ("document", TEXT), ("label", label)])
    one = 1.0 if job.scores else 1
    job.parquet(
        "train.parquet",
        schema,
        (
            (g.query, job.text(doc), value)
            for g in job.groups()
            for doc, value in [
                *((doc, job.score_of(g, doc) if job.scores else one) for doc in g.positives),
                *((n.doc_id, job.score(n) if job.scores else 0) for n in g.negatives),
            ]
        ),
    )


def _list(job: Job) -> None:
    label = pa.float64() if job.scores else pa.int64()
    schema = pa.schema([("query", TEXT), ("documents", pa.list_(TEXT)), ("labels", pa.list_(label))])
    one = 1.0 if job.scores else 1
    job.parquet(
        "train.parquet",
        schema,
        (
            (
                g.query,
                [job.text(doc) for doc in (*positives, *(n.doc_id for n in own))],
                [
                    *(job.score_of(g, doc) if job.scores else one for doc in positives),
                    *(job.score(n) if job.scores else 0 for n in own),
                ],
            )
            for g in job.groups()
            for positives, own in g.rows()
        ),
    )


def _ids(job: Job) -> None:
    schema = pa.schema([("query_id", TEXT), ("positive_id", TEXT), ("negative_ids", pa.list_(TEXT))])
    queries: dict[str, str] = {}

    def rows() -> Iterator[tuple[str, str, list[str]]]:
        for group in job.groups():
            queries[group.query_id] = group.query
            for positives, own in group.rows():
                for positive in positives:
                    yield group.query_id, positive, [n.doc_id for n in own]

    job.parquet("train/train.parquet", schema, rows())
    job.parquet("queries/train.parquet", pa.schema([("query_id", TEXT), ("query", TEXT)]), queries.items())
    texts = ((doc, job.text(doc)) for doc in job.number_of)
    job.parquet("documents/train.parquet", pa.schema([("doc_id", TEXT), ("text", TEXT)]), texts)


LOAD_IDS = """from datasets import load_dataset

train, queries, documents = (load_dataset("DIR", name, split="train") for name in ("train", "queries", "documents"))"""

TARGETS = (
    Target(name="st-triplet", about="sentence-transformers: query, positive, negative", files=("train.parquet",),
           write=_triplet, load=LOAD),
    Target(name="st-ntuple", about="sentence-transformers: query, positive, negative_1 … negative_n, or with scores",
           files=("train.parquet",), write=_ntuple, load=LOAD, width=True, scores=True),
    Target(name="st-pairs", about="sentence-transformers: query, document, label", files=("train.parquet",),
           write=_pairs, load=LOAD, scores=True),
    Target(name="st-list", about="sentence-transformers, cross-encoders: query, documents, labels",
           files=("train.parquet",), write=_list, load=LOAD, scores=True),
    Target(name="st-ids", about="sentence-transformers, resolve_ids: query_id, positive_id, negative_ids, and texts",
           files=("train", "queries", "documents"), write=_ids, load=LOAD_IDS,
           configs=("train", "queries", "documents")),
)  # fmt: skip

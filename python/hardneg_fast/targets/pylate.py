"""PyLate, knowledge distillation: ids with a score each, positive first; queries and documents beside them.

Its collator wants rows of one length.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from .job import Job, Target

TEXT = pa.string()


def _write(job: Job) -> None:
    schema = pa.schema([("query_id", TEXT), ("document_ids", pa.list_(TEXT)), ("scores", pa.list_(pa.float64()))])
    queries: dict[str, str] = {}

    def rows() -> Iterator[tuple[str, list[str], list[float]]]:
        for group, positive, own in job.tuples():
            queries[group.query_id] = group.query
            yield (
                group.query_id,
                [positive, *(n.doc_id for n in own)],
                [job.score_of(group, positive), *(job.score(n) for n in own)],
            )

    job.parquet("train/train.parquet", schema, rows())
    job.parquet("queries/train.parquet", pa.schema([("query_id", TEXT), ("text", TEXT)]), queries.items())
    texts = ((doc, job.text(doc)) for doc in job.number_of)
    job.parquet("documents/train.parquet", pa.schema([("document_id", TEXT), ("text", TEXT)]), texts)


TARGET = Target(
    name="pylate",
    about="PyLate: query_id, document_ids, scores, and texts, for distillation",
    files=("train", "queries", "documents"),
    write=_write,
    load="""from datasets import load_dataset
from pylate import utils

train, queries, documents = (load_dataset("DIR", name, split="train") for name in ("train", "queries", "documents"))
train.set_transform(utils.KDProcessing(queries=queries, documents=documents).transform)""",
    width=True,
    scores=True,
    configs=("train", "queries", "documents"),
)

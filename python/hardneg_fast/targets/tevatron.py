"""Tevatron: passages inside each line (the older layout), and ids beside a corpus (the newer)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .job import Job, Target


def _write(job: Job) -> None:
    def passages(docs: list[str]) -> list[dict[str, str]]:
        # Without a title: with an empty one the reader puts a space before every text.
        return [{"docid": doc, "text": job.text(doc)} for doc in docs]

    def rows(*, ids: bool) -> Iterator[dict[str, Any]]:
        for group in job.groups():
            for i, (positives, own) in enumerate(group.rows()):
                good, bad = list(positives), [n.doc_id for n in own]
                query_id = f"{group.query_id}-{i}" if i else group.query_id
                if ids:
                    yield {"query_id": query_id, "query_text": group.query, "positive_document_ids": good,
                           "negative_document_ids": bad}  # fmt: skip
                else:
                    yield {"query_id": query_id, "query": group.query, "positive_passages": passages(good),
                           "negative_passages": passages(bad)}  # fmt: skip

    job.jsonl("train.jsonl", rows(ids=False))
    job.jsonl("train_ids.jsonl", rows(ids=True))
    job.jsonl("corpus.jsonl", ({"docid": doc, "text": job.text(doc)} for doc in job.number_of))


TARGET = Target(
    name="tevatron",
    about="Tevatron: passages in each line, and ids with a corpus",
    files=("train.jsonl", "train_ids.jsonl", "corpus.jsonl"),
    write=_write,
    load="python -m tevatron.retriever.driver.train --dataset_name json --dataset_path DIR/train.jsonl …\n"
    "python -m tevatron.retriever.driver.train --dataset_name json --dataset_path DIR/train_ids.jsonl \\\n"
    "  --corpus_name json --corpus_path DIR/corpus.jsonl …",
    language="sh",
)

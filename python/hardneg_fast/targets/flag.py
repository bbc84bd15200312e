"""FlagEmbedding: a JSON line a query, with `pos` and `neg` lists. Its reader divides by the length of `neg`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .job import Job, Target


def _write(job: Job) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        for group in job.groups():
            for positives, own in group.rows():  # never without negatives
                row: dict[str, Any] = {
                    "query": group.query,
                    "pos": [job.text(doc) for doc in positives],
                    "neg": [job.text(n.doc_id) for n in own],
                }
                if job.scores:
                    row |= {
                        "pos_scores": [job.score_of(group, doc) for doc in positives],
                        "neg_scores": [job.score(n) for n in own],
                    }
                yield row

    job.jsonl("train.jsonl", rows())


TARGET = Target(
    name="flag",
    about="FlagEmbedding: query, pos, neg",
    files=("train.jsonl",),
    write=_write,
    # No other .json may lie here: given a folder, its reader takes them all.
    load="torchrun -m FlagEmbedding.finetune.embedder.encoder_only.base --train_data DIR/train.jsonl …",
    language="sh",
    scores=True,
)

"""ColBERT: lists of numbers, `[query, positive, negative …]`, or `[query, [document, score], …]` with scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .job import Job, Target
from .numbered import FILES, write_texts


def _write(job: Job) -> None:
    numbers = write_texts(job)
    scores: dict[tuple[int, int], float] = {}

    def rows() -> Iterator[list[int]]:
        for group, positive, own in job.tuples():
            query, pids = numbers[group.query_id], [job.number_of[n.doc_id] for n in own]
            scores[query, job.number_of[positive]] = job.score_of(group, positive)
            scores.update(((query, pid), job.score(n)) for pid, n in zip(pids, own, strict=True))
            yield [query, job.number_of[positive], *pids]

    def examples() -> Iterator[list[Any]]:
        for query, positive, *negatives in job.shuffled(rows()):
            if job.scores:
                yield [query, [positive, scores[query, positive]], *([pid, scores[query, pid]] for pid in negatives)]
            else:
                yield [query, positive, *negatives]

    job.jsonl("triples.jsonl", examples())


TARGET = Target(
    name="colbert",
    about="ColBERT: triples or n-way examples by number, queries, collection",
    files=("triples.jsonl", *FILES),
    write=_write,
    load="""from colbert import Trainer

Trainer(triples="DIR/triples.jsonl", queries="DIR/queries.tsv", collection="DIR/collection.tsv")""",
    width=True,
    scores=True,
)

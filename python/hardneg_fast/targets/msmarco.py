"""MS MARCO: triples by number and as texts, queries, collection, qrels."""

from __future__ import annotations

from .job import Job, Target
from .numbered import FILES, write_texts


def _write(job: Job) -> None:
    numbers = write_texts(job)
    docs = job.doc_ids
    rows = ((numbers[g.query_id], job.number_of[pos], job.number_of[neg.doc_id]) for g, pos, (neg,) in job.tuples())
    triples = list(job.shuffled(rows))
    job.tsv("qidpidtriples.train.tsv", triples)
    queries = {numbers[g.query_id]: g.query for g in job.groups()}
    as_text = ((queries[q], job.text(docs[p].as_py()), job.text(docs[n].as_py())) for q, p, n in triples)
    job.tsv("triples.train.tsv", as_text)
    qrels = ((numbers[g.query_id], 0, job.number_of[doc], 1) for g in job.groups() for doc in g.positives)
    job.tsv("qrels.train.tsv", qrels)


TARGETS = (
    Target(
        name="msmarco",
        about="MS MARCO: triples by number and as texts, queries, collection, qrels",
        files=("qidpidtriples.train.tsv", "triples.train.tsv", "qrels.train.tsv", *FILES),
        write=_write,
        load="head -n 1 DIR/qidpidtriples.train.tsv DIR/queries.tsv DIR/collection.tsv",
        language="sh",
    ),
)

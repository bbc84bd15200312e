"""BEIR: corpus, queries and qrels by id. Hard negatives lie beside them.

Not among the qrels with 0: trainers that take every qrel for a positive would learn them the wrong way round.
"""

from __future__ import annotations

from .job import Job, Target


def _write(job: Job) -> None:
    job.ids("qrels of BEIR", own_cell=True)
    job.jsonl("corpus.jsonl", ({"_id": doc, "title": "", "text": job.text(doc)} for doc in job.number_of))
    job.jsonl("queries.jsonl", ({"_id": g.query_id, "text": g.query} for g in job.groups()))
    qrels = ((g.query_id, doc, 1) for g in job.groups() for doc in g.positives)
    job.tsv("qrels/train.tsv", qrels, head=("query-id", "corpus-id", "score"))
    job.jsonl(
        "hard-negatives.jsonl",
        (
            {"qid": g.query_id, "pos": list(positives), "neg": {"clicks": [n.doc_id for n in own]}}
            for g in job.groups()
            for positives, own in g.rows()
        ),
    )


TARGET = Target(
    name="beir",
    about="BEIR: corpus, queries, qrels, and hard negatives by id",
    files=("corpus.jsonl", "queries.jsonl", "qrels", "hard-negatives.jsonl"),
    write=_write,
    load="""from beir.datasets.data_loader import GenericDataLoader

corpus, queries, qrels = GenericDataLoader("DIR").load(split="train")""",
)

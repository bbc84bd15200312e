"""Judgments for evaluation and for search engines: TREC qrels, and what OpenSearch imports."""

from __future__ import annotations

from collections.abc import Iterator

from . import safe
from .job import Job, Target


def _qrels(job: Job) -> None:
    job.ids("qrels")
    # Ids as they are: a line begins with that of a query, and is no cell of anything.
    graded = (
        f"{g.query_id} 0 {doc} {grade}"
        for g in job.groups()
        for doc, grade in [*((doc, 1) for doc in g.positives), *((n.doc_id, 0) for n in g.negatives)]
    )
    job.text_file("qrels.txt", graded)
    job.tsv("queries.tsv", ((g.query_id, g.query) for g in job.groups()))


def _opensearch(job: Job) -> None:
    head = {
        "name": "hardneg_fast",
        "description": "clicks without position bias: wanted 1, hard negatives 0 or their chance to be relevant",
        "type": "IMPORT_JUDGMENT",
    }

    def lines() -> Iterator[str]:
        yield safe.json_line(head)[:-1] + ', "judgmentRatings": ['
        comma = ""
        for g in job.groups():
            # Ratings are text there.
            ratings = [(doc, job.score_of(g, doc)) for doc in g.positives] + [
                (n.doc_id, job.score(n)) for n in g.negatives
            ]
            entry = {"query": g.query, "ratings": [{"docId": doc, "rating": f"{value:g}"} for doc, value in ratings]}
            yield comma + safe.json_line(entry)
            comma = ","
        yield "]}"

    job.text_file("judgments.json", lines())
    job.rows["judgments.json"] -= 2  # head and end


TARGETS = (
    Target(
        name="qrels",
        about="TREC qrels: 1 for positives, 0 for negatives",
        files=("qrels.txt", "queries.tsv"),
        write=_qrels,
        load='import ir_measures\n\nqrels = list(ir_measures.read_trec_qrels("DIR/qrels.txt"))',
        text=False,
    ),
    Target(
        name="opensearch",
        about="OpenSearch Search Relevance: judgments to import",
        files=("judgments.json",),
        write=_opensearch,
        load="curl -X PUT localhost:9200/_plugins/_search_relevance/judgments -H 'Content-Type: application/json' "
        "-d @DIR/judgments.json",
        language="sh",
        text=False,
        scores=True,
    ),
)

"""Queries and documents by number, for formats that know no other names: their texts by number, and the ids."""

from __future__ import annotations

from .job import Job


def write_texts(job: Job) -> dict[str, int]:
    """`queries.tsv`, `collection.tsv` (a document's number is its line), and `query_ids.tsv`, `doc_ids.jsonl`.

    Returns:
        Query id → number.
    """
    queries = {group.query_id: group.query for group in job.groups()}
    numbers = {query_id: number for number, query_id in enumerate(queries)}
    job.tsv("queries.tsv", ((numbers[query_id], query) for query_id, query in queries.items()))
    job.tsv("query_ids.tsv", ((number, query_id) for query_id, number in numbers.items()))
    job.tsv("collection.tsv", ((number, job.text(doc)) for doc, number in job.number_of.items()))
    job.jsonl("doc_ids.jsonl", ({"number": number, "doc_id": doc} for doc, number in job.number_of.items()))
    return numbers


FILES = ("queries.tsv", "query_ids.tsv", "collection.tsv", "doc_ids.jsonl")

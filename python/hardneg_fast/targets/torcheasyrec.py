"""TorchEasyRec: nodes and edges for its hard_negative_sampler. Its "users" are the queries here: users never leave.

Local files of its graph engine: tab-separated, types in the header, 64-bit ids.
"""

from __future__ import annotations

from .job import Job, Target

NODE = ("id:int64", "weight:float")
EDGE = ("userid:int64", "itemid:int64", "weight:float")


def _write(job: Job) -> None:
    queries = {g.query_id: number for number, g in enumerate(job.groups())}
    texts = {g.query_id: g.query for g in job.groups()}
    job.tsv("users.tsv", ((number, 1.0) for number in queries.values()), head=NODE)
    items = ((number, 1.0, number) for number in job.number_of.values())
    job.tsv("items.tsv", items, head=(*NODE, "attrs:string"))
    edges = ((queries[g.query_id], job.number_of[doc], 1.0) for g in job.groups() for doc in g.positives)
    job.tsv("pos_edges.tsv", edges, head=EDGE)
    hard = (
        (queries[g.query_id], job.number_of[n.doc_id], 1.0 if n.weight is None else n.weight)
        for g in job.groups()
        for n in g.negatives
    )
    job.tsv("hard_neg_edges.tsv", hard, head=EDGE)
    names = ({"number": number, "query_id": query, "query": texts[query]} for query, number in queries.items())
    job.jsonl("query_ids.jsonl", names)
    job.jsonl("doc_ids.jsonl", ({"number": number, "doc_id": doc} for doc, number in job.number_of.items()))


TARGET = Target(
    name="torcheasyrec",
    about="TorchEasyRec: nodes and edges of hard_negative_sampler",
    files=("users.tsv", "items.tsv", "pos_edges.tsv", "hard_neg_edges.tsv", "query_ids.jsonl", "doc_ids.jsonl"),
    write=_write,
    load="""hard_negative_sampler {
  user_input_path: "DIR/users.tsv"
  item_input_path: "DIR/items.tsv"
  hard_neg_edge_input_path: "DIR/hard_neg_edges.tsv"
  attr_fields: "item_id"
}""",
    language="text",
    text=False,
)

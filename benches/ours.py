"""The workloads through our public functions with a configuration: nothing here exists for a benchmark alone."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import hardneg_fast as hn
from setting import BOUND, KEY, WORKLOADS, Setting

# The package imports its parts when they are first asked for; like everybody's, imports are not measured.
for _part in hn.__all__:
    getattr(hn, _part)

UNLIMITED = 2**31 - 1
PAIRS = {
    "query": "query",
    "doc_id": "doc_id",
    "impressions": "impressions",
    "clicks": "clicks",
    "users_shown": "users",
    "position_sum": "ranks",
}
BOUNDED = {"query": "query", "doc_id": "doc_id", "users_shown": "impressions", "users_clicked": "clicks"}


def lacks(workload: str, capped: bool) -> str:
    """Why a workload cannot be run with the package that is installed, or nothing."""
    count_options = {option.name for option in dataclasses.fields(hn.CountConfig)}
    if workload == "W1" and not {"query_text", "keep"} <= {*inspect.signature(hn.anonymize).parameters}:
        return "hn.anonymize has no query_text and keep"
    if workload in ("W3", "W2+W3+W4") and "max_pairs_per_user" not in count_options:
        return "hn.CountConfig has no max_pairs_per_user"
    if workload == "W5" and not hasattr(hn, "related_queries"):
        return "there is no hn.related_queries"
    if capped and "memory" not in {option.name for option in dataclasses.fields(hn.Config)}:
        return "hn.Config has no memory"
    return ""


def _config(setting: Setting, **count: Any) -> hn.Config:
    """What the workloads do not ask for is switched off: scrubbing, bounding, robots, page lengths, satisfaction."""
    memory = {"memory": setting.memory, "spill_dir": str(setting.spill)} if setting.memory else {}
    off = {"max_votes": 0, "robots": "keep", "min_page_length": 1, "max_position": 65_535, "satisfied_dwell_ms": 0}
    return hn.Config(
        threads=setting.threads,
        scrub=hn.ScrubConfig(action="off"),
        # A page is a (session, query): times would split it, and dwell times say nothing here.
        read=hn.ReadConfig(columns={"position": "rank", "timestamp": "", "dwell_ms": ""}),
        count=hn.CountConfig(**off | count),
        **memory,
    )


def _arrow(table: object) -> pa.Table:
    # pa.table would do the same, but imports pandas first, to see whether it is a data frame.
    return pa.RecordBatchReader.from_stream(table).read_all()


def _pairs(counts: hn.Counts, setting: Setting) -> None:
    hn.write_table(counts.table("pairs", columns=tuple(PAIRS)), setting.table("pairs"), columns=PAIRS)


def _bounded(counts: hn.Counts, setting: Setting) -> None:
    hn.write_table(counts.bounded, setting.table("bounded"), columns=BOUNDED)


def _negatives(counts: hn.Counts, setting: Setting) -> None:
    select = hn.SelectConfig(
        rules=("skipped",),
        positive_users=2,
        positive_coec=0,
        max_positives_per_query=UNLIMITED,
        own_positive="users",
        own_positive_users=2,
        # W4 goes by what was counted of a pair itself.
        positive_p_relevant=0,
        alike_clicks=1,
        alike_words=1,
        same_intent_clicks=1,
        same_intent_words=1,
        max_p_false_negative=1,
        abandoned="keep",
        alpha=1,
        negative_coec=1e300,
        min_impressions=3,
        max_ctr_upper=0.5,
        order="skip_weight",
        max_negatives_per_query=8,
        max_queries_per_document=UNLIMITED,
        carry=("skip_weight", "skips"),
    )
    released = hn.release(counts, privacy=hn.Privacy.none())
    evidence = hn.evidence(released, config=hn.EvidenceConfig(debias="none"))
    selected = hn.select(evidence, config=select)
    negatives = _arrow(selected.negatives.select(["query", "skip_weight", "skips"]))
    # A training row for each positive of a query and each negative; in both tables these stand by query, then by place.
    rows = _arrow(selected.triplets)
    row_run, row_place = _runs(rows["query"])
    run, place = _runs(negatives["query"])
    first, length = np.flatnonzero(place == 0), np.bincount(run)
    rank = row_place % length[row_run]
    of = _ints(first[row_run] + rank)
    columns = [rows["query"], rows["positive"], rows["negative_1"]]
    columns += [negatives[name].take(of) for name in ("skip_weight", "skips")]
    made = pa.Table.from_arrays([*columns, _ints(rank + 1)], names=list(WORKLOADS["W4"]["negatives"]))
    pq.write_table(made, setting.table("negatives"), compression="zstd")


def _ints(values: Any) -> pa.Array:
    """What pa.array would make; that imports pandas first, to see whether it is a series, and so would to_numpy."""
    return pa.Int64Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(values)])


def _runs(sorted_column: pa.ChunkedArray) -> tuple[Any, Any]:
    """The number of the run of equal values that each row stands in, and its place in it."""
    column, row = sorted_column.combine_chunks(), np.arange(len(sorted_column))
    differs = pc.not_equal(column[1:], column[:-1]).cast(pa.uint8())
    new = np.concatenate((np.ones(1, np.uint8), np.frombuffer(differs.buffers()[1], np.uint8, len(differs))))
    run = np.cumsum(new, dtype=np.int64) - 1
    return run, row - np.flatnonzero(new)[run]


def w1(setting: Setting) -> None:
    hn.anonymize(
        setting.log,
        setting.table("log"),
        key=hn.Key(KEY.encode().ljust(32)[:32]),
        config=dataclasses.replace(_config(setting), read=hn.ReadConfig()),
        query_text="keep",
        time="keep",
        keep=("rank",),  # the one that has no canonical name, unless it were mapped
        overwrite=True,
    )


def w2(setting: Setting) -> None:
    _pairs(hn.count(setting.log, config=_config(setting), tables=("pairs",)), setting)


def w3(setting: Setting) -> None:
    config = _config(setting, max_votes=1, max_pairs_per_user=BOUND)
    _bounded(hn.count(setting.log, config=config, tables=("bounded",)), setting)


def w4(setting: Setting) -> None:
    _negatives(hn.count(setting.log, config=_config(setting), tables=("pairs",)), setting)


def w5(setting: Setting) -> None:
    found = hn.related_queries(setting.log, config=_config(setting))
    for table, shown in (("related", found.related), ("documents", found.documents)):
        hn.write_table(shown, setting.table(table), columns=tuple(WORKLOADS["W5"][table]))


def w234(setting: Setting) -> None:
    """One reading of the log, and what the three are made of."""
    config = _config(setting, max_pairs_per_user=BOUND)
    counts = hn.count(setting.log, config=config, tables=("pairs", "bounded"))
    for write in (_pairs, _bounded, _negatives):
        write(counts, setting)


OURS = {"W1": w1, "W2": w2, "W3": w3, "W4": w4, "W5": w5, "W2+W3+W4": w234}

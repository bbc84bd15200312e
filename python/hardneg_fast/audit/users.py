"""k-users: whether enough users stand behind what is named, by the output's own figures and counted anew in the log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from .checks import Check
from .log import Array, Log, looked_up, mixed, users_by
from .output import Output

pc: Any = pyarrow.compute

COUNTS = ("expected_clicks", "skip_weight")
"""Counts that are no whole numbers by type."""

PUBLIC: tuple[str, ...] = (
    "config",
    "written",
    "input.files",
    "input.position_bases",
    "release.k",
    "ctr_by_position.position",
    "evidence.positions.position",
)
PUBLIC += ("without_text", "documents_without_text")
"""Numbers of a report that are options, places, or seen in the tables themselves."""


def thresholds_in_output(output: Output) -> Check:
    """What the figures of the output say themselves."""
    name, k = "user thresholds in the output", output.k
    if k is None:
        log = "its manifest claims no threshold, or is not beside it"
        return Check(name, "not checked", log if output.mode == "log" else "no threshold was asked for")
    if output.mode == "log":
        return _log(output, k)
    faults = []
    table = output.table("negatives")
    least = table["users"].drop_null()
    if few := pc.sum(pc.less(least, k)).as_py():
        faults.append(f"{few:,} negatives with fewer than {k} users")
    for field in table.schema:
        if field.name in COUNTS or (pa.types.is_integer(field.type) and not field.name.startswith("position")):
            values = table[field.name].drop_null().to_numpy()
            if wrong := int((values % k != 0).sum()):
                faults.append(f"{wrong:,} values of {field.name!r} are no multiples of {k}")
    wrong = sum(1 for _, value in numbers(output.report, "") if value % k)
    if wrong:
        faults.append(f"{wrong:,} figures of report.json are no multiples of {k}")
    said = f"{table.num_rows:,} negatives, none with fewer than {k} users; all counts in steps of {k}"
    return Check(name, "fail" if faults else "pass", "; ".join(faults) or said, figures={"faults": faults})


def numbers(value: Any, path: str) -> Iterator[tuple[str, int]]:
    """Whole numbers of a report that are counts of the log, with their places."""
    if path in PUBLIC:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from numbers(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner, path)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield path, value


def _log(output: Output, k: int) -> Check:
    """An anonymized log shows its users, under pseudonyms."""
    pairs = output.table("", ["query", "user_id"]).group_by(["query", "user_id"]).aggregate([])
    users = pairs.group_by("query").aggregate([("user_id", "count")])
    few = pc.sum(pc.less(users["user_id_count"], k)).as_py() or 0
    said = f"{few:,} of {users.num_rows:,} queries have fewer than {k} users"
    return Check(
        "user thresholds in the output",
        "fail" if few else "pass",
        said if few else f"each of {users.num_rows:,} queries has {k} users or more",
        figures={"queries": users.num_rows, "fewer": few},
    )


def thresholds_in_log(output: Output, log: Log | None, *, tokens: str | None) -> Check:
    """Users of the log behind each query, (query, document), positive and preference of the output.

    Rows that cleaning left out count here, so figures are upper bounds: what fails is certain, what passes had at least
    this look.
    """
    name, k = "user thresholds in the log", output.k
    if k is None or log is None or tokens:
        why = "no threshold is claimed" if k is None else "no log was given (--log)" if log is None else str(tokens)
        return Check(name, "not checked", why)
    faults: dict[str, int] = {}
    looked: dict[str, int] = {}

    def judge(what: str, counts: Array) -> None:
        looked[what] = looked.get(what, 0) + len(counts)
        if few := int((counts < k).sum()):
            faults[what] = faults.get(what, 0) + few

    by_query = log.users_by_query()
    for table in ["queries", "negatives", "triplets"] if output.mode == "k_users" else [""]:
        queries = pc.drop_null(pc.unique(output.table(table, ["query"])["query"]))
        judge("queries", looked_up(log.codes(queries), *by_query))
    if output.mode == "k_users":
        negatives = output.table("negatives", ["query", "pos_id", "neg_id", "kind"])
        # Other kinds say that a document was not shown: it was drawn at random, or retrieved by somebody.
        shown = negatives.filter(pc.equal(negatives["kind"], "hard"))
        _documents(shown, log, judge)
        judge("training positives", _training(output, log))
    total = ", ".join(f"{n:,} {what}" for what, n in looked.items() if n) or "nothing is named"
    if faults:
        said = ", ".join(f"{n:,} {what}" for what, n in faults.items()) + f" with fewer than {k} users, of {total}"
    else:
        said = f"{total}: each with {k} users or more in the log"
    if output.mode == "k_users" and (drawn := negatives.num_rows - shown.num_rows):
        said += f"; {drawn:,} negatives of other kinds than hard are of documents that need not have been shown"
    if "search_id" not in log.rows:
        said += "; preferences not looked at, as the log has no search_id"
    return Check(name, "fail" if faults else "pass", said, figures={"looked_at": looked, "fewer": faults})


def _documents(table: pa.Table, log: Log, judge: Any) -> None:
    rows = log.rows
    query = log.codes(table["query"])
    negative, positive = log.codes(table["neg_id"]), log.codes(table["pos_id"])
    relative = table["pos_id"].is_valid().to_numpy()
    shown = users_by([rows["query"], rows["doc_id"]], rows["user_id"])
    clicked = rows["clicked"]
    wanted = users_by([rows["query"][clicked], rows["doc_id"][clicked]], rows["user_id"][clicked])
    judge("query and document pairs", looked_up(mixed([query, negative]), *shown))
    judge("positives", looked_up(mixed([query[relative], positive[relative]]), *wanted))
    if "search_id" not in rows:
        return
    # Pages on which the one was clicked, and pages on which the other was shown and not clicked.
    pair = mixed([rows["query"], rows["doc_id"]])
    page = mixed([rows["user_id"], rows["search_id"]])
    ways = [_grouped(pair[mask], page[mask], rows["user_id"][mask]) for mask in (clicked, ~clicked)]
    counts = [
        _common(ways[0], int(good), ways[1], int(bad))
        for good, bad in zip(
            mixed([query[relative], positive[relative]]), mixed([query[relative], negative[relative]]), strict=True
        )
    ]
    judge("preferences", np.array(counts, np.int64))


def _training(output: Output, log: Log) -> Array:
    """Users who clicked each training row's positive; of documents with one text, the one with the most."""
    rows = output.table("triplets", ["query", "positive"]).group_by(["query", "positive"]).aggregate([])
    documents = output.table("documents")
    if "text" in documents.column_names:
        rows = rows.join(documents, "positive", "text", join_type="left outer")
    else:
        rows = rows.append_column("doc_id", rows["positive"])
    of = mixed([log.codes(rows["query"]), log.codes(rows["positive"])])
    clicked = log.rows["clicked"]
    pairs = [log.rows["query"][clicked], log.rows["doc_id"][clicked]]
    users = users_by(pairs, log.rows["user_id"][clicked])
    counts = looked_up(mixed([log.codes(rows["query"]), log.codes(rows["doc_id"])]), *users)
    _, row = np.unique(of, return_inverse=True)
    most = np.zeros(int(row.max()) + 1 if len(row) else 0, np.int64)
    np.maximum.at(most, row, counts)
    return most


def _grouped(key: Array, page: Array, user: Array) -> tuple[Array, Array, Array]:
    order = np.argsort(key, kind="stable")
    return key[order], page[order], user[order]


def _common(one: tuple[Array, Array, Array], good: int, other: tuple[Array, Array, Array], bad: int) -> int:
    """Users with a page in both groups."""
    (pages, users), (others, _) = (_group(group, key) for group, key in ((one, good), (other, bad)))
    return len(np.unique(users[np.isin(pages, others)]))


def _group(group: tuple[Array, Array, Array], key: int) -> tuple[Array, Array]:
    keys, pages, users = group
    start, end = (int(np.searchsorted(keys, np.uint64(key), side=side)) for side in ("left", "right"))
    return pages[start:end], users[start:end]

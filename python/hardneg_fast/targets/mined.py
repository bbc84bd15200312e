"""A dataset directory, read back: its tables, and the negatives of each query with the positives they belong to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute

from ..exceptions import DataError, FileError, told
from ..parquet import ParquetFile
from ..writers.parquet import SCHEMA, SCHEMA_KEY

pc: Any = pyarrow.compute

CONFIGS = ("negatives", "positives", "queries", "documents")
NEEDED = {
    "negatives": ("query_id", "pos_id", "neg_id", "position_pos", "position_neg", "p_false_negative", "weight"),
    "positives": ("query_id", "doc_id"),
    "queries": ("query_id", "query"),
    "documents": ("doc_id",),
}
BATCH = 1 << 16
"""Negatives that are Python objects at a time, about."""


class Negative(NamedTuple):
    """A document that is a negative of a query."""

    doc_id: str
    against: frozenset[str] | None
    """Positives that it was passed over for; None where it is a negative whatever the positive."""
    relevance: float | None
    """The chance that it is relevant after all, where the dataset has it."""
    weight: float | None
    position: int | None
    score: float | None
    """What a model says, where the dataset has it."""


@dataclass(frozen=True)
class Group:
    """A query with its documents; each document once."""

    query_id: str
    query: str
    positives: tuple[str, ...]
    negatives: tuple[Negative, ...]
    position_of: dict[str, int]
    """Mean positions of positives, where a preference has them."""
    score_of: dict[str, float]
    """What a model says of positives, where the dataset has it."""

    def of(self, positive: str) -> tuple[Negative, ...]:
        """The negatives that go with a positive."""
        return tuple(n for n in self.negatives if n.against is None or positive in n.against)

    def rows(self) -> Iterator[tuple[tuple[str, ...], tuple[Negative, ...]]]:
        """Positives that share all their negatives, and these; none without negatives."""
        shared: dict[tuple[Negative, ...], list[str]] = {}
        for positive in self.positives:
            if negatives := self.of(positive):
                shared.setdefault(negatives, []).append(positive)
        for negatives, positives in shared.items():
            yield tuple(positives), negatives


def _as_written(privacy: Any, report: Any) -> bool:
    """Whether what exports say of a dataset's privacy has the form that `mine` gives it."""
    if not isinstance(privacy, dict) or not isinstance(report, dict) or not isinstance(report.get("release", {}), dict):
        return False
    tables = all(isinstance(privacy.get(name) or {}, dict) for name in ("queries", "candidates"))
    numbers = all(type(privacy.get(name, 0)) in (int, float, type(None)) for name in ("epsilon", "delta"))
    words = (str(privacy.get(name, "")) for name in ("mode", "claim"))
    return tables and numbers and all(text.isprintable() for text in words)


def _schema_of(metadata: dict[bytes, bytes] | None) -> int:
    """Version of a table's columns; files from before there were versions are of the first."""
    text = (metadata or {}).get(SCHEMA_KEY, b"1")
    return int(text) if text.isdigit() and len(text) < 10 else 1


class MinedDirectory:
    """What `mine` wrote.

    Args:
        path: the directory.

    Raises:
        DataError: it is no dataset directory.
        FileError: a file of it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.privacy: dict[str, Any] = json.loads((path / "privacy.json").read_text(encoding="utf-8"))
            self.report: dict[str, Any] = json.loads((path / "report.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DataError(
                f"{path.name}: no dataset directory (it has no privacy.json or report.json); give one that mine wrote"
            ) from None
        except (OSError, ValueError, RecursionError) as error:
            raise FileError(
                f"{path.name}: privacy.json or report.json cannot be read: {type(error).__name__}"
            ) from None
        if not _as_written(self.privacy, self.report):
            raise DataError(
                f"{path.name}: privacy.json or report.json was changed: it is not what mine writes; mine again"
            )
        self.tables = {config: self._table(config) for config in CONFIGS}
        self._queries = self._not_held_out()
        self.held_out = self.tables["queries"].num_rows - self._queries.num_rows
        """Queries of the split `validation`."""

    def _table(self, config: str) -> pa.Table:
        files = sorted((self.path / config).glob("train-*.parquet"))
        if not files:
            raise DataError(f"{self.path.name}: no table {config!r}; give a directory that this version of mine wrote")
        try:
            opened = [ParquetFile(file) for file in files]
            schema = max(_schema_of(file.metadata.metadata) for file in opened)
            table = pa.concat_tables(file.read() for file in opened)
        except (pa.ArrowException, OSError, DataError) as error:
            raise FileError(f"{self.path.name}: table {config!r} cannot be read: {told(error)}") from None
        if schema > SCHEMA:
            raise DataError(
                f"{self.path.name}: written by a newer version (schema {schema}, this one knows {SCHEMA}); "
                "upgrade hardneg_fast"
            )
        if lacking := [name for name in NEEDED[config] if name not in table.column_names]:
            raise DataError(f"{self.path.name}: table {config!r} lacks {lacking}; give a directory that mine wrote")
        return table

    def _not_held_out(self) -> pa.Table:
        """Queries that something may be trained on: without those of the split `validation`."""
        negatives, queries = self.tables["negatives"], self.tables["queries"]
        if "split" not in negatives.column_names or negatives["split"].null_count == len(negatives):
            return queries
        ids = pc.unique(negatives["query_id"].filter(pc.equal(negatives["split"], "validation")))
        return queries.filter(pc.invert(pc.is_in(queries["query_id"], value_set=ids)))

    def groups(self) -> Iterator[Group]:
        """Every query that is not held out with its positives and negatives, in the order of `queries`.

        A negative that is a positive of its query too is left out: `mine` writes none.
        """
        queries, (negatives, positives) = self._queries, (self.tables[name] for name in ("negatives", "positives"))
        ids = queries["query_id"].combine_chunks()
        of_negatives, of_positives = (_sorted(table, ids) for table in (negatives, positives))
        columns, good_ids = (
            table.select([name for name in (*NEEDED[config][1:], "score") if name in table.column_names]).take(
                rows.order
            )
            for config, table, rows in (
                ("negatives", negatives, of_negatives),
                ("positives", positives, of_positives),
            )
        )
        start = 0
        texts = queries["query"]
        while start < len(ids):
            stop = max(start + 1, int(np.searchsorted(of_negatives.ends, of_negatives.start(start) + BATCH)))
            stop = min(stop, len(ids))
            first, first_positive = of_negatives.start(start), of_positives.start(start)
            rows = columns.slice(first, int(of_negatives.ends[stop - 1]) - first).to_pylist()
            docs = good_ids.slice(first_positive, int(of_positives.ends[stop - 1]) - first_positive).to_pylist()
            for at in range(start, stop):
                own = rows[of_negatives.start(at) - first : int(of_negatives.ends[at]) - first]
                good = docs[of_positives.start(at) - first_positive : int(of_positives.ends[at]) - first_positive]
                yield _group(ids[at].as_py(), texts[at].as_py(), good, own)
            start = stop


@dataclass(frozen=True)
class _Sorted:
    """Rows of a table by query."""

    order: pa.Array
    ends: Any
    """For each query one past its last row."""

    def start(self, query: int) -> int:
        return int(self.ends[query - 1]) if query else 0


def _sorted(table: pa.Table, ids: pa.Array) -> _Sorted:
    places = pc.fill_null(pc.index_in(table["query_id"], value_set=ids), len(ids)).to_numpy()
    order = np.argsort(places, kind="stable")
    return _Sorted(pa.array(order), np.cumsum(np.bincount(places, minlength=len(ids) + 1)[: len(ids)]))


def _group(query_id: str, query: str, good: list[dict[str, Any]], rows: list[dict[str, Any]]) -> Group:
    positives = [row["doc_id"] for row in good]
    kept: dict[str, Negative] = {}
    position_of: dict[str, int] = {}
    known = set(positives)
    for row in rows:
        doc, positive = row["neg_id"], row["pos_id"]
        if positive is not None and row["position_pos"]:
            position_of.setdefault(positive, row["position_pos"])
        if doc in known:
            continue
        before = kept.get(doc)
        against = None if positive is None else frozenset([positive])
        if before is not None:
            both = before.against is not None and against is not None
            against = before.against | against if both else None  # type: ignore[operator] # neither is None
            kept[doc] = before._replace(against=against)
        else:
            figures = (row["p_false_negative"], row["weight"], row["position_neg"], row.get("score"))
            kept[doc] = Negative(doc, against, *figures)
    score_of = {row["doc_id"]: row["score"] for row in good if row.get("score") is not None}
    return Group(query_id, query, tuple(dict.fromkeys(positives)), tuple(kept.values()), position_of, score_of)

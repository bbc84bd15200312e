"""What tasks do to write a dataset: sealed tables of parts in, rows of it out; or what is needed of them, sealed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute

from ..curriculum import with_curriculum
from ..result import positives_of
from ..writers.dataset import documents_among, held_out_of, training_rows
from ..writers.parquet import ROW_GROUP_ROWS
from ..writers.texts import Texts
from .sealing import sealed_table, table_of
from .tasks import KeySource, row_of

__all__ = ["Opened", "OpenedDocuments", "Ranges", "Wanted", "negatives", "positives", "queries", "training"]

pc: Any = pyarrow.compute

Tables = Mapping[str, pa.Table]


def negatives(tables: Tables, steps: pa.Table | None = None) -> pa.Table:
    """With the curriculum, where it is asked for."""
    found = tables["negatives"]
    return found if steps is None else with_curriculum(found, steps)


def positives(tables: Tables) -> pa.Table:
    """By query_id."""
    return positives_of(tables["queries"], tables["positives"])


def queries(tables: Tables) -> pa.Table:
    """As they are."""
    return tables["queries"]


def training(tables: Tables, *, held_out: bool) -> pa.Table:
    """Rows that are held out, or the others; of texts where these are given."""
    rows = tables["triplets"].filter(pa.array(held_out_of(tables["triplets"], tables["negatives"]) == held_out))
    texts = tables.get("texts")
    n, _, part = training_rows(rows, None if texts is None else Texts(texts, texts["doc_id"]))
    return part(0, n)


@dataclass(frozen=True)
class Opened:
    """Sealed tables of parts to rows of one table."""

    key: KeySource
    make: Callable[..., pa.Table]
    schema: pa.Schema
    steps: bytes | None = None
    held_out: bool | None = None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """As `mapInArrow` calls it."""
        for _, blocks in _parts(batches):
            key = self.key()
            options: dict[str, Any] = {} if self.held_out is None else {"held_out": self.held_out}
            if self.steps is not None:
                options["steps"] = table_of(self.steps, key)
            made = self.make({name: table_of(block, key) for name, block in blocks.items()}, **options)
            yield from made.cast(self.schema).to_batches(max_chunksize=ROW_GROUP_ROWS)


@dataclass(frozen=True)
class OpenedDocuments:
    """Sealed tables of documents to their rows, each document once, by their bytes."""

    key: KeySource
    schema: pa.Schema

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """As `mapInArrow` calls it."""
        blocks = [block for batch in batches for block in batch["block"].to_pylist()]
        if not blocks:
            return
        key = self.key()
        table = pa.concat_tables([table_of(block, key) for block in blocks])
        if self.schema.names == ["doc_id"]:
            # The same document was found in several parts of the queries.
            ids = pc.unique(table["doc_id"])
            table = pa.table({"doc_id": ids.take(pc.sort_indices(ids))})
        yield from table.cast(self.schema).to_batches(max_chunksize=ROW_GROUP_ROWS)


@dataclass(frozen=True)
class Ranges:
    """Documents of each part of the queries to sealed blocks by their own ranges."""

    key: KeySource
    labels: Sequence[int]
    ends: bytes
    """Where ranges end, ascending by bytes, one less than there are ranges, or none: documents, so a sealed table."""

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """As `mapInArrow` calls it."""
        for _, blocks in _parts(batches):
            key = self.key()
            found = pa.table({"doc_id": _documents({name: table_of(block, key) for name, block in blocks.items()})})
            start, parts, ends = 0, len(self.labels), table_of(self.ends, key)["doc_id"].to_pylist()
            for place, label in enumerate(self.labels):
                last = place == parts - 1
                end = found.num_rows if last else _before(found["doc_id"], ends[place]) if ends else 0
                if end > start:
                    block = sealed_table(found.slice(start, end - start), (place, parts), key)
                    yield row_of({"label": label}, {"block": block})
                start = max(start, end)


@dataclass(frozen=True)
class Wanted:
    """Of each part, sealed: its documents, and training rows at some places."""

    key: KeySource
    parts: int
    sampled: Sequence[Sequence[int]]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """As `mapInArrow` calls it."""
        for number, blocks in _parts(batches, "part"):
            key, part = self.key(), (number, self.parts)
            tables = {name: table_of(block, key) for name, block in blocks.items()}
            rows = tables["triplets"].take(pa.array(self.sampled[number], pa.int64()))
            made = {"ids": pa.table({"doc_id": _documents(tables)}), "sample": rows}
            yield row_of({"part": number}, {name: sealed_table(table, part, key) for name, table in made.items()})


def _documents(tables: Tables) -> Any:
    return documents_among(tables["negatives"], positives(tables), tables["triplets"])


def _before(ids: Any, end: str) -> int:
    """How many of some ids, ascending by bytes, are before another."""
    low, high, wanted = 0, len(ids), end.encode()
    while low < high:
        middle = (low + high) // 2
        if ids[middle].as_py().encode() < wanted:
            low = middle + 1
        else:
            high = middle
    return low


def _parts(batches: Iterable[pa.RecordBatch], number: str = "label") -> Iterator[tuple[int, dict[str, bytes]]]:
    """What a partition has of each part, in one."""
    found: dict[int, dict[str, bytes]] = {}
    for batch in batches:
        for row in batch.to_pylist():
            blocks = {name: value for name, value in row.items() if isinstance(value, bytes)}
            found.setdefault(row[number], {}).update(blocks)
    yield from found.items()

"""What tasks do: whole partitions in, sealed blocks out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute

from ..blocks import BLOCKS
from ..config import Config, Privacy
from ..count import Counts, load_counts, merge
from ..curriculum import steps_of
from ..evidence import evidence
from ..keys import Key
from ..measures import measured
from ..pipeline.count import MINED_TABLES, count
from ..pipeline.split import split
from ..release import load_released, release
from ..result import positives_of, queries_of
from ..select import select
from ..whole import answer
from ..writers.dataset import documents_among
from ..writers.parquet import plain_schema
from .facts import ASKED, Facts
from .sealing import as_blocks, chained, sealed_facts, sealed_table, table_of

__all__ = ["CHOSEN", "RELEASED", "SHARES", "TABLES", "TRAVEL", "KeySource", "Work", "labels", "row_of"]

pc: Any = pyarrow.compute

KeySource = Callable[[], Key]
"""Gets the master key where it is called: in the driver, and in every task. It travels; the key does not."""

TRAVEL = "label int, block binary"
"""What is shuffled: where a block goes, and the sealed block."""
RELEASED = "label int, block binary, facts binary, asked binary"
"""Of each part of the queries, sealed: what passed, figures beside tables, users by query."""
SHARES = "label int, block binary, asked binary, share binary"
"""A part, and its share of what all parts know; a row has one of the two."""
TABLES = ("negatives", "positives", "triplets", "queries", "steps")
"""What is selected of a part: tables of the dataset, positives by their query's text, and steps of the curriculum."""
CHOSEN = f"part int, label int, {', '.join(f'{name} binary' for name in TABLES)}, outcome binary, facts binary"
"""What was selected of a part, sealed."""

SAMPLED = 64
"""Documents of a part by which the documents of all are cut into ranges."""


def labels(session: Any, parts: int) -> list[int]:
    """A number for each partition that Spark's own hash sends there: parts then meet no other part."""
    from pyspark.sql import functions as F  # noqa: N812 - as everybody calls them

    tried = 32 * parts
    while True:
        number = F.col("id").cast("int")
        rows = session.range(tried).select(number, F.pmod(F.hash(number), F.lit(parts))).collect()
        first: dict[int, int] = {}
        for label, place in rows:
            first.setdefault(place, label)
        if len(first) == parts:
            return [first[place] for place in range(parts)]
        tried *= 2


@dataclass(frozen=True)
class Work:
    """What tasks do. It travels to them, and holds no key."""

    key: KeySource
    config: Config
    privacy: Privacy
    names: list[str]
    parts: int
    labels: list[int]

    def split(self) -> Any:
        """Rows to blocks by user."""

        def split_rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            batches = iter(batches)
            first = next(batches, None)
            if first is None:
                return
            named = (batch.rename_columns(self.names) for batch in chained(first, batches))
            schema = pa.schema([f.with_name(name) for f, name in zip(first.schema, self.names, strict=True)])
            log = pa.RecordBatchReader.from_batches(schema, named)
            yield from self._labelled(split(log, self.parts, key=self.key(), config=self.config))

        return split_rows

    def count(self) -> Any:
        """Blocks of one part of the users to blocks of its counts by query."""

        def count_users(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            batches = iter(batches)
            first = next((batch for batch in batches if batch.num_rows), None)
            if first is None:
                return
            key, part = self.key(), self.labels.index(first["label"][0].as_py())
            blocks = pa.RecordBatchReader.from_batches(BLOCKS, map(as_blocks, chained(first, batches)))
            counts = count(blocks, config=self.config, tables=MINED_TABLES, key=key, part=(part, self.parts))
            yield from self._labelled(split(counts, self.parts, key=key))

        return count_users

    def release(self) -> Any:
        """Blocks of counts of one part of the queries to what passes of it."""

        def release_queries(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            key = None
            label = -1
            sums: list[tuple[int, Counts]] = []
            for batch in batches:
                for label, block in zip(batch["label"].to_pylist(), batch["block"], strict=True):
                    key, number = key or self.key(), self.labels.index(label)
                    level, counts = 0, load_counts(block.as_py(), config=self.config, key=key)
                    # By twos, as they come.
                    while sums and sums[-1][0] == level:
                        level, counts = level + 1, merge(sums.pop()[1], counts)
                    sums.append((level, counts))
            if key is None:
                return
            total, part = merge(*(counts for _, counts in reversed(sums))), (number, self.parts)
            released = release(total, privacy=self.privacy, part=part)
            said = Facts.from_counts(total) | {"passed": released._core.passed}
            asked = pa.table(total.table("queries", columns=ASKED))
            asked = asked.filter(pc.greater_equal(asked["users"], self.privacy.k or 1))
            made = {
                "block": released.block(key=key),
                "facts": sealed_facts(said, part, key),
                "asked": sealed_table(asked, part, key),
            }
            yield row_of({"label": label}, made)

        return release_queries

    def answer(self, question: bytes) -> Any:
        """What passed of a part to what it answers."""

        def answer_question(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for block in batch["block"].to_pylist():
                    key = self.key()
                    part = load_released(block, privacy=self.privacy, key=key)
                    yield row_of({}, {"block": answer(part, question, key=key, threads=1)})

        return answer_question

    def select(self, beside: Mapping[str, bytes]) -> Any:
        """What passed of a part, and its share, to what is selected of it."""

        def select_queries(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            found: dict[str, Any] = {}
            for batch in batches:
                for row in batch.to_pylist():
                    found |= {name: value for name, value in row.items() if value is not None}
            if "share" not in found:
                return
            key, part = self.key(), (self.labels.index(found["label"]), self.parts)
            released = load_released(found["block"], privacy=self.privacy, key=key)
            own: dict[str, Any] = {"seed": self.config.seed, "threads": 1, "part": part}
            weighed = evidence(released, config=self.config.evidence, share=found["share"], key=key, **own)
            given = {name: table_of(block, key) for name, block in beside.items()}
            selected = select(weighed, config=self.config.select, **own, **given)

            tables = {name: pa.table(getattr(selected, name)) for name in ("negatives", "positives", "triplets")}
            tables["queries"] = queries_of(tables["negatives"])
            written = {**tables, "positives": positives_of(tables["queries"], tables["positives"])}
            documents = documents_among(written["negatives"], written["positives"], written["triplets"])
            asked = table_of(found["asked"], key)
            facts = {
                "funnel": selected.funnel,
                "measures": measured(tables["negatives"], tables["positives"], asked, self.privacy.k),
                "rows": {name: table.num_rows for name, table in written.items()},
                "columns": {
                    name: [(f.name, str(f.type)) for f in plain_schema(t.schema)] for name, t in written.items()
                },
                "documents": documents[:: max(1, len(documents) // SAMPLED)].to_pylist(),
            }
            if self.config.select.curriculum == "on":
                tables["steps"] = steps_of(tables["negatives"])
            made = {name: sealed_table(tables[name], part, key) if name in tables else None for name in TABLES}
            made |= {"outcome": selected.outcome(key=key), "facts": sealed_facts(facts, part, key)}
            yield row_of({"part": part[0], "label": found["label"]}, made)

        return select_queries

    def _labelled(self, blocks: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        for batch in blocks:
            numbers = pa.array((self.labels[part] for part in batch["part"].to_pylist()), pa.int32())
            yield pa.record_batch({"label": numbers, "block": batch["block"]})


def row_of(numbers: Mapping[str, int], blocks: Mapping[str, bytes | None]) -> pa.RecordBatch:
    """A row of numbers and sealed blocks."""
    columns: dict[str, Any] = {name: pa.array([number], pa.int32()) for name, number in numbers.items()}
    return pa.record_batch(columns | {name: pa.array([block], pa.binary()) for name, block in blocks.items()})

"""One export: what it reads, what it may leave out, and the files it writes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..exceptions import DataError, UsageError
from ..writers.texts import Texts
from . import safe
from .features import Features
from .mined import Group, MinedDirectory, Negative

Scores = Literal["", "relevance", "model"]

ROWS = 20_000
"""Rows of a Parquet file that are Python objects at a time."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A format that a trainer reads."""

    name: str
    about: str
    """What it is, in a line."""
    files: tuple[str, ...]
    """What is written, besides README.md: names in the directory."""
    write: Callable[[Job], None]
    load: str
    """How it is opened, as code for README.md; DIR stands for the directory."""
    language: str = "python"
    text: bool = True
    """Whether it holds texts of documents."""
    features: bool = False
    """Whether it holds features."""
    width: bool = False
    """Whether its rows have one number of negatives."""
    scores: bool = False
    """Whether it can say how relevant a document is, beside whether."""
    configs: tuple[str, ...] = ()
    """Folders of Parquet files that `datasets.load_dataset` takes for configs."""


@dataclass(kw_only=True)
class Job:
    """What a format's `write` works with."""

    source: MinedDirectory
    out: Path
    target: Target
    documents: pa.Table | None
    """doc_id, text."""
    features: Features | None = None
    num_negatives: int = 1
    scores: Scores = ""
    """`relevance`: negatives carry their chance to be relevant, and positives 1; `model`: all carry what a model says;
    else negatives count as 0, positives as 1."""
    rows: dict[str, int] = field(default_factory=dict)
    """File → rows written."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Reason → what was left out."""

    @cached_property
    def doc_ids(self) -> pa.Array:
        """Documents that can be written, each once: all that the dataset names, or those of them with a text."""
        ids = self.source.tables["documents"]["doc_id"].combine_chunks()
        if self._texts is None:
            return ids
        return ids.filter(pa.array(self._texts.find(ids) >= 0))

    @cached_property
    def _texts(self) -> Texts | None:
        if not self.target.text:
            return None
        if self.documents is None:
            raise UsageError(
                f"{self.target.name} holds texts, and the dataset has ids only; give a Parquet file with doc_id and "
                "text: --documents FILE (documents=…)"
            )
        return Texts(self.documents, self.source.tables["documents"]["doc_id"].combine_chunks())

    @cached_property
    def number_of(self) -> dict[str, int]:
        """Number of each document that can be written, from 0."""
        return {doc: number for number, doc in enumerate(self.doc_ids.to_pylist())}

    def text(self, doc: str) -> str:
        """Text of a document that can be written."""
        return str(self._text_column[self.number_of[doc]].as_py())

    @cached_property
    def _text_column(self) -> Any:
        assert self._texts is not None  # noqa: S101 - only formats with texts ask
        return self._texts.take(self._texts.find(self.doc_ids))

    def groups(self) -> Iterator[Group]:
        """Queries with at least a positive and a negative that can be written, and of their documents only such."""
        known, queries, unscored = self.number_of, 0, 0
        seen_out: set[str] = set()
        for group in self.source.groups():
            seen_out.update(doc for doc in group.positives if doc not in known)
            seen_out.update(n.doc_id for n in group.negatives if n.doc_id not in known)
            kept = replace(
                group,
                positives=tuple(doc for doc in group.positives if doc in known),
                negatives=tuple(n for n in group.negatives if n.doc_id in known),
            )
            if self.scores == "model":
                scored = replace(
                    kept,
                    positives=tuple(doc for doc in kept.positives if doc in kept.score_of),
                    negatives=tuple(n for n in kept.negatives if n.score is not None),
                )
                unscored += len(kept.positives) + len(kept.negatives)
                unscored -= len(scored.positives) + len(scored.negatives)
                kept = scored
            if any(True for _ in kept.rows()):
                yield kept
            else:
                queries += 1
        self.left_out |= {"queries": queries, "documents without text": len(seen_out)}
        if unscored:
            self.left_out["documents of queries without a score"] = unscored
        if self.source.held_out:
            self.left_out["queries held out for validation"] = self.source.held_out

    def tuples(self) -> Iterator[tuple[Group, str, tuple[Negative, ...]]]:
        """A query, a positive and `num_negatives` of its negatives; short rows are left out and counted."""
        n, short = self.num_negatives, 0
        for group in self.groups():
            for positive in group.positives:
                own = group.of(positive)
                for at in range(0, len(own) - n + 1, n):
                    yield group, positive, own[at : at + n]
                short += len(own) % n > 0
        self.left_out["short rows"] = short

    def score(self, negative: Negative) -> float:
        """How relevant a negative counts as."""
        if not self.scores:
            return 0.0
        if self.scores == "model":
            return float(negative.score or 0.0)  # those without are left out
        if negative.relevance is None:
            raise UsageError(
                "scores need p_false_negative, and this dataset has none; mine it with a false-negative estimate, or "
                "export without scores"
            )
        return negative.relevance

    def score_of(self, group: Group, positive: str) -> float:
        """How relevant a positive counts as."""
        return group.score_of[positive] if self.scores == "model" else 1.0

    def jsonl(self, name: str, rows: Iterable[Any]) -> None:
        """One JSON value a line."""
        self.text_file(name, (safe.json_line(row) for row in rows))

    def tsv(self, name: str, rows: Iterable[Sequence[Any]], *, head: Sequence[str] = ()) -> None:
        """Cells with no quoting; texts become one line each."""
        lines = ("\t".join(safe.cell(value) for value in row) for row in rows)
        self.text_file(name, lines, "\t".join(head))

    def text_file(self, name: str, lines: Iterable[str], head: str = "") -> None:
        """Lines as they are, after a head that is not counted."""
        count = 0
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="\n") as file:
            if head:
                file.write(head + "\n")
            for line in lines:
                file.write(line + "\n")
                count += 1
        self.rows[name] = count

    def parquet(self, name: str, schema: pa.Schema, rows: Iterable[Sequence[Any]]) -> None:
        """Rows as tuples in the order of the schema."""
        count = 0
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(path, schema, compression="zstd", store_schema=False) as writer:
            batch: list[Sequence[Any]] = []

            def flush() -> None:
                columns = zip(*batch, strict=True) if batch else ([] for _ in schema)
                arrays = [pa.array(column, f.type) for column, f in zip(columns, schema, strict=True)]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))

            for row in rows:
                batch.append(row)
                count += 1
                if len(batch) == ROWS:
                    flush()
                    batch = []
            if batch or not count:
                flush()
        self.rows[name] = count

    def shuffled(self, rows: Iterable[Sequence[int]]) -> Iterator[list[int]]:
        """Rows of numbers, in an order that is always the same and has nothing to do with theirs.

        For trainers that read from the start to the end of a file: in the order of queries, a batch is one query.
        """
        table = np.array([list(row) for row in rows], dtype=np.int64)
        keys = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in table]
        for at in sorted(range(len(keys)), key=keys.__getitem__):
            yield table[at].tolist()

    def ids(self, where: str, *, own_cell: bool = False) -> None:
        """Refuses document ids that a file of plain cells cannot hold.

        Raises:
            DataError: an id with white space, quotes at its start, or (in a cell of its own) the start of a formula.
        """
        bad = sum(not safe.is_plain_id(doc, own_cell=own_cell) for doc in self.number_of)
        if bad:
            raise DataError(
                f"{bad:,} document ids hold white space or control characters, or begin like a quote or a formula, "
                f"which {where} cannot hold; export to a format of JSON or Parquet, or mine with other ids"
            )

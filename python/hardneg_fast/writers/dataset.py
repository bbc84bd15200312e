"""The tables of a dataset directory: `triplets/`, `negatives/`, `positives/`, `queries/`, `documents/`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

from .mined import Mined
from .parquet import ROW_GROUP_ROWS, digest_of, plain_schema, write_parts
from .texts import Texts

pc: Any = pyarrow.compute

SHARD_ROWS = 5_000_000
"""Rows per file."""


@dataclass
class Written:
    """What was written."""

    schemas: dict[str, pa.Schema] = field(default_factory=dict)
    """Config → columns."""
    rows: dict[str, int] = field(default_factory=dict)
    """Config → rows, of all splits."""
    held_out: int = 0
    """Of the triplets, those in the split `validation`."""
    without_text: int = 0
    """Triplets left out because a document of theirs has no text."""
    documents_without_text: int = 0
    """Documents left out of `documents` because they have no text."""
    digest: str = ""
    """16 hex digits that another content of the tables would not have."""


def write_dataset(mined: Mined, texts: Texts | None, directory: Path) -> Written:
    """Write all configs below `directory`; texts replace ids in triplets where they are given."""
    written = Written()
    held_out = held_out_of(mined.triplets, mined.negatives)
    if held_out.any():
        _write_triplets(mined.triplets.filter(pa.array(~held_out)), texts, directory, written)
        _write_triplets(mined.triplets.filter(pa.array(held_out)), texts, directory, written, "validation")
    else:
        _write_triplets(mined.triplets, texts, directory, written)
    _write_table("negatives", mined.negatives, directory, written)
    _write_table("positives", mined.positives, directory, written)
    _write_table("queries", mined.queries, directory, written)
    _write_documents(mined, texts, directory, written)
    written.digest = digest_of(directory)
    return written


def held_out_of(triplets: pa.Table, negatives: pa.Table) -> npt.NDArray[np.bool_]:
    """Which triplets are of queries in the split `validation`."""
    split = negatives["split"]
    if split.null_count == len(split):
        return np.zeros(triplets.num_rows, bool)
    queries = pc.unique(negatives["query"].filter(pc.equal(split, "validation")))
    held_out: npt.NDArray[np.bool_] = pc.is_in(triplets["query"], value_set=queries).to_numpy()
    return held_out


def _write_triplets(
    triplets: pa.Table, texts: Texts | None, directory: Path, written: Written, split: str = "train"
) -> None:
    n, schema, part = training_rows(triplets, texts)
    written.without_text += triplets.num_rows - n
    written.held_out += n if split == "validation" else 0
    if n or split == "train":
        _write("triplets", schema, n, part, directory, written, split)


def training_rows(triplets: pa.Table, texts: Texts | None) -> tuple[int, pa.Schema, Callable[[int, int], pa.Table]]:
    """How many rows there are to write, their columns, and what gives some of them.

    With texts these stand for ids, and rows with a document that has none are left out.
    """
    table: Any = triplets
    if texts is None:
        return triplets.num_rows, triplets.schema, lambda start, stop: table.slice(start, stop - start)
    names = [name for name in triplets.column_names if name != "query"]
    places = {name: texts.find(table[name]) for name in names}
    known = np.ones(triplets.num_rows, bool)
    for found in places.values():
        known &= found >= 0
    rows = np.flatnonzero(known)

    def part(start: int, stop: int) -> pa.Table:
        chosen = rows[start:stop]
        columns = [
            table[name].take(pa.array(chosen)) if name == "query" else texts.take(places[name][chosen])
            for name in triplets.column_names
        ]
        return pa.Table.from_arrays(columns, names=triplets.column_names)

    return len(rows), pa.schema([(name, pa.string()) for name in triplets.column_names]), part


def _write_documents(mined: Mined, texts: Texts | None, directory: Path, written: Written) -> None:
    ids = documents_that_appear(mined)
    schema = pa.schema([("doc_id", pa.string())])
    if texts is None:
        _write_table("documents", pa.table([ids], schema=schema), directory, written)
        return
    places = texts.find(ids)
    known: npt.NDArray[np.bool_] = places >= 0
    written.documents_without_text = int((~known).sum())
    ids, places = ids.filter(pa.array(known)), places[known]

    def part(start: int, stop: int) -> pa.Table:
        columns = [ids[start:stop], texts.take(places[start:stop])]
        return pa.Table.from_arrays(columns, names=["doc_id", "text"])

    _write("documents", schema.append(pa.field("text", pa.string())), len(places), part, directory, written)


def documents_that_appear(mined: Mined) -> Any:
    """Ids in `negatives`, `positives` or `triplets`, each once, by their bytes."""
    return documents_among(mined.negatives, mined.positives, mined.triplets)


def documents_among(negatives: pa.Table, positives: pa.Table, triplets: pa.Table) -> Any:
    """Ids in these tables, each once, by their bytes."""
    columns: list[Any] = [negatives.column(name) for name in ("pos_id", "neg_id")]
    columns.append(positives.column("doc_id"))
    columns += [triplets.column(name) for name in triplets.column_names if name != "query"]
    seen: Any = pa.chunked_array([pc.unique(column.cast(pa.string())) for column in columns], pa.string())
    ids = pc.drop_null(pc.unique(seen))
    return ids.take(pc.sort_indices(ids))


def _write_table(config: str, table: pa.Table, directory: Path, written: Written) -> None:
    _write(
        config, table.schema, table.num_rows, lambda start, stop: table.slice(start, stop - start), directory, written
    )


def _write(
    config: str,
    schema: pa.Schema,
    rows: int,
    part: Callable[[int, int], pa.Table],
    directory: Path,
    written: Written,
    split: str = "train",
) -> None:
    """Write a config's files; `part(start, stop)` gives some of its rows, so a table is never whole in memory twice."""

    def parts(start: int, stop: int) -> Iterator[pa.Table]:
        for at in range(start, stop, ROW_GROUP_ROWS):
            yield part(at, min(at + ROW_GROUP_ROWS, stop))

    folder = directory / config
    folder.mkdir(exist_ok=True)
    shards = max(1, -(-rows // SHARD_ROWS))
    for shard in range(shards):
        start, stop = shard * SHARD_ROWS, min((shard + 1) * SHARD_ROWS, rows)
        path = folder / f"{split}-{shard:05d}-of-{shards:05d}.parquet"
        write_parts(path, schema, parts(start, stop))
    written.schemas[config] = plain_schema(schema)
    written.rows[config] = written.rows.get(config, 0) + rows

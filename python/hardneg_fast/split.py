"""split: rows of a log into sealed blocks, each of one part of its users."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from .anonymize import pseudonymize
from .blocks import Header, batch_of
from .keys import Key

__all__ = ["split_rows"]

pc: Any = pyarrow.compute

FEWEST_ROWS, MOST_ROWS, ROWS_A_PART = 1 << 18, 1 << 20, 1 << 12
"""Rows that are split at once, so that parts get blocks worth sending …"""
MOST_BYTES = 1 << 27
"""… and their bytes, about, before they are split earlier."""


def split_rows(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, parts: int, header: Header, key: Key
) -> Iterator[pa.RecordBatch]:
    """Rows of a log with canonical names as sealed blocks, each of one part.

    Users who are null go to part 0, where they are set aside and counted like anywhere. Of each part there is at least
    one block, be it empty, so that none is missing.
    """
    held: list[pa.RecordBatch] = []
    rows = size = 0
    absent = {*range(parts)}
    enough = min(max(FEWEST_ROWS, ROWS_A_PART * parts), MOST_ROWS)
    for batch in batches:
        held.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= enough or size >= MOST_BYTES:
            yield batch_of(_scattered(held, schema, parts, key, absent), header, key)
            held, rows, size = [], 0, 0
    if rows or absent:
        yield batch_of(_scattered(held, schema, parts, key, absent), header, key)


def _scattered(
    held: list[pa.RecordBatch], schema: pa.Schema, parts: int, key: Key, absent: set[int]
) -> Iterator[tuple[int, pa.Buffer]]:
    """(part, its rows as an Arrow stream)s; of parts that are still `absent`, without rows."""
    table = pa.Table.from_batches(held, schema).replace_schema_metadata(None).combine_chunks()
    of = _part_of(table["user_id"], parts, key)
    order = np.argsort(of, kind="stable")
    table, of = table.take(order), of[order]
    starts = np.flatnonzero(np.diff(of, prepend=-1))
    for start, end in itertools.pairwise([*starts, len(of)]):
        yield int(of[start]), _stream(table.slice(start, end - start))
        absent.discard(int(of[start]))
    for part in sorted(absent):
        yield part, _stream(table.slice(0, 0))
    absent.clear()


def _stream(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _part_of(users: pa.ChunkedArray, parts: int, key: Key) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The part of each row: the code of its user modulo their number."""
    found = []
    for chunk in users.chunks:
        coded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
        names = pc.fill_null(pseudonymize(coded.dictionary, key=key), bytes(16))
        codes = np.frombuffer(names.buffers()[1], ">u8", 2 * len(names), 16 * names.offset)[::2]
        of = np.append((codes % np.uint64(parts)).astype(np.int64), 0)
        indices = coded.indices.fill_null(len(of) - 1).to_numpy(zero_copy_only=False)
        found.append(of[indices])
    return np.concatenate(found) if found else np.zeros(0, np.int64)

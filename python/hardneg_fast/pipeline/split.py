"""split: rows of a log, or counts, into sealed blocks, each of one part of the users, or of the queries."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from .. import options
from ..anonymize import pseudonymize, scrubbing
from ..blocks import BLOCKS, Header, batch_of
from ..config import Config
from ..count import Counts, part_config, split_counts
from ..exceptions import ColumnError, UsageError
from ..keys import Key
from ..read import open_log
from .broken import unbroken

__all__ = ["checked_part", "common_config", "split"]

pc: Any = pyarrow.compute

MOST_PARTS = 1 << 20

FEWEST_ROWS, MOST_ROWS, ROWS_A_PART = 1 << 18, 1 << 20, 1 << 12
"""Rows that are split at once, so that parts get blocks worth sending …"""
MOST_BYTES = 1 << 27
"""… and their bytes, about, before they are split earlier."""


def split(log: object, parts: int, /, *, key: Key, config: Config | None = None) -> pa.RecordBatchReader:
    """A log in parts by user, or counts in parts by query, as sealed blocks: to be counted, or merged, part by part.

    Which part a user is of follows from a hash under `key`, so a log may be split piece by piece, each piece by
    itself, anywhere. All blocks of one part have to meet: nothing of a user is to be counted apart. What is in a block
    is sealed under a key made from `key`.

    Args:
        log: as for `mine`, a row per result shown; or counts of a part.
        parts: how many parts.
        key: the master key.
        config: options, the same for all pieces, and for counting them. `read.position_base` is 0 or 1: a piece does
            not tell what the log calls the top position.

    Returns:
        part, block; at least one block of each part. Its metadata say stage, parts, hash of the configuration, key id.

    Raises:
        ColumnError: the log has no users.
        DataError: the log cannot be read.
        UsageError: options that cannot be; counts that are no part, or were counted under another key.
    """
    _, parts = checked_part((0, parts))
    if not isinstance(key, Key):
        raise UsageError("a log is split under a key that is kept: Key.load(FILE)")
    if isinstance(log, Counts):
        return split_counts(log, parts, key)
    config = options.checked(config or Config())
    raw = open_log(log, config.read)
    if "user_id" not in raw.schema.names:
        raise ColumnError("a log is split by user, and this one has none: map a column to user_id")
    if raw.report.shape != "rows":
        raise UsageError(f"a log of {raw.report.shape} is brought to rows before it is split: hn.read does that")
    if "position" in raw.schema.names and config.read.position_base == "auto":
        raise UsageError("say what the log calls the top position, read.position_base 0 or 1: a piece does not tell")
    common = common_config(config, raw.position_base, has_pages=raw.has_pages)
    header = Header(
        stage="rows",
        part=0,
        of=parts,
        config=common,
        key=key.id,
        position_base=raw.position_base,
        has_pages=raw.has_pages,
    )
    reader = raw.reader()
    blocks = _split_rows(unbroken(reader, raw), reader.schema, parts, header, key)
    schema = BLOCKS.with_metadata(header.metadata())
    return pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in blocks))


def checked_part(part: tuple[int, int]) -> tuple[int, int]:
    """A number of a part, and of how many.

    Raises:
        UsageError: there is no such part.
    """
    match part:
        case (int(i), int(n)) if 0 <= i < n <= MOST_PARTS and not isinstance(i, bool):
            return i, n
    raise UsageError(
        f"part is {part!r}; give (i, n): number i, from 0, of n parts, of which there are at most {MOST_PARTS:,}"
    )


def common_config(config: Config, position_base: int, *, has_pages: bool) -> str:
    """Hash of what all parts of a log have to be counted with."""
    return part_config(
        config.count, scrubbing(config.scrub), seed=config.seed, position_base=position_base, has_pages=has_pages
    )


def _split_rows(
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

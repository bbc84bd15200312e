"""Sealed blocks: parts of a log, of counts or of a release on their way through a cluster.

A block is sealed under a key made from the master key: what a cluster writes to its disks on the way is unreadable.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from .exceptions import DataError, HardnegError, UsageError
from .keys import Key
from .writers.stable_json import to_json

__all__ = [
    "BLOCKS",
    "Header",
    "batch_of",
    "blocks_of",
    "config_hash",
    "is_blocks",
    "metadata_of",
    "opened",
    "rows_of",
    "sealed",
]

BLOCKS = pa.schema([pa.field("part", pa.int32(), nullable=False), pa.field("block", pa.binary(), nullable=False)])
"""The table that travels: the number of a part, and a block of it. All blocks of a part have to meet."""

MAGIC = b"HNBLOCK1"
NONCE = 12


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a block says in clear: nothing of what it holds."""

    stage: str
    """`rows`, `counts`, `released`, or `facts`, which are figures beside counts."""
    part: int
    of: int
    config: str
    """Hash of the options that all parts of a log share."""
    key: str
    """Names the master key."""
    position_base: int = 1
    has_pages: bool = True

    def metadata(self) -> dict[str, str]:
        """For the schema of a table of blocks."""
        return metadata_of(stage=self.stage, parts=self.of, config=self.config, key_id=self.key)


def metadata_of(**said: object) -> dict[str, str]:
    """What the schema of a table of parts says."""
    return {f"hardneg_fast.{name}": str(value) for name, value in said.items()}


def config_hash(options: dict[str, Any]) -> str:
    """16 hex digits of the SHA-256 of options."""
    return hashlib.sha256(to_json(options)).hexdigest()[:16]


def blocks_of(contents: Iterable[tuple[int, bytes]], header: Header, key: Key) -> pa.RecordBatchReader:
    """(part, content)s as a table of sealed blocks."""
    schema = BLOCKS.with_metadata(header.metadata())
    made = (batch_of([content], header, key).cast(schema) for content in contents)
    return pa.RecordBatchReader.from_batches(schema, made)


def batch_of(contents: Iterable[tuple[int, Any]], header: Header, key: Key) -> pa.RecordBatch:
    """(part, content)s as sealed blocks."""
    numbers, blocks = [], []
    for number, content in contents:
        numbers.append(number)
        blocks.append(sealed(content, header, number, key))
    return pa.record_batch([pa.array(numbers, pa.int32()), pa.array(blocks, pa.binary())], schema=BLOCKS)


def sealed(content: bytes | pa.Buffer, header: Header, part: int, key: Key) -> bytes:
    """Content, compressed, under AES-256-GCM; the header is bound to it."""
    said = {**vars(header), "part": part}
    clear = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    nonce = secrets.token_bytes(NONCE)
    packed = len(content).to_bytes(8, "big") + pa.compress(content, codec="zstd", asbytes=True)
    head = MAGIC + len(clear).to_bytes(2, "big") + clear
    sealed: bytes = head + nonce + _cipher(key).encrypt(nonce, packed, head)
    return sealed


def _parted(block: bytes) -> tuple[Header, bytes, bytes]:
    end = len(MAGIC) + 2
    end += int.from_bytes(block[len(MAGIC) : end], "big")
    foreign = DataError("this is no block of a split log; give what hn.split made, as it was made")
    if block[: len(MAGIC)] != MAGIC:
        raise foreign
    try:
        return Header(**json.loads(block[len(MAGIC) + 2 : end])), block[:end], block[end:]
    except (ValueError, TypeError):
        raise foreign from None


def opened(block: bytes, key: Key, *, stage: str) -> tuple[Header, pa.Buffer]:
    """The content of a block.

    Raises:
        UsageError: it was sealed under another key, or is of another stage.
        DataError: it is no block, or was changed.
    """
    from cryptography.exceptions import InvalidTag

    header, head, rest = _parted(block)
    if header.key != key.id:
        raise UsageError(f"a block was sealed under key {header.key}, not {key.id}; give the key that split was given")
    if header.stage != stage:
        raise UsageError(f"a block holds {header.stage} where {stage} are asked for")
    try:
        packed = _cipher(key).decrypt(rest[:NONCE], rest[NONCE:], head)
    except (InvalidTag, ValueError):
        raise DataError(f"a block of part {header.part} of {header.of} is damaged; split again") from None
    return header, pa.decompress(packed[8:], int.from_bytes(packed[:8], "big"), codec="zstd")


def is_blocks(log: object) -> bool:
    """Whether these are blocks of a split log."""
    names = getattr(getattr(log, "schema", None), "names", None)
    return bool(names == BLOCKS.names)


@dataclass
class Rows:
    """The rows of a part."""

    header: Header
    """What all of its blocks say."""
    reader: pa.RecordBatchReader
    error: HardnegError | None = None
    """What ended the stream: Arrow's C interface hands on no more than that something did."""


def rows_of(blocks: Any, key: Key) -> Rows | None:
    """The rows of a part; None where there are no blocks.

    Raises:
        UsageError: blocks of several parts, splits or keys.
        DataError: blocks that cannot be opened, or whose columns differ.
    """
    stream = (block for batch in pa.RecordBatchReader.from_stream(blocks) for block in batch["block"].to_pylist())
    first = next(stream, None)
    if first is None:
        return None
    header, content = opened(first, key, stage="rows")
    schema = pa.ipc.open_stream(content).schema

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from opening()
        except HardnegError as error:
            rows.error = error
            raise

    def opening() -> Iterator[pa.RecordBatch]:
        yield from pa.ipc.open_stream(content)
        for block in stream:
            found, more = opened(block, key, stage="rows")
            if found != header:
                raise UsageError(
                    f"blocks of part {header.part} of {header.of} and of part {found.part} of {found.of} came together"
                    if (header.part, header.of) != (found.part, found.of)
                    else "blocks were split with different options; split the whole log with the same"
                )
            reader = pa.ipc.open_stream(more)
            if not reader.schema.equals(schema):
                raise DataError(
                    "blocks of one log differ in the types of their columns; cast the columns before the log is split"
                )
            yield from reader

    rows = Rows(header, pa.RecordBatchReader.from_batches(schema, batches()))
    return rows


def _cipher(key: Key) -> Any:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derive = HKDF(hashes.SHA256(), 32, salt=None, info=b"hardneg_fast/parts/v1").derive
    return AESGCM(derive(key.material()))

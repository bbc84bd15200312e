"""Tables and figures on their way between tasks and the driver: sealed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from ..blocks import BLOCKS, Header, opened, sealed
from ..keys import Key

__all__ = ["as_blocks", "chained", "facts_of", "sealed_facts", "sealed_table", "table_of"]


def _header(stage: str, part: int, of: int, key: Key) -> Header:
    return Header(stage=stage, part=part, of=of, config="", key=key.id)


def sealed_table(table: pa.Table, part: tuple[int, int], key: Key) -> bytes:
    """A table of a part."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sealed(sink.getvalue(), _header("selected", *part, key), part[0], key)


def table_of(block: bytes, key: Key) -> pa.Table:
    """What `sealed_table` sealed."""
    return pa.ipc.open_stream(opened(bytes(block), key, stage="selected")[1]).read_all()


def sealed_facts(facts: Any, part: tuple[int, int], key: Key) -> bytes:
    """Plain values of a part."""
    return sealed(json.dumps(facts).encode(), _header("facts", *part, key), part[0], key)


def facts_of(block: bytes, key: Key) -> Any:
    """What `sealed_facts` sealed."""
    return json.loads(opened(bytes(block), key, stage="facts")[1].to_pybytes())


def chained(first: pa.RecordBatch, rest: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """A batch that was looked at, and those after it."""
    yield first
    yield from rest


def as_blocks(batch: pa.RecordBatch) -> pa.RecordBatch:
    """What travelled, as blocks: which part one is of stands in its header."""
    return pa.RecordBatch.from_arrays([batch["label"], batch["block"]], schema=BLOCKS)

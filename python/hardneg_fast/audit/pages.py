"""Every page of a Parquet file, decompressed: a reader gives the values that rows use, and more may be there.

Page headers are Thrift structs in the compact protocol (Apache Parquet format, parquet.thrift: PageHeader; Apache
Thrift, thrift-compact-protocol.md).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

CODECS = {
    "SNAPPY": "snappy",
    "GZIP": "gzip",
    "BROTLI": "brotli",
    "ZSTD": "zstd",
    "LZ4": "lz4_raw",
    "LZ4_RAW": "lz4_raw",
}


def pages(path: Path) -> Iterator[tuple[str, bytes]]:
    """Column and content of every page that the footer knows of.

    Raises:
        ValueError, pyarrow.ArrowException: the file is not what its footer says.
    """
    with pq.ParquetFile(path) as file, path.open("rb") as raw:
        meta = file.metadata
        for group in range(meta.num_row_groups):
            for number in range(meta.num_columns):
                column = meta.row_group(group).column(number)
                start = column.data_page_offset
                if column.has_dictionary_page and column.dictionary_page_offset is not None:
                    start = min(start, column.dictionary_page_offset)
                raw.seek(start)
                for content in _chunk(raw.read(column.total_compressed_size), column.compression):
                    yield column.path_in_schema, content


def _chunk(data: bytes, compression: str) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        header, at = _struct(data, at)
        size, packed = int(header[2]), int(header[3])
        content = data[at : at + packed]
        if len(content) < packed:
            raise ValueError("a page is cut")
        at += packed
        second = header.get(8)
        levels = int(second.get(5, 0)) + int(second.get(6, 0)) if second else 0
        if compression == "UNCOMPRESSED" or (second and second.get(7) is False):
            yield content
        elif packed > levels:
            # Levels of a page of the second version stand before what is compressed.
            codec = pa.Codec(CODECS[compression])
            yield content[:levels] + codec.decompress(content[levels:], size - levels, asbytes=True)


def _struct(data: bytes, at: int) -> tuple[dict[int, Any], int]:
    """Fields of a struct by their numbers, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    while True:
        kind = data[at]
        at += 1
        if kind == 0:
            return fields, at
        if kind >> 4:
            number += kind >> 4
        else:
            number, at = _zigzag(data, at)
        fields[number], at = _value(data, at, kind & 15)


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (1, 2):
        return kind == 1, at
    if kind == 3:
        return data[at], at + 1
    if kind in (4, 5, 6):
        return _zigzag(data, at)
    if kind == 7:
        return struct.unpack_from("<d", data, at)[0], at + 8
    if kind == 8:
        size, at = _varint(data, at)
        return data[at : at + size], at + size
    if kind in (9, 10):
        size, inner = data[at] >> 4, data[at] & 15
        at += 1
        if size == 15:
            size, at = _varint(data, at)
        items = []
        for _ in range(size):
            item, at = (data[at] == 1, at + 1) if inner in (1, 2) else _value(data, at, inner)
            items.append(item)
        return items, at
    if kind == 12:
        return _struct(data, at)
    raise ValueError("a page header cannot be read")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def _zigzag(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return value >> 1 ^ -(value & 1), at

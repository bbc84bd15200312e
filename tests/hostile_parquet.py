"""Parquet files made to end the process, to take all memory, or to be read differently by two readers."""

import io
import itertools
import struct
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from compact import INT, LIST, STRUCT, Parquet, varint, zigzag
from compact import struct as packed

N = 70_000
MOST = 2**31 - 1
PLAIN, RLE, DELTA_BYTE_ARRAY = 0, 3, 7


def log(rows: int = N, **how: Any) -> bytes:
    table = pa.table({
        "user_id": [f"u{i}" for i in range(rows)], "search_id": [f"s{i // 3}" for i in range(rows)],
        "query": ["q"] * rows, "doc_id": [f"d{i % 3}" for i in range(rows)],
        "position": [i % 3 + 1 for i in range(rows)], "clicked": [i % 3 == 2 for i in range(rows)],
    })  # fmt: skip
    return written(table, **how)


def written(table: pa.Table, **how: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **{"compression": "zstd", "store_schema": False, "write_statistics": False, **how})
    return sink.getvalue()


def delta(numbers: list[int]) -> bytes:
    """Encodings.md of parquet-format, DELTA_BINARY_PACKED, in blocks of 128, each of four parts of one width."""
    out = varint(128) + varint(4) + varint(len(numbers)) + zigzag(numbers[0])
    steps = [b - a for a, b in itertools.pairwise(numbers)]
    for at in range(0, len(steps), 128):
        block = steps[at : at + 128]
        least = min(block)
        width = (max(block) - least).bit_length()
        parts = [block[i : i + 32] for i in range(0, len(block), 32)]
        out += zigzag(least) + bytes([width] * len(parts) + [0] * (4 - len(parts)))
        for part in parts:
            bits = sum((step - least) << (i * width) for i, step in enumerate(part))
            out += bits.to_bytes(4 * width, "little")
    return out


def page(body: bytes, encoding: int, claimed: int | None = None) -> dict[int, Any]:
    kind = {1: (INT, N), 2: (INT, encoding), 3: (INT, 3), 4: (INT, 3)}
    return {1: (INT, 0), 2: (INT, len(body) if claimed is None else claimed), 5: (STRUCT, kind)}


def levels() -> bytes:
    """Of as many values that are all there."""
    run = varint(N << 1) + b"\1"
    return struct.pack("<I", len(run)) + run


def wide_values() -> bytes:
    """Nulls of a fixed length: 2^31 bytes each were taken for them."""
    table = pa.table({"user_id": pa.nulls(N, pa.binary(16)), "query": ["q"] * N, "doc_id": ["d"] * N,
                      "position": [1] * N, "clicked": [False] * N})  # fmt: skip
    file = Parquet(written(table))
    file.schema("user_id")[2] = (INT, MOST)
    return file.bytes()


def repeated_prefix() -> bytes:
    """A text of a megabyte, then as many that are the same as the one before."""
    long = 1 << 20
    body = levels() + delta([0] + [long] * (N - 1)) + delta([long] + [0] * (N - 1)) + b"x" * long
    file = Parquet(log())
    file.replace("user_id", page(body, DELTA_BYTE_ARRAY), pa.compress(body, "zstd", asbytes=True), DELTA_BYTE_ARRAY)
    return file.bytes()


def lengths_without_texts() -> bytes:
    """Sixty million lengths of 0 in a few bytes, twice: what is shared with the value before, and what is not."""
    numbers = varint(1 << 26) + varint(1) + varint(1 << 26) + zigzag(0) + zigzag(0) + b"\0"
    body = levels() + numbers * 2
    header = page(body, DELTA_BYTE_ARRAY)
    header[5][1][1] = (INT, 1 << 26)
    file = Parquet(log())
    file.replace("user_id", header, pa.compress(body, "zstd", asbytes=True), DELTA_BYTE_ARRAY)
    return file.bytes()


def entries_without_texts() -> bytes:
    """A dictionary of sixteen million texts of no length, then of as many as there are bytes."""
    body = bytes(1 << 26)
    kind = {1: (INT, 1 << 26), 2: (INT, PLAIN)}
    file = Parquet(log())
    header = {1: (INT, 2), 2: (INT, len(body)), 7: (STRUCT, kind)}
    file.replace("user_id", header, pa.compress(body, "zstd", asbytes=True), 8)
    return file.bytes()


def long_entries_of_other_codings() -> bytes:
    """Dictionary keys of a column with other codings too, which the library writes out: 70,000 times 28,000 bytes."""
    users = pa.DictionaryArray.from_arrays(pa.array([0] * N, pa.int32()), ["x" * 28_000])
    rows = pq.read_table(io.BytesIO(log()))
    file = Parquet(written(rows.set_column(0, "user_id", users)))
    (chunk,) = file.chunks("user_id")
    chunk[2] = (LIST, (INT, [*chunk[2][1][1], DELTA_BYTE_ARRAY]))
    return file.bytes()


def compressed_beyond() -> bytes:
    """Two gigabytes that say they are a thousand bytes."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "brotli") as out:
        for _ in range(128):
            out.write(bytes(16 << 20))
    file = Parquet(log(compression="brotli"))
    file.replace("user_id", page(b"", PLAIN, claimed=1000), sink.getvalue().to_pybytes(), PLAIN)
    return file.bytes()


def levels_beyond() -> bytes:
    """A page of the second version whose levels are longer than 32 bits can say, together."""
    kind = {1: (INT, N), 2: (INT, 0), 3: (INT, N), 4: (INT, PLAIN), 5: (INT, MOST), 6: (INT, MOST), 7: (1, True)}
    body = b"abcdefgh" * 4
    file = Parquet(log())
    header = {1: (INT, 3), 2: (INT, len(body)), 8: (STRUCT, kind)}
    file.replace("user_id", header, pa.compress(body, "zstd", asbytes=True), PLAIN)
    return file.bytes()


def endless_list() -> bytes:
    """A page of results, one of which has half a thousand million flags, in a few bytes."""
    rows, items = 3, 1 << 29
    table = pa.table({"user_id": ["u"] * rows, "query": ["q"] * rows, "documents": [["a", "b"]] * rows,
                      "clicks": [[True, False]] * rows})  # fmt: skip
    file = Parquet(written(table))
    run = varint(rows << 1) + b"\0" + varint((items - rows) << 1) + b"\1"
    there, flags = varint(items << 1) + b"\3", varint(items << 1) + b"\1"
    body = b"".join(struct.pack("<I", len(part)) + part for part in (run, there, flags))
    header = page(body, RLE)
    header[5][1][1] = (INT, items)
    for chunk in file.chunks("clicks.list.element"):
        chunk[5] = (6, items)
    file.replace("clicks.list.element", header, pa.compress(body, "zstd", asbytes=True), RLE)
    return file.bytes()


def levels_of(*runs: tuple[int, int]) -> bytes:
    """So many times the same level, each below 256."""
    body = b"".join(varint(n << 1) + bytes([level]) for n, level in runs)
    return struct.pack("<I", len(body)) + body


def items_without_end(table: pa.Table, items: int, level: int) -> bytes:
    """The items of the first row are as many as said, and null at a level."""
    rows = table.num_rows
    file = Parquet(written(table, use_dictionary=False))
    body = levels_of((rows, 0), (items - rows, 1)) + levels_of((items, level))
    for chunk in file.chunks():
        header = page(body, PLAIN)
        header[5][1][1] = (INT, items)
        chunk[5] = (6, items)
        name = b".".join(chunk[3][1][1]).decode()
        file.replace(name, header, pa.compress(body, "zstd", asbytes=True), PLAIN)
    return file.bytes()


def structs_without_end() -> bytes:
    return items_without_end(pa.table({"s": [[{f"f{i}": 1 for i in range(20)}]] * 3}), 60_000_000, 2)


def lists_within_lists() -> bytes:
    """Each level has an offset of its own for every item."""
    depth, value, kind = 30, 1, pa.int32()
    for _ in range(depth):
        value, kind = [value], pa.list_(kind)  # type: ignore[assignment]
    return items_without_end(pa.table({"s": pa.array([value] * 3, kind)}), 40_000_000, 2 * depth)


def many_texts_in_one() -> bytes:
    """A struct of forty texts that repeat, each less than a column may."""
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 32_768, pa.int32()), ["x" * 8000])
    return written(pa.table({"s": pa.StructArray.from_arrays([text] * 40, [f"f{i}" for i in range(40)])}))


def many_widths_in_one() -> bytes:
    wide = pa.nulls(32_768, pa.binary(32_000))
    return written(pa.table({"s": pa.StructArray.from_arrays([wide] * 12, [f"f{i}" for i in range(12)])}))


def values_beyond_the_rows() -> bytes:
    """Keys of two thousand million values, in a row group of one: nobody reads them, and they were added up."""
    file = Parquet(written(pa.table({"user_id": ["u"], "query": ["q"], "doc_id": ["d"], "clicked": [False]})))
    body = levels_of((MOST, 1)) + b"\1" + varint(MOST << 1) + b"\0"
    empty = pa.compress(struct.pack("<I", 0), "zstd", asbytes=True)
    packed_body = pa.compress(body, "zstd", asbytes=True)
    header = page(body, 8)
    header[5][1][1] = (INT, MOST)
    dictionary = {1: (INT, 2), 2: (INT, 4), 3: (INT, len(empty)), 7: (STRUCT, {1: (INT, 1), 2: (INT, PLAIN)})}
    (chunk,) = file.chunks("user_id")
    first, at = packed(dictionary) + empty, len(file.body)
    pages = first + packed({3: (INT, len(packed_body)), **header}) + packed_body
    chunk |= {
        2: (LIST, (INT, [3, 8, DELTA_BYTE_ARRAY])), 6: (6, len(pages)), 7: (6, len(pages)), 9: (6, at + len(first)),
        11: (6, at),
    }  # fmt: skip
    file.body += pages
    return file.bytes()


def rows_beyond() -> bytes:
    """Row groups that have more rows together than 64 bits can say."""
    file = Parquet(log(30, row_group_size=10))
    for group in file.groups():
        group[3] = (6, 2**63 - 1)
    return file.bytes()


def other_rows() -> bytes:
    """A footer that counts other rows than its row groups."""
    file = Parquet(log(30))
    file.footer[3] = (6, 2**62)
    return file.bytes()


def changed(field: int, value: int) -> Callable[[], bytes]:
    def make() -> bytes:
        file = Parquet(log(30))
        for chunk in file.chunks():
            chunk[field] = (6, value)
        return file.bytes()

    return make

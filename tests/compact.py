"""Footers of Parquet files taken apart and put together again: Thrift's compact protocol (thrift-compact-protocol.md).

A value is (type, what it holds); structs hold a dict by field id, lists their element type and elements.
"""

from __future__ import annotations

from typing import Any

INT, BINARY, LIST, STRUCT = 5, 8, 9, 12
FLAGS = {1: True, 2: False}


def varint(n: int) -> bytes:
    out = b""
    while n > 0x7F:
        out, n = out + bytes([n & 0x7F | 0x80]), n >> 7
    return out + bytes([n])


def zigzag(n: int) -> bytes:
    return varint((n << 1) ^ (n >> 63) if n < 0 else n << 1)


class Reader:
    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def take(self, n: int) -> bytes:
        self.at += n
        return self.data[self.at - n : self.at]

    def varint(self) -> int:
        value, shift = 0, 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def zigzag(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def value(self, kind: int) -> Any:
        if kind in FLAGS:
            return FLAGS[kind]
        if kind == STRUCT:
            return self.struct()
        if kind == LIST:
            head = self.take(1)[0]
            n = self.varint() if head >> 4 == 15 else head >> 4
            return head & 15, [self.value(head & 15) for _ in range(n)]
        if kind == BINARY:
            return self.take(self.varint())
        return self.take({3: 1, 7: 8}[kind]) if kind in (3, 7) else self.zigzag()

    def struct(self) -> dict[int, tuple[int, Any]]:
        out, field = {}, 0
        while head := self.take(1)[0]:
            field = field + (head >> 4) if head >> 4 else self.zigzag()
            out[field] = (head & 15, self.value(head & 15))
        return out


def put(kind: int, value: Any) -> bytes:
    if kind in FLAGS:
        return b""
    if kind == STRUCT:
        return struct(value)
    if kind == LIST:
        of, values = value
        return bytes([0xF0 | of]) + varint(len(values)) + b"".join(put(of, v) for v in values)
    if kind == BINARY:
        return varint(len(value)) + value
    return value if kind in (3, 7) else zigzag(value)


def struct(fields: dict[int, tuple[int, Any]]) -> bytes:
    out = b""
    for field, (kind, value) in sorted(fields.items()):
        out += bytes([(1 if value else 2) if kind in FLAGS else kind]) + zigzag(field) + put(kind, value)
    return out + b"\0"


class Parquet:
    """A file of which the footer can be changed."""

    def __init__(self, file: bytes) -> None:
        at = len(file) - 8 - int.from_bytes(file[-8:-4], "little")
        self.body, self.footer = file[:at], Reader(file, at).struct()

    def groups(self) -> list[dict[int, tuple[int, Any]]]:
        return self.footer[4][1][1]

    def chunks(self, name: str = "") -> list[dict[int, tuple[int, Any]]]:
        """What the footer says of the column chunks at a dotted path, or of all: `ColumnMetaData`."""
        found = [chunk[3][1] for group in self.groups() for chunk in group[1][1][1]]
        return [chunk for chunk in found if not name or b".".join(chunk[3][1][1]) == name.encode()]

    def schema(self, name: str) -> dict[int, tuple[int, Any]]:
        return next(element for element in self.footer[2][1][1] if element[4][1] == name.encode())

    def replace(self, name: str, header: dict[int, Any], body: bytes, encoding: int) -> None:
        """Has one page of this header and body stand for the only chunk of a column."""
        page = struct({3: (INT, len(body)), **header}) + body
        (chunk,) = self.chunks(name)
        for field in (11, 12, 13, 16):
            chunk.pop(field, None)
        chunk |= {
            2: (LIST, (INT, [3, encoding])), 6: (6, len(page)), 7: (6, len(page)), 9: (6, len(self.body)),
        }  # fmt: skip
        self.body += page

    def bytes(self) -> bytes:
        footer = struct(self.footer)
        return self.body + footer + len(footer).to_bytes(4, "little") + b"PAR1"

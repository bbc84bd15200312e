"""Everything that the bytes of a file say: as they are, decompressed, and as the values of tables.

Of Parquet that is the file itself (footer, key-value metadata and statistics are plain in it), every page of every
column decompressed, dictionaries with entries that no row uses among them, and all values, which some encodings keep in
pieces.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute

from ..exceptions import FileError, told
from ..parquet import ParquetFile
from .pages import pages

pc: Any = pyarrow.compute

PIECE = 32 << 20
ROWS = 4096
"""Rows of a batch, of whatever they are."""
FEW = 1 << 18
"""Values that are held before those that are the same are looked for."""
OVERLAP = 1 << 14
"""More than any query has bytes, as hexadecimal."""
PLAIN = (".json", ".html", ".md", ".txt", ".log", ".csv", ".yaml")
"""Files whose texts may hold escapes."""

ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([^\w\s]))")

BROKEN = (pa.ArrowException, OSError, ValueError, EOFError, IndexError, KeyError)
"""What readers raise of damaged files."""

COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2", b"\x04\x22\x4d\x18": "lz4"}


@dataclass(frozen=True)
class Piece:
    """Bytes, and where they stand."""

    file: str
    """Name below the output."""
    part: str
    """The place in the file: bytes, a column, a page."""
    data: bytes


def files_of(out: Path) -> list[Path]:
    """Files of an output, hidden ones too, in order.

    Raises:
        FileError: there is nothing.
    """
    if not out.exists():
        raise FileError(f"{out.name!r}: no such file or directory; give what mine or anonymize wrote")
    found = [out] if out.is_file() else sorted(path for path in out.rglob("*") if path.is_file())
    if not found:
        raise FileError(f"{out.name!r} holds no file; give what mine or anonymize wrote")
    return found


def name_of(path: Path, out: Path) -> str:
    """The name of a file as findings say it."""
    return path.name if path == out else path.relative_to(out).as_posix()


def is_parquet(path: Path) -> bool:
    """Whether a file begins as Parquet does."""
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def pieces(path: Path, name: str) -> Iterator[Piece]:
    """All that a file says, in pieces of some 32 MB; pieces of one part overlap.

    Raises:
        FileError: it cannot be read, or what it holds cannot be decompressed: then nobody knows what it says.
    """
    yield Piece(name, "name", name.encode())
    try:
        with path.open("rb") as file:
            head = file.read(4)
            file.seek(0)
            yield from _stream(file, name, "bytes")
        if head == b"PAR1":
            yield from _parquet(path, name)
        elif path.suffix in PLAIN:
            text = path.read_bytes().decode("utf-8", "replace")
            if (plain := unescaped(text)) != text:
                yield Piece(name, "unescaped", plain.encode())
        for magic, kind in COMPRESSED.items():
            if head.startswith(magic):
                with pa.CompressedInputStream(pa.OSFile(str(path)), kind) as stream:
                    yield from _stream(stream, name, f"{kind} content")
    except BROKEN as error:
        raise FileError(f"{name!r} cannot be read to its end ({told(error)}); is it damaged?") from None


def unescaped(text: str) -> str:
    """A text without the escapes of JSON, HTML and Markdown, so that words stand in it as people read them."""
    text = html.unescape(ESCAPED.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[2], text))
    # Beyond the first plane JSON writes halves of a pair.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _stream(file: Any, name: str, part: str) -> Iterator[Piece]:
    before = b""
    while data := file.read(PIECE):
        yield Piece(name, part, before + data)
        before = data[-OVERLAP:]


def _parquet(path: Path, name: str) -> Iterator[Piece]:
    for column, data in pages(path):
        yield Piece(name, f"page of column {column!r}", data)
    for column, _, values in columns(path):
        yield Piece(name, f"column {column!r}", joined(values))


def columns(path: Path) -> Iterator[tuple[str, bool, Any]]:
    """Of each column its name, whether it is text, and its distinct values, in parts where they are many.

    Binary values stay, all others become text; lists and structs are taken apart.

    Raises:
        FileError: it cannot be read.
    """
    try:
        file = ParquetFile(path)
        # Leaf by leaf: where the fields of a struct disagree on whether it is there, readers show what others do not.
        for number, name in enumerate(file.leaves):
            distinct: _Distinct | None = None
            for batch in file.leaf(number, ROWS):
                values, is_text = _values(batch.column(0))
                distinct = distinct or _Distinct(is_text, values.type)
                if distinct.add(values):
                    yield name, is_text, distinct.take()
            if distinct:
                yield name, distinct.is_text, distinct.take()
    except BROKEN as error:
        raise FileError(f"{path.name!r} cannot be read to its end ({told(error)}); is it damaged?") from None


class _Distinct:
    """Distinct values of a leaf."""

    def __init__(self, is_text: bool, kind: pa.DataType) -> None:
        self.is_text = is_text
        self._kept = pa.chunked_array([], kind)
        self._few = FEW

    def add(self, values: Any) -> bool:
        """Takes up more of them; whether they are so many by now that they should be taken away."""
        self._kept = pa.chunked_array([*self._kept.chunks, values])
        # Each time for twice as many, so that values are looked at a few times however many there are.
        if len(self._kept) > self._few:
            self._kept = pa.chunked_array([pc.unique(self._kept)])
            self._few = max(FEW, 2 * len(self._kept))
        return bool(self._kept.nbytes > PIECE)

    def take(self) -> Any:
        values, self._kept, self._few = pc.unique(self._kept), self._kept.slice(0, 0), FEW
        return values


def _values(column: Any) -> tuple[Any, bool]:
    """Distinct values of a leaf, out of whatever lists and structs it is in, and whether they are text."""
    while pa.types.is_nested(column.type):
        column = pc.struct_field(column, 0) if pa.types.is_struct(column.type) else pc.list_flatten(column)
    values = pc.drop_null(pc.unique(column))
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    of = values.type
    binary = pa.types.is_binary(of) or pa.types.is_large_binary(of) or pa.types.is_fixed_size_binary(of)
    is_text = pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_string_view(of)
    return values.cast(pa.large_binary() if binary else pa.large_string()), is_text


def joined(values: Any) -> bytes:
    """Values with a line break between any two."""
    if not len(values):
        return b""
    if pa.types.is_large_string(values.type):
        values = values.cast(pa.large_binary())
    one = pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), values)
    return bytes(pc.binary_join(one, pa.scalar(b"\n", pa.large_binary()))[0].as_py())

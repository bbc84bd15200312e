"""Every page of a Parquet file, decompressed: a reader gives the values that rows use, and more may be there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from .. import _hardneg
from ..exceptions import FileError
from ..footer import read_footer

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
        HardnegError, KeyError, pyarrow.ArrowException: the file is not what its footer says.
    """
    size = path.stat().st_size
    with path.open("rb") as raw:
        for column, start, length, codec in read_footer(raw, size, path.name).chunks():
            if start + length > size:
                raise FileError(f"{path.name}: cut off, or its footer is damaged; write or copy it again")
            raw.seek(start)
            chunk = raw.read(length)
            for at, packed, unpacked, plain in _hardneg.page_bodies(chunk, name=path.name):
                content = chunk[at : at + packed]
                if codec != "UNCOMPRESSED" and packed > plain:
                    # Levels of a page of the second version stand before what is compressed.
                    inner = pa.Codec(CODECS[codec]).decompress(content[plain:], unpacked - plain, asbytes=True)
                    content = content[:plain] + inner
                yield column, content

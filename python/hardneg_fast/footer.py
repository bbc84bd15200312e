"""Footers of Parquet files, read by the core.

pyarrow's objects for column chunks end the process where a damaged footer contradicts its own schema (version 26: a C++
exception that nothing catches), so nobody here asks for them. Where a footer claims what cannot be (columns without
end, groups without bottom), pyarrow is not shown it either.
"""

from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq

from . import _hardneg
from .exceptions import FileError

END = 8
"""Bytes behind a footer: its length, and the magic number (Apache Parquet format, README, File Format)."""


def read_metadata(stream: Any, size: int, name: str) -> tuple[_hardneg.ParquetFooter, pq.FileMetaData]:
    """What the core reads in a footer, and what pyarrow does, which is shown only what the core lets pass.

    Raises:
        FileError, DataError: as `read_footer`.
        OSError, pyarrow.ArrowException: pyarrow has no use for it.
    """
    footer = read_footer(stream, size, name)
    stream.seek(0)
    return footer, pq.ParquetFile(stream).metadata


def read_footer(stream: Any, size: int, name: str) -> _hardneg.ParquetFooter:
    """The footer of a Parquet file.

    Args:
        stream: a seekable binary file, on whatever file system.
        size: its bytes.
        name: what messages call it.

    Raises:
        FileError, DataError: there is none, or it cannot be read.
    """
    if size >= END:
        stream.seek(size - END)
        end = stream.read(END)
        if end[4:] == b"PARE":
            raise FileError(f"{name}: its Parquet footer is encrypted; write it again without")
        length = int.from_bytes(end[:4], "little")
        if end[4:] == b"PAR1" and length <= size - END:
            stream.seek(size - END - length)
            return _hardneg.parquet_footer(bytes(stream.read(length)), name=name)
    raise FileError(
        f"{name}: damaged, cut short, or no Parquet file; write or copy it again, or say what it is with --read.format"
    )

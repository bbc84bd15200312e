"""Footers of Parquet files, read by the core.

pyarrow's objects for column chunks end the process where a damaged footer contradicts its own schema (version 26: a C++
exception that nothing catches), so nobody here asks for them. Where a footer claims what cannot be (columns without
end, groups without bottom), pyarrow is not shown it either.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from . import _hardneg
from .exceptions import DataError, FileError

ROWS = 4096
"""Rows of a batch, of texts as long as documents."""
END = 8
"""Bytes behind a footer: its length, and the magic number (Apache Parquet format, README, File Format)."""


def open_parquet(path: str | Path) -> pq.ParquetFile:
    """A Parquet file, local or at a URI, for pyarrow, if its footer makes sense; pages are held to their checksums.

    Raises:
        OSError, pyarrow.ArrowException: it cannot be read.
    """
    if isinstance(path, str) and "://" in path:
        filesystem, inside = pafs.FileSystem.from_uri(path)
        stream = filesystem.open_input_file(inside)
    else:
        stream = pa.OSFile(str(path))
    try:
        read_footer(stream, stream.size(), Path(path).name)
    except DataError:
        raise pa.ArrowInvalid("no Parquet footer that makes sense") from None
    stream.seek(0)
    return pq.ParquetFile(stream, page_checksum_verification=True)


def read_columns(path: str | Path, names: Sequence[str]) -> pa.Table:
    """Columns of a Parquet file, each of whose names is there once.

    The core reads what it can (local files, columns that are no lists): pages that claim or repeat without end are an
    error there, and take all memory in pyarrow.

    Raises:
        DataError, OSError, pyarrow.ArrowException: they cannot be read.
    """
    if names and "://" not in str(path):
        log = _hardneg.parquet_log([str(path)], columns=[(name, name) for name in names], batch_rows=ROWS)
        if log is not None:
            return pa.RecordBatchReader.from_stream(log).read_all()
    with open_parquet(path) as file:
        return file.read(list(names))


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

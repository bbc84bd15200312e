"""Every page of a Parquet file, decompressed: a reader gives the values that rows use, and more may be there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..exceptions import FileError
from ..footer import read_footer


def pages(path: Path) -> Iterator[tuple[str, bytes]]:
    """Column and content of every page that the footer knows of.

    Raises:
        HardnegError: the file is not what its footer says.
    """
    size = path.stat().st_size
    with path.open("rb") as raw:
        footer = read_footer(raw, size, path.name)
        for number, (column, start, length) in enumerate(footer.chunks()):
            if start + length > size:
                raise FileError(f"{path.name}: cut off, or its footer is damaged; write or copy it again")
            raw.seek(start)
            for content in footer.pages(number, raw.read(length)):
                yield column, content

"""Columns that may come along as they are, and logs whose pages may be copied."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow.fs as pafs

from ..config import ReadConfig
from ..exceptions import ColumnError, UsageError
from .base import Source
from .files import DataFile
from .mapping import CANONICAL, Mapping, effective, resolve
from .parquet import ParquetSource


class NotByPages(Exception):  # noqa: N818 - not an error: the log is decoded instead
    """Why a log cannot be copied page by page."""


@dataclass(frozen=True)
class Pages:
    """A log whose column chunks can be taken one by one."""

    files: list[str]
    """Paths on this machine, in the order they are read."""
    columns: dict[str, str]
    """Name in the output → column of the files, in the order of the output."""


def check(source: Source, found: Mapping, keep: tuple[str, ...]) -> None:
    """Refuses columns that cannot be kept.

    Raises:
        ColumnError: the log has no such column.
        UsageError: it has a meaning already, or the log's rows are not kept one by one.
    """
    if not keep:
        return
    if found.shape != "rows":
        raise UsageError(f"keep is for logs with a row per result; this one is read as {found.shape}")
    if len({*keep}) < len(keep):
        raise UsageError(f"keep names a column twice: {sorted(keep)}")
    missing = sorted({*keep} - source.find(keep))
    if missing:
        raise ColumnError(f"columns to keep not found: {missing}; available: {source.columns()}")
    for name in keep:
        # A column that holds an identifier inside would bring it along raw, as the identifier itself would.
        taken = [c for c, paths in found.columns.items() if any(f"{p}.".startswith(f"{name}.") for p in paths)]
        if taken or name in CANONICAL:
            stands_for = taken[0] if taken else name
            raise UsageError(f"column {name!r} cannot be kept as it is: it holds {stands_for}; leave it out of keep")


def pages(source: Source, files: list[DataFile], config: ReadConfig, keep: tuple[str, ...]) -> Pages:
    """The log as pages of Parquet files.

    Raises:
        NotByPages: it has to be decoded.
        ColumnError, UsageError: as `mapping.resolve` and `check`.
    """
    found = resolve(source, effective(config))
    check(source, found, keep)
    if not isinstance(source, ParquetSource):
        raise NotByPages("the log is not in Parquet files")
    if not all(isinstance(file.filesystem, pafs.LocalFileSystem) for file in files):
        raise NotByPages("the files are not on this machine")
    if found.shape != "rows":
        raise NotByPages(f"the log is read as {found.shape}, not as a row per result")
    if found.constants:
        raise NotByPages("columns with one value for every row are filled in")
    columns = {name: found.columns[name][0] for name in CANONICAL if name in found.columns}
    columns |= {name: name for name in keep}
    inside = [name for name, path in columns.items() if not all(path in schema.names for schema in source.schemas)]
    if inside:
        raise NotByPages(f"{inside[0]} is no column of the top level in every file")
    return Pages([file.path for file in files], columns)

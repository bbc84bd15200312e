"""Where logs come from. `open_source` turns whatever a caller calls a log into records with columns."""

from __future__ import annotations

from ..config import ReadConfig
from ..exceptions import DataError
from . import arrow, files
from .base import Source
from .columnar import ColumnarSource
from .mapping import preset_of
from .ndjson import NdjsonSource
from .report import ReadReport
from .text import TextSource

__all__ = ["ReadReport", "Source", "open_source"]


def open_source(log: object, config: ReadConfig) -> tuple[Source, list[files.DataFile]]:
    """The log's records, and the files that they are in (none for an Arrow object).

    Args:
        log: a path, directory, glob, URI or list of those; or an object with `__arrow_c_stream__` or
            `__arrow_c_array__`, or a polars LazyFrame.
        config: the format, and the preset for its header.

    Raises:
        FileError, DataError, ColumnError, UsageError: as `files.resolve` and the formats say.
    """
    if arrow.is_arrow(log):
        return arrow.of_object(log), []
    found = files.resolve(log, config.format)
    return _of_files(found, config), found


def _of_files(found: list[files.DataFile], config: ReadConfig) -> Source:
    kind = found[0].format
    if kind in ("csv", "tsv"):
        preset = preset_of(config)
        return TextSource(found, preset.header if preset else ())
    if kind == "ndjson":
        return NdjsonSource(found)
    if kind == "ipc":
        streams = {not file.head(6).startswith(b"ARROW1") for file in found}
        if len(streams) > 1:
            raise DataError("the log mixes Arrow files and Arrow streams; give one kind at a time")
        if streams == {True}:
            return arrow.of_streams(found)
    return ColumnarSource(found)

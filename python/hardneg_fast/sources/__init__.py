"""Where logs come from. `open_source` turns whatever a caller calls a log into records with columns."""

from __future__ import annotations

from ..config import ReadConfig
from ..exceptions import DataError, UsageError
from ..forks import refuse
from . import arrow, files, qlogs
from .base import Source
from .columnar import ColumnarSource
from .derive import DerivedSource
from .lines import LineSource
from .mapping import preset_of
from .ndjson import NdjsonSource
from .parquet import ParquetSource
from .paths import is_deep
from .presets import Preset
from .report import ReadReport
from .text import TextSource

__all__ = ["ReadReport", "Source", "open_source"]


def open_source(log: object, config: ReadConfig, *, ahead: bool = False) -> tuple[Source, list[files.DataFile]]:
    """The log's records, and the files that they are in (none for an Arrow object).

    Args:
        log: a path, directory, glob, URI or list of those; or an object with `__arrow_c_stream__` or
            `__arrow_c_array__`, or a LazyFrame of polars or narwhals.
        config: the format, and the preset for its header.
        ahead: where only records tell the columns, look at the first of them only.

    Raises:
        FileError, DataError, ColumnError, UsageError: as `files.resolve` and the formats say.
        UsageError: `forks.refuse`.
    """
    refuse()
    preset = preset_of(config)
    source: Source
    found: list[files.DataFile] = []
    if qlogs.is_qlogs(log):
        source = qlogs.of_dataset(log)
    elif arrow.is_arrow(log):
        source = arrow.of_object(log)
    else:
        given = preset.format if preset and config.format == "auto" else config.format
        found = files.resolve(log, given)
        source = _of_files(found, preset, ahead=ahead)
    paths = [*config.columns.values()]
    paths += [path for some in preset.columns.values() for path in some] if preset else []
    if (preset and preset.recipes) or any(is_deep(path) for path in paths):
        return DerivedSource(source, preset.recipes if preset else {}), found
    return source, found


def _of_files(found: list[files.DataFile], preset: Preset | None, *, ahead: bool) -> Source:
    kind = found[0].format
    if kind == "lines":
        if preset is None:
            raise UsageError('format "lines" needs a mapping file with patterns of lines: --preset FILE.toml')
        return LineSource(found, preset)
    if kind in ("csv", "tsv"):
        return TextSource(found, preset.header if preset else (), preset.encoding if preset else "")
    if kind == "ndjson":
        return NdjsonSource(found, ahead=ahead)
    if kind == "ipc":
        streams = {not file.head(6).startswith(b"ARROW1") for file in found}
        if len(streams) > 1:
            raise DataError("the log mixes Arrow files and Arrow streams; give one kind at a time")
        if streams == {True}:
            return arrow.of_streams(found)
    return ParquetSource(found) if kind == "parquet" else ColumnarSource(found)

"""The log, as a frame: which of its columns stand for what, and where its positions begin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..config import Config, Privacy, ReadConfig
from ..exceptions import UsageError
from ..pipeline.admission import check_users
from ..read import ReadReport, glance
from ..sources import open_source, positions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["Log", "log_of", "position_base"]


@dataclass(frozen=True)
class Log:
    """The columns of a frame that stand for something."""

    df: DataFrame
    """Under numbers: Spark hands tasks no columns with dots in their names."""
    names: list[str]
    """What they are called."""
    position: str | None
    report: ReadReport


def log_of(df: DataFrame, config: Config, privacy: Privacy) -> Log:
    """What is known of the log before a row is read."""
    from pyspark.sql import functions as F  # noqa: N812 - as everybody calls them

    empty = pa.schema([(f.name, _type(f.dataType)) for f in df.schema.fields]).empty_table()
    found, _, report = glance(empty, config.read, named=privacy.mode == "dp")
    if found.shape != "rows":
        raise UsageError(
            f"on Spark a log has a row per result shown, and this has {found.shape}: explode lists of results, or join "
            "clicks to what was shown, before"
        )
    check_users(privacy, [*found.columns, *found.constants])
    paths = [path for all_of in found.columns.values() for path in all_of]
    needed = [each for path in paths for each in (found.preset.inputs(path) if found.preset.recipes else (path,))]
    names = [*dict.fromkeys(path if path in df.columns else path.partition(".")[0] for path in needed)]
    report.format = "spark"
    quoted = (name.replace("`", "``") for name in names)
    chosen = df.select(*(F.col(f"`{name}`").alias(f"c{i}") for i, name in enumerate(quoted)))
    return Log(chosen, names, next(iter(found.columns.get("position", ())), None), report)


def position_base(log: Log, config: Config) -> Any:
    """What the log calls the top position, by all of its rows."""
    base: Any = config.read.position_base
    if log.position is not None and base == "auto":
        rows = log.df.mapInArrow(_zeros_and_ones(log), "zeros long, ones long").collect()
        base = str(positions.base(sum(row.zeros for row in rows), sum(row.ones for row in rows)))
    base = "1" if base == "auto" else base
    if log.position is not None:
        log.report.position_bases[""] = int(base)
    return base


def _zeros_and_ones(log: Log) -> Any:
    names, path = log.names, str(log.position)

    def counted(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        zeros = ones = 0
        for batch in batches:
            source, _ = open_source(batch.rename_columns(names), ReadConfig())
            for column in source.scan({"position": path}, ReadReport(), batch.num_rows or 1):
                more = positions.zeros_and_ones(column.column(0))
                zeros, ones = zeros + more[0], ones + more[1]
        yield pa.record_batch({"zeros": pa.array([zeros], pa.int64()), "ones": pa.array([ones], pa.int64())})

    return counted


SIMPLE = {
    "string": pa.string(),
    "char": pa.string(),
    "varchar": pa.string(),
    "binary": pa.binary(),
    "boolean": pa.bool_(),
    "byte": pa.int8(),
    "short": pa.int16(),
    "integer": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "timestamp_ntz": pa.timestamp("us"),
    "void": pa.null(),
}
"""Types of Spark that have no parts, by name; what is not here is no column of a log."""


def _type(of: Any) -> pa.DataType:
    name = of.typeName()
    if name == "decimal":
        return pa.decimal128(of.precision, of.scale)
    if name == "array":
        return pa.list_(_type(of.elementType))
    if name == "struct":
        return pa.struct([(f.name, _type(f.dataType)) for f in of.fields])
    # An interval stands for nothing that a log has.
    return SIMPLE.get(name, pa.month_day_nano_interval())

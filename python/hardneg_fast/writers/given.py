"""Small tables that a caller gives beside the log: documents, candidates, public queries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..exceptions import ColumnError, DataError, FileError, UsageError, told
from ..parquet import ParquetFile
from ..plain import plain_table, unwrapped


def given_table(given: object, name: str, wanted: Sequence[str], optional: Sequence[str] = ()) -> pa.Table:
    """The columns that are wanted, and those of the optional ones that are there, in plain layouts.

    Args:
        given: a Parquet file, anything that pyarrow makes a table of, or a LazyFrame.
        name: what it is called in errors.
        wanted: columns that must be there, each once.
        optional: columns that may be.

    Raises:
        FileError, ColumnError, UsageError: it is no such thing.
        DataError: the table fails while it is read.
    """
    said = ", ".join([*wanted, *optional])
    if isinstance(given, str | Path):
        with _named(given, name, said):
            file = ParquetFile(given)
            names = file.schema.names
            table = file.read([n for n in [*wanted, *optional] if names.count(n) == 1])
    else:
        table = of_object(given, f"{name} must be a Parquet file or a table with {said}")
        names = table.column_names
    _check(names, name, wanted)
    return plain_table(table.select([n for n in [*wanted, *optional] if names.count(n) == 1]))


def check_given(given: str | Path, name: str, wanted: Sequence[str]) -> pa.Schema:
    """The schema of a Parquet file; refuses what `given_table` would refuse of it, by that alone.

    Raises:
        FileError, ColumnError: as `given_table`.
    """
    with _named(given, name, ", ".join(wanted)):
        schema = ParquetFile(given).schema
    _check(schema.names, name, wanted)
    return schema


def _check(names: Sequence[str], name: str, wanted: Sequence[str]) -> None:
    if any(names.count(column) != 1 for column in wanted):
        raise ColumnError(f"{name}: one column each of {[*wanted]} expected; available: {names}; rename yours to these")


@contextmanager
def _named(given: str | Path, name: str, said: str) -> Iterator[None]:
    file = Path(given).name
    try:
        yield
    except FileNotFoundError:
        raise FileError(f"{name} {file!r}: no such file") from None
    except (pa.ArrowException, OSError, ValueError) as e:
        what = f"{name} {file!r} cannot be read ({told(e)})"
        raise FileError(f"{what}; give a Parquet file with {said}") from None


def of_object(given: Any, expected: str) -> pa.Table:
    """Any object that pyarrow makes a table of, or a LazyFrame of polars or narwhals; layouts as they come.

    Args:
        given: the object.
        expected: what to say where it is none.

    Raises:
        UsageError: it is no table.
        DataError: it is one, and fails.
    """
    given = unwrapped(given)
    try:
        return pa.table(given.collect() if hasattr(given, "collect_batches") else given)
    except (pa.ArrowException, TypeError, ValueError):
        raise UsageError(expected) from None
    except Exception:
        # What the library says may quote cells.
        raise DataError(f"{expected}; this one failed while it was read: check that it can be read alone") from None

"""Parquet with every writer option pinned, so that the same tables give the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP_ROWS = 100_000
"""Rows per row group of a dataset: readers take a group at a time, and texts are long."""

SCHEMA, SCHEMA_KEY = 1, b"hardneg_fast.schema"
"""Version of the columns of a dataset's tables, and its key in the metadata of their files. New columns are no new
version; columns that go, or mean something else, are (docs/RELIABILITY.md, compatibility)."""


def open_parquet(path: Path, schema: pa.Schema, *, level: int = 3) -> pq.ParquetWriter:
    """Open a Parquet file for tables of `schema`; close it, or use it in a `with` block.

    The Arrow schema is not stored: dictionary columns are an encoding here, not a type, and come back as strings.

    Args:
        path: the file, which must not exist yet.
        schema: Arrow types of the tables to come.
        level: zstd level.
    """
    return pq.ParquetWriter(
        path,
        schema,
        version="2.6",
        data_page_version="1.0",
        compression="zstd",
        compression_level=level,
        use_dictionary=True,
        # A fallback to plain strings in the middle of a column costs five times the size.
        dictionary_pagesize_limit=64 * 1024 * 1024,
        write_statistics=True,
        write_page_checksum=True,
        store_schema=False,
    )


LETTERS = str.maketrans("0123456789", "ghijklmnop")
"""Half bytes that hexadecimal writes as figures."""


def write_parts(path: Path, schema: pa.Schema, parts: Iterable[pa.Table]) -> None:
    """Write one file, a row group for each part, whatever the parts' chunks and string types."""
    plain = plain_schema(schema)
    with open_parquet(path, plain) as writer:
        writer.add_key_value_metadata({SCHEMA_KEY: str(SCHEMA)})
        for part in parts:
            # Page ends follow chunk ends, and the bytes must not follow how a table came about.
            writer.write_table(part.cast(plain).combine_chunks(), row_group_size=max(1, part.num_rows))


def digest_of(directory: Path) -> str:
    """16 letters that follow from the names and bytes of the Parquet files below a directory, and nothing else.

    For cards: the library datasets (5.2) takes what it has cached for any directory of the same name and `configs`.
    """
    whole = hashlib.sha256()
    for path in sorted(directory.rglob("*.parquet")):
        with path.open("rb") as file:
            name, content = path.relative_to(directory).as_posix(), hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{name} {content}\n".encode())
    return in_letters(whole)


def in_letters(digest: hashlib._Hash) -> str:
    """The first 8 bytes of a digest, without figures: an audit would now and then find a number among them."""
    return digest.hexdigest()[:16].translate(LETTERS)


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The same columns without metadata, every kind of string as `string`."""
    return pa.schema([(field.name, pa.string() if _is_text(field.type) else field.type) for field in schema])


def _is_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))

"""What is audited: a dataset directory, or an anonymized log with its manifest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..anonymize import IDENTIFIERS
from ..exceptions import DataError, FileError, told
from ..parquet import ParquetFile
from ..read import THRESHOLDED
from ..reversible import REVERSIBLE
from .contents import files_of, is_parquet, name_of

WORDS = {
    "k_users": "a dataset under a k-user threshold",
    "dp": "a dataset under differential privacy",
    "no_dp_claim": "a dataset with noise and without a claim",
    "none": "a dataset without privacy protection",
    "log": "an anonymized log",
}


@dataclass(frozen=True)
class Output:
    """An output, its own statements about itself, and its files."""

    path: Path
    mode: str
    """k_users, dp, no_dp_claim, none: a dataset; log: an anonymized log."""
    files: list[Path]
    statement: dict[str, Any]
    """`privacy.json`, or the manifest; empty where an anonymized log has none."""
    report: dict[str, Any]
    """`report.json`; empty for a log."""

    @property
    def subject(self) -> str:
        """In words."""
        k = f", K = {self.k}" if self.k else ""
        return f"{self.path.name!r}, {WORDS[self.mode]}{k}"

    @property
    def k(self) -> int | None:
        """The threshold that is claimed."""
        k = (
            self.statement.get("k" if self.mode == "k_users" else "k_users")
            if self.mode in ("k_users", "log")
            else None
        )
        return k if isinstance(k, int) else None

    @property
    def parquet(self) -> list[Path]:
        """Files that are tables."""
        return [path for path in self.files if is_parquet(path)]

    @property
    def tokens(self) -> frozenset[str]:
        """Columns of identifiers that are said to be tokens which the key's holder can read back."""
        said = self.statement.get("reversible") if self.mode == "log" else None
        return frozenset(said if isinstance(said, list) else ()) & {*IDENTIFIERS}

    def name(self, path: Path) -> str:
        """The name of a file as findings say it."""
        return name_of(path, self.path)

    def table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """A table of a dataset, or "" for the rows of a log.

        Raises:
            DataError: it is not there, lacks columns, or cannot be read.
        """
        paths = [path for path in self.parquet if not name or path.parent.name == name]
        try:
            files = [ParquetFile(path) for path in paths]
            parts = [
                file.read(columns and [column for column in columns if column in file.schema.names]) for file in files
            ]
        except (pa.ArrowException, OSError, DataError) as error:
            raise FileError(f"{name or 'log'!r} cannot be read ({told(error)}); is it damaged?") from None
        if not parts or any(set(part.column_names) < set(columns or ()) for part in parts):
            raise DataError(f"the output has no table {name!r} with {columns}; was it made by another version?")
        return pa.concat_tables(parts, promote_options="default")


def open_output(out: Path | str) -> Output:
    """Opens an output, and finds out what it is.

    Raises:
        FileError: there is nothing, or its statement is no JSON.
        DataError: it is neither a dataset nor a log.
    """
    path = Path(out)
    files = files_of(path)
    if path.is_dir() and (path / "privacy.json").is_file():
        statement, report = (_json(path / name) for name in ("privacy.json", "report.json"))
        mode = statement.get("mode")
        if mode not in ("k_users", "dp", "no_dp_claim", "none"):
            raise DataError(f"privacy.json of {path.name!r} names no mode that is known; it was edited, or is newer")
        return Output(path, str(mode), files, statement, report)
    tables = [file for file in files if is_parquet(file)]
    if not tables:
        raise DataError(f"{path.name!r} is neither a dataset directory (privacy.json) nor an anonymized log (Parquet)")
    return Output(path, "log", files, {**_in_metadata(tables), **_manifest(path, tables)}, {})


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise FileError(f"{path.name!r} cannot be read ({type(error).__name__}); a dataset has one") from None
    if not isinstance(found, dict):
        raise FileError(f"{path.name!r} holds no JSON object; it was edited")
    return found


def _in_metadata(tables: list[Path]) -> dict[str, Any]:
    """What an anonymized log says of itself without its manifest: its threshold, and its columns of tokens."""
    try:
        said = [ParquetFile(table).schema.metadata or {} for table in tables]
    except (pa.ArrowException, OSError, DataError) as error:
        raise FileError(f"the log cannot be read ({told(error)}); is it damaged?") from None
    found = [int(k) for k in (one.get(THRESHOLDED) for one in said) if k is not None and k.isdigit()]
    tokens = {name for one in said for name in one.get(REVERSIBLE, b"").decode("utf-8", "replace").split(",") if name}
    stated: dict[str, Any] = {"reversible": sorted(tokens)} if tokens else {}
    return stated | ({"k_users": min(found)} if found and len(found) == len(tables) else {})


def _manifest(path: Path, tables: list[Path]) -> dict[str, Any]:
    """The manifest that names one of the files: among them, or beside the one file."""
    names = {table.name for table in tables}
    for near in sorted((path if path.is_dir() else path.parent).glob("*.json")):
        if near.stat().st_size < 1 << 24:
            try:
                found = json.loads(near.read_bytes())
            except ValueError:
                continue
            if isinstance(found, dict) and {"key_id", "epoch", "how"} <= found.keys() and found.get("file") in names:
                return found
    return {}

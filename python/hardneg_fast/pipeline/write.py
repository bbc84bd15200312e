"""A result, as the write stage takes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from ..result import Result
from ..write import Mined
from ..write import write as write_directory

__all__ = ["write"]


def write(
    result: Result, out: Path | str, *, documents: pa.Table | None, overwrite: bool, needs_texts: bool = True
) -> Result:
    """Writes a result to its directory, whole or not at all; its report then says what was written.

    Raises:
        DataError, FileError, UsageError: as `write.write`.
    """
    mined = Mined(
        negatives=result.negatives,
        triplets=result.triplets,
        positives=result.positives,
        queries=result.queries,
        evidence_by_position=result.by_position,
        report=result.report,
        privacy=result.privacy,
    )
    report = write_directory(mined, Path(out), documents=documents, overwrite=overwrite, needs_texts=needs_texts)
    return replace(result, report=report)

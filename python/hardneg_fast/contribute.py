"""contribute: what each user adds to a release under differential privacy, in place of counts."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable

import pyarrow as pa

from . import _hardneg
from .config import CountConfig

__all__ = ["Contributions", "contribute_stream"]

Progress = Callable[[str, int, float | None], object]


class Contributions:
    """Whole users' records, in this process's memory and its sealed spill. Exact: nothing writes or prints them."""

    def __init__(self, core: _hardneg.Contributions) -> None:
        self._core = core

    @property
    def private(self) -> dict[str, object]:
        """Exact figures of the log, for its owner."""
        stats = self._core.stats()
        return {
            "rows": stats["rows"],
            "users": self._core.users,
            "quarantine": stats["quarantine"],
            "cleaning": self._core.dropped,
            "scrubbed": stats["scrubbed"],
            "timestamp_notations": stats["timestamp_notations"],
        }

    def __repr__(self) -> str:
        return "<Contributions>"


def contribute_stream(
    log: pa.RecordBatchReader | _hardneg.ParquetLog,
    *,
    config: CountConfig,
    window: tuple[int | None, int | None],
    scrub: tuple[str, None],
    threads: int,
    memory: int,
    spill_dir: str,
    position_base: int,
    has_pages: bool,
    shown: bool = False,
    progress: Progress | None = None,
) -> Contributions:
    """Reads a stream of rows with canonical names; identifiers are hashed under a key that is gone when it returns.

    Args:
        log: the rows.
        config: cleaning; whatever it does reads one user's own rows.
        window: `since` and `until` in microseconds.
        scrub: options of scrubbing, as JSON, and no detector.
        threads: 0 for all cores.
        memory: budget in bytes.
        spill_dir: folder of the spill, "" for the system's.
        position_base: 0 or 1, as the caller knows it.
        has_pages: whether rows belong to pages.
        shown: whether to keep what was shown and not clicked.
        progress: as for `mine`.

    Raises:
        ColumnError, DataError: rows that cannot be read.
        PrivacyError: the log has no users.
        UsageError: options that do not fit the log.
    """
    options = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    options |= {
        "since": window[0],
        "until": window[1],
        "page_counts": False,
        "preferences": False,
        "cell_detail": False,
        "max_pairs_per_user": 0,
    }
    core = _hardneg.contribute(
        log,
        options=json.dumps(options),
        scrub=scrub,
        position_base=position_base,
        has_pages=has_pages,
        shown=shown,
        threads=threads,
        memory=memory,
        spill=spill_dir or tempfile.gettempdir(),
        progress=progress,
    )
    return Contributions(core)

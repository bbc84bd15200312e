"""related: queries whose users clicked the same documents, and what was clicked there and not here."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Protocol

import pyarrow as pa

from . import _hardneg
from .config import Privacy, RelatedConfig
from .detector import Detector
from .keys import Key

__all__ = ["RelatedQueries", "of_clicks", "of_released"]

Progress = Callable[[str, int, float | None], object]


class HasReleased(Protocol):
    """Released, seen from here."""

    privacy: Privacy

    @property
    def _core(self) -> _hardneg.Released: ...


class RelatedQueries:
    """Related queries, as docs/ARCHITECTURE.md, related, has them; in canonical order of the query, then by rank.

    Made from released counts they say no more than those do. Made from a log or from clicks nothing was held back: they
    name every query, and are as private as the log is.
    """

    def __init__(self, core: _hardneg.Related, privacy: Privacy | None) -> None:
        self._core = core
        self.privacy = privacy
        """Of the release that they were made from; None where they were made from a log or from clicks."""

    @property
    def related(self) -> _hardneg.Table:
        """query, related_query, cosine, rank (1 for the nearest)."""
        return self._core.related()

    @property
    def documents(self) -> _hardneg.Table:
        """query, doc_id, score, rank: clicked for related queries and never for this one."""
        return self._core.documents()

    @property
    def queries(self) -> int:
        """Queries with a click; those that share no document with another have no rows."""
        k = (self.privacy and self.privacy.k) or 1
        return self._core.queries // k * k

    @property
    def rows(self) -> int:
        """Rows read; 0 for released counts."""
        return self._core.stats()["rows"]

    @property
    def quarantine(self) -> dict[str, int]:
        """Reason → clicked rows that could not be read, and rows that do not say whether they were clicked."""
        return self._core.stats()["quarantine"]

    def __repr__(self) -> str:
        return f"<RelatedQueries of {self.queries} queries>"


def of_released(
    released: HasReleased, *, config: RelatedConfig, threads: int, progress: Progress | None = None
) -> RelatedQueries:
    """Related queries of the clicks that a release shows."""
    core = _hardneg.related_released(released._core, options=_options(config), threads=threads, progress=progress)
    return RelatedQueries(core, released.privacy)


def of_clicks(
    log: pa.RecordBatchReader | _hardneg.ParquetLog,
    *,
    normalize: bool,
    scrub: tuple[str, Detector | None],
    key: Key,
    config: RelatedConfig,
    threads: int,
    progress: Progress | None = None,
) -> RelatedQueries:
    """Related queries of a log with query, doc_id and either clicks or clicked.

    Raises:
        ColumnError, DataError: clicks that cannot be read.
    """
    core = _hardneg.related_clicks(
        log,
        options=_options(config),
        normalize=normalize,
        scrub=scrub,
        key=key.material(),
        threads=threads,
        progress=progress,
    )
    return RelatedQueries(core, None)


def _options(config: RelatedConfig) -> str:
    return json.dumps(dataclasses.asdict(config))

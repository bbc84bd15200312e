"""evidence: what released counts say about a document for a query, position bias taken out."""

from __future__ import annotations

import dataclasses
import json
from typing import Protocol

from . import _hardneg
from .config import EvidenceConfig, Privacy
from .options import checked_section

__all__ = ["Evidence", "evidence"]


class HasReleased(Protocol):
    """Released, seen from here."""

    privacy: Privacy

    @property
    def _core(self) -> _hardneg.Released: ...


class Evidence:
    """Evidence per (query, document), and CTR by position."""

    def __init__(self, core: _hardneg.Evidence, privacy: Privacy) -> None:
        self._core = core
        self.privacy = privacy

    def table(self) -> _hardneg.Table:
        """query, doc_id and the figures of docs/ARCHITECTURE.md, evidence; rates are null under k-users."""
        return self._core.table()

    @property
    def model(self) -> _hardneg.EvidenceModel:
        """What all pairs have in common: docs/ARCHITECTURE.md, evidence; under k-users to the hundredth."""
        return self._core.model

    def positions(self) -> _hardneg.Table:
        """position, impressions, clicks, ctr."""
        return self._core.positions()


def evidence(
    released: HasReleased, /, *, config: EvidenceConfig | None = None, seed: int = 0, threads: int = 0
) -> Evidence:
    """Expected clicks (Zhang & Jones 2007), COEC, zero-click significance; examination, attractiveness, P(relevant).

    Raises:
        DataError: the log lacks what the click model asked for needs: positions, or the click above.
        UsageError: options that cannot be.
    """
    config = checked_section("evidence", config or EvidenceConfig())
    options = json.dumps(dataclasses.asdict(config))
    return Evidence(_hardneg.evidence(released._core, options=options, seed=seed, threads=threads), released.privacy)

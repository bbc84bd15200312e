"""select: positives, and negatives by rule, guarded against being relevant after all."""

from __future__ import annotations

import dataclasses
import json
from typing import Protocol

from . import _hardneg
from .config import SelectConfig
from .options import checked_section

__all__ = ["Selected", "select"]


class HasEvidence(Protocol):
    """Evidence, seen from here."""

    @property
    def _core(self) -> _hardneg.Evidence: ...


class Selected:
    """Negatives, training rows, and where candidates went."""

    def __init__(self, core: _hardneg.Selected) -> None:
        self._core = core

    @property
    def negatives(self) -> _hardneg.Table:
        """One row per (query, positive or none, negative): docs/ARCHITECTURE.md, select."""
        return self._core.negatives()

    @property
    def positives(self) -> _hardneg.Table:
        """query, doc_id, best first."""
        return self._core.positives()

    @property
    def triplets(self) -> _hardneg.Table:
        """query, positive, negative_1 … negative_n, in document ids."""
        return self._core.triplets()

    @property
    def funnel(self) -> _hardneg.Funnel:
        """Candidates, guards and caps by name; exact, so round them before showing them under k-users."""
        return self._core.funnel


def select(
    evidence: HasEvidence, /, *, config: SelectConfig | None = None, seed: int = 0, threads: int = 0
) -> Selected:
    """Selects negatives.

    Raises:
        UsageError: options that cannot be.
        DataError: no rule can run on this log.
    """
    options = dataclasses.asdict(checked_section("select", config or SelectConfig()))
    carry = list(options.pop("carry"))
    return Selected(_hardneg.select(evidence._core, options=_json(options), carry=carry, seed=seed, threads=threads))


def _json(options: dict[str, object]) -> str:
    """JSON has no infinity; the largest double stands for it."""
    finite = {k: min(v, 1.7e308) if isinstance(v, float) else v for k, v in options.items()}
    return json.dumps(finite, allow_nan=False)

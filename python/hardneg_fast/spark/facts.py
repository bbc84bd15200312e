"""Figures beside the tables of counts, of all parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ..count import Counts

__all__ = ["ASKED", "Facts"]

ASKED = ("query", "users")
FIGURES = ("rows", "quarantine", "timestamp_notations", "scrubbed", "dropped", "sizes", "has")


@dataclass
class Facts:
    """Figures beside the tables of counts, summed over parts."""

    rows: int = 0
    quarantine: dict[str, int] = field(default_factory=dict)
    timestamp_notations: dict[str, int] = field(default_factory=dict)
    scrubbed: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    has: dict[str, bool] = field(default_factory=dict)
    passed: dict[str, tuple[int, int]] = field(default_factory=dict)
    asked: pa.Table | None = None
    """Users by query, of queries that may be named; only where it was gathered."""

    def shown(self, k: int | None) -> dict[str, tuple[int, int]]:
        """Table → rows before and after the release, as they may be shown."""
        least = k or 1
        return {name: (a // least * least, b // least * least) for name, (a, b) in self.passed.items()}

    def table(self, name: str, *, columns: tuple[str, ...]) -> Any:
        """As of counts."""
        return {"queries": self.asked}[name].select(columns)  # type: ignore[union-attr]

    @staticmethod
    def from_counts(counts: Counts) -> dict[str, Any]:
        """Those of a part, to travel as JSON."""
        return {name: getattr(counts, name) for name in FIGURES}

    @classmethod
    def of(cls, parts: Iterable[Mapping[str, Any]]) -> Facts:
        """Those of all parts."""
        total = cls()
        for part in parts:
            total.rows += part["rows"]
            total.has = {name: has or total.has.get(name, False) for name, has in part["has"].items()}
            for name, (before, after) in part["passed"].items():
                sums = total.passed.get(name, (0, 0))
                total.passed[name] = (sums[0] + before, sums[1] + after)
            for name in ("quarantine", "timestamp_notations", "scrubbed", "dropped", "sizes"):
                sums = getattr(total, name)
                for reason, n in part[name].items():
                    sums[reason] = sums.get(reason, 0) + n
        return total

"""The stages in their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .count import Counts, count
from .evidence import evidence
from .release import Released, release
from .select import Selected, select

if TYPE_CHECKING:
    from hardneg_fast.config import Config


@dataclass
class Mined:
    counts: Counts
    released: Released
    evidence: dict
    selected: Selected


def mine(
    rows: list[dict],
    columns: set[str],
    has_pages: bool,
    config: Config,
    k: int | None = None,
    model: dict | None = None,
    told: dict | None = None,
) -> Mined:
    counts = count(rows, columns, has_pages, config.count, config.seed)
    released = release(counts, k)
    table = evidence(released, config.evidence, model)
    return Mined(counts, released, table, select(released, table, config.select, config.seed, k, model, told))

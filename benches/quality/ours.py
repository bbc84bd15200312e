"""Our miner through the public `hn.mine`: settings per name, judged beside the reference miners."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import polars as pl

import hardneg_fast as hn
from hardneg_fast import options

PRESETS: dict[str, dict[str, object]] = {"default": {}}
"""Name → `section.option` → value, on top of the package's defaults; judged as `ours_NAME`."""


def configured(preset: str, k: int, changes: Mapping[str, str]) -> hn.Config:
    """The configuration of a preset for k negatives a query, with `section.option` → text on top."""
    return options.load(None, {"select.max_negatives_per_query": k, **PRESETS[preset], **changes})


def settings_hash(configs: Mapping[str, hn.Config]) -> str:
    """One hash for what was configured, machine options aside; another for another version of the package."""
    plain = {name: options.as_plain(config) for name, config in configs.items()}
    for tree in plain.values():
        for option in ("threads", "memory", "spill_dir"):
            tree.pop(option, None)
    return hashlib.sha256(json.dumps([hn.__version__, plain], sort_keys=True).encode()).hexdigest()[:16]


def mined(folder: Path, config: hn.Config) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Negatives (as `mine` makes them) and positives (query, pos_id) of a world."""
    result = hn.mine(folder / "log.parquet", privacy=hn.Privacy.none(), config=config)
    queries, positives = pl.from_arrow(result.queries), pl.from_arrow(result.positives)
    return pl.from_arrow(result.negatives), positives.join(queries, on="query_id").select("query", pos_id="doc_id")

"""Our miner through the public `hn.mine`: settings per name, judged beside the reference miners."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

import hardneg_fast as hn
from hardneg_fast import options
from hardneg_fast.ledger import Ledger

PRESETS: dict[str, dict[str, object]] = {
    "default": {},
    **{name: {"select.preset": name} for name in ("strict", "reranker", "retriever", "pairwise")},
    "p05": {"select.max_p_false_negative": 0.05},
    "p06": {"select.max_p_false_negative": 0.06},
    "related": {"select.rules": "clicked_for_related", "select.max_p_false_negative": 0.03},
    "target02": {"select.target_fnr": 0.02},
    "target03": {"select.target_fnr": 0.03, "select.max_p_false_negative": 1.0},
    "filled": {"select.fill": "easy"},
    "k10": {},
    "dp4": {"read.position_base": 1},
}
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


@contextmanager
def privacy(preset: str, folder: Path) -> Iterator[hn.Privacy]:
    """What a preset promises: nothing, ten users, or differential privacy with what BM25 finds as candidates."""
    if preset == "k10":
        yield hn.Privacy.k_users(10)
    elif preset == "dp4":
        with tempfile.TemporaryDirectory() as place:
            ledger = Path(place) / "ledger"
            Ledger.create(ledger, epsilon=4.001, delta=1.001e-6)
            yield hn.Privacy.dp(
                epsilon=4,
                delta=1e-6,
                lineage="world",
                ledger=ledger,
                candidates=pq.read_table(
                    folder / "bm25.parquet", columns=["query", "doc_id"], filters=[("rank", "<=", 50)]
                ),
                candidates_class="function_of_public_corpus",
            )
    else:
        yield hn.Privacy.none()


def mined(folder: Path, preset: str, config: hn.Config) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Negatives (as `mine` makes them) and positives (query, pos_id) of a world."""
    # BM25 over the documents is what anybody has beside a log.
    retrieved = folder / "bm25.parquet" if config.select.semi_negatives else None
    with privacy(preset, folder) as promise:
        result = hn.mine(folder / "log.parquet", privacy=promise, config=config, retrieved=retrieved)
    queries, positives = pl.from_arrow(result.queries), pl.from_arrow(result.positives)
    return pl.from_arrow(result.negatives), positives.join(queries, on="query_id").select("query", pos_id="doc_id")

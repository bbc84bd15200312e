"""What a miner may see of a world: its log, documents and BM25 run, as arrays. Never the truth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

SATISFIED_MS = 10_000
MAX_VOTES = 3
REPEAT_S = 5  # a user's next search for the same within these seconds is a repeat


@dataclass(frozen=True)
class Counted:
    """Impressions of (query, document) pairs with what is needed of them; pairs are sorted by query, then document."""

    query: np.ndarray
    doc: np.ndarray
    impressions: np.ndarray
    clicks: np.ndarray
    """Satisfied ones, where the log was cleaned."""
    mean_position: np.ndarray
    users: np.ndarray
    pair: np.ndarray
    """Of each cell, its pair."""
    slot: np.ndarray
    """Of each cell, position and last click above: position · 64 + click, both at most 63."""
    cell_impressions: np.ndarray
    cell_clicks: np.ndarray
    rejected: np.ndarray
    """Of each cell, clicks that were left at once: examined and rejected."""


class Seen:
    """A log in codes: rows with query, doc, user, session, search, position, clicked, dwell_ms, timestamp, previous."""

    def __init__(self, log: pl.DataFrame, documents: pl.DataFrame, bm25: pl.DataFrame) -> None:
        self.docs = documents["doc_id"].to_list()
        self.doc_texts = documents["text"].to_list()
        doc_codes = pl.DataFrame({"doc_id": self.docs, "doc": np.arange(len(self.docs), dtype=np.uint32)})
        self.queries = sorted(log["query"].cast(pl.String).unique().to_list())
        query_codes = pl.DataFrame({"query": self.queries, "q": np.arange(len(self.queries), dtype=np.uint32)})

        def coded(table: pl.DataFrame) -> pl.DataFrame:
            table = table.with_columns(pl.col("query", "doc_id").cast(pl.String))
            return table.join(query_codes, on="query").join(doc_codes, on="doc_id").drop("query", "doc_id")

        ids = [pl.col(c).cast(pl.String).rank("dense").cast(pl.UInt32) for c in ("user_id", "session_id", "search_id")]
        rows = coded(log.with_columns(ids)).sort("timestamp", "search_id", "position")
        marked = pl.when("clicked").then("position").otherwise(0)
        self.rows = rows.with_columns(
            previous=marked.cum_max().shift(1, fill_value=0).over("search_id").clip(0, 63),
            position=pl.col("position").clip(1, 63),
        )
        self.bm25 = coded(bm25).sort("q", "rank")

    @classmethod
    def of(cls, folder: Path) -> Seen:
        """The world in a folder."""
        return cls(*(pl.read_parquet(folder / f"{name}.parquet") for name in ("log", "documents", "bm25")))

    @cached_property
    def raw(self) -> Counted:
        """The log as it is; every click counts."""
        return _counted(self.rows.with_columns(good=pl.col("clicked"), left=pl.lit(value=False)))

    @cached_property
    def clean_rows(self) -> pl.DataFrame:
        """Without repeats, users that behave like programs, and more than three looks of one user at one pair."""
        searches = self.rows.group_by("search_id").agg(pl.col("user_id", "q", "timestamp").first())
        searches = searches.sort("user_id", "q", "timestamp", "search_id")
        again = pl.col("timestamp").diff().over("user_id", "q") <= pl.duration(seconds=REPEAT_S)
        first = searches.filter(~again.fill_null(value=False)).select("search_id")
        rows = self.rows.join(first, on="search_id", how="semi", maintain_order="left")
        clicked = pl.col("clicked")
        dwell = pl.col("dwell_ms").filter(clicked)
        habits = rows.group_by("user_id").agg(
            rate=clicked.mean(), n=pl.len(), searches=pl.col("search_id").n_unique(), clicks=clicked.sum(),
            median=dwell.median(), kinds=dwell.n_unique(),
        )  # fmt: skip
        robot = (
            ((pl.col("rate") > 0.4) & (pl.col("n") >= 100))
            | ((pl.col("rate") < 0.004) & (pl.col("searches") >= 30))
            | ((pl.col("clicks") >= 10) & ((pl.col("median") < 1_500) | (pl.col("kinds") == 1)))
        )
        people = habits.filter(~robot).select("user_id")
        rows = rows.join(people, on="user_id", how="semi", maintain_order="left")
        return rows.filter(pl.int_range(pl.len()).over("user_id", "q", "doc") < MAX_VOTES)

    @cached_property
    def clean(self) -> Counted:
        """The cleaned log; satisfied clicks count, short ones are rejections."""
        good = pl.col("clicked") & (pl.col("dwell_ms").fill_null(0) >= SATISFIED_MS)
        return _counted(self.clean_rows.with_columns(good=good, left=pl.col("clicked") & ~good))

    @cached_property
    def query_users(self) -> np.ndarray:
        """Users of each query, cleaned."""
        found = self.clean_rows.group_by("q").agg(pl.col("user_id").n_unique())
        out = np.zeros(len(self.queries), np.int64)
        out[found["q"].to_numpy()] = found["user_id"].to_numpy()
        return out

    @cached_property
    def successions(self) -> pl.DataFrame:
        """Query, next query in the session, how often; cleaned."""
        searches = self.clean_rows.unique("search_id", keep="first", maintain_order=True)
        pairs = searches.select("q", next=pl.col("q").shift(-1).over("session_id")).drop_nulls()
        return pairs.filter(pl.col("q") != pl.col("next")).group_by("q", "next").agg(n=pl.len())


def _counted(rows: pl.DataFrame) -> Counted:
    cells = (
        rows.group_by("q", "doc", "position", "previous")
        .agg(n=pl.len(), c=pl.col("good").sum(), left=pl.col("left").sum())
        .sort("q", "doc", "position", "previous")
    )
    pairs = (
        rows.group_by("q", "doc")
        .agg(n=pl.len(), c=pl.col("good").sum(), at=pl.col("position").mean(), users=pl.col("user_id").n_unique())
        .sort("q", "doc")
    )
    pair = pairs.with_row_index("pair").select("q", "doc", "pair")
    cells = cells.join(pair, on=["q", "doc"], how="left", maintain_order="left")
    number = {name: pairs[name].to_numpy() for name in pairs.columns}
    cell = {name: cells[name].cast(pl.Int64).to_numpy() for name in cells.columns}
    return Counted(
        number["q"].astype(np.int64), number["doc"].astype(np.int64), number["n"].astype(np.int64),
        number["c"].astype(np.int64), number["at"], number["users"].astype(np.int64), cell["pair"],
        cell["position"] * 64 + cell["previous"], cell["n"], cell["c"], cell["left"],
    )  # fmt: skip

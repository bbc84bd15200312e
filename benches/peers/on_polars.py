"""polars: lazy, with the streaming engine. Threads, memory and folder are set by child.py, before the import."""

from __future__ import annotations

from functools import partial

import polars as pl

from setting import BOUND, COSINE_UNIT, Setting

Z = 1.96


def scan(setting: Setting, columns: list[str], categorical: bool) -> pl.LazyFrame:
    frame = pl.scan_parquet(setting.log).select(columns)
    ids = [name for name in ("user_id", "session_id", "query", "doc_id") if name in columns]
    return frame.with_columns(pl.col(ids).cast(pl.Categorical)) if categorical else frame


def write(frame: pl.LazyFrame, out: str) -> None:
    frame.sink_parquet(out, compression="zstd", compression_level=1, engine="streaming")


def kept(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.collect(engine="streaming").lazy()


def w2(setting: Setting, *, categorical: bool = False) -> None:
    rows = scan(setting, ["user_id", "query", "doc_id", "rank", "clicked"], categorical)
    counted = rows.group_by("query", "doc_id").agg(
        impressions=pl.len(),
        clicks=pl.col("clicked").sum(),
        users=pl.col("user_id").n_unique(),
        ranks=pl.col("rank").sum(),
    )
    write(counted, setting.table("pairs"))


def w3(setting: Setting, *, categorical: bool = False) -> None:
    rows = scan(setting, ["user_id", "query", "doc_id", "clicked"], categorical)
    votes = rows.group_by("user_id", "query", "doc_id").agg(pl.col("clicked").max())
    # Categories hash as their numbers: as good a key, and cheaper.
    parts = [pl.col(name).to_physical() if categorical else pl.col(name) for name in ("user_id", "query", "doc_id")]
    keyed = parts[0].hash(1) ^ parts[1].hash(2) ^ parts[2].hash(3)
    bounded = (
        votes.filter(keyed.rank("ordinal").over("user_id") <= BOUND)
        .group_by("query", "doc_id")
        .agg(impressions=pl.len(), clicks=pl.col("clicked").sum())
    )
    write(bounded, setting.table("bounded"))


def w4(setting: Setting, *, categorical: bool = False) -> None:
    """The few clicked rows first, each collected by itself: 1.5 times faster, in less memory, than as one query."""
    rows = scan(setting, ["user_id", "session_id", "query", "doc_id", "rank", "clicked"], categorical)
    clicked = kept(rows.filter("clicked").drop("clicked"))
    last = kept(clicked.group_by("session_id", "query").agg(last=pl.col("rank").max()))
    clickers = kept(clicked.group_by("query", "doc_id").agg(users=pl.col("user_id").n_unique()))
    positives = clickers.filter(pl.col("users") >= 2)
    skip = (~pl.col("clicked") & (pl.col("rank") < pl.col("last"))).fill_null(value=False).cast(pl.Int32)
    pairs = (
        rows.drop("user_id")
        .join(kept(positives.select("query").unique()), on="query", how="semi")
        .join(last, on=["session_id", "query"], how="left")
        .with_columns(skip=skip)
        .group_by("query", "doc_id")
        .agg(
            impressions=pl.len(),
            clicks=pl.col("clicked").sum(),
            evidence=(pl.col("skip") * (11 - pl.col("rank"))).sum(),
            skips=pl.col("skip").sum(),
        )
        .filter(pl.col("skips") > 0, pl.col("impressions") >= 3)
        .join(clickers, on=["query", "doc_id"], how="left")
        .filter(pl.col("users").fill_null(0) < 2)
    )
    n, ctr = pl.col("impressions"), pl.col("clicks") / pl.col("impressions")
    upper = (ctr + Z * Z / (2 * n) + Z * (ctr * (1 - ctr) / n + Z * Z / (4 * n * n)).sqrt()) / (1 + Z * Z / n)
    if categorical:  # ties go by the string's bytes, not by the category's number
        pairs = pairs.with_columns(pl.col("query", "doc_id").cast(pl.String))
        positives = positives.with_columns(pl.col("query", "doc_id").cast(pl.String))
    negatives = (
        pairs.filter(upper <= 0.5)
        .sort(["query", "evidence", "doc_id"], descending=[False, True, False])
        .select("query", "evidence", "skips", negative="doc_id")
        .with_columns(rank=pl.int_range(1, pl.len() + 1).over("query"))
        .filter(pl.col("rank") <= 8)
    )
    joined = positives.select("query", positive="doc_id").join(negatives, on="query")
    columns = joined.select("query", "positive", "negative", "evidence", "skips", "rank")
    write(columns, setting.table("negatives"))


def first(frame: pl.LazyFrame, by: str, then: str, most: int) -> pl.LazyFrame:
    """The first rows of each query, numbered, by one column descending and another ascending."""
    ordered = frame.sort(["query", by, then], descending=[False, True, False])
    return ordered.with_columns(rank=pl.int_range(1, pl.len() + 1).over("query")).filter(pl.col("rank") <= most)


def w5(setting: Setting) -> None:
    """On numbers from the first count on; ranks of the strings, so that they order alike."""
    clicked = pl.scan_parquet(setting.log).filter("clicked").group_by("query", "doc_id").agg(clicks=pl.len())
    counted = clicked.collect(engine="streaming")
    names = {column: counted.select(pl.col(column).unique().sort()).to_series() for column in ("query", "doc_id")}
    numbers = [pl.col(column).rank("dense").cast(pl.UInt32) - 1 for column in names]
    pairs = counted.lazy().select(*numbers, pl.col("clicks").cast(pl.Int64)).collect().lazy()
    joining = pairs.group_by("doc_id").agg(n=pl.len()).filter(pl.col("n").is_between(2, 200))
    graph = kept(pairs.join(joining, on="doc_id", how="semi"))
    norms = kept(graph.group_by("query").agg(norm=(pl.col("clicks") ** 2).sum()))
    cosine = pl.col("dot") / (pl.col("norm") * pl.col("norm_other")).cast(pl.Float64).sqrt()
    dots = (
        graph.join(graph, on="doc_id", suffix="_other")
        .filter(pl.col("query") != pl.col("query_other"))
        .group_by("query", "query_other")
        .agg(dot=(pl.col("clicks") * pl.col("clicks_other")).sum())
        .join(norms, on="query")
        .join(norms, left_on="query_other", right_on="query", suffix="_other")
        .select("query", "query_other", units=(cosine / COSINE_UNIT + 0.5).floor().cast(pl.Int64))
    )
    related = kept(first(dots, "units", "query_other", 10))
    documents = first(
        related.join(pairs, left_on="query_other", right_on="query")
        .group_by("query", "doc_id")
        .agg(units=(pl.col("units") * pl.col("clicks")).sum())
        .filter(pl.col("units") > 0)
        .join(pairs, on=["query", "doc_id"], how="anti"),
        "units",
        "doc_id",
        20,
    )

    def named(column: str, kind: str) -> pl.Expr:
        return pl.lit(names[kind]).gather(pl.col(column))

    value = pl.col("units") * COSINE_UNIT
    write(
        related.select(
            named("query", "query"), named("query_other", "query").alias("related_query"), value.alias("cosine"), "rank"
        ),
        setting.table("related"),
    )
    write(
        documents.select(named("query", "query"), named("doc_id", "doc_id"), value.alias("score"), "rank"),
        setting.table("documents"),
    )


def w234(setting: Setting, *, categorical: bool = False) -> None:
    for workload in (w2, w3, w4):
        workload(setting, categorical=categorical)


PLAIN = {"W2": w2, "W3": w3, "W4": w4, "W2+W3+W4": w234}
RUNS = {
    "polars": PLAIN | {"W5": w5},
    "polars_cat": {name: partial(run, categorical=True) for name, run in PLAIN.items()},
}

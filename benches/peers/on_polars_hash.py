"""polars with the polars-hash plugin, which has HMAC-SHA256: W1."""

from __future__ import annotations

import polars as pl
import polars_hash as plh

from peers.on_polars import write
from setting import KEY, Setting

IDS = ("user_id", "session_id")


def pseudonym(column: str) -> pl.Expr:
    return plh.col(column).chash.hmac_sha256(key=KEY).str.slice(0, 32)


def every_row(setting: Setting) -> None:
    log = pl.scan_parquet(setting.log)
    write(log.with_columns(pseudonym(column).alias(column) for column in IDS), setting.table("log"))


def every_value(setting: Setting) -> None:
    log = pl.scan_parquet(setting.log)
    columns = log.collect_schema().names()
    for column in IDS:
        values = pl.scan_parquet(setting.log).select(pl.col(column).unique())
        named = values.with_columns(pseudonym(column).alias(f"{column}_new")).collect(engine="streaming").lazy()
        log = log.join(named, on=column, how="left")
    renamed = [pl.col(f"{name}_new").alias(name) if name in IDS else pl.col(name) for name in columns]
    write(log.select(renamed), setting.table("log"))


RUNS = {"polars_hash_all": {"W1": every_row}, "polars_hash_dict": {"W1": every_value}}

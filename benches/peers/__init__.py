"""The workloads in the engines that people use today, each in the best form that we know of it.

A module an engine; its `RUNS` are variant → workload → function of a `Setting`. Tables have the same columns in all
engines; row order is free. Zstd at level 1 everywhere, which is pyarrow's default and so ours.
"""

from dataclasses import dataclass

COUNTING = ("W2", "W3", "W4", "W2+W3+W4")


@dataclass(frozen=True)
class Peer:
    """Where a variant of an engine is, and what it runs."""

    library: str
    module: str
    workloads: tuple[str, ...]


PEERS = {
    "polars": Peer("polars", "peers.on_polars", (*COUNTING, "W5")),
    "polars_cat": Peer("polars", "peers.on_polars", COUNTING),
    "polars_hash_all": Peer("polars_hash", "peers.on_polars_hash", ("W1",)),
    "polars_hash_dict": Peer("polars_hash", "peers.on_polars_hash", ("W1",)),
    "duckdb": Peer("duckdb", "peers.on_duckdb", (*COUNTING, "W5")),
    "duckdb_2stage": Peer("duckdb", "peers.on_duckdb", ("W2", "W2+W3+W4")),
    "duckdb_minn": Peer("duckdb", "peers.on_duckdb", ("W3",)),
    "duckdb_all": Peer("duckdb", "peers.on_duckdb", ("W1",)),
    "duckdb_dict": Peer("duckdb", "peers.on_duckdb", ("W1",)),
    "chdb": Peer("chdb", "peers.on_chdb", (*COUNTING, "W5")),
    "chdb_dict": Peer("chdb", "peers.on_chdb", ("W1",)),
    "datafusion": Peer("datafusion", "peers.on_datafusion", ("W1", *COUNTING, "W5")),
    "pyarrow_hmac_dict": Peer("pyarrow", "peers.on_pyarrow", ("W1",)),
}
"""Known here without importing any engine: two of them in one process get in each other's way."""

"""What one run is given, and what its output must look like."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

WORKLOADS: dict[str, dict[str, dict[str, str]]] = {
    "W1": {
        "log": {
            "user_id": "VARCHAR",
            "session_id": "VARCHAR",
            "query": "VARCHAR",
            "doc_id": "VARCHAR",
            "rank": "INTEGER",
            "clicked": "BOOLEAN",
            "dwell_ms": "INTEGER",
            "timestamp": "TIMESTAMP",
        }
    },
    "W2": {
        "pairs": {
            "query": "VARCHAR",
            "doc_id": "VARCHAR",
            "impressions": "BIGINT",
            "clicks": "BIGINT",
            "users": "BIGINT",
            "ranks": "BIGINT",
        }
    },
    "W3": {"bounded": {"query": "VARCHAR", "doc_id": "VARCHAR", "impressions": "BIGINT", "clicks": "BIGINT"}},
    "W4": {
        "negatives": {
            "query": "VARCHAR",
            "positive": "VARCHAR",
            "negative": "VARCHAR",
            "evidence": "BIGINT",
            "skips": "BIGINT",
            "rank": "BIGINT",
        }
    },
    "W5": {
        "related": {"query": "VARCHAR", "related_query": "VARCHAR", "cosine": "DOUBLE", "rank": "BIGINT"},
        "documents": {"query": "VARCHAR", "doc_id": "VARCHAR", "score": "DOUBLE", "rank": "BIGINT"},
    },
}
"""Workload → its tables → their columns, with the types that they are compared in."""

WORKLOADS["W2+W3+W4"] = WORKLOADS["W2"] | WORKLOADS["W3"] | WORKLOADS["W4"]

BOUND = 20  # W3: pairs kept of a user
COSINE_UNIT = 2.0**-30  # W5: cosines are whole numbers of these, so that ties are ties in every engine
KEY = "of the benchmark, and no secret"


@dataclass(frozen=True)
class Setting:
    """One run: the log, the folder its tables go to, and what it may use."""

    log: str
    out: Path
    threads: int
    memory: int | None
    """Bytes that the engine is told to stay below; None for as much as there is."""
    spill: Path
    """An empty folder for temporary files."""

    def table(self, name: str) -> str:
        """Where a table goes."""
        return str(self.out / f"{name}.parquet")

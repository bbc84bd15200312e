"""What the pipeline hands to the write stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class Mined:
    """Tables and figures of one run; everything in here may leave the machine."""

    negatives: pa.Table
    """The columns of docs/ARCHITECTURE.md, *negatives*."""
    triplets: pa.Table
    """query, positive, negative_1 … negative_n: the query's text and document ids."""
    positives: pa.Table
    """query_id, doc_id: the documents that satisfied each query in `queries`."""
    queries: pa.Table
    """query_id, query of every query in `negatives`."""
    evidence_by_position: pa.Table
    """position, impressions, clicks, ctr over what was released."""
    report: dict[str, Any]
    """Counts of every stage; becomes `report.json`."""
    privacy: dict[str, Any]
    """What was protected and how; becomes `privacy.json`."""

"""Small tables as the pipeline hands them to the write stage."""

from typing import Any

import pyarrow as pa

from hardneg_fast.writers.mined import Mined

NEGATIVES = pa.schema(
    [
        ("query_id", pa.string()),
        ("query", pa.string()),
        ("pos_id", pa.string()),
        ("neg_id", pa.string()),
        ("rule", pa.string()),
        ("kind", pa.string()),
        ("position_pos", pa.int32()),
        ("position_neg", pa.int32()),
        ("expected_clicks", pa.float64()),
        ("examinations", pa.float64()),
        ("users", pa.int64()),
        ("p_false_negative", pa.float64()),
        ("weight", pa.float64()),
        ("split", pa.string()),
    ]
)


def report() -> dict[str, Any]:
    return {
        "version": "0.1.0",
        "input": {
            "rows": 1_000_000,
            "files": 1,
            "preset": None,
            "format": "parquet",
            "position_bases": {"log": 1},
            "notes": ["dwell times are there: clicks under 10 s do not count as satisfied"],
        },
        "quarantine": {"null_query": 12, "null_doc_id": 0, "position_impossible": 3},
        "cleaning": {"robot_searches": 10_240, "robot_clicks": 3_400, "duplicate_impression": 0, "short_page": 120},
        "funnel": [
            {"stage": "rows read", "count": 1_000_000},
            {"stage": "rows understood", "count": 999_985},
            {"stage": "rows counted", "count": 986_225},
            {"stage": "pairs", "count": 301_877},
            {"stage": "pairs released", "count": 11_060},
            {"stage": "candidates", "count": 9_100},
            {"stage": "negatives", "count": 4_310},
            {"stage": "training rows", "count": 3_200},
        ],
        "counts": {"queries": 17_532, "pairs": 301_877, "users": 9_050},
        "release": {
            "mode": "k_users",
            "k": 10,
            "queries_in": 17_532,
            "queries_out": 1_180,
            "pairs_in": 301_877,
            "pairs_out": 11_060,
        },
        "select": {
            "positives": 1_900,
            "queries_with_positive": 900,
            "queries_with_negative": 850,
            "candidates": {"skip_above": 4_000, "top_shown_never_clicked": 5_100},
            "guards": {"own_positive": 2_000, "zero_click_significance": 2_790, "coec": 0},
            "caps": {"max_negatives_per_query": 310},
            "negatives": {"skip_above": 1_310, "top_shown_never_clicked": 3_000},
            "rows": 4_310,
            "triplets": 3_200,
        },
        "rules_off": {"last_click_skip_above": "the log has no click times"},
        "ctr_by_position": [
            {"position": i, "impressions": 98_620, "clicks": round(98_620 * rate), "ctr": rate}
            for i, rate in enumerate([0.227, 0.132, 0.097, 0.076, 0.062, 0.051, 0.045, 0.038, 0.035, 0.031], 1)
        ],
        "examples": [
            {
                "query": "waterproof hiking boots women",
                "positive": "d1",
                "negative": "d3",
                "rule": "skip_above",
                "why": "shown at position 2, above the result that was clicked, and clicked by nobody",
            }
        ],
        "config": {"seed": 0, "select": {"rules": ["skip_above"], "alpha": 0.1}},
    }


def mined(**changes: Any) -> Mined:
    negatives = [
        ("q1", "waterproof hiking boots women", None, "d2", "top_shown_never_clicked", 2),
        ("q1", "waterproof hiking boots women", "d1", "d3", "skip_above", 1),
        ("q2", "nonstick pan", None, "d5", "top_shown_never_clicked", 3),
    ]
    rows = [
        {
            "query_id": i,
            "query": q,
            "pos_id": p,
            "neg_id": n,
            "rule": r,
            "kind": "hard",
            "position_neg": at,
            "users": 10,
        }
        for i, q, p, n, r, at in negatives
    ]
    tables: dict[str, Any] = {
        "negatives": pa.Table.from_pylist(rows, schema=NEGATIVES),
        "triplets": pa.table(
            {
                "query": ["waterproof hiking boots women", "waterproof hiking boots women", "nonstick pan"],
                "positive": ["d1", "d1", "d4"],
                "negative_1": ["d2", "d3", "d5"],
            }
        ),
        "positives": pa.table({"query_id": ["q1", "q2"], "doc_id": ["d1", "d4"]}),
        "queries": pa.table({"query_id": ["q1", "q2"], "query": ["waterproof hiking boots women", "nonstick pan"]}),
        "evidence_by_position": pa.table(
            {"position": pa.array([1, 2], pa.int32()), "impressions": [100, 90], "clicks": [20, 10], "ctr": [0.2, 0.11]}
        ),
        "report": report(),
        "privacy": {"mode": "k_users", "k": 10},
    }
    return Mined(**(tables | changes))


def empty() -> Mined:
    full = mined()
    return mined(
        negatives=full.negatives.slice(0, 0),
        triplets=full.triplets.slice(0, 0),
        positives=full.positives.slice(0, 0),
        queries=full.queries.slice(0, 0),
        evidence_by_position=full.evidence_by_position.slice(0, 0),
        report={"version": "0.1.0"},
    )


def documents() -> pa.Table:
    names = ["d1", "d2", "d3", "d4", "d5", "unused"]
    return pa.table({"doc_id": names, "text": [f"Text of {name}." for name in names]})

"""Releases under differential privacy through `mine`: what leaves, what is refused, and what the ledger says."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
from hardneg_fast.ledger import Ledger

DOCS = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two thousand users ask one thing and click its second result; one asks what nobody else does."""
    rows = [
        {"user_id": f"u{i}", "search_id": f"s{i}", "query": query, "doc_id": d, "position": p, "clicked": d == "b"}
        for i, query in enumerate(["shoes"] * 2_000 + ["only mine"])
        for p, d in enumerate(DOCS, start=1)
    ]
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


CANDIDATES = pa.table(
    {
        "query": [q for q in ("shoes", "only mine", "unasked") for _ in DOCS],
        "doc_id": [*DOCS] * 3,
        "position": [*range(1, 5)] * 3,
    }
)


def mine(log: Path, ledger: Path, out: Path | None = None, **changed: Any) -> hn.Result:
    given = {"epsilon": 4.0, "delta": 1e-6, "lineage": "web", "ledger": ledger}
    given |= {"candidates": CANDIDATES, "candidates_class": "function_of_public_corpus"}
    config = changed.pop("config", None) or hn.Config(read=hn.ReadConfig(position_base="1"))
    return hn.mine(log, out, privacy=hn.Privacy.dp(**{**given, **changed}), config=config)


def test_what_many_share_leaves_and_what_one_has_does_not(log: Path, tmp_path: Path) -> None:
    Ledger.create(tmp_path / "ledger", epsilon=5, delta=3e-6)
    result = mine(log, tmp_path / "ledger", tmp_path / "out")
    # 2,000 users stand some hundred standard deviations above the threshold, one some five below it.
    assert set(zip(*(result.negatives[c].to_pylist() for c in ("query", "pos_id", "neg_id")), strict=True)) == {
        ("shoes", "b", d) for d in "acd"
    }
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            assert b"only mine" not in path.read_bytes(), path
            assert b"2001" not in path.read_bytes(), path
    private = tmp_path / "out.private"
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert json.loads((private / "exact.json").read_text())["users"] == 2_001
    statement = json.loads((tmp_path / "out" / "privacy.json").read_text())
    assert (statement["mode"], statement["epsilon"], statement["lineage"]) == ("dp", 4.0, "web")


def test_the_ledger_refuses_what_would_exceed_it(log: Path, tmp_path: Path) -> None:
    Ledger.create(tmp_path / "ledger", epsilon=5, delta=3e-6)
    mine(log, tmp_path / "ledger")
    with pytest.raises(hn.PrivacyError, match="has spent"):
        mine(log, tmp_path / "ledger")
    with pytest.raises(hn.HardnegError):
        mine(log, tmp_path / "none")


def test_a_log_whose_columns_hang_on_its_rows_is_refused(tmp_path: Path) -> None:
    # With one row more that names a timestamp, every row without one would be set aside.
    path = tmp_path / "log.ndjson"
    path.write_text(json.dumps({"user_id": "u", "query": "q", "doc_id": "d", "position": 1, "clicked": True}) + "\n")
    Ledger.create(tmp_path / "ledger", epsilon=5, delta=3e-6)
    with pytest.raises(hn.PrivacyError, match="NDJSON"):
        mine(path, tmp_path / "ledger")
    assert Ledger(tmp_path / "ledger").claims() == []


NAN = float("nan")


@pytest.mark.parametrize(
    "wrong",
    [
        *({"release": hn.ReleaseConfig(clip=x)} for x in (NAN, 0, 1e300)),
        *({"release": hn.ReleaseConfig(examination_exponent=x)} for x in (NAN, -1, 1e9)),
        {"release": hn.ReleaseConfig(impression_weight=NAN)},
        {"release": hn.ReleaseConfig(selection_share=1 - 1e-15)},
        {"release": hn.ReleaseConfig(max_queries_per_user=0)},
        {"release": hn.ReleaseConfig(mechanism="pag", rounds=2_000)},
        {"contrast": hn.ContrastConfig(margin=NAN)},
        {"select": hn.SelectConfig(refill="random")},
        {"select": hn.SelectConfig(num_negatives=0)},
    ],
    ids=str,
)
def test_constants_are_refused_before_they_are_paid_for(log: Path, tmp_path: Path, wrong: dict[str, Any]) -> None:
    Ledger.create(tmp_path / "ledger", epsilon=5, delta=3e-6)
    config = hn.Config(read=hn.ReadConfig(position_base="1"), **wrong)
    with pytest.raises(hn.UsageError):
        mine(log, tmp_path / "ledger", config=config)
    assert Ledger(tmp_path / "ledger").claims() == []


def test_a_document_listed_twice_is_refused_before_it_is_paid_for(log: Path, tmp_path: Path) -> None:
    Ledger.create(tmp_path / "ledger", epsilon=5, delta=3e-6)
    # Also of a query that will never be named, and in another spelling.
    twice = pa.table({"query": ["never", "NEVER "], "doc_id": ["a", "a"], "position": [1, 2]})
    with pytest.raises(hn.DataError, match="twice"):
        mine(log, tmp_path / "ledger", candidates=twice)
    assert Ledger(tmp_path / "ledger").claims() == []


def test_what_cannot_be_is_refused(log: Path, tmp_path: Path) -> None:
    Ledger.create(tmp_path / "ledger", epsilon=5, delta=3e-6)
    with pytest.raises(hn.PrivacyError, match="candidates"):
        mine(log, tmp_path / "ledger", candidates=None, candidates_class=None)
    with pytest.raises(hn.UsageError, match="candidates_class"):
        mine(log, tmp_path / "ledger", candidates_class="ours")
    private = hn.Privacy.dp(epsilon=1, lineage="web", ledger=tmp_path / "ledger")
    with pytest.raises(hn.PrivacyError, match="counts have lost"):
        hn.release(hn.count(log), privacy=private)
    with pytest.raises(hn.PrivacyError, match="key"):
        hn.mine(log, privacy=private, key=hn.Key(b"k" * 32))

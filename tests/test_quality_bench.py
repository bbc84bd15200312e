"""The quality bench: worlds follow from their seed, truth joins, miners and judge agree with cases done by hand."""

from __future__ import annotations

import ast
import datetime
import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benches" / "quality"
NEEDED = ("bm25s", "scipy", "lightgbm")


@pytest.fixture(scope="module", autouse=True)
def root() -> Iterator[None]:
    sys.path.insert(0, str(ROOT))
    yield
    sys.path.remove(str(ROOT))


@pytest.fixture(scope="module")
def part() -> Callable[[str], ModuleType]:
    """Parts of the bench that need what dev.in does not have."""
    if not all(importlib.util.find_spec(name) for name in NEEDED):
        pytest.skip("the requirements of the quality bench are not installed")
    return module


def module(name: str) -> ModuleType:
    return importlib.import_module(f"benches.quality.{name}")


def imported(path: Path) -> set[str]:
    """Modules that a file imports, by their last names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found |= {(node.module or "").rpartition(".")[2], *(alias.name for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name.rpartition(".")[2] for alias in node.names}
    return found


def test_nothing_that_chooses_settings_can_see_the_judge() -> None:
    importers = {path.name for path in FOLDER.glob("*.py") if "judge" in imported(path)}
    assert importers == {"run.py"}
    for path in (ROOT / "python").rglob("*.py"):
        assert not {"benches", "quality", "judge"} & imported(path), path.name
    # Of what miners see, nothing opens the truth.
    for name in ("seen", "miners", "ours"):
        assert "truth.parquet" not in (FOLDER / f"{name}.py").read_text(encoding="utf-8")


def test_judge() -> None:
    judge = module("judge")
    relevant = pl.DataFrame({"query": ["a", "a", "b"], "doc_id": ["1", "2", "1"], "grade": [1, 2, 1]})
    searches = pl.DataFrame({"query": ["a", "b", "c"], "n": [6, 3, 1]})
    run = pl.DataFrame({"query": ["a", "a"], "doc_id": ["1", "3"], "rank": [4, 60]})
    truth = judge.Truth(relevant, searches, run)
    negatives = pl.DataFrame(
        {
            "query": ["a", "a", "a", "a", "b"],
            "neg_id": ["1", "3", "3", "4", "2"],  # 3 stands twice
            "kind": ["hard", "hard", "semi", "semi", "hard"],
            "p_false_negative": [0.5, 0.1, None, 0.2, 0.0],
        }
    )
    positives = pl.DataFrame({"query": ["a", "a", "b"], "pos_id": ["2", "3", "1"]})
    found = judge.judge(truth, negatives, positives, k=3)
    assert found.fnr.value == 1 / 4
    assert found.fnr_hard.value == 1 / 3
    assert found.coverage(1).value == 2 / 3
    assert found.coverage(2).value == 1 / 3
    assert found.coverage(3).value == 0
    assert found.coverage(3, hard=False).value == 1 / 3
    assert found.coverage(2, traffic=True).value == 6 / 10
    assert found.covered_positives(3).value == 1 / 2
    assert found.positives.value == 2 / 3
    assert found.bm25_rank == pytest.approx((4 + 60 + 1_001) / 3)
    assert found.distinct == 1
    assert found.deciles["hard"] == [(1, 0.0, 0.0), (1, 0.1, 0.0), (1, 0.5, 1.0)]
    assert found.deciles["all"] == [(1, 0.0, 0.0), (1, 0.1, 0.0), (1, 0.2, 0.0), (1, 0.5, 1.0)]
    ruled = negatives.with_columns(rule=pl.Series(["x", "x", "y", "y", "y"]))
    assert judge.judge(truth, ruled, positives).rules == {"x": (2, 1), "y": (3, 0)}
    with pytest.raises(ValueError, match="at most 2"):
        judge.judge(truth, negatives, positives, k=2)
    with pytest.raises(ValueError, match="nobody asked"):
        judge.judge(truth, negatives.with_columns(query=pl.lit("z")), positives)


def test_intervals() -> None:
    intervals = module("intervals")
    draw = np.random.default_rng(0)
    same = intervals.Share(np.full(50, 1.0), np.full(50, 4.0))
    assert same.interval() == pytest.approx((0.25, 0.25))
    # 95 % intervals of 100 shares of 100 queries each: fewer than 85 hold the truth in one of 10,000 draws.
    held = 0
    for _ in range(100):
        of = draw.integers(1, 9, 100).astype(float)
        low, high = intervals.Share(draw.binomial(of.astype(int), 0.2).astype(float), of).interval()
        held += low <= 0.2 <= high
    assert held >= 85, f"{held} of 100 intervals hold the truth; 95 are to be expected"
    other = intervals.Share(np.full(50, 2.0), np.full(50, 4.0))
    assert intervals.ratio(same, other) == pytest.approx((0.5, 0.5, 0.5))


def page(user: str, query: str, docs: str, clicks: dict[str, int], minute: float) -> list[dict[str, Any]]:
    """Documents, a letter each, from the top; clicks with dwell seconds."""
    at = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(minutes=minute)
    return [
        {
            "user_id": user, "session_id": user, "search_id": f"{user}-{minute}", "query": query, "doc_id": doc,
            "position": i, "clicked": doc in clicks, "dwell_ms": clicks[doc] * 1_000 if doc in clicks else None,
            "timestamp": at,
        }
        for i, doc in enumerate(docs, 1)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def bench(part: Callable[[str], ModuleType]) -> Any:
    """Forty people ask `red fox`, some `red fox den`, some `blue whale`; a robot clicks everything."""
    rows = []
    for i in range(40):
        rows += page(f"u{i}", "red fox", "vmsdcx", {"d": 30} if i % 2 else {"d": 40, "m": 2}, i)
        if i < 10:
            rows += page(f"u{i}", "red fox den", "vdsx", {"v": 25}, 100 + i)
            rows += page(f"u{i}", "blue whale", "cwx", {"c": 60, "w": 50}, 200 + i)
    rows += page("u0", "red fox", "vmsdcx", {"d": 40, "m": 2}, 0.05)  # logged twice
    for minute in range(40):
        rows += page("robot", "red fox", "vmsdcx", dict.fromkeys("vmsdcx", 1), minute)
    log = pl.DataFrame(rows, schema_overrides={"dwell_ms": pl.Int64})
    letters = "smvdcxwz"
    documents = pl.DataFrame({"doc_id": list(letters), "text": ["red fox den blue whale"] * len(letters)})
    run = pl.DataFrame({"query": ["red fox"] * 4, "doc_id": list("dzxs"), "rank": [1, 10, 12, 30]})
    return part("miners").Bench(part("seen").Seen(log, documents, run))


def mined(bench: Any, name: str, query: str, k: int = 8) -> str:
    """Letters of the documents that a miner finds for a query, sorted."""
    miners = module("miners")
    rows = miners.MINERS[name](bench, k)
    at = bench.seen.queries.index(query)
    return "".join(sorted(bench.seen.docs[d] for q, d in rows.select("q", "doc").iter_rows() if q == at))


def test_miners(bench: Any) -> None:
    clean = bench.seen.clean
    assert clean.impressions.sum() == 40 * 6 + 10 * 4 + 10 * 3, "robot and repeat are gone"
    assert (clean.clicks.sum(), clean.rejected.sum()) == (40 + 10 + 20, 20)
    found = bench.positives.select("q", "doc").iter_rows()
    positives = sorted((bench.seen.queries[q], bench.seen.docs[d]) for q, d in found)
    assert positives == [("blue whale", "c"), ("blue whale", "w"), ("red fox", "d"), ("red fox den", "v")]
    # The robot clicked everything: whoever does not clean has no negatives for red fox.
    assert mined(bench, "c_naive", "red fox") == ""
    assert mined(bench, "c_naive", "red fox den") == "dsx"
    assert mined(bench, "c0_session", "red fox") == "cmsvx"
    assert mined(bench, "d_skipabove", "red fox") == "msv", "above d, on the pages of people"
    assert mined(bench, "d2", "red fox") == ""
    # v stands at the top, m was left at once: examined and rejected. Nobody is known to have looked below d.
    assert {"v", "m"} <= set(mined(bench, "f_clean", "red fox"))
    assert not {"c", "x", "d"} & set(mined(bench, "f_clean", "red fox"))
    # v satisfied people of red fox den: tf-idf cosine above .6, the same intent.
    assert "v" not in mined(bench, "fv_veto", "red fox")
    assert "m" in mined(bench, "fv_veto", "red fox")
    assert mined(bench, "g_related", "red fox") == "v"
    assert mined(bench, "g_rel_veto", "red fox") == ""
    # Of the run from rank 10 on, nobody clicked z.
    filled = module("miners").y_best(bench, 8)
    kinds = {bench.seen.docs[d]: kind for q, d, kind in filled.iter_rows() if bench.seen.queries[q] == "red fox"}
    assert kinds.items() >= {"m": "hard", "z": "semi"}.items()
    assert not {"x", "v", "d"} & kinds.keys()
    assert mined(bench, "h_k20", "red fox den") == "", "ten people asked"
    assert set(mined(bench, "a_random", "blue whale")) <= set("smvdxz")
    for name in module("miners").MINERS:
        if name != "z_oracle_shown":
            rows = module("miners").MINERS[name](bench, 2)
            assert rows.group_by("q").len()["len"].max() in (None, 1, 2), name
            assert not rows.select("q", "doc").is_duplicated().any(), name


def test_examination_is_found(part: Callable[[str], ModuleType]) -> None:
    miners, seen = part("miners"), part("seen")
    # Pairs of attraction .4 and .1, each 20,000 times at both positions; the second is examined half the time.
    pair, slot, clicks = np.array([[0, 64, 8_000], [0, 128, 4_000], [1, 64, 2_000], [1, 128, 1_000]]).T
    ones, many, none = np.ones(2), np.full(4, 20_000), np.zeros(4, int)
    counted = seen.Counted(
        none[:2], np.arange(2), many[:2] * 2, np.array([12_000, 3_000]), ones, ones, pair, slot, many, clicks, none
    )
    assert miners.fitted(counted, counted.slot, passes=400) == pytest.approx([1, 0.5, 1, 0.5], abs=0.01)


@pytest.fixture(scope="module")
def worlds(part: Callable[[str], ModuleType], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    simulator, corpora = part("simulator"), part("corpora")
    folder = tmp_path_factory.mktemp("worlds")
    small = corpora.generated(3, topics=3, background=100)
    made = {}
    for name, scenario, seed in (("one", "drift", 3), ("again", "drift", 3), ("base", "base", 3), ("other", "base", 4)):
        made[name] = simulator.simulate(
            folder / name, collection=small, scenario=scenario, impressions=20_000, seed=seed
        )
    return made


def test_worlds_follow_from_their_seed(worlds: dict[str, Path]) -> None:
    for name in ("log", "documents", "queries", "truth", "bm25"):
        assert (worlds["one"] / f"{name}.parquet").read_bytes() == (worlds["again"] / f"{name}.parquet").read_bytes()
    digests = {json.loads((folder / "manifest.json").read_text())["sha256"] for folder in worlds.values()}
    assert len(digests) == 3


def test_truth_joins(worlds: dict[str, Path]) -> None:
    corpora = module("corpora")
    small = corpora.generated(3, topics=3, background=100)
    text = pl.col("query", "doc_id").cast(pl.String)
    log = pl.read_parquet(worlds["base"] / "log.parquet").with_columns(text)
    truth = pl.read_parquet(worlds["base"] / "truth.parquet").with_columns(text)
    asks = pl.read_parquet(worlds["base"] / "queries.parquet").with_columns(pl.col("query").cast(pl.String))
    # Naively: the best grade for any intent of the query.
    best: dict[tuple[str, str], int] = {}
    meant: dict[str, set[int]] = {}
    for query, intent, _ in asks.iter_rows():
        meant.setdefault(query, set()).add(intent)
    for query, intents in meant.items():
        for i, d, grade in zip(small.intent_of, small.doc_of, small.grade_of, strict=True):
            if i in intents:
                key = (query, small.doc_ids[d])
                best[key] = max(best.get(key, 0), int(grade))
    assert {(q, d): g for q, d, g in truth.iter_rows()} == best
    assert set(log["query"]) <= set(meant)
    assert set(log["doc_id"]) <= set(small.doc_ids)
    assert log.height == pytest.approx(20_000, abs=50)
    assert not log.select("search_id", "position").is_duplicated().any()
    assert not log.select("search_id", "doc_id").is_duplicated().any()
    assert log.filter(pl.col("clicked"))["dwell_ms"].null_count() == 0
    assert log.filter(~pl.col("clicked"))["dwell_ms"].null_count() == log.filter(~pl.col("clicked")).height
    known = log.join(truth, on=["query", "doc_id"], how="left")
    rates = known.group_by(pl.col("grade").fill_null(0)).agg(pl.col("clicked").mean()).sort("grade")["clicked"]
    assert rates[0] < rates[1] < rates[2]


def test_seeds_for_judging_are_kept_apart(part: Callable[[str], ModuleType], tmp_path: Path) -> None:
    run = part("run")
    assert run.seeds_of("1,3-5") == [1, 3, 4, 5]
    assert not run.refused([1, 99], judging=False)
    assert "is for judging" in run.refused([1, 100], judging=False)
    assert "100-199 only" in run.refused([1, 100], judging=True)
    assert "neither" in run.refused([200], judging=True)
    assert not run.refused([100, 199], judging=True)
    path = tmp_path / "judged.jsonl"
    assert [run.record(path, {"settings": s}) for s in ("x", "y", "x")] == [1, 2, 2]
    assert [json.loads(line)["settings_judged"] for line in path.read_text().splitlines()] == [1, 2, 2]


def test_models_learn(worlds: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    train, miners, seen = module("train"), module("miners"), module("seen")
    monkeypatch.setattr(train, "TREES", 20)
    monkeypatch.setattr(train, "EPOCHS", 2)
    school = train.School(worlds["base"], 3)
    bench = miners.Bench(seen.Seen.of(worlds["base"]))

    def named(table: pl.DataFrame) -> pl.DataFrame:
        names = [(bench.seen.queries[q], bench.seen.docs[d]) for q, d in table.select("q", "doc").iter_rows()]
        return pl.DataFrame(names, schema=["query", "doc_id"], orient="row")

    rows = train.Rows(named(bench.positives), named(miners.c_naive(bench, 8)))
    for model in train.MODELS.values():
        scores = model(school, rows)
        assert len(scores) == len(school.test)
        assert ((scores >= 0) & (scores <= 1)).all()
        assert scores.mean() > 0.1
    # The retriever's gradient, by differences.
    draw = np.random.default_rng(0)
    asked, held = school.index.weighted(school.bags)[:3], school.index.weighted(school.index.counts)[: 3 * 5]
    vectors = draw.standard_normal((held.shape[1], 7))
    query, doc = np.array([0, 1, 1]), np.array([0, 1, 2])

    def loss(at: np.ndarray) -> float:
        logits = train._unit(asked @ at)[0] @ train._unit(held @ at)[0].T / train.TEMPERATURE
        total = 0.0
        for i in range(3):
            against = [i, *(j for j in range(3) if query[j] != query[i]), *range(3 + 4 * i, 7 + 4 * i)]
            total += np.log(np.exp(logits[i, against]).sum()) - logits[i, i]
        return total / 3

    grad = train._gradient(asked, held, vectors, query, doc)
    for _ in range(20):
        way = draw.standard_normal(vectors.shape) * (held.sum(axis=0) > 0)[:, None]
        slope = (loss(vectors + 1e-5 * way) - loss(vectors - 1e-5 * way)) / 2e-5
        assert (grad * way).sum() == pytest.approx(slope, rel=1e-3, abs=1e-4)

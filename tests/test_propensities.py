"""Propensities equal the naive reference and known truths; weights are what they say."""

from __future__ import annotations

import json
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import click_worlds
import hardneg_fast as hn
from reference import propensities as naive


def table_of(rows: list[naive.Row]) -> pa.Table:
    names = ("query", "doc_id", "position", "clicked")
    kinds = (pa.string(), pa.string(), pa.int32(), pa.bool_())
    return pa.table([pa.array([r[i] for r in rows], kinds[i]) for i in range(4)], names)


def values(found: hn.Propensities) -> dict[int, float | None]:
    return {r["position"]: r["propensity"] for r in found.table.to_pylist()}


CONFIG = hn.Config(read=hn.ReadConfig(position_base="1"))

ROWS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(1, 4), st.booleans()), min_size=8, max_size=80
)


DEFINITIONS = ("standard", "agarwal")


@given(
    rows=ROWS,
    threads=st.integers(1, 2),
    shuffle=st.randoms(use_true_random=False),
    definition=st.sampled_from(DEFINITIONS),
)
@settings(max_examples=60)
def test_estimates_equal_the_reference(rows, threads, shuffle, definition):
    sums, _ = naive.common_rates(rows, definition)
    shuffle.shuffle(rows)
    tree = hn.Config(threads=threads, read=CONFIG.read)
    log = hn.click_log(table_of(rows), config=tree)
    shown = sorted({r[2] for r in rows})

    def ratio(k: int, other: int) -> float | None:
        return sums[k, other] / sums[other, k] if sums[other, k] > 0 else None

    pivot = {k: ratio(k, 1) for k in shown}
    chain, last = {1: 1.0}, 1.0
    for k in range(2, 5):
        step = ratio(k, k - 1)
        last = chain[k] = None if last is None or step is None else last * step
    chain = {k: chain[k] for k in shown}
    for method, expected in (("pivot", pivot), ("adjacent_chain", chain)):
        # Positions down to the lowest, seen or not, are looked at.
        if all(expected.get(k) is None for k in range(2, max(shown) + 1)) and max(shown) > 1:
            with pytest.raises(hn.DataError, match="never change position"):
                hn.estimate_propensities(log, method=method, definition=definition, bootstrap=0, config=tree)
            continue
        found = values(hn.estimate_propensities(log, method=method, definition=definition, bootstrap=0, config=tree))
        assert found.keys() == expected.keys()
        assert {k for k, p in found.items() if p is None} == {k for k, p in expected.items() if p is None}
        known = [k for k in found if found[k] is not None]
        assert [found[k] for k in known] == pytest.approx([expected[k] for k in known], rel=1e-12)


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_all_pairs_is_a_maximum(definition):
    world = click_worlds.pbm(np.random.default_rng(4), 1_500, queries=20, depth=5)
    rows = [
        (query, doc, k + 1, c)
        for query, docs, clicks in world.sessions()
        for k, (doc, c) in enumerate(zip(docs, clicks, strict=True))
    ]
    found = values(hn.estimate_propensities(table_of(rows), definition=definition, config=CONFIG, bootstrap=0))
    assert found[1] == 1.0
    sums, number = naive.common_rates(rows, definition)
    best = naive.objective(found, sums, number)
    for k in range(2, 6):
        for factor in (0.999, 1.001):
            assert naive.objective(found | {k: found[k] * factor}, sums, number) < best


def test_published_figures(data_dir):
    folder = data_dir / "click_model_oracles"
    expected = json.loads((folder / "harvest_synth_pbm_10k.json").read_text())
    columns = {"search_id": "session_id", "query": "query_id", "position": "rank", "clicked": "click"}
    log = hn.click_log(folder / "synth_pbm_10k.parquet", config=hn.Config(read=hn.ReadConfig(columns=columns)))
    assert log.sizes["pairs"] == expected["n_qd"]
    for method, key in (("pivot", "pivot1"), ("adjacent_chain", "adjacent_chain"), ("all_pairs", "all_pairs")):
        found = values(hn.estimate_propensities(log, method=method, definition="agarwal", bootstrap=0))
        assert [*found.values()] == pytest.approx(expected[key], rel=1e-6), method


def test_truth_is_found_and_covered():
    """1 / position at 100,000 pages: within 4 %; the intervals, drawn once by a fixed seed, hold it."""
    table = click_worlds.pbm(np.random.default_rng(9), 100_000, queries=2_000).table
    log = hn.click_log(table)
    found = hn.estimate_propensities(log)
    rows = found.table.to_pylist()
    assert max(abs(r["propensity"] * r["position"] - 1) for r in rows) < 0.04
    plain = hn.estimate_propensities(log, definition="agarwal", bootstrap=0).table.to_pylist()
    off = [sum(abs(r["propensity"] * r["position"] - 1) for r in each) for each in (rows, plain)]
    assert off[0] < off[1], "pairs that know more of a ratio weigh more"
    assert sum(r["lower"] <= 1 / r["position"] <= r["upper"] for r in rows) >= 8
    assert all(r["upper"] - r["lower"] < 0.3 / r["position"] for r in rows[1:])
    again = hn.estimate_propensities(log, config=hn.Config(threads=1))
    assert again.table == found.table, "the bootstrap is seeded"
    assert hn.estimate_propensities(log, config=hn.Config(seed=1)).table != found.table
    naive_rates = values(hn.estimate_propensities(log, method="click_rates", bootstrap=0))
    assert naive_rates[10] < 0.085, "good documents stand on top: click rates alone say too little of the bottom"


def test_randomised_traffic_is_found_by_its_flag(tmp_path):
    draw = np.random.default_rng(3)
    n = 60_000
    position = draw.integers(1, 6, n)
    randomised = draw.random(n) < 0.5
    relevance = np.where(randomised, 0.5, 1 / position)
    clicked = draw.random(n) < relevance / position
    table = pa.table(
        {
            "query": pa.array(draw.integers(0, 500, n)),
            "doc_id": pa.array(draw.integers(0, 50, n)),
            "position": position,
            "clicked": clicked,
            "was_random": randomised,
        }
    )
    pq.write_table(table, tmp_path / "log.parquet")
    for log in (table, tmp_path / "log.parquet"):
        found = hn.estimate_propensities(log, randomized="was_random")
        assert found.method == "click_rates"
        # Five standard errors of the lowest of them.
        assert all(abs(p * k - 1) < 0.16 for k, p in values(found).items()), values(found)
    words = table.append_column("in_words", pa.array(["yes"] * n))
    with pytest.raises(hn.ColumnError, match="booleans"):
        hn.estimate_propensities(words, randomized="in_words")
    with pytest.raises(hn.ColumnError, match="not found"):
        hn.estimate_propensities(table, randomized="was_randomised")
    with pytest.raises(hn.UsageError, match="column of a log"):
        hn.estimate_propensities(hn.click_log(table), randomized="was_random")


def test_what_cannot_be_identified_is_refused():
    fixed = [("q", f"d{k}", k, random.Random(k).random() < 0.5) for k in range(1, 6) for _ in range(20)]
    with pytest.raises(hn.DataError, match="never change position"):
        hn.estimate_propensities(table_of(fixed), config=CONFIG)
    with pytest.raises(hn.DataError, match="need positions"):
        hn.estimate_propensities(table_of(fixed).drop(["position"]))
    with pytest.raises(hn.UsageError, match="method"):
        hn.estimate_propensities(table_of(fixed), method="guess")
    with pytest.raises(hn.UsageError, match="choose one of standard, agarwal"):
        hn.estimate_propensities(table_of(fixed), definition="guess")


def test_weights():
    known = hn.Propensities.given({1: 1.0, 2: 0.5, 3: 0.01})
    made = known.weights([1, 2, 2, 3])
    assert made.values.tolist() == [1, 2, 2, 20]
    assert made.clipped == 1
    assert made.effective_sample_size == pytest.approx(25**2 / (1 + 4 + 4 + 400))
    assert known.weights([1, 2, 2, 3], clip=0).values.tolist() == [1, 2, 2, 100]
    assert known.weights([1, 2, 2, 3], estimator="snips").values.mean() == pytest.approx(1)
    assert known.weights([]).effective_sample_size == 0
    with pytest.raises(hn.DataError, match=r"positions \[4\]"):
        known.weights([1, 4])
    with pytest.raises(hn.UsageError, match="whole numbers"):
        known.weights([1.5])
    with pytest.raises(hn.UsageError, match="clip"):
        known.weights([1], clip=-1)
    with pytest.raises(hn.UsageError, match="above 0"):
        hn.Propensities.given({0: 1.0})
    law = hn.Propensities.power_law(1.0, depth=4)
    assert values(law) == {1: 1, 2: 1 / 2, 3: 1 / 3, 4: 1 / 4}
    with pytest.raises(hn.UsageError, match="eta"):
        hn.Propensities.power_law(-1.0, depth=3)


def test_trust_is_taken_out_of_clicks():
    """With the true lines the mean of corrected clicks is attraction: 6 standard errors, and no weights do that."""
    draw = np.random.default_rng(6)
    wanted, trusted = click_worlds.trust_lines(5)

    class Known:
        model = "tpbm"
        examination = pa.table(
            {"position": range(1, 6), "examination": wanted, "trust": trusted / wanted, "trials": [1.0] * 5}
        )

    position = draw.integers(1, 6, 100_000)
    clicked = draw.random(100_000) < (trusted + (wanted - trusted) * 0.2)[position - 1]
    known = hn.Propensities.of(Known())
    made = known.corrected(position, clicked, clip=0)
    assert abs(made.mean() - 0.2) < 6 * made.std() / 100_000**0.5
    assert known.corrected([1], [True]) == pytest.approx((1 - trusted[0]) / (wanted[0] - trusted[0]))
    assert clicked @ known.weights(position, clip=0).values / 100_000 > 0.4
    with pytest.raises(hn.UsageError, match="one of each"):
        known.corrected([1, 2], [True])
    log = hn.click_log(click_worlds.pbm(draw, 3_000, queries=20, depth=5).table)
    for name in ("pbm", "tpbm"):
        model = hn.fit_click_model(log, model=name)
        rows = pa.table(model.examination).to_pylist()
        found = hn.Propensities.of(model)
        assert found.method == name
        assert found.table["propensity"].to_pylist() == pytest.approx(
            [r["examination"] * (1 - r.get("trust", 0)) for r in rows]
        )
    pbm = hn.Propensities.of(hn.fit_click_model(log, model="pbm"))
    assert pbm.corrected([1, 2, 2], [1, 0, 1]).tolist() == [1, 0, pbm.weights([2]).values[0]]
    with pytest.raises(hn.UsageError, match="fit pbm or tpbm"):
        hn.Propensities.of(hn.fit_click_model(log, model="dbn"))


def test_sensitivity_says_what_hangs_on_eta():
    rows = [("q", "d", k, i < 20 // k) for k in range(1, 5) for i in range(40)]
    found = hn.estimate_propensities(table_of(rows), method="click_rates", config=CONFIG)
    swept = found.sensitivity((0.0, 1.0)).to_pylist()
    assert [r["eta"] for r in swept] == [0, 1]
    assert swept[0]["effective_sample_size"] == pytest.approx(20 + 10 + 6 + 5)
    assert swept[0]["share_below_top"] == pytest.approx(21 / 41)
    assert swept[1]["share_below_top"] == pytest.approx((20 + 18 + 20) / (20 + 20 + 18 + 20))
    assert swept[1]["largest_weight"] == 4

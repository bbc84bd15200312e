"""Click models equal the naive reference and published figures, for any order, batching, types and thread count."""

from __future__ import annotations

import gzip
import json
import random
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import click_worlds
import hardneg_fast as hn
from hardneg_fast.click_model import MODELS
from reference import click_model as naive

PYCLICK = hn.ClickModelConfig(definition="pyclick")
ONE_PASS = ("gctr", "rctr", "dctr", "cm", "dcm", "sdbn")


def table_of(sessions: list[naive.Session]) -> pa.Table:
    rows = [
        (f"s{i}", query, doc, k + 1, c)
        for i, (query, docs, clicks) in enumerate(sessions)
        for k, (doc, c) in enumerate(zip(docs, clicks, strict=True))
    ]
    names = ("search_id", "query", "doc_id", "position", "clicked")
    kinds = (pa.string(), pa.string(), pa.string(), pa.int32(), pa.bool_())
    return pa.table([pa.array([r[i] for r in rows], kinds[i]) for i in range(5)], names)


def pairs_of(model: hn.ClickModel, column: str = "attractiveness") -> dict[tuple[str, str], float]:
    table = pa.table(model.attractiveness)
    keys = zip(table["query"].to_pylist(), table["doc_id"].to_pylist(), strict=True)
    return dict(zip(keys, table[column].to_pylist(), strict=True))


def places_of(model: hn.ClickModel) -> dict:
    """Value by position; ubm by (position, previous click); gctr by 0."""
    table = pa.table(model.examination)
    value = next(name for name in ("examination", "ctr", "continuation") if name in table.column_names)
    key = {"ubm": ("position", "previous_click"), "gctr": ()}.get(model.model, ("position",))
    rows = table.to_pylist()
    return {(tuple(r[k] for k in key) if len(key) == 2 else r["position"] if key else 0): r[value] for r in rows}


def close(found: dict, expected: dict, tolerance: float = 1e-9) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=tolerance, abs=tolerance), key


def check_against(model: hn.ClickModel, expected: naive.Model, sessions: list[naive.Session]) -> None:
    """Every parameter that the sessions say something about."""
    if model.model not in ("gctr", "rctr"):
        shown = {(q, d) for q, docs, _ in sessions for d in docs}
        close(pairs_of(model), {pair: expected.of("a", pair) for pair in shown})
        if model.model in ("sdbn", "dbn"):
            close(pairs_of(model, "satisfaction"), {pair: expected.of("s", pair) for pair in shown})
    if model.model == "dbn":
        assert model.gamma == pytest.approx(expected.of("e", 0), rel=1e-9)
    elif model.model in ("gctr", "rctr", "dcm", "pbm", "ubm"):
        key = {"gctr": lambda p: p, "ubm": lambda p: (p[0] - 1, p[1])}.get(model.model, lambda p: p - 1)
        found = places_of(model)
        close(found, {place: expected.of("e", key(place)) for place in found})
        assert {key(p) for p in found} == set(expected.e)


@st.composite
def logs(draw: st.DrawFn) -> list[naive.Session]:
    """Pages of 1 to 6 of 7 documents."""
    sessions = []
    for _ in range(draw(st.integers(1, 10))):
        docs = draw(st.permutations([f"d{i}" for i in range(7)]))[: draw(st.integers(1, 6))]
        clicks = draw(st.lists(st.booleans(), min_size=len(docs), max_size=len(docs)))
        sessions.append((draw(st.sampled_from(["a", "b", "c"])), docs, clicks))
    return sessions


def naive_fit(name: str, sessions: list[naive.Session], no_click: str = "examined") -> naive.Model:
    if name in ONE_PASS:
        return naive.one_pass(name, sessions, no_click)
    return naive.dbn(sessions, 50) if name == "dbn" else naive.by_examination(name, sessions, 50)


@given(
    sessions=logs(),
    name=st.sampled_from([m for m in MODELS if m != "tpbm"]),
    no_click=st.sampled_from(["examined", "first", "drop"]),
    text=st.sampled_from([pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]),
    size=st.integers(1, 40),
    threads=st.integers(1, 3),
    shuffle=st.randoms(use_true_random=False),
)
@settings(max_examples=40)
def test_fits_and_metrics_equal_the_reference(sessions, name, no_click, text, size, threads, shuffle):
    expected = naive_fit(name, sessions, no_click)
    table = table_of(sessions)
    order = list(range(table.num_rows))
    shuffle.shuffle(order)
    table = table.take(order)
    kinds = pa.schema([(f.name, text if f.type == pa.string() else f.type) for f in table.schema])
    batches = pa.Table.from_batches(table.cast(kinds).to_batches(max_chunksize=size), kinds)
    tree = hn.Config(threads=threads, click_model=hn.ClickModelConfig(definition="pyclick", no_click=no_click))
    log = hn.click_log(batches, config=tree)
    assert log.sizes["pages"] == len(sessions)
    model = hn.fit_click_model(log, model=name, config=tree)
    check_against(model, expected, sessions)
    own = naive.pyclick_metrics(expected, sessions, {s[0] for s in sessions})
    found = model.metrics(definition="pyclick")
    if name != "cm":
        assert found["log_likelihood"] == pytest.approx(own["log_likelihood"], rel=1e-9)
        assert found["conditional_perplexity"] == pytest.approx(own["conditional_perplexity"], rel=1e-9)
    by_place = {p: m["perplexity"] for p, m in found["positions"].items()}
    close(by_place, {k + 1: x for k, x in enumerate(own["by_place"]) if k + 1 in by_place})
    pooled = model.metrics()
    assert pooled["log_likelihood"] == pytest.approx(naive.clax_log_likelihood(expected, sessions), rel=1e-9)
    assert pooled["impressions"] == sum(len(docs) for _, docs, _ in sessions)
    predicted = sorted(
        (r["query"], r["doc_id"], r["position"], r["clicked"], round(r["click_given_above"], 9))
        for r in pa.table(model.predict()).to_pylist()
        for _ in range(r["weight"])
    )
    assert predicted == sorted(
        (query, doc, k + 1, c, round(p, 9))
        for query, docs, clicks in sessions
        for k, (doc, c, p) in enumerate(
            zip(docs, clicks, naive.given_above(expected, (query, docs, clicks)), strict=True)
        )
    )


@given(sessions=logs(), name=st.sampled_from(["gctr", "rctr", "dctr", "pbm", "ubm"]), threads=st.integers(1, 2))
@settings(max_examples=15)
def test_cells_and_counts_say_what_pages_say(sessions, name, threads):
    # A document twice for one user and query would be bounded; each page is a user's own here.
    table = table_of(sessions)
    tree = hn.Config(threads=threads, click_model=PYCLICK)
    of_pages = hn.fit_click_model(table, model=name, config=tree)
    count = hn.CountConfig(max_votes=0, robots="keep", min_page_length=1)
    counts = hn.count(table, config=hn.Config(count=count, read=hn.ReadConfig(position_base="1")), tables=("cells",))
    of_counts = hn.fit_click_model(counts, model=name, config=tree)
    of_cells = hn.fit_click_model(counts.cells, model=name, config=tree)
    for other in (of_counts, of_cells):
        if name not in ("gctr", "rctr"):
            assert pa.table(of_pages.attractiveness) == pa.table(other.attractiveness)
        if name != "dctr":
            assert pa.table(of_pages.examination) == pa.table(other.examination)


def test_counted_pages_are_pages():
    draw = np.random.default_rng(3)
    table = click_worlds.dbn(draw, 300, queries=8, depth=5).table
    count = hn.CountConfig(max_votes=0, robots="keep", min_page_length=1)
    counts = hn.count(
        table, config=hn.Config(count=count, read=hn.ReadConfig(position_base="1")), tables=("cells", "pages")
    )
    of_pages = hn.fit_click_model(table, model="dbn", config=PYCLICK)
    of_counts = hn.fit_click_model(counts, model="dbn", config=PYCLICK)
    # Equal pages were grouped with those of their fold, so sums are taken in another order.
    close(pairs_of(of_counts), {(q, d): a for (q, d), a in pairs_of(of_pages).items()}, 1e-8)
    assert of_counts.gamma == pytest.approx(of_pages.gamma, rel=1e-9)


@pytest.fixture(scope="session")
def oracles(data_dir):
    return data_dir / "click_model_oracles"


@pytest.fixture(scope="session")
def split(oracles):
    """Name of a log → the first 75 % of its sessions, and the others."""
    out = {}
    for name in ("synth_pbm_10k", "synth_dbn_10k"):
        sessions = []
        with gzip.open(oracles / f"{name}.sessions.tsv.gz", "rt") as lines:
            for line in lines:
                query, docs, clicks = line.rstrip("\n").split("\t")
                sessions.append((query, docs.split(","), [c == "1" for c in clicks.split(",")]))
        out[name] = tuple(hn.click_log(table_of(part)) for part in (sessions[:7500], sessions[7500:]))
    return out


def check_pairs(found: dict, params: dict, tolerance: float) -> None:
    """The files also name pairs of the test part, of which nothing was learnt."""
    expected = {tuple(key.split("|")): value for key, value in params.items()}
    assert {expected[pair] for pair in expected.keys() - found.keys()} <= {0.5}
    close(found, {pair: expected.get(pair, 0.5) for pair in found}, tolerance)


@pytest.mark.parametrize("log", ["synth_pbm_10k", "synth_dbn_10k"])
@pytest.mark.parametrize("name", [*ONE_PASS, "pbm", "ubm"])
def test_pyclick_figures_to_nine_digits(oracles, split, log, name):
    expected = json.loads((oracles / f"{log}_{name.upper()}.json").read_text())
    train, test = split[log]
    model = hn.fit_click_model(train, model=name, config=PYCLICK)
    found = model.metrics(test, definition="pyclick")
    assert found["log_likelihood"] == pytest.approx(expected["ll"], rel=1e-9)
    assert found["perplexity"] == pytest.approx(expected["ppl"], rel=1e-9)
    assert found["conditional_perplexity"] == pytest.approx(expected["cond_ppl"], rel=1e-9)
    by_position = [found["positions"][p]["perplexity"] for p in range(1, 11)]
    assert by_position == pytest.approx(expected["ppl_per_rank"], rel=1e-9)
    conditional = [found["positions"][p]["conditional_perplexity"] for p in range(1, 11)]
    assert conditional == pytest.approx(expected["cond_ppl_per_rank"], rel=1e-9)
    params = expected["params"]
    if "attr" in params:
        check_pairs(pairs_of(model), params["attr"], 1e-9)
    if "sat" in params:
        check_pairs(pairs_of(model, "satisfaction"), params["sat"], 1e-9)
    if name == "pbm":
        assert list(places_of(model).values()) == pytest.approx(params["exam"], rel=1e-9)
    if name == "ubm":
        for (position, previous), value in places_of(model).items():
            # Where nothing was clicked above, that package counts from the last rank.
            assert value == pytest.approx(params["exam"][position - 1][previous - 1], rel=1e-9)


@pytest.mark.parametrize("gamma", ["free", "0.9"])
def test_exact_dbn_figures(oracles, split, gamma):
    expected = json.loads((oracles / "dbn_exact_synth_dbn_10k.json").read_text())
    train, test = split["synth_dbn_10k"]
    model = hn.fit_click_model(train, model="dbn", config=hn.ClickModelConfig(definition="pyclick", gamma=gamma))
    figures = expected["variants"]["exact_free_gamma" if gamma == "free" else "exact_gamma_0.9"]
    found = model.metrics(test, definition="pyclick")
    assert model.gamma == pytest.approx(figures["gamma"], rel=1e-6)
    assert found["log_likelihood"] == pytest.approx(figures["test_ll"], rel=1e-6)
    assert found["perplexity"] == pytest.approx(figures["test_ppl"], rel=1e-6)
    assert found["conditional_perplexity"] == pytest.approx(figures["test_cond_ppl"], rel=1e-6)
    if gamma == "free":
        for column, name in (("attractiveness", "attr"), ("satisfaction", "sat")):
            check_pairs(pairs_of(model, column), expected["params"][name], 1e-6)


@pytest.mark.parametrize("name", ["pbm", "ubm", "dbn"])
def test_what_is_standard_explains_what_was_not_seen_better(split, name):
    for train, test in split.values():
        own = hn.fit_click_model(train, model=name).metrics(test)["log_likelihood"]
        theirs = hn.fit_click_model(train, model=name, config=PYCLICK).metrics(test)["log_likelihood"]
        assert own > theirs


@pytest.mark.parametrize("name", ["pbm", "ubm", "dbn"])
@pytest.mark.parametrize("passes", [1, 4])
def test_a_standard_pass_equals_the_reference(name, passes):
    """The parameters after n passes, put through a naive pass, are those after n + 1."""
    world = (click_worlds.dbn if name == "dbn" else click_worlds.pbm)(
        np.random.default_rng(8), 400, queries=10, depth=6
    )
    sessions, log = world.sessions(), hn.click_log(world.table)
    before, after = (
        hn.fit_click_model(log, model=name, config=hn.ClickModelConfig(max_iterations=n, tolerance=0))
        for n in (passes, passes + 1)
    )
    assert (before.iterations, after.iterations) == (passes, passes + 1)
    a = pairs_of(before)
    if name == "dbn":
        a, s, g = naive.standard_dbn_pass(sessions, a, pairs_of(before, "satisfaction"), before.gamma)
        close(pairs_of(after, "satisfaction"), s)
        assert after.gamma == pytest.approx(g, rel=1e-9)
    else:
        a, e, prior = naive.standard_pass(name, sessions, a, places_of(before))
        close(places_of(after), e)
        assert after.priors["attractiveness"] == pytest.approx(prior, rel=1e-9)
    close(pairs_of(after), a)


@pytest.mark.parametrize("passes", [1, 2])
def test_a_pass_of_trust_equals_the_reference(passes):
    world = click_worlds.trust(np.random.default_rng(8), 400, queries=10, depth=6)
    expected = naive.Trust(world.sessions())
    for _ in range(passes):
        expected.leap()
    model = hn.fit_click_model(world.table, model="tpbm", config=hn.ClickModelConfig(max_iterations=passes))
    found = pa.table(model.examination).to_pylist()
    close({r["position"]: r["examination"] for r in found}, expected.u, 1e-7)
    close({r["position"]: r["examination"] * r["trust"] for r in found}, expected.v, 1e-7)
    close(pairs_of(model), expected.posterior, 1e-7)


def test_trust_is_found_again():
    """Drawn once, by a fixed seed: lines and shares of 40,000 pages, relative to the two anchors."""
    world = click_worlds.trust(np.random.default_rng(12), 40_000)
    log = hn.click_log(world.table)
    model = hn.fit_click_model(log, model="tpbm")
    wanted, trusted = click_worlds.trust_lines(10)
    low = -trusted[-1] / (wanted[-1] - trusted[-1])
    high = (1 - trusted[0]) / (wanted[0] - trusted[0])
    u, v = (trusted + (wanted - trusted) * a for a in (high, low))
    found = pa.table(model.examination).to_pydict()
    off = np.abs(np.array(found["examination"]) / u - 1)
    assert off.mean() < 0.1, "the bottom, where little is clicked, is off by up to a quarter"
    assert off.max() < 0.25
    assert np.abs(np.array(found["trust"]) * found["examination"] - v).max() < 0.06
    truth = dict(zip(world.docs.ravel().astype(str), ((world.attraction - low) / (high - low)).ravel(), strict=True))
    pbm = hn.fit_click_model(log, model="pbm")
    off = []
    for each in (model, pbm):
        rows = [r for r in pa.table(each.attractiveness).to_pylist() if r["impressions"] >= 300]
        off.append(np.mean([r["attractiveness"] - truth[r["doc_id"]] for r in rows]))
    assert abs(off[0]) < 0.05 < off[1], "what PBM takes for attraction is trust"
    assert model.held_out > pbm.held_out


@pytest.mark.parametrize("name", MODELS)
def test_same_bits_for_any_order_and_threads(name):
    world = click_worlds.dbn(np.random.default_rng(5), 9_000, queries=200, depth=10)
    table, found = world.table, []
    shuffled = table.take(random.Random(6).sample(range(table.num_rows), table.num_rows))
    for threads, rows, size in ((1, table, 100_000), (2, shuffled, 7_000), (3, table, 33_333)):
        tree = hn.Config(threads=threads, click_model=hn.ClickModelConfig(gamma="position", max_iterations=12))
        batches = pa.Table.from_batches(rows.to_batches(max_chunksize=size), rows.schema)
        model = hn.fit_click_model(batches, model=name, config=tree)
        said = [model.history, model.held_out, model.iterations, model.priors, model.metrics(definition="pyclick")]
        if name not in ("gctr", "rctr"):
            said.append(pa.table(model.attractiveness).to_pydict())
        if name not in ("dctr", "cm", "sdbn"):
            said.append(pa.table(model.examination).to_pydict())
        found.append(said)
    assert found[0] == found[1] == found[2]


def test_gamma_and_examination_are_found_again():
    """Drawn once, by a fixed seed: gamma .9 of 100,000 pages, and 1 / position of as many."""
    draw = np.random.default_rng(11)
    model = hn.fit_click_model(click_worlds.dbn(draw, 100_000).table, model="dbn")
    assert model.converged
    assert 0.89 <= model.gamma <= 0.92
    model = hn.fit_click_model(click_worlds.pbm(draw, 100_000).table, model="pbm")
    worst = max(abs(e * p - 1) for p, e in places_of(model).items())
    assert worst < 0.15, worst


def test_intervals_hold_what_they_promise():
    """DCTR on shares drawn from a Beta: 95 % of 3,000 intervals; outside of these bounds once in a million."""
    draw = np.random.default_rng(2)
    share, shown = draw.beta(0.5, 4.0, 3_000), draw.integers(1, 60, 3_000)
    cells = {"query": [str(i % 100) for i in range(3_000)], "doc_id": [str(i) for i in range(3_000)]}
    cells |= {"impressions": shown, "clicks": draw.binomial(shown, share)}
    model = hn.fit_click_model(pa.table(cells), model="dctr")
    table = pa.table(model.attractiveness).to_pylist()
    held = sum(r["lower"] <= share[int(r["doc_id"])] <= r["upper"] for r in table)
    sd = (3_000 * 0.95 * 0.05) ** 0.5
    assert abs(held - 2_850) < 4.9 * sd, (held, sd)
    hits, misses = model.priors["attractiveness"]
    assert hits / (hits + misses) == pytest.approx(1 / 9, abs=0.01)
    assert 3.0 < hits + misses < 6.5
    assert all(r["lower"] < r["attractiveness"] < r["upper"] for r in table)


def verdicts(model: hn.ClickModel) -> dict[str, str]:
    return {r["model"]: r["verdict"] for r in model.choice.table.to_pylist()}


@pytest.mark.parametrize("name", ["pbm", "dbn", "trust"])
def test_auto_takes_the_model_of_the_world(name):
    world = getattr(click_worlds, name)(np.random.default_rng(21), 12_000, queries=60)
    log = hn.click_log(world.table)
    model = hn.fit_click_model(log, model="auto")
    rows = model.choice.table.to_pylist()
    name = "tpbm" if name == "trust" else name
    assert model.model == name, model
    assert {r["model"] for r in rows} == set(MODELS)
    assert [r["parameters"] for r in rows] == sorted(r["parameters"] for r in rows)
    assert [r["verdict"] for r in rows].count("chosen") == 1
    best = min(rows, key=lambda r: abs(r["behind"]))["held_out"]
    for row in rows:
        assert row["behind"] == pytest.approx(best - row["held_out"], abs=1e-12)
        assert row["behind"] >= 0 or "no more that shows" in row["verdict"]
        alone = hn.fit_click_model(log, model=row["model"])
        assert (alone.held_out, alone.iterations) == (row["held_out"], row["passes"])
    alone = hn.fit_click_model(log, model=name)
    assert pa.table(alone.attractiveness) == pa.table(model.attractiveness)
    assert name in model.choice.reason
    assert model.choice.reason in repr(model)
    assert all(row["model"] in repr(model.choice) for row in rows)


def test_auto_says_what_a_log_does_not_support():
    world = click_worlds.pbm(np.random.default_rng(22), 6_000, queries=30, depth=5)
    table = world.table
    where = table.column_names.index("position")
    # Shuffled: what stands in the column has nothing to do with where results were seen.
    drawn = np.random.default_rng(1).permuted(np.tile(np.arange(1, 6), (6_000, 1)), axis=1).ravel()
    shuffled = table.set_column(where, "position", pa.array(drawn))
    model = hn.fit_click_model(shuffled, model="auto")
    assert model.model == "dctr"
    assert "may be shuffled" in model.choice.reason
    # No positions at all.
    model = hn.fit_click_model(table.drop(["position"]), model="auto")
    assert model.model == "dctr"
    said = verdicts(model)
    assert all("needs positions" in said[name] for name in MODELS if name not in ("gctr", "dctr"))
    # Every document at one position.
    fixed = table.filter(pa.array(world.docs.ravel() % 5 + 1 == table["position"].to_numpy()))
    for name in ("pbm", "tpbm", "ubm"):
        with pytest.raises(hn.DataError, match=f"{name} tells examination from attraction by documents that change"):
            hn.fit_click_model(fixed, model=name)
    model = hn.fit_click_model(fixed, model="auto")
    said = verdicts(model)
    assert all("refused" in said[name] for name in ("pbm", "tpbm", "ubm"))
    # Cells without folds, and a definition without a trial.
    cells = {"query": ["a"] * 4, "doc_id": list("1212"), "position": [1, 2, 2, 1]}
    cells |= {"impressions": [9] * 4, "clicks": [3, 2, 1, 4]}
    with pytest.raises(hn.DataError, match="no column fold"):
        hn.fit_click_model(pa.table(cells), model="auto")
    with pytest.raises(hn.UsageError, match="PyClick"):
        hn.fit_click_model(table, model="auto", config=PYCLICK)


def test_auto_compares_counted_pages_with_cells_of_the_same_pages():
    table = click_worlds.dbn(np.random.default_rng(23), 6_000, queries=30, depth=6).table
    count = hn.CountConfig(max_votes=0, robots="keep", min_page_length=1)
    counts = hn.count(
        table, config=hn.Config(count=count, read=hn.ReadConfig(position_base="1")), tables=("cells", "pages")
    )
    model = hn.fit_click_model(counts, model="auto")
    assert model.model == "dbn", model
    assert all(r["held_out"] is not None for r in model.choice.table.to_pylist())


def test_positions_out_of_reach_are_named():
    rows = [
        ("a", d, k, c) for d, k in (("1", 1), ("1", 2), ("2", 2), ("3", 3)) for c in (True, False) for _ in range(9)
    ]
    table = pa.table({"query": [r[0] for r in rows], "doc_id": [r[1] for r in rows],
                      "position": [r[2] for r in rows], "clicked": [r[3] for r in rows]})  # fmt: skip
    model = hn.fit_click_model(table, model="pbm", config=hn.Config(read=hn.ReadConfig(position_base="1")))
    assert any("[3]" in said for said in model.assumes)


def test_trust_refuses_documents_that_are_all_alike():
    draw = np.random.default_rng(24)
    n = 40_000
    position = draw.integers(1, 5, n)
    table = pa.table(
        {
            "query": pa.array(draw.integers(0, 20, n)),
            "doc_id": pa.array(draw.integers(0, 8, n)),
            "position": position,
            "clicked": draw.random(n) < 0.3 / position,
        }
    )
    with pytest.raises(hn.DataError, match="all look alike"):
        hn.fit_click_model(table, model="tpbm")


class Ridge:
    """Weighted least squares, a little shrunk."""

    def fit(self, X, y, sample_weight):  # noqa: N803
        wide = np.c_[X, np.ones(len(X))]
        weighted = wide * sample_weight[:, None]
        self.w = np.linalg.solve(wide.T @ weighted + np.eye(wide.shape[1]), weighted.T @ y)
        self.rows = len(X)

    def predict(self, X):  # noqa: N803
        return np.c_[X, np.ones(len(X))] @ self.w


@pytest.mark.parametrize("name", ["pbm", "dbn"])
def test_a_regressor_learns_attractiveness(name):
    """Documents of few impressions whose attraction is a line in two features: it is found, and explains more."""
    draw = np.random.default_rng(25)
    world = click_worlds.pages(draw, 4_000, 400, 6, 1.0)
    codes = np.unique(world.docs)
    of = dict(zip(codes.tolist(), draw.random((len(codes), 2)), strict=True))
    a = np.array([[0.05 + 0.5 * of[d][0] + 0.3 * of[d][1] for d in page] for page in world.docs.tolist()])
    if name == "pbm":
        world.clicks = draw.random(a.shape) < a / np.arange(1, 7)
    else:
        on = np.ones(len(a), bool)
        for k in range(6):
            world.clicks[:, k] = on & (draw.random(len(a)) < a[:, k])
            on &= ~(world.clicks[:, k] & (draw.random(len(a)) < 0.5)) & (draw.random(len(a)) < 0.9)
    log = hn.click_log(world.table)
    features = np.array([of[int(d)] for d in pa.table(log.pairs)["doc_id"].to_pylist()])
    ridge = Ridge()
    model = hn.fit_click_model(log, model=name, regressor=ridge, features=features)
    assert model.held_out > hn.fit_click_model(log, model=name).held_out
    assert ridge.w == pytest.approx([0.5, 0.3, 0.05], abs=0.1)
    table = pa.table(model.attractiveness)
    assert np.allclose(table["attractiveness"].to_numpy(), np.clip(ridge.predict(features), 1e-6, 1 - 1e-6))
    assert table["lower"].null_count == table.num_rows
    if name == "pbm":
        assert np.allclose([e * k for k, e in places_of(model).items()], 1, atol=0.12)


def test_regressors_that_cannot_be_are_refused():
    log = hn.click_log(click_worlds.pbm(np.random.default_rng(26), 300, queries=5, depth=4).table)
    n = log.sizes["pairs"]
    good = {"model": "pbm", "regressor": Ridge(), "features": np.ones((n, 1))}
    for changed, says in (
        ({"features": np.ones((n - 1, 1))}, f"{n - 1} rows"),
        ({"features": None}, "go together"),
        ({"model": "auto"}, "model that is named"),
        ({"model": "sdbn"}, "models pbm, ubm, dbn"),
        ({"model": "tpbm"}, "models pbm, ubm, dbn"),
        ({"config": PYCLICK}, "standard"),
    ):
        with pytest.raises(hn.UsageError, match=says):
            hn.fit_click_model(log, **(good | changed))

    class Broken(Ridge):
        def predict(self, X):  # noqa: N803
            return np.full(len(X), np.nan)

    with pytest.raises(hn.UsageError, match="finite number"):
        hn.fit_click_model(log, **(good | {"regressor": Broken()}))

    class Failing(Ridge):
        def predict(self, X):  # noqa: ARG002, N803
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        hn.fit_click_model(log, **(good | {"regressor": Failing()}))


ROWS = {"query": ["a"] * 4, "doc_id": ["1", "2", "1", "2"], "clicked": [True, False, False, True]}


@pytest.mark.parametrize(
    ("columns", "model", "says"),
    [
        ({}, "pbm", "pbm needs positions"),
        ({"position": [None] * 4, "search_id": list("xxyy")}, "dbn", "dbn needs positions"),
        ({"position": [1, 2, 1, 2]}, "ubm", "click above each result"),
        ({"position": [1, 2, 1, 2]}, "sdbn", "needs whole pages"),
        ({"position": [1, 2, 1, 2], "search_id": [None] * 4}, "pbm", "no row that can be used"),
    ],
)
def test_models_refuse_what_they_cannot_read(columns, model, says):
    kinds = {"position": pa.int32(), "search_id": pa.string()}
    table = pa.table(ROWS | {name: pa.array(values, kinds[name]) for name, values in columns.items()})
    with pytest.raises(hn.DataError, match=says):
        hn.fit_click_model(table, model=model)
    if "search_id" not in columns or columns["search_id"][0]:
        assert hn.fit_click_model(table, model="dctr").iterations == 1


def test_bad_rows_are_counted():
    table = pa.table(
        {
            "search_id": ["s", "s", "s", "s", None, "s", "s", "s"],
            "query": ["a", None, "a", "a", "a", "a", "a", "a"],
            "doc_id": ["1", "2", None, "4", "5", "6", "7", "8"],
            "position": [1, 2, 3, 4, 5, 0, 51, 6],
            "clicked": ["1", "0", "0", "x", "0", "0", "0", None],
        }
    )
    config = hn.Config(read=hn.ReadConfig(position_base="1"))
    log = hn.click_log(table, config=config)
    assert log.quarantine == {
        "null_query": 1,
        "null_doc_id": 1,
        "clicked_impossible": 1,
        "null_search_id": 1,
        "position_impossible": 1,
        "beyond_max_position": 1,
        "null_clicked": 1,
    }
    assert (log.rows, log.sizes["impressions"], log.sizes["clicks"]) == (8, 1, 1)
    cells = {"query": ["a"] * 6, "doc_id": ["1"] * 6, "position": [1, 3, 3, 3, 3, 3], "fold": [0, 10, 0, 0, 0, 9]}
    cells |= {"previous_click": [0, 0, 3, 0, 0, 2], "impressions": [5, 5, 5, -1, 5, 5], "clicks": [1, 1, 1, 0, 6, 5]}
    log = hn.click_log(pa.table(cells))
    assert log.quarantine == {
        "fold_impossible": 1,
        "previous_click_impossible": 1,
        "impressions_impossible": 1,
        "clicks_impossible": 1,
    }
    assert (log.sizes["impressions"], log.sizes["clicks"]) == (10, 6)
    with pytest.raises(hn.DataError, match="whole pages"):
        hn.fit_click_model(log, model="pbm").metrics()


def test_options_that_cannot_be_are_refused():
    table = table_of([("a", ["1", "2"], [True, False])])
    with pytest.raises(hn.UsageError, match="no click model is called 'bpm'"):
        hn.fit_click_model(table, model="bpm")
    for gamma in ("often", "1.5", "-0.1"):
        with pytest.raises(hn.UsageError, match="gamma"):
            hn.fit_click_model(table, model="dbn", config=hn.ClickModelConfig(gamma=gamma))
    with pytest.raises(hn.UsageError, match="no_click"):
        hn.fit_click_model(table, config=hn.ClickModelConfig(no_click="maybe"))
    with pytest.raises(hn.UsageError, match="queries is"):
        hn.click_log(table, queries="raw")
    with pytest.raises(hn.ColumnError, match="clicked"):
        hn.click_log(table.drop(["clicked"]))
    with pytest.raises(hn.UsageError, match="knows no documents"):
        _ = hn.fit_click_model(table, model="gctr").attractiveness
    with pytest.raises(hn.UsageError, match="position alone"):
        _ = hn.fit_click_model(table, model="dctr").examination
    with pytest.raises(hn.UsageError, match="definition"):
        hn.fit_click_model(table, model="cm").metrics(definition="trec")
    assert "a" not in repr(hn.fit_click_model(table, model="cm")).split()


def test_releases_are_read_as_far_as_they_go():
    """Cells of k users are cells; of differential privacy nothing can be fitted."""
    table = click_worlds.pbm(np.random.default_rng(27), 2_000, queries=10, depth=4).table
    table = table.append_column("user_id", table["search_id"].cast(pa.string()))
    config = hn.Config(count=hn.CountConfig(robots="keep"), read=hn.ReadConfig(position_base="1"))
    released = hn.release(hn.count(table, config=config), privacy=hn.Privacy.k_users(2))
    model = hn.fit_click_model(released, model="dctr")
    assert pa.table(model.attractiveness).num_rows == pa.table(released.table()).num_rows > 10
    for name, says in (("pbm", "needs positions"), ("dbn", "needs positions"), ("auto", "fold")):
        with pytest.raises(hn.DataError, match=says):
            hn.fit_click_model(released, model=name)
    with pytest.raises(hn.DataError, match="need positions"):
        hn.estimate_propensities(released)
    noisy = pa.table({"query": ["a"], "doc_id": ["1"], "position": [1], "clicks": [-0.3], "impressions": [2.5],
                      "clicks_variance": [1.2]})  # fmt: skip
    for fit in (hn.click_log, hn.fit_click_model, hn.estimate_propensities):
        with pytest.raises(hn.PrivacyError, match="Under differential privacy no click model"):
            fit(noisy)


def test_shown_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pq.write_table(click_worlds.pbm(np.random.default_rng(28), 1_000, queries=20).table, "log.parquet")
    text = (Path(__file__).parents[1] / "docs" / "CLICK_MODELS.md").read_text(encoding="utf-8")
    namespace: dict = {}
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(code, "CLICK_MODELS.md", "exec"), namespace)  # noqa: S102  # our own guide


def test_files_are_normalised_and_progress_can_stop(tmp_path):
    table = table_of([("Red  Shoes", ["1", "2"], [True, False]), ("red shoes", ["1", "2"], [False, False])])
    pq.write_table(table, tmp_path / "log.parquet")
    assert hn.click_log(tmp_path / "log.parquet").sizes["queries"] == 1
    assert hn.click_log(table).sizes["queries"] == 2

    def stop(_stage: str, _rows: int, _done: float | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hn.fit_click_model(table, model="pbm", progress=stop)

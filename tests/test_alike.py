"""What alike queries tell, the limit of P(relevant), given tables, fills, splits, explanations: on a simulated log."""

from __future__ import annotations

import functools
import itertools
import json
import pickle
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
import reference
from hardneg_fast import cli, options
from hardneg_fast.measures import why
from reference.normalize import code
from reference.seedhash import seed_hash
from reference.select import drawn

NONE = hn.Privacy.none()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("alike") / "sim"
    hn.simulate(out, impressions=60_000, seed=3)
    return out


@pytest.fixture(scope="module")
def evidence(folder):
    return hn.evidence(hn.release(hn.count(folder / "log.parquet"), privacy=NONE))


@pytest.fixture(scope="module")
def small():
    """Evidence of few queries, for what is worked out slowly."""
    config = hn.Config(count=hn.CountConfig(min_page_length=1))
    return hn.evidence(hn.release(hn.count(simulated_rows(5_000), config=config), privacy=NONE))


@functools.cache
def _rows(table_of, config):
    return pa.table(hn.select(table_of, config=config).negatives).to_pylist()


def rows_of(evidence, **changes):
    return _rows(evidence, hn.SelectConfig(**changes))


def test_p_false_negative_is_that_of_the_reference():
    made = hn.read(simulated_rows(4_000))
    table = pa.table(made)
    rows = [{name: plain(value) for name, value in row.items()} for row in table.to_pylist()]
    config = hn.Config(select=hn.SelectConfig(max_p_false_negative=0.5))
    evidence = hn.evidence(hn.release(hn.count(table, config=config), privacy=NONE), config=config.evidence)
    chosen = hn.select(evidence, config=config.select)
    naive = reference.mine(rows, set(table.column_names), True, config, None, evidence.model, chosen.told)
    fast = pa.table(chosen.negatives).to_pylist()
    slow = naive.selected.negatives
    assert len(fast) == len(slow) > 100
    assert [r["neg_id"] for r in fast] == [r["neg_id"] for r in slow]
    for a, b in zip(fast, slow, strict=True):
        assert a["p_false_negative"] == pytest.approx(b["p_false_negative"], abs=1e-9)
        assert a["weight"] == 1 - a["p_false_negative"]
    alone = {(r["query"], r["doc_id"]): r["p_relevant"] for r in pa.table(evidence.table()).to_pylist()}
    moved = sum(abs(alone[r["query"], r["neg_id"]] - r["p_false_negative"]) > 0.01 for r in fast)
    assert moved > len(fast) / 10, "alike queries tell something"


def simulated_rows(impressions):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as place:
        hn.simulate(Path(place) / "sim", impressions=impressions, seed=5)
        return pq.read_table(Path(place) / "sim" / "log.parquet")


def plain(value):
    return round(value.timestamp() * 1e6) if hasattr(value, "timestamp") else value


def test_threads_do_not_matter(evidence):
    told = [hn.select(evidence, threads=n).told for n in (1, 2, 3)]
    assert told[0] == told[1] == told[2]
    assert all(0 <= share <= 1 for _, _, share in told[0]["agreement"])


def test_more_alike_queries_agree_more(evidence):
    share = {(words, clicks): x for words, clicks, x in hn.select(evidence).told["agreement"]}
    assert share[0.8, 0.6] > share[0.4, 0.2] > share[0.0, 0.0]


def test_limit(evidence):
    everything = rows_of(evidence, max_p_false_negative=1.0, max_negatives_per_query=1_000)
    some = rows_of(evidence, max_p_false_negative=0.05)
    assert max(r["p_false_negative"] for r in some) <= 0.05 < max(r["p_false_negative"] for r in everything)
    assert {(r["query"], r["neg_id"]) for r in everything if r["p_false_negative"] <= 0.02} >= {
        (r["query"], r["neg_id"]) for r in rows_of(evidence, max_p_false_negative=0.02, max_negatives_per_query=1)
    }


@pytest.mark.parametrize(
    ("cap", "order", "easy"),
    [
        (3, "examined", 0),
        (3, "examined", 1),
        (3, "examined", 3),
        (3, "random", 0),
        (3, "skip_weight", 0),
        (1_000, "examined", 0),
    ],
)
def test_yields_are_what_limits_yield(evidence, cap, order, easy):
    free = {"max_negatives_per_query": cap, "max_queries_per_document": 10**6, "order": order, "easy_negatives": easy}
    curve = hn.select(evidence, config=hn.SelectConfig(max_p_false_negative=1.0, **free)).told["yields"]
    for point in curve[::12]:
        # 1 would switch the guard off.
        limited = hn.SelectConfig(max_p_false_negative=min(point["limit"], 1 - 1e-9), **free)
        hard = (r for r in _rows(evidence, limited) if r["kind"] == "hard")
        kept = {(r["query"], r["neg_id"]): r["p_false_negative"] for r in hard}
        sizes = Counter(query for query, _ in kept)
        assert point["negatives"] == len(kept)
        # Of documents skipped alike any may stay: those of one skip weight have a chance of their own.
        assert point["relevant"] == pytest.approx(sum(kept.values()), rel=0.05 if order == "skip_weight" else 1e-6)
        assert point["queries"] == len(sizes)
        assert point["queries_4"] == sum(n >= 4 for n in sizes.values())
        assert point["queries_full"] == sum(n == cap - easy for n in sizes.values())


@pytest.mark.parametrize("privacy", [hn.Privacy.none(), hn.Privacy.k_users(3)], ids=["none", "k"])
def test_order_examined(folder, privacy):
    """Rows stand as the draw by figures that they show puts them, the first of them where a cap is."""
    rows = {}
    for cap in (1_000, 2):
        select = hn.SelectConfig(max_negatives_per_query=cap, max_queries_per_document=10**6, max_p_false_negative=0.4)
        found = hn.mine(folder / "log.parquet", privacy=privacy, config=hn.Config(seed=5, select=select))
        texts = dict(zip(*(found.queries[c].to_pylist() for c in ("query_id", "query")), strict=True))
        rows[cap] = {}
        for row in found.negatives.to_pylist():
            rows[cap].setdefault(texts[row["query_id"]], {})[row["neg_id"]] = row
    assert any(len(own) > 5 for own in rows[1_000].values())
    for query, own in rows[1_000].items():
        places = [
            drawn(seed_hash(5, "negative", code(query), code(doc)), row["examinations"], row["p_false_negative"])
            for doc, row in own.items()
        ]
        assert places == sorted(places)
        assert [*rows[2][query]] == [*own][:2]


@pytest.mark.parametrize("target", [0.005, 0.02, 0.04])
def test_target(evidence, target):
    """The limit keeps the expected share below the target, and the next one would not, unless nothing limits."""
    found = hn.select(evidence, config=hn.SelectConfig(max_p_false_negative=1.0, target_fnr=target))
    told = found.told
    share = {p["limit"]: p["relevant"] / p["negatives"] for p in told["yields"] if p["negatives"]}
    assert share[told["limit"]] <= target
    above = [s for limit, s in share.items() if limit > told["limit"]]
    assert all(s > target for s in above)
    rows = pa.table(found.negatives).to_pylist()
    assert max(r["p_false_negative"] for r in rows) <= told["limit"]


def test_positives_are_relevant_rather_than_not(evidence, folder):
    rows = pq.read_table(folder / "truth.parquet").to_pylist()
    truth = {(r["query"], r["doc_id"]) for r in rows if r["relevance"] > 0}
    shares = []
    for least in (0.0, 0.5, 0.9):
        found = pa.table(hn.select(evidence, config=hn.SelectConfig(positive_p_relevant=least)).positives).to_pylist()
        shares.append(sum((r["query"], r["doc_id"]) in truth for r in found) / len(found))
    assert shares[0] < shares[1] < shares[2]


def table(pairs):
    return pa.table({"query": [q for q, _ in pairs], "doc_id": [d for _, d in pairs]})


def test_given_positives_come_first_and_are_no_negatives(evidence):
    some = rows_of(evidence)
    query, doc = some[0]["query"], some[0]["neg_id"]
    found = hn.select(evidence, positives=table([(query, doc), (query, "new document")]))
    own = [r["doc_id"] for r in pa.table(found.positives).to_pylist() if r["query"] == query]
    assert own[:2] == [doc, "new document"]
    assert doc not in {r["neg_id"] for r in pa.table(found.negatives).to_pylist() if r["query"] == query}
    assert "new document" in pa.table(found.triplets)["positive"].to_pylist()


def test_a_query_without_a_positive_has_one_where_it_is_given(evidence):
    mined = {r["query"] for r in rows_of(evidence)}
    shown = pa.table(evidence.table()).to_pylist()
    query = next(r["query"] for r in shown if r["query"] not in mined and r["clicks"] == 0 and r["rejections"])
    config = hn.SelectConfig(max_p_false_negative=1.0)
    found = hn.select(evidence, config=config, positives=table([(query, "the answer")]))
    assert query in {r["query"] for r in pa.table(found.negatives).to_pylist()}


def test_known_relevant(evidence):
    pairs = [(r["query"], r["neg_id"]) for r in rows_of(evidence)][::3]
    found = hn.select(evidence, known_relevant=table(pairs))
    assert not set(pairs) & {(r["query"], r["neg_id"]) for r in pa.table(found.negatives).to_pylist()}
    assert found.funnel["guards"]["known_relevant"] >= len(set(pairs))


def test_extra_negatives(evidence):
    query = rows_of(evidence)[0]["query"]
    positive = next(r["doc_id"] for r in pa.table(hn.select(evidence).positives).to_pylist() if r["query"] == query)
    mine = [(query, "theirs"), (query, positive), ("never asked", "theirs"), (query, "theirs")]
    rows = pa.table(hn.select(evidence, extra_negatives=table(mine)).negatives).to_pylist()
    own = [r for r in rows if r["rule"] == "given"]
    assert [(r["query"], r["neg_id"], r["kind"], r["users"]) for r in own] == [(query, "theirs", "hard", None)]


def test_retrieved_and_random_fill(evidence):
    shown = {}
    for r in pa.table(evidence.table()).to_pylist():
        shown.setdefault(r["query"], set()).add(r["doc_id"])
    queries = sorted({r["query"] for r in rows_of(evidence)})
    runs = table([(q, f"{q} rank {i}") for q in queries[::2] for i in range(1, 60)])
    config = hn.SelectConfig(
        max_negatives_per_query=8, semi_negatives=2, fill="easy", retrieved_from=10, retrieved_to=12
    )
    rows = pa.table(hn.select(evidence, config=config, retrieved=runs).negatives).to_pylist()
    again = pa.table(hn.select(evidence, config=config, retrieved=runs, threads=1).negatives).to_pylist()
    assert rows == again
    by_query = {}
    for r in rows:
        by_query.setdefault(r["query"], {}).setdefault(r["neg_id"], r["kind"])
        if r["kind"] != "hard":
            assert r["neg_id"] not in shown[r["query"]]
            assert (r["p_false_negative"], r["weight"], r["users"]) == (None, 1.0, None)
    full = sum(len(docs) == 8 for docs in by_query.values())
    assert full >= 0.98 * len(by_query)
    for q in queries[::2]:
        semi = {d for d, kind in by_query[q].items() if kind == "semi"}
        assert semi <= {f"{q} rank {i}" for i in (10, 11, 12)}
        assert len(semi) >= 2
        assert sum(kind == "hard" for kind in by_query[q].values()) <= 6
    assert {kind for q in queries[1::2] for kind in by_query[q].values()} == {"hard", "easy"}
    none = hn.SelectConfig(fill="none", max_negatives_per_query=8)
    assert {r["kind"] for r in pa.table(hn.select(evidence, config=none, retrieved=runs).negatives).to_pylist()} == {
        "hard"
    }


def test_what_satisfied_an_alike_query_is_not_drawn(small):
    config = hn.SelectConfig(max_negatives_per_query=100, fill="semi", retrieved_from=1, retrieved_to=10**6)
    shown = {}
    satisfied = {}
    for r in pa.table(small.table()).to_pylist():
        shown.setdefault(r["query"], set()).add(r["doc_id"])
        if r["satisfied_clicks"]:
            satisfied.setdefault(r["doc_id"], set()).add(r["query"])
    queries = sorted({r["query"] for r in rows_of(small)})[:40]
    docs = sorted(satisfied)
    runs = table([(q, d) for q in queries for d in docs])
    rows = pa.table(hn.select(small, config=config, retrieved=runs).negatives).to_pylist()
    drawn = {(r["query"], r["neg_id"]) for r in rows if r["kind"] == "semi"}
    rows_all = pa.table(small.table()).to_pylist()
    keyed = {(r["query"], r["doc_id"]): r for r in rows_all}
    near = reference.alike.alike(reference.alike.satisfied_of(keyed, None), config)
    theirs = {}
    for a, b in near:
        theirs.setdefault(a, set()).add(b)
    assert drawn
    for q, d in drawn:
        assert d not in shown[q]
        assert not satisfied[d] & theirs.get(q, set())


@pytest.mark.parametrize("name", ["positives", "known_relevant", "extra_negatives", "retrieved"])
def test_faulty_tables(evidence, name):
    with pytest.raises(hn.ColumnError, match=f"{name}: there is no column doc_id"):
        hn.select(evidence, **{name: pa.table({"query": ["a"]})})
    with pytest.raises(hn.DataError, match=f"{name}: row 1 has no readable doc_id"):
        hn.select(evidence, **{name: pa.table({"query": ["a", "b"], "doc_id": ["d", None]})})
    empty = pa.table({"query": pa.array([], pa.string()), "doc_id": pa.array([], pa.string())})
    assert pa.table(hn.select(evidence, **{name: empty}).negatives) == pa.table(hn.select(evidence).negatives)


@pytest.mark.parametrize("words", [0.4, 0.7])
def test_split_goes_by_intents(small, words):
    """The naive twin: by links from the strongest on; at 0.4 nearly all queries hang together, at 0.7 some."""
    config = hn.SelectConfig(validation=0.3, same_intent_words=words)
    rows = pa.table(hn.select(small, config=config).negatives).to_pylist()
    side = {r["query"]: r["split"] for r in rows}
    assert len({(r["query"], r["split"]) for r in rows}) == len(side)
    keyed = {(r["query"], r["doc_id"]): r for r in pa.table(small.table()).to_pylist()}
    clicks = reference.alike.satisfied_of(keyed, None)
    queries = {query for query, _ in clicks}
    intents = reference.alike.intents(reference.alike.alike(clicks, config), queries, config)
    least = {query: min(map(code, intents[query])) for query in queries}
    below = reference.alike.held_out_below(0.3, intents, 0)
    expected = {q: seed_hash(0, "split", least.get(q, code(q))) < below for q in side}
    assert {q for q, of in side.items() if of == "validation"} == {q for q, held in expected.items() if held}
    assert 2 < max(map(len, intents.values())) <= max(16, -(-len(queries) // 40))
    assert {r["split"] for r in rows_of(small)} == {None}


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_about_the_share_asked_for_is_held_out(evidence, share):
    side = {r["query"]: r["split"] for r in rows_of(evidence, validation=share)}
    n, k = len(side), sum(of == "validation" for of in side.values())
    # Half of the greatest intent (a fortieth of queries with a satisfied click), and what those without negatives make.
    assert abs(k / n - share) < 0.03, (n, k, share)


def test_explain_agrees_with_what_was_selected(evidence):
    config = hn.SelectConfig(max_negatives_per_query=2)
    found = hn.select(evidence, config=config)
    negatives = {(r["query"], r["neg_id"]) for r in pa.table(found.negatives).to_pylist()}
    positives = {(r["query"], r["doc_id"]) for r in pa.table(found.positives).to_pylist()}
    outcomes = set()
    for query in sorted({q for q, _ in positives})[:60]:
        for one in found.explain(query):
            pair = query, one["doc_id"]
            outcomes.add(one["outcome"])
            assert (one["outcome"] == "negative") == (pair in negatives)
            assert (one["outcome"] == "positive") == (pair in positives)
            fired = [name for name, fires, _, _ in one["guards"] if fires]
            if one["outcome"] == "guarded":
                assert fired[0] == one["guard"]
                assert one["rules"]
            if one["outcome"] in ("negative", "capped"):
                assert not fired
            for name, fires, value, limit in one["guards"]:
                if name == "p_false_negative":
                    assert fires == (value > limit)
                    assert value == one["p_relevant"]
    assert outcomes >= {"negative", "positive", "guarded", "capped"}
    assert found.explain("nobody asked this") is None


def test_explain_under_k_users_shows_no_exact_figure(folder):
    evidence = hn.evidence(hn.release(hn.count(folder / "log.parquet"), privacy=hn.Privacy.k_users(5)))
    found = hn.select(evidence)
    query = pa.table(found.negatives)["query"][0].as_py()
    for one in found.explain(query):
        assert one["impressions"] % 5 == one["clicks"] % 5 == one["satisfied_clicks"] % 5 == 0
        assert all(value is limit is None for _, _, value, limit in one["guards"])
        assert (one["alike_queries"], one["alike_satisfied"]) == (None, None)
        assert one["p_relevant"] is None or one["p_relevant"] == round(one["p_relevant"], 2)


def test_k_users_figures_follow_from_rounded_counts(folder):
    """P(false negative) of the output is that of a release whose counts were rounded before."""
    evidence = hn.evidence(hn.release(hn.count(folder / "log.parquet"), privacy=hn.Privacy.k_users(5)))
    rows = pa.table(hn.select(evidence).negatives).to_pylist()
    assert all(r["p_false_negative"] == round(r["p_false_negative"], 2) for r in rows)


def test_presets_set_what_was_left_alone():
    strict = options.checked(hn.Config(select=hn.SelectConfig(preset="strict", max_negatives_per_query=3))).select
    assert (strict.max_p_false_negative, strict.max_negatives_per_query, strict.preset) == (0.02, 3, "")
    chosen = options.load(None, {"select.preset": "strict", "select.max_p_false_negative": "0.1"}).select
    assert chosen.max_p_false_negative == 0.1, "what is given stands, even at its default"
    assert options.load(None, {"select.preset": "reranker"}).select.fill == "easy"
    with pytest.raises(hn.UsageError, match=r"select\.preset is 'best'"):
        options.load(None, {"select.preset": "best"})
    shown = {s.name: s for s in options.settings(None, {"select.preset": ("strict", "--select.preset")})}
    assert (shown["select.preset"].value, shown["select.preset"].origin) == ("strict", "flag")
    assert (shown["select.max_p_false_negative"].value, shown["select.max_p_false_negative"].origin) == (0.02, "preset")


@pytest.mark.parametrize("preset", ["retriever", "reranker", "pairwise", "strict"])
def test_presets_run(folder, preset):
    result = hn.mine(folder / "log.parquet", privacy=NONE, config=options.load(None, {"select.preset": preset}))
    assert result.negatives.num_rows > 100
    if preset == "pairwise":
        assert result.negatives["pos_id"].null_count == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_fnr": 1.5}, "target_fnr is a share"),
        ({"validation": 1.0}, "validation is a share"),
        ({"semi_negatives": 6, "easy_negatives": 5}, "part of select.max_negatives_per_query"),
        ({"retrieved_from": 0}, "ranks from 1"),
        ({"retrieved_from": 9, "retrieved_to": 3}, "ranks from 1"),
        ({"alike_words": 0.0}, "select.alike_words must be above 0"),
        ({"alike_clicks": 1.5}, "select.alike_clicks must be above 0"),
    ],
)
def test_options_that_cannot_be(evidence, changes, message):
    with pytest.raises(hn.UsageError, match=message):
        hn.select(evidence, config=hn.SelectConfig(**changes))


def test_mine_takes_tables_in_any_form_of_a_query(folder, tmp_path):
    plain_ = hn.mine(folder / "log.parquet", privacy=NONE)
    row = plain_.negatives.to_pylist()[0]
    pq.write_table(table([(f"  {row['query'].upper()} ", row["neg_id"])]), tmp_path / "known.parquet")
    result = hn.mine(folder / "log.parquet", privacy=NONE, known_relevant=tmp_path / "known.parquet")
    pairs = [(r["query"], r["neg_id"]) for r in result.negatives.to_pylist()]
    assert (row["query"], row["neg_id"]) not in pairs
    said = result.explain(row["query"], row["neg_id"])
    assert "guard known_relevant keeps it out" in said[0]
    privacy = hn.Privacy.dp(epsilon=4, lineage="a", ledger=tmp_path / "l")
    with pytest.raises(hn.UsageError, match="known_relevant"):
        hn.mine(folder / "log.parquet", privacy=privacy, known_relevant=tmp_path / "known.parquet")


def test_report_has_the_curve(folder):
    for privacy, k in ((NONE, 1), (hn.Privacy.k_users(5), 5)):
        told = hn.mine(folder / "log.parquet", privacy=privacy).report["yield"]
        assert told["limit"] == 0.1
        points = told["curve"]
        assert points
        assert all(p[name] % k == 0 for p in points for name in ("negatives", "queries", "queries_4", "queries_full"))
        for low, high in itertools.pairwise(points):
            assert low["limit"] < high["limit"]
            assert low["negatives"] <= high["negatives"]
        assert all(p["lower"] <= p["false_negatives"] <= p["upper"] for p in points)


def test_explain_on_the_command_line(folder, tmp_path, capsys):
    log, out = str(folder / "log.parquet"), str(tmp_path / "out")
    assert cli.main(["mine", log, "-o", out, "--k-users", "5", "--select.min-impressions", "2"]) == 0
    row = pq.read_table(tmp_path / "out" / "negatives").to_pylist()[0]
    capsys.readouterr()
    ask = ["explain", out, "--query", f" {row['query'].upper()}"]
    assert cli.main([*ask, "--doc", row["neg_id"]]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{row['neg_id']}: a negative, by ")
    assert "at least" in said
    assert cli.main([*ask, "--log", log, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert any("no negative: " in one for one in found)
    assert any("positive number 1 of the query" in one for one in found)
    assert not any("limit" in one for one in found), "figures of guards stay out under k-users"
    assert cli.main(["explain", out, "--query", "nobody asked this"]) == 2
    assert cli.main(["explain", str(tmp_path), "--query", "q"]) == 3
    message = capsys.readouterr().err
    assert "nobody asked" not in message


def test_a_result_that_was_kept_explains_its_negatives(folder):
    """Exact counts behind `explain` go nowhere with it."""
    result = hn.mine(folder / "log.parquet", privacy=hn.Privacy.k_users(5))
    again = pickle.loads(pickle.dumps(result))  # noqa: S301 - it is ours
    row = result.negatives.to_pylist()[0]
    assert again.negatives == result.negatives
    assert again._selected is None
    assert len(again.explain(row["query"])) <= len(result.explain(row["query"]))
    assert "users" in again.explain(row["query"], row["neg_id"])[0]


def test_every_rule_is_told(evidence):
    queries = sorted({r["query"] for r in rows_of(evidence)})
    given = table([(queries[0], "theirs")])
    runs = table([(q, f"{q} rank {i}") for q in queries for i in range(30, 40)])
    rules = ("skip_above", "shown_not_clicked")
    config = hn.SelectConfig(fill="easy", semi_negatives=1, easy_negatives=1, retrieved_from=1, rules=rules)
    rows = pa.table(hn.select(evidence, config=config, extra_negatives=given, retrieved=runs).negatives).to_pylist()
    said = {r["rule"]: why(r, None) for r in rows}
    assert said.keys() == {"skip_above", "shown_not_clicked", "given", "retrieved", "random"}
    assert "looks at it" in said["shown_not_clicked"]
    assert "never shown" in said["retrieved"]


def test_explain_wants_the_tables_that_were_given(folder, tmp_path, capsys):
    """Mined again without them, the log would say something else than the output."""
    log, out, known = folder / "log.parquet", tmp_path / "out", tmp_path / "known.parquet"
    row = hn.mine(log, privacy=NONE).negatives.to_pylist()[0]
    pq.write_table(table([(row["query"], row["neg_id"])]), known)
    assert cli.main(["mine", str(log), "-o", str(out), "--no-privacy", "--known-relevant", str(known)]) == 0
    ask = ["explain", str(out), "--query", row["query"], "--doc", row["neg_id"], "--log", str(log)]
    assert cli.main(ask) == 2
    assert "other tables beside the log (known_relevant)" in capsys.readouterr().err
    assert cli.main([*ask, "--known-relevant", str(known)]) == 0
    assert "guard known_relevant keeps it out" in capsys.readouterr().out


@pytest.mark.parametrize("privacy", [["--no-privacy"], ["--epsilon", "2", "--lineage", "a", "--ledger", "l"]])
def test_a_dry_run_looks_at_tables_beside_the_log(folder, tmp_path, capsys, privacy):
    mine = ["mine", str(folder / "log.parquet"), "-o", str(tmp_path / "out"), "--dry-run", *privacy]
    mine += ["--select.fill", "semi"]
    assert cli.main([*mine, "--retrieved", str(tmp_path / "none.parquet")]) == (3 if len(privacy) == 1 else 2)
    said = capsys.readouterr().err
    assert ("none.parquet" if len(privacy) == 1 else "retrieved") in said


def test_explain_does_not_make_a_private_release_again(tmp_path, capsys):
    for name, content in (("privacy.json", {"mode": "dp"}), ("report.json", {"config": {}})):
        (tmp_path / name).write_text(json.dumps(content))
    assert cli.main(["explain", str(tmp_path), "--query", "q", "--log", "log.parquet"]) == 2
    assert "not made again" in capsys.readouterr().err

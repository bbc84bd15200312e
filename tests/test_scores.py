"""What a model of the caller's says: guards, orders, near duplicates, the column, and where scores come from."""

from __future__ import annotations

import json
import random
import sys
from collections import Counter, defaultdict
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hardneg_fast as hn
import reference
from hardneg_fast import cli, options
from hardneg_fast.scores import drafted, load_scorer

NONE = hn.Privacy.none()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("scores") / "sim"
    hn.simulate(out, impressions=12_000, seed=3)
    return out


@pytest.fixture(scope="module")
def evidence(folder):
    return hn.evidence(hn.release(hn.count(folder / "log.parquet"), privacy=NONE))


@pytest.fixture(scope="module")
def retrieved(folder):
    queries = pq.read_table(folder / "queries.parquet")["query"]
    return hn.retrieve(queries, folder / "documents.parquet", top=40)


@pytest.fixture(scope="module")
def texts(folder):
    table = pq.read_table(folder / "documents.parquet")
    return dict(zip(table["doc_id"].to_pylist(), table["text"].to_pylist(), strict=True))


def table(rows):
    """query, doc_id, score of a dictionary."""
    queries, docs = ([pair[i] for pair in rows] for i in (0, 1))
    return pa.table({"query": queries, "doc_id": docs, "score": pa.array([*rows.values()], pa.float64())})


def made_up(pairs, seed, known=0.9, spread=1.0):
    """Scores of some pairs, of either sign, with ties."""
    draw = random.Random(seed)
    return {pair: round(draw.gauss(0, spread), 1) for pair in pairs if draw.random() < known}


limits = st.none() | st.floats(-1, 1).map(lambda x: round(x, 2))
margins = st.none() | st.floats(0, 1).map(lambda x: round(x, 2))
choices = st.fixed_dictionaries(
    {
        "max_score": limits,
        "min_score": limits,
        "absolute_margin": margins,
        "relative_margin": margins,
        "order": st.sampled_from(["random", "score", "ambiguous"]),
        "ambiguous_a": st.sampled_from([0.0, 0.5, 3.0]),
        "ambiguous_b": st.sampled_from([-0.4, 0.0, 0.4]),
        "max_negatives_per_query": st.integers(1, 12),
        "semi_negatives": st.sampled_from([0, 1]),
        "fill": st.sampled_from(["none", "semi"]),
    }
)


@given(choices, st.integers(0, 5))
def test_guards_and_orders_are_those_of_the_reference(evidence, retrieved, chosen, seed):
    config = hn.SelectConfig(retrieved_from=3, retrieved_to=30, max_p_false_negative=0.3, **chosen)
    draft = hn.select(evidence, config=drafted(config), seed=seed, retrieved=retrieved)
    rows = pa.table(draft.negatives).to_pylist()
    positives = defaultdict(list)
    for row in pa.table(draft.positives).to_pylist():
        positives[row["query"]].append(row["doc_id"])
    pairs = dict.fromkeys((row["query"], row["neg_id"]) for row in rows)
    scores = made_up([*pairs, *((q, d) for q, docs in positives.items() for d in docs)], seed)
    found = hn.select(evidence, config=config, seed=seed, retrieved=retrieved, scores=table(scores))

    expected, guards = reference.scores.chosen(rows, positives, scores, config, seed)
    rows = pa.table(found.negatives).to_pylist()
    got = list(dict.fromkeys((row["query"], row["neg_id"]) for row in rows))
    assert got == expected
    for row in rows:
        assert row["score"] == scores.get((row["query"], row["neg_id"]))
    for row in pa.table(found.positives).to_pylist():
        assert row["score"] == scores.get((row["query"], row["doc_id"]))
    names = {"no_score", "max_score", "min_score", "absolute_margin", "relative_margin"}
    assert {name: n for name, n in found.funnel["guards"].items() if name in names} == {
        name: n for name, n in guards.items() if name in names
    }
    # Whatever was proposed was kept, dropped by a guard, or had no place; what was never shown, too.
    proposed, *went = (sum(found.funnel[step].values()) for step in ("candidates", "guards", "caps", "negatives"))
    assert proposed == sum(went)


def embedded(names, width=6, seed=1):
    """A vector for each name."""
    draw = np.random.default_rng(seed)
    return dict(zip(names, draw.normal(size=(len(names), width)), strict=True))


def vector_table(name, vectors):
    values = pa.array([v.tolist() for v in vectors.values()], pa.list_(pa.float32()))
    return pa.table({name: pa.array([*vectors], pa.string()), "vector": values})


def cosine(a, b):
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def rows_of(result):
    return [(row["query"], row["neg_id"], row["score"]) for row in result.negatives.to_pylist()]


FILTER = {"relative_margin": 0.05, "semi_negatives": 3, "easy_negatives": 1, "fill": "semi", "retrieved_from": 1}


@pytest.mark.parametrize("kind", ["cosine", "dot", "scorer"])
@pytest.mark.parametrize("privacy", [NONE, hn.Privacy.k_users(3)], ids=["none", "k"])
def test_scores_are_made_where_they_are_asked_for(folder, retrieved, texts, kind, privacy):
    """The same negatives as by a table that has a score of everything; and nothing is asked about twice."""
    queries = pq.read_table(folder / "queries.parquet")["query"].to_pylist()
    q, d = embedded(queries), embedded(texts, seed=2)
    q, d = ({name: v.astype(np.float32).astype(float) for name, v in vectors.items()} for vectors in (q, d))
    by_text = defaultdict(list)
    for doc, text in texts.items():
        by_text[text].append(doc)
    asked = Counter()

    def scorer(pairs):
        asked.update(pairs)
        return [cosine(q[query], d[by_text[text][0]]) for query, text in pairs]

    config = hn.Config(select=hn.SelectConfig(similarity="dot" if kind == "dot" else "cosine", **FILTER))
    given = {"retrieved": retrieved, "documents": folder / "documents.parquet"}
    sources = (
        {"scorer": scorer}
        if kind == "scorer"
        else {
            "query_vectors": vector_table("query", {name.upper(): v for name, v in q.items()}),
            "document_vectors": vector_table("doc_id", d),
        }
    )
    own = hn.mine(folder / "log.parquet", privacy=privacy, config=config, **given, **sources)
    assert own.report["beside"] == sorted({"retrieved", *sources})

    def score(query, doc):
        doc = by_text[texts[doc]][0] if kind == "scorer" else doc
        return float(q[query] @ d[doc]) if kind == "dot" else cosine(q[query], d[doc])

    pairs = {(query, doc): score(query, doc) for query, doc, _ in rows_of(own)}
    rows = own.negatives.to_pylist()
    assert {row["kind"] for row in rows} == {"hard", "semi", "easy"}
    assert all(row["score"] == pytest.approx(pairs[row["query"], row["neg_id"]], abs=1e-6) for row in rows)
    everything = table({(query, doc): score(query, doc) for query in queries for doc in texts})
    other = hn.mine(folder / "log.parquet", privacy=privacy, config=config, scores=everything, **given)
    assert [row[:2] for row in rows_of(own)] == [row[:2] for row in rows_of(other)]
    assert own.report["select"] == other.report["select"]
    assert own.report["select"]["guards"]["relative_margin"] > 0
    assert all(n <= len(by_text[text]) for (_, text), n in asked.items())
    least = defaultdict(lambda: np.inf)
    ids = dict(zip(own.queries["query_id"].to_pylist(), own.queries["query"].to_pylist(), strict=True))
    for row in own.positives.to_pylist():
        query = ids[row["query_id"]]
        least[query] = min(least[query], score(query, row["doc_id"]))
        assert row["score"] == pytest.approx(score(query, row["doc_id"]), abs=1e-6)
    found = {(row["query"], row["doc_id"]) for row in retrieved.to_pylist()}
    for row in rows:
        assert (row["kind"] == "semi") == ((row["query"], row["neg_id"]) in found and row["kind"] != "hard")
        if row["kind"] != "easy":
            assert row["score"] <= least[row["query"]] - 0.05 * abs(least[row["query"]]) + 1e-6


def test_a_scorer_that_only_fills_the_column_is_asked_about_what_is_written(folder):
    asked = []

    def scorer(pairs):
        asked.extend(pairs)
        return np.arange(len(pairs), dtype=np.float32)

    config = hn.Config(select=hn.SelectConfig(max_negatives_per_query=2))
    texts = folder / "documents.parquet"
    plain = hn.mine(folder / "log.parquet", privacy=NONE, config=config)
    result = hn.mine(folder / "log.parquet", privacy=NONE, config=config, documents=texts, scorer=scorer)
    assert result.negatives.drop_columns(["score"]) == plain.negatives
    assert result.negatives["score"].null_count == result.positives["score"].null_count == 0
    named = {(row["query"], row["neg_id"]) for row in result.negatives.to_pylist()}
    assert len(asked) == len({*asked}) <= len(named) + result.positives.num_rows


@pytest.mark.parametrize(("seed", "words", "cosines"), [(0, 0.2, 0.9), (1, 0.5, 0.3), (2, 0.8, 0.0), (3, 0.35, 0.6)])
def test_near_duplicates_of_positives(folder, retrieved, texts, seed, words, cosines):
    """By words and by vectors, of what was shown and of what was retrieved, against every positive."""
    vectors = embedded(texts, seed=seed)
    vectors = {name: v.astype(np.float32).astype(float) for name, v in vectors.items()}
    options_ = {"semi_negatives": 2, "max_negatives_per_query": 10_000, "fill": "semi", "retrieved_from": 1}
    given = {"documents": folder / "documents.parquet", "retrieved": retrieved}
    config = hn.SelectConfig(duplicate_words=words, duplicate_vectors=cosines, **options_)
    result = hn.mine(
        folder / "log.parquet", privacy=NONE, config=hn.Config(select=config), **given,
        document_vectors=vector_table("doc_id", vectors),
    )  # fmt: skip
    whole = hn.mine(folder / "log.parquet", privacy=NONE, config=hn.Config(select=hn.SelectConfig(**options_)), **given)
    ids = dict(zip(whole.queries["query_id"].to_pylist(), whole.queries["query"].to_pylist(), strict=True))
    positives = defaultdict(list)
    for row in whole.positives.to_pylist():
        positives[ids[row["query_id"]]].append(row["doc_id"])
    expected, guards = [], Counter()
    for row in whole.negatives.to_pylist():
        doc, near = row["neg_id"], positives[row["query"]]
        overlap = max(reference.scores.jaccard(texts[doc], texts[other]) for other in near)
        angle = max(cosine(vectors[doc], vectors[other]) for other in near)
        if why := reference.scores.fired(config, None, None, overlap, angle):
            guards[why] += 1
        else:
            expected.append((row["query"], doc, row["pos_id"]))
    assert [(row["query"], row["neg_id"], row["pos_id"]) for row in result.negatives.to_pylist()] == expected
    found = result.report["select"]["guards"]
    assert found["duplicate_vectors"] > 0
    # Guards before the last count what that would have dropped, too.
    assert all(found[name] >= n for name, n in guards.items())


def test_the_greatest_of_two_counts(evidence):
    row = pa.table(hn.select(evidence).negatives).to_pylist()[0]
    pair = row["query"], row["neg_id"]
    twice = pa.table({"query": [pair[0]] * 3, "doc_id": [pair[1]] * 3, "score": [1, None, 2]})
    for rows in (twice, twice.take([2, 1, 0])):
        found = pa.table(hn.select(evidence, scores=rows).negatives).to_pylist()
        assert next(r["score"] for r in found if (r["query"], r["neg_id"]) == pair) == 2.0
        assert {r["score"] for r in found} == {2.0, None}


def test_a_margin_is_safe_for_negative_scores(evidence):
    """ST and NV-Retriever write s+ * 0.95, which below 0 lets through what scores higher than the positive."""
    config = hn.SelectConfig(relative_margin=0.05)
    draft = hn.select(evidence, config=drafted(config))
    rows, positives = (pa.table(t).to_pylist() for t in (draft.negatives, draft.positives))
    scores = {(row["query"], row["doc_id"]): -10.0 for row in positives}
    scores |= {(row["query"], row["neg_id"]): -9.6 - i % 2 for i, row in enumerate(rows)}
    found = pa.table(hn.select(evidence, config=config, scores=table(scores)).negatives).to_pylist()
    assert {row["score"] for row in found} == {-10.6}


FAULTS = [
    ({"max_score": 0.5}, {}, "none are given"),
    ({"order": "ambiguous"}, {}, "none are given"),
    ({"max_score": 0.5, "min_score": 0.6}, {"scores": "scores"}, "no score is between"),
    ({}, {"scores": "scores", "scorer": "math:hypot"}, "one place, and scores and scorer"),
    ({}, {"query_vectors": "vectors"}, "document_vectors, which are not given"),
    ({}, {"document_vectors": "vectors"}, "nothing takes document_vectors"),
    ({"duplicate_vectors": 0.9}, {}, "compares document_vectors, which are not given"),
    ({"duplicate_words": 0.9}, {}, "has none: --documents"),
    ({}, {"scorer": "math:hypot"}, "has none: --documents"),
    ({}, {"scorer": "nowhere:hypot", "documents": "documents"}, "cannot be loaded"),
    ({}, {"scorer": "math:pi", "documents": "documents"}, "no function"),
]


@pytest.mark.parametrize(("changes", "given_", "says"), FAULTS)
def test_what_could_not_work_is_refused_before_the_log_is_read(folder, tmp_path, capsys, changes, given_, says):
    pq.write_table(pa.table({"query": ["a"], "doc_id": ["b"], "score": [1.0]}), tmp_path / "scores")
    pq.write_table(pa.table({"query": ["a"], "doc_id": ["b"], "vector": [[1.0]]}), tmp_path / "vectors")
    (tmp_path / "documents").symlink_to(folder / "documents.parquet")
    words = [f"--select.{name.replace('_', '-')}={value}" for name, value in changes.items()]
    for name, value in given_.items():
        words += [f"--{name.replace('_', '-')}", value if name == "scorer" else str(tmp_path / value)]
    mine = ["mine", str(tmp_path / "no-log.parquet"), "-o", str(tmp_path / "out"), "--no-privacy", *words]
    for more in ([], ["--dry-run"]):
        assert cli.main([*mine, *more]) == 2
        assert says in capsys.readouterr().err


@pytest.mark.parametrize("name", ["scores", "query_vectors", "document_vectors", "scorer"])
def test_a_private_release_takes_none_of_it(folder, tmp_path, name):
    privacy = hn.Privacy.dp(epsilon=4, lineage="a", ledger=tmp_path / "l")
    given_ = {
        name: len
        if name == "scorer"
        else pa.table({"query": ["a"], "doc_id": ["b"], "score": [1.0], "vector": [[1.0]]})
    }
    with pytest.raises(hn.UsageError, match=f"leave out {name}"):
        hn.mine(folder / "log.parquet", privacy=privacy, documents=folder / "documents.parquet", **given_)


@pytest.mark.parametrize(
    ("scores", "error", "says"),
    [
        ({"score": ["high"]}, hn.ColumnError, "score has type Utf8"),
        ({"score": [float("inf")]}, hn.DataError, "row 0 has an infinite figure"),
        ({"score": [1.0], "query": [None]}, hn.DataError, "scores: row 0 has no readable query"),
    ],
)
def test_faulty_scores(evidence, scores, error, says):
    with pytest.raises(error, match=says):
        hn.select(evidence, scores=pa.table({"query": ["a"], "doc_id": ["b"]} | scores))


@pytest.mark.parametrize("select", [{}, {"duplicate_words": 0.5}], ids=["alone", "with words"])
@pytest.mark.parametrize(
    ("score", "error", "says"),
    [
        (pa.array(["0.5"]), hn.ColumnError, "'score' is string"),
        (pa.array([True]), hn.ColumnError, "'score' is bool"),
        (pa.array([Decimal("0.5")]), hn.ColumnError, "'score' is decimal128"),
        (pa.array([float("nan")]), hn.DataError, "row 0 has a figure that is not finite"),
        (pa.array([float("-inf")], pa.float32()), hn.DataError, "row 0 has a figure that is not finite"),
    ],
    ids=str,
)
def test_faulty_scores_are_refused_before_the_log_is_read(folder, select, score, error, says):
    given_ = pa.table({"query": ["a"], "doc_id": ["b"], "score": score})
    config = hn.Config(select=hn.SelectConfig(**select))
    with pytest.raises(error, match=says):
        hn.mine("none", privacy=NONE, config=config, documents=folder / "documents.parquet", scores=given_)


@pytest.mark.parametrize("select", [{}, {"duplicate_words": 0.5}], ids=["alone", "with words"])
def test_scores_may_be_whole_numbers_and_null(folder, select):
    row = hn.mine(folder / "log.parquet", privacy=NONE).negatives.to_pylist()[0]
    given_ = pa.table({"query": [row["query"]] * 2, "doc_id": [row["neg_id"], "other"], "score": [-3, None]})
    config = hn.Config(select=hn.SelectConfig(**select))
    texts = folder / "documents.parquet"
    found = hn.mine(folder / "log.parquet", privacy=NONE, config=config, documents=texts, scores=given_).negatives
    assert {*found["score"].to_pylist()} <= {-3.0, None}


@pytest.mark.parametrize(
    ("vectors", "error", "says"),
    [
        (["a"], hn.ColumnError, "'vector' is string"),
        ([[1, 2]], hn.ColumnError, "give lists of floats"),
        ([[1.0], [1.0, 2.0, 3.0]], hn.DataError, "same number of figures"),
        ([[1.0, None], [1.0, 2.0]], hn.DataError, "none of them null"),
        ([None, [1.0]], hn.DataError, "same number of figures"),
        ([[float("nan")], [1.0]], hn.DataError, "not finite"),
        ([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]], hn.DataError, "query_vectors have 2 figures each, document_vectors 3"),
    ],
)
def test_faulty_vectors(folder, vectors, error, says):
    docs = pa.table({"doc_id": [f"d{i}" for i in range(len(vectors))], "vector": vectors})
    queries = pa.table({"query": ["a"], "vector": [[1.0, 2.0]]})
    with pytest.raises(error, match=says) as raised:
        hn.mine(folder / "log.parquet", privacy=NONE, query_vectors=queries, document_vectors=docs)
    assert "d0" not in str(raised.value)


@pytest.mark.parametrize("said", [[1.0], ["x"], None, np.zeros((2, 2)), [float("nan")] * 3, ValueError("secret words")])
def test_a_scorer_that_fails_quotes_nothing(folder, said):
    def scorer(pairs):
        if isinstance(said, Exception):
            raise said
        return said if said is None or len(said) != 3 else [float("nan")] * len(pairs)

    with pytest.raises(hn.DataError, match="the scorer r") as raised:
        hn.mine(folder / "log.parquet", privacy=NONE, documents=folder / "documents.parquet", scorer=scorer)
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is raised.value.__context__ is None or raised.value.__suppress_context__


def test_a_scorer_of_this_folder_is_found(tmp_path, monkeypatch):
    (tmp_path / "scorer_beside_me.py").write_text("class Model:\n    predict = len\nmodel = Model\n")
    (tmp_path / "scorer_that_breaks.py").write_text("raise RuntimeError('secret')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    before = [*sys.path]
    assert load_scorer("scorer_beside_me:model.predict") is len
    for load in (load_scorer, hn.Detector.load):
        with pytest.raises(hn.UsageError, match=r"cannot be loaded \(RuntimeError\)") as raised:
            load("scorer_that_breaks:f")
        assert "secret" not in str(raised.value)
    assert sys.path == before


def test_what_is_no_scorer_is_refused_before_the_log_is_read(folder):
    with pytest.raises(hn.UsageError, match="no function, but int"):
        hn.mine("none", privacy=NONE, documents=folder / "documents.parquet", scorer=5)


def test_retrieved_documents_that_nothing_takes_are_refused(retrieved):
    with pytest.raises(hn.UsageError, match="nothing takes them"):
        hn.mine("none", privacy=NONE, retrieved=retrieved)


def test_export_scores_does_not_take_the_dataset_for_its_value(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["export", "--to", "st-ntuple", "--scores", str(tmp_path), "-o", str(tmp_path / "x")])
    assert "no choice; there are: relevance, model" in capsys.readouterr().err


def test_what_nobody_asked_for_is_not_proposed(evidence, retrieved):
    """Without places for them, retrieved documents are no candidates."""
    found = hn.select(evidence, config=hn.SelectConfig(), retrieved=retrieved)
    told = {
        one["outcome"]
        for query in pa.table(found.negatives)["query"].unique().to_pylist()[:20]
        for one in found.explain(query)
        if not one["impressions"]
    }
    assert told == {"not_proposed"}


def test_options_may_be_negative_where_scores_are():
    chosen = options.load(
        None, {"select.max_score": "-2.5", "select.min_score": "none", "select.ambiguous_b": "-1"}
    ).select
    assert (chosen.max_score, chosen.min_score, chosen.ambiguous_b) == (-2.5, None, -1)
    with pytest.raises(hn.UsageError, match="cannot be negative"):
        options.load(None, {"select.absolute_margin": "-1"})


def test_a_dry_run_says_what_would_be_read_for_what(folder, tmp_path, capsys):
    pq.write_table(pa.table({"query": ["a"], "doc_id": ["b"]}), tmp_path / "known.parquet")
    mine = ["mine", str(folder / "log.parquet"), "-o", str(tmp_path / "out"), "--no-privacy", "--dry-run"]
    mine += ["--documents", str(folder / "documents.parquet"), "--known-relevant", str(tmp_path / "known.parquet")]
    assert cli.main([*mine, "--select.retriever", "bm25", "--select.fill", "semi", "--scorer", "math:fsum"]) == 0
    said = capsys.readouterr().out
    assert "beside      documents: texts of triplets, BM25, ranks 30 to 200, texts for the scorer\n" in said
    assert "beside      known_relevant: query, doc_id\n" in said
    assert "beside      scorer: math:fsum, asked about what is written\n" in said
    assert cli.main([*mine, "--scorer", "math:fsum", "--select.max-score", "-1"]) == 0
    assert "asked about every candidate" in capsys.readouterr().out


@pytest.mark.parametrize("semi", [0, 2])
@pytest.mark.parametrize("easy", [0, 3])
@pytest.mark.parametrize("fill", ["none", "semi", "easy"])
def test_stated_numbers_of_each_kind(evidence, retrieved, semi, easy, fill):
    """Kept places are kept; what is left over goes to retrieved ones, then to random ones, as `fill` says."""
    config = hn.SelectConfig(
        max_negatives_per_query=9, semi_negatives=semi, easy_negatives=easy, fill=fill, retrieved_from=1
    )
    found = hn.select(evidence, config=config, retrieved=retrieved)
    whole = hn.SelectConfig(max_negatives_per_query=9, semi_negatives=9, retrieved_from=1)
    there = Counter(
        row["query"]
        for row in pa.table(hn.select(evidence, config=whole, retrieved=retrieved).negatives).to_pylist()
        if row["kind"] == "semi"
    )
    own = defaultdict(lambda: defaultdict(set))
    for row in pa.table(found.negatives).to_pylist():
        own[row["query"]][row["kind"]].add(row["neg_id"])
    assert own
    for query, kinds in own.items():
        hard, others = len(kinds["hard"]), (len(kinds["semi"]), len(kinds["easy"]))
        assert hard <= 9 - semi - easy
        room = 9 - hard
        wanted = semi if fill == "none" else room - easy
        got = min(wanted, there[query]) if there[query] < 9 else wanted
        assert others == (got, room - got if fill == "easy" else easy)


def test_what_was_retrieved_is_explained(evidence, retrieved):
    config = hn.SelectConfig(max_score=0.0, fill="semi", retrieved_from=3, max_negatives_per_query=6)
    pairs = [(row["query"], row["doc_id"]) for row in retrieved.to_pylist()]
    scores = made_up(pairs, 4)
    found = hn.select(evidence, config=config, retrieved=retrieved, scores=table(scores))
    negatives = {(r["query"], r["neg_id"]) for r in pa.table(found.negatives).to_pylist()}
    shown = {(r["query"], r["doc_id"]) for r in pa.table(evidence.table()).to_pylist()}
    ranks = {(r["query"], r["doc_id"]): r["rank"] for r in retrieved.to_pylist()}
    outcomes = Counter()
    for query in sorted({query for query, _ in negatives})[:40]:
        told = {one["doc_id"]: one for one in found.explain(query)}
        assert {doc for doc in told if (query, doc) not in shown} == {
            doc for (of, doc) in ranks if of == query and (of, doc) not in shown
        }
        for doc, one in told.items():
            if (query, doc) in shown:
                continue
            outcomes[one["outcome"]] += 1
            fired = [name for name, fires, _, _ in one["guards"] if fires]
            assert (one["outcome"] == "negative") == ((query, doc) in negatives)
            assert (one["outcome"] == "not_proposed") == (ranks[query, doc] < 3)
            assert one["rules"] == ([] if ranks[query, doc] < 3 else [("retrieved", None)])
            if one["outcome"] == "guarded":
                assert one["guard"] == fired[0]
            if one["outcome"] in ("negative", "capped"):
                assert not fired
                assert scores[query, doc] <= 0
            score = scores.get((query, doc))
            assert ("no_score" in fired) == (score is None)
            assert ("max_score" in fired) == (score is not None and score > 0)
    assert outcomes.keys() >= {"negative", "guarded", "not_proposed", "capped"}


def test_on_the_command_line_and_explained(folder, tmp_path, capsys):
    log, out = str(folder / "log.parquet"), str(tmp_path / "out")
    plain = hn.mine(log, privacy=NONE).negatives.to_pylist()
    scores = {(row["query"].upper(), row["neg_id"]): 0.9 if i % 2 else 0.1 for i, row in enumerate(plain)}
    pq.write_table(table(scores), tmp_path / "scores.parquet")
    with_scores = ["--scores", str(tmp_path / "scores.parquet")]
    assert cli.main(["mine", log, "-o", out, "--no-privacy", "--select.max-score", "0.5", *with_scores]) == 0
    assert "guards: max_score" in capsys.readouterr().out
    rows = pq.read_table(tmp_path / "out" / "negatives").to_pylist()
    assert {row["score"] for row in rows} == {0.1}
    query, doc = next((row["query"], row["neg_id"]) for i, row in enumerate(plain) if i % 2)
    ask = ["explain", out, "--query", query, "--doc", doc, "--log", log]
    assert cli.main(ask) == 2
    assert "other tables beside the log (scores)" in capsys.readouterr().err
    assert cli.main([*ask, *with_scores]) == 0
    assert "guard max_score keeps it out: score 0.9, limit 0.5" in capsys.readouterr().out
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["config"]["select"]["max_score"] == 0.5
    assert "By its score it may be relevant" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_models_scores_are_exported(folder, tmp_path):
    """Of positives and negatives alike, as they are; what has none is left out and counted."""
    texts = folder / "documents.parquet"

    def scorer(pairs):
        return [len(text) * -0.25 for _, text in pairs]

    source = tmp_path / "mined"
    hn.mine(folder / "log.parquet", source, privacy=NONE, documents=texts, scorer=scorer)
    for to, width in (
        ("flag", None),
        ("pylate", 2),
        ("colbert", 2),
        ("st-ntuple", 2),
        ("st-list", None),
        ("opensearch", None),
    ):
        hn.export(source, tmp_path / to, to=to, scores="model", num_negatives=width)
    for line in (tmp_path / "flag" / "train.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for side in ("pos", "neg"):
            assert row[f"{side}_scores"] == [len(text) * -0.25 for text in row[side]]
    text_of = dict(zip(*(pq.read_table(texts)[name].to_pylist() for name in ("doc_id", "text")), strict=True))
    for row in pq.read_table(tmp_path / "pylate" / "train" / "train.parquet").to_pylist():
        assert row["scores"] == [len(text_of[doc]) * -0.25 for doc in row["document_ids"]]
    for row in pq.read_table(tmp_path / "st-ntuple" / "train.parquet").to_pylist():
        assert row["scores"] == [len(row[name]) * -0.25 for name in ("positive", "negative_1", "negative_2")]
    for row in pq.read_table(tmp_path / "st-list" / "train.parquet").to_pylist():
        assert row["labels"] == [len(text) * -0.25 for text in row["documents"]]
    collection = dict(
        line.split("\t") for line in (tmp_path / "colbert" / "collection.tsv").read_text("utf-8").splitlines()
    )
    for line in (tmp_path / "colbert" / "triples.jsonl").read_text().splitlines():
        for pid, score in json.loads(line)[1:]:
            assert score == len(collection[str(pid)]) * -0.25
    for entry in json.loads((tmp_path / "opensearch" / "judgments.json").read_text("utf-8"))["judgmentRatings"]:
        assert all(float(one["rating"]) == len(text_of[one["docId"]]) * -0.25 for one in entry["ratings"])


def test_what_a_model_did_not_score_is_not_exported(folder, tmp_path):
    plain = hn.mine(folder / "log.parquet", tmp_path / "plain", privacy=NONE)
    with pytest.raises(hn.UsageError, match="has no scores of a model"):
        hn.export(tmp_path / "plain", tmp_path / "o", to="opensearch", scores="model")
    with pytest.raises(hn.UsageError, match="scores is 'teacher'"):
        hn.export(tmp_path / "plain", tmp_path / "o", to="opensearch", scores="teacher")
    ids = dict(zip(plain.queries["query_id"].to_pylist(), plain.queries["query"].to_pylist(), strict=True))
    pairs = [(row["query"], row["neg_id"]) for row in plain.negatives.to_pylist()]
    pairs += [(ids[row["query_id"]], row["doc_id"]) for row in plain.positives.to_pylist()]
    scores = made_up(dict.fromkeys(pairs), 1, known=0.7)
    hn.mine(folder / "log.parquet", tmp_path / "mined", privacy=NONE, scores=table(scores))
    out = str(tmp_path / "out")
    assert cli.main(["export", str(tmp_path / "mined"), "--to", "opensearch", "-o", out, "--scores", "model"]) == 0
    found = {}
    for entry in json.loads((tmp_path / "out" / "judgments.json").read_text("utf-8"))["judgmentRatings"]:
        found |= {(entry["query"], one["docId"]): float(one["rating"]) for one in entry["ratings"]}
    assert found
    assert all(scores[pair] == rating for pair, rating in found.items())
    done = hn.export(tmp_path / "mined", tmp_path / "again", to="opensearch", scores="model")
    assert done["left_out"]["documents of queries without a score"] == len({*pairs} - {*scores})


@pytest.mark.parametrize("most", [1, 2, 5])
def test_hubs_are_capped_for_every_kind(evidence, retrieved, most):
    """Of the queries that a document is a negative of, those with the smallest hash keep it, whatever its kind."""
    draw = random.Random(most)
    scores = made_up([(row["query"], row["doc_id"]) for row in retrieved.to_pylist()], most)
    given_ = {"retrieved": retrieved, "scores": table(scores)}
    options_ = {"order": "ambiguous", "fill": "easy", "easy_negatives": 2, "retrieved_from": 1, "draw": "popularity"}
    free = hn.select(evidence, config=hn.SelectConfig(max_queries_per_document=10**6, **options_), **given_)
    rows = pa.table(free.negatives).to_pylist()
    queries = defaultdict(set)
    for row in rows:
        queries[row["neg_id"]].add(row["query"])
    kept = {
        (query, doc)
        for doc, of in queries.items()
        for query in sorted(
            of, key=lambda q, d=doc: reference.seed_hash(0, "reuse", reference.code(d), reference.code(q))
        )[:most]
    }
    expected = [row for row in rows if (row["query"], row["neg_id"]) in kept]
    mixed = retrieved.take(sorted(range(retrieved.num_rows), key=lambda i: (retrieved["query"][i].as_py(), i)))
    shuffled = given_["scores"].take(draw.sample(range(len(scores)), len(scores)))
    for threads, more in ((1, given_), (3, {"retrieved": mixed, "scores": shuffled})):
        config = hn.SelectConfig(max_queries_per_document=most, **options_)
        capped = hn.select(evidence, config=config, threads=threads, **more)
        assert pa.table(capped.negatives).to_pylist() == expected
        assert capped.funnel["caps"]["max_queries_per_document"] == len(rows) - len(expected)
    assert {row["kind"] for row in expected} == {"hard", "semi", "easy"}

"""Documents that BM25 finds: against the formula word by word, and as negatives of the main job."""

from __future__ import annotations

import builtins
import dataclasses
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hardneg_fast as hn
import reference
from hardneg_fast import cli
from hardneg_fast.dry_run import dry_run
from hardneg_fast.ledger import Ledger

NONE = hn.Privacy.none()
WORDS = ["shoe", "red", "läufer", "x", "42", "Straße", "कहानी", "b-c", "ﬁne"]


def documents(texts):
    return pa.table({"doc_id": pa.array([*texts], pa.string()), "text": pa.array([*texts.values()], pa.string())})


def found(queries, texts, **options):
    return hn.retrieve(pa.array(queries, pa.string()), documents(texts), **options).to_pylist()


@st.composite
def corpora(draw):
    said = st.lists(st.sampled_from(WORDS), max_size=8).map(
        lambda words: draw(st.sampled_from([" ", ", ", "\t"])).join(words)
    )
    texts = draw(st.lists(said, max_size=12))
    queries = draw(st.lists(st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join), max_size=4, unique=True))
    return queries, {f"d{i}": text for i, text in enumerate(texts)}, draw(st.integers(1, 14))


@given(corpora())
def test_it_is_the_formula(made):
    queries, texts, top = made
    rows = found(queries, texts, top=top)
    assert [*dict.fromkeys(row["query"] for row in rows)] == [q for q in queries if reference.bm25.scores(q, texts)]
    for query in queries:
        own = [row for row in rows if row["query"] == query]
        naive = reference.bm25.scores(query, texts)
        assert [row["rank"] for row in own] == [*range(1, min(top, len(naive)) + 1)]
        # Scores are of 32 bits there, so documents that tie nearly may change places, and nothing else.
        for row in own:
            assert row["score"] == pytest.approx(naive[row["doc_id"]], rel=1e-5)
        best = sorted(naive.values(), reverse=True)[: len(own)]
        assert [row["score"] for row in own] == pytest.approx(best, rel=1e-5)


def test_ties_go_by_id_whatever_the_order_and_the_threads():
    texts = {f"d{i:03}": "red shoe" if i % 3 else "red" for i in range(300)}
    plain = found(["shoe", "red"], texts, top=7)
    assert [row["doc_id"] for row in plain[:7]] == [f"d{i:03}" for i in (1, 2, 4, 5, 7, 8, 10)]
    mixed = dict(random.Random(1).sample([*texts.items()], len(texts)))
    for threads in (1, 3):
        assert found(["shoe", "red"], mixed, top=7, threads=threads) == plain


def test_the_best_of_many():
    """Where most documents are not looked at closely, none of the best is lost."""
    draw = random.Random(2)
    texts = {f"d{i}": " ".join(draw.choices(WORDS, k=draw.randint(1, 30))) for i in range(3_000)}
    for query in ("shoe", "red shoe 42", "x x läufer"):
        naive = sorted(reference.bm25.scores(query, texts).values(), reverse=True)[:40]
        assert [row["score"] for row in found([query], texts, top=40)] == pytest.approx(naive, rel=1e-5)


def test_documents_in_any_layout():
    again = pa.table({"doc_id": [7, 7, 3, 3], "text": ["shoe", "red", None, "shoe"]})
    rows = hn.retrieve(pa.chunked_array([["shoe"], [None, "shoe", "Shoe?"]]), again).to_pylist()
    # The first text of an id counts, and a query is asked once; others that say the same are other queries.
    assert [(row["query"], row["doc_id"]) for row in rows] == [("shoe", "7"), ("Shoe?", "7")]


@pytest.mark.parametrize("texts", [{}, {"a": ""}, {"a": "—"}, {"a": "shoe"}])
def test_nothing_to_find(texts):
    assert found([], texts) == []
    assert found(["?", "", "boot"], texts) == []


def test_what_cannot_be():
    with pytest.raises(hn.UsageError, match="top is 0"):
        found(["a"], {}, top=0)
    with pytest.raises(hn.UsageError, match="top is True"):
        found(["a"], {}, top=True)
    with pytest.raises(hn.UsageError, match="threads is -1"):
        found(["a"], {}, threads=-1)
    with pytest.raises(hn.UsageError, match="not a list"):
        hn.retrieve(["a"], documents({}))
    with pytest.raises(hn.ColumnError, match="documents: one column each"):
        hn.retrieve(pa.array(["a"]), pa.table({"id": ["a"]}))
    with pytest.raises(hn.ColumnError, match="documents: column 'text' is int64"):
        hn.retrieve(pa.array(["a"]), pa.table({"doc_id": ["a"], "text": [1]}))


def test_the_work_can_be_stopped():
    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        found(["a"], {"a": "a"}, progress=stop)


@pytest.fixture
def without_bm25s(monkeypatch):
    real = builtins.__import__

    def fake(name, *args, **kwargs):
        if name == "bm25s":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fake)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("retrieve") / "sim"
    hn.simulate(out, impressions=60_000, seed=3)
    return out


def bm25(**changes):
    changes = {"retriever": "bm25", "semi_negatives": 2, "retrieved_from": 5, "retrieved_to": 60} | changes
    return hn.Config(select=hn.SelectConfig(**changes))


@pytest.mark.usefixtures("without_bm25s")
def test_without_the_package_it_says_how_to_get_it(folder):
    with pytest.raises(hn.UsageError, match=r"pip install 'hardneg_fast\[bm25\]'"):
        hn.mine(folder / "none.parquet", privacy=NONE, config=bm25(), documents=folder / "documents.parquet")


@pytest.mark.parametrize("privacy", [NONE, hn.Privacy.k_users(5)], ids=["none", "k"])
def test_mine_finds_its_own(folder, privacy):
    """The same as if somebody had run BM25 for all queries, and given the result."""
    log, texts = folder / "log.parquet", folder / "documents.parquet"
    own = hn.mine(log, privacy=privacy, config=bm25(), documents=texts)
    kinds = own.negatives["kind"].to_pylist()
    assert kinds.count("semi") > 50
    assert own.report["select"]["negatives"]["retrieved"] > 0
    runs = hn.retrieve(pa.array(pa.table(pq.read_table(folder / "queries.parquet"))["query"]), texts, top=60)
    assert runs.num_rows > 1_000
    given = hn.mine(log, privacy=privacy, config=bm25(retriever="given"), retrieved=runs)
    assert own.negatives == given.negatives
    assert own.triplets == given.triplets
    ranks = {(row["query"], row["doc_id"]): row["rank"] for row in runs.to_pylist()}
    semi = [row for row in own.negatives.to_pylist() if row["kind"] == "semi"]
    assert all(5 <= ranks[row["query"], row["neg_id"]] <= 60 for row in semi)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "has none: --documents"),
        (["--documents", "documents.parquet", "--retrieved", "log.parquet"], "leave out one"),
        (["--documents", "documents.parquet", "--select.semi-negatives", "0"], "nothing takes"),
    ],
)
def test_what_could_not_work_is_refused_before_the_log_is_read(folder, tmp_path, capsys, monkeypatch, words, says):
    monkeypatch.chdir(folder)
    pq.write_table(pa.table({"query": ["a"], "doc_id": ["b"]}), tmp_path / "log.parquet")
    words = [str(tmp_path / word) if word == "log.parquet" else word for word in words]
    mine = ["mine", "log.parquet", "-o", str(tmp_path / "out"), "--no-privacy", "--select.retriever", "bm25"]
    mine += [] if "--select.semi-negatives" in words else ["--select.semi-negatives", "2"]
    for more in ([], ["--dry-run"]):
        assert cli.main([*mine, *words, *more]) == 2
        assert says in capsys.readouterr().err


def test_on_the_command_line_and_explained(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    out = str(tmp_path / "out")
    mine = ["mine", "log.parquet", "-o", out, "--k-users", "5", "--documents", "documents.parquet"]
    assert cli.main([*mine, "--select.preset", "reranker", "--select.retriever", "bm25"]) == 0
    rows = pq.read_table(tmp_path / "out" / "negatives").to_pylist()
    semi = next(row for row in rows if row["rule"] == "retrieved")
    hard = next(row for row in rows if row["query"] == semi["query"])
    capsys.readouterr()
    assert cli.main(["explain", out, "--query", semi["query"], "--doc", semi["neg_id"]]) == 0
    assert "returned by a search engine" in capsys.readouterr().out
    ask = ["explain", out, "--query", hard["query"], "--log", "log.parquet"]
    assert cli.main(ask) == 2
    assert "--documents" in capsys.readouterr().err
    assert cli.main([*ask, "--documents", "documents.parquet"]) == 0
    assert "a negative" in capsys.readouterr().out
    assert cli.main(["audit", out, "--log", "log.parquet"]) == 0


def private(folder, ledger, config, out=None, **given):
    privacy = hn.Privacy.dp(
        epsilon=8.0,
        delta=1e-6,
        lineage="web",
        ledger=ledger,
        candidates=folder / "candidates.parquet",
        candidates_class="function_of_public_corpus",
    )
    Ledger.create(ledger, epsilon=20, delta=1e-5)
    return hn.mine(folder / "log.parquet", out, privacy=privacy, config=config, **given)


def test_under_differential_privacy(folder, tmp_path):
    """Semi-hard ones come beside what was released, of documents alone, and only for queries that were."""
    config = hn.Config(
        read=hn.ReadConfig(position_base="1"),
        select=hn.SelectConfig(retriever="bm25", fill="semi", max_negatives_per_query=12, num_negatives=2),
    )
    result = private(folder, tmp_path / "ledger", config, tmp_path / "out", documents=folder / "documents.parquet")
    rows = result.negatives.to_pylist()
    semi = [row for row in rows if row["kind"] == "semi"]
    hard = [row for row in rows if row["kind"] == "hard"]
    assert len(semi) > 50
    assert {row["query"] for row in semi} <= {row["query"] for row in hard}
    listed = pq.read_table(folder / "candidates.parquet").to_pylist()
    judged = {(row["query"], row["doc_id"]) for row in listed}
    queries = pa.array(sorted({row["query"] for row in hard}))
    runs = hn.retrieve(queries, folder / "documents.parquet", top=200).to_pylist()
    band = {(row["query"], row["doc_id"]) for row in runs if row["rank"] >= 30}
    for query in queries.to_pylist():
        own = [row for row in rows if row["query"] == query]
        free = {doc for of, doc in band - judged if of == query}
        assert len(own) == min(12, len([row for row in own if row["kind"] == "hard"]) + len(free))
        assert {row["neg_id"] for row in own if row["kind"] == "semi"} <= free
        assert [row["kind"] for row in own] == sorted(row["kind"] for row in own), "hard ones first"
    assert all(row["pos_id"] is row["weight"] is None for row in semi)
    width = {row["query"]: 0 for row in rows}
    for row in result.triplets.to_pylist():
        width[row["query"]] += 1
        assert row["positive"] == next(own["pos_id"] for own in hard if own["query"] == row["query"])
    assert all(n == sum(row["query"] == query for row in rows) // 2 for query, n in width.items())
    assert result.report["select"]["negatives"] == {"contrast": len(hard), "retrieved": len(semi)}
    assert "declares public" in json.loads((tmp_path / "out" / "privacy.json").read_text())["documents"]["meaning"]
    assert cli.main(["audit", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize(
    ("select", "texts", "says"),
    [
        ({"semi_negatives": 10}, pa.array(["a"]), "less than select.max_negatives_per_query"),
        ({"duplicate_words": 0.5}, pa.array(["a"]), "select.duplicate_words"),
        ({}, pa.array([b"a"]), "column 'text' is binary"),
    ],
    ids=["no place", "words", "binary"],
)
def test_a_private_run_that_could_not_end_well_is_not_paid_for(folder, tmp_path, select, texts, says):
    config = dataclasses.replace(bm25(**select), read=hn.ReadConfig(position_base="1"))
    documents = pa.table({"doc_id": ["d"], "text": texts})
    with pytest.raises(hn.HardnegError, match=says):
        private(folder, tmp_path / "ledger", config, documents=documents)
    assert Ledger(tmp_path / "ledger").claims() == []
    pq.write_table(documents, tmp_path / "documents.parquet")
    with pytest.raises(hn.HardnegError, match=says):
        dry_run(
            folder / "log.parquet",
            tmp_path / "out",
            privacy=hn.Privacy.dp(epsilon=8.0, delta=1e-6, lineage="web", ledger=tmp_path / "ledger"),
            config=config,
            documents=tmp_path / "documents.parquet",
        )


def test_what_a_private_release_has_not_is_said(folder, tmp_path):
    config = hn.Config(read=hn.ReadConfig(position_base="1"), select=hn.SelectConfig(fill="easy"))
    off = private(folder, tmp_path / "ledger", config).report["rules_off"]
    assert {*off} == {"random", "retrieved"}

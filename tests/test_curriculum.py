"""What users clicked when they asked anew; draws by popularity; an order from easy to hard."""

from __future__ import annotations

import itertools
from collections import defaultdict

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hardneg_fast as hn
import reference
from hardneg_fast import cli
from hardneg_fast.curriculum import with_curriculum

NONE = hn.Privacy.none()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("curriculum") / "sim"
    hn.simulate(out, impressions=30_000, seed=5)
    return out


@pytest.fixture(scope="module")
def counts(folder):
    return hn.count(folder / "log.parquet")


def evidence_of(counts, k=None):
    return hn.evidence(hn.release(counts, privacy=NONE if k is None else hn.Privacy.k_users(k)))


@pytest.mark.parametrize("k", [None, 2], ids=["none", "k"])
@pytest.mark.parametrize("users", [1, 2, 3])
def test_what_was_clicked_next_is_no_negative(counts, k, users):
    """Against the table of what was counted, one pair after the other."""
    clicked = defaultdict(int)
    for row in pa.table(counts.table("succession_clicks")).to_pylist():
        # Under k-users a step of fewer is not known here.
        clicked[row["query"], row["doc_id"]] += row["users"] if row["users"] >= (k or 1) else 0
    evidence = evidence_of(counts, k)
    wide = {"max_negatives_per_query": 10_000}
    off = hn.select(evidence, config=hn.SelectConfig(**wide))
    on = hn.select(evidence, config=hn.SelectConfig(chain_users=users, **wide))
    expected = [row for row in pa.table(off.negatives).to_pylist() if clicked[row["query"], row["neg_id"]] < users]
    assert pa.table(on.negatives).to_pylist() == expected
    dropped = on.funnel["guards"].get("chain", 0)
    assert dropped >= pa.table(off.negatives).num_rows - len(expected)
    assert dropped or (k, users) != (None, 1)
    assert "chain" not in off.funnel["guards"]


def test_neither_retrieved_nor_drawn(counts):
    evidence = evidence_of(counts)
    clicked = defaultdict(set)
    for row in pa.table(counts.table("succession_clicks")).to_pylist():
        clicked[row["query"]].add(row["doc_id"])
    runs = pa.table(
        {
            "query": [q for q, docs in clicked.items() for _ in docs],
            "doc_id": [d for docs in clicked.values() for d in docs],
        }
    )
    config = {"fill": "semi", "retrieved_from": 1, "max_negatives_per_query": 50}
    for users, some in ((0, True), (1, False)):
        found = hn.select(evidence, config=hn.SelectConfig(chain_users=users, **config), retrieved=runs)
        semi = [r for r in pa.table(found.negatives).to_pylist() if r["kind"] == "semi"]
        assert any(r["neg_id"] in clicked[r["query"]] for r in semi) == some


def test_what_is_not_counted_is_said(folder, counts, tmp_path, capsys):
    bare = hn.count(folder / "log.parquet", tables=("queries", "cells", "pairs"))
    off = hn.select(evidence_of(bare), config=hn.SelectConfig(chain_users=1, rules=("shown_not_clicked",))).funnel[
        "rules_off"
    ]
    assert "says what was asked next" in off["chain"]
    timeless = pq.read_table(folder / "log.parquet").drop_columns(["timestamp"])
    result = hn.mine(timeless, privacy=NONE, config=hn.Config(select=hn.SelectConfig(chain_users=1)))
    assert "no times" in result.report["rules_off"]["chain"]
    # `mine` has it counted where it is asked for, and explains it.
    log, out = str(folder / "log.parquet"), str(tmp_path / "out")
    assert cli.main(["mine", log, "-o", out, "--no-privacy", "--select.chain-users", "1"]) == 0
    assert "guards: chain" in capsys.readouterr().out
    row = pa.table(counts.table("succession_clicks")).to_pylist()[0]
    query = next(
        row
        for row in pa.table(counts.table("succession_clicks")).to_pylist()
        if any("guard chain keeps it out" in said for said in _explained(folder, row["query"], row["doc_id"]))
    )
    assert cli.main(["explain", out, "--query", query["query"], "--doc", query["doc_id"], "--log", log]) == 0
    assert "guard chain keeps it out: users who clicked it when they asked anew" in capsys.readouterr().out
    assert row


_KEPT = {}


def _explained(folder, query, doc):
    if folder not in _KEPT:
        _KEPT[folder] = hn.mine(
            folder / "log.parquet", privacy=NONE, config=hn.Config(select=hn.SelectConfig(chain_users=1))
        )
    try:
        return _KEPT[folder].explain(query, doc)
    except hn.UsageError:
        return []


@pytest.mark.parametrize("draw", ["uniform", "popularity"])
@pytest.mark.parametrize("k", [None, 3], ids=["none", "k"])
def test_draws_are_those_of_the_reference(counts, draw, k):
    evidence = evidence_of(counts, k)
    shown, often = defaultdict(set), defaultdict(int)
    for row in pa.table(evidence.table()).to_pylist():
        shown[row["query"]].add(row["doc_id"])
        # Figures of the table are rounded under k-users, and so are those that draws go by.
        often[row["doc_id"]] += row["impressions"]
    docs = sorted(often, key=reference.canonical_key)
    sums = [*itertools.accumulate(often[doc] ** 0.75 for doc in docs)]
    # No query is alike another: what satisfied somebody there would be passed over, which other tests look at.
    alone = dict.fromkeys(("alike_words", "alike_clicks", "same_intent_words", "same_intent_clicks"), 1.0)
    config = hn.SelectConfig(draw=draw, easy_negatives=3, max_negatives_per_query=5, **alone)
    found = hn.select(evidence, config=config, seed=7)
    positives = defaultdict(set)
    for row in pa.table(found.positives).to_pylist():
        positives[row["query"]].add(row["doc_id"])
    drawn = defaultdict(list)
    for row in pa.table(found.negatives).to_pylist():
        if row["kind"] == "easy":
            drawn[row["query"]].append(row["neg_id"])
    assert drawn
    for query, own in drawn.items():
        naive = []
        for i in range(64 * 3):
            hashed = reference.seed_hash(7, "easy", reference.code(query), i.to_bytes(8, "big"))
            if draw == "uniform":
                doc = docs[hashed % len(docs)]
            else:
                doc = docs[next(i for i, s in enumerate(sums) if s > hashed / 2**64 * sums[-1])]
            if doc not in shown[query] and doc not in positives[query] and doc not in naive and len(naive) < len(own):
                naive.append(doc)
        assert own == naive


def test_popular_documents_are_drawn_more(counts):
    evidence = evidence_of(counts)
    often = defaultdict(int)
    for row in pa.table(evidence.table()).to_pylist():
        often[row["doc_id"]] += row["impressions"]
    means = {}
    for draw in ("uniform", "popularity"):
        rows = pa.table(hn.select(evidence, config=hn.SelectConfig(draw=draw, easy_negatives=4)).negatives).to_pylist()
        drawn = [often[row["neg_id"]] for row in rows if row["kind"] == "easy"]
        means[draw] = sum(drawn) / len(drawn)
    assert means["popularity"] > 1.3 * means["uniform"]


rows = st.lists(
    st.tuples(
        st.sampled_from(["easy", "semi", "hard"]),
        st.none() | st.integers(1, 4),
        st.none() | st.sampled_from([-1.5, 0.0, 2.0]),
    ),
    max_size=12,
)


@given(rows, st.booleans())
def test_curriculum_is_the_share_that_is_easier(made, scored):
    kinds = {"easy": 0, "semi": 1, "hard": 2}

    def key(row):
        kind, position, score = row
        by = score if scored else None if position is None else -position
        return kinds[kind], float("-inf") if by is None else by

    table = pa.table(
        {
            "kind": pa.array([row[0] for row in made], pa.string()),
            "position_neg": pa.array([row[1] for row in made], pa.int32()),
        }
    )
    if scored:
        table = table.append_column("score", pa.array([row[2] for row in made], pa.float64()))
    found = with_curriculum(table)["curriculum"].to_pylist()
    assert found == [sum(key(other) < key(row) for other in made) / len(made) for row in made]


@pytest.mark.parametrize("privacy", [NONE, hn.Privacy.k_users(5)], ids=["none", "k"])
def test_the_column_is_there_where_it_is_asked_for(folder, tmp_path, privacy):
    select = hn.SelectConfig(curriculum="on", easy_negatives=2, max_negatives_per_query=6)
    result = hn.mine(folder / "log.parquet", tmp_path / "out", privacy=privacy, config=hn.Config(select=select))
    plain = hn.mine(
        folder / "log.parquet",
        privacy=privacy,
        config=hn.Config(select=hn.SelectConfig(easy_negatives=2, max_negatives_per_query=6)),
    )
    assert result.negatives.drop_columns(["curriculum"]) == plain.negatives
    written = pq.read_table(tmp_path / "out" / "negatives")
    for row in written.to_pylist():
        assert (row["curriculum"] == 0) == (row["kind"] == "easy")
        assert 0 <= row["curriculum"] < 1
    assert cli.main(["audit", str(tmp_path / "out"), "--log", str(folder / "log.parquet")]) == 0

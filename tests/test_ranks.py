"""Retrieved documents: the column `rank` counts, not the order of rows; what nothing could take is refused or said."""

from __future__ import annotations

import random
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hardneg_fast as hn
from hardneg_fast import cli
from hardneg_fast.writers.ranks import by_rank

NONE = hn.Privacy.none()
SELECT = hn.SelectConfig(semi_negatives=2, retrieved_from=10, retrieved_to=25)
CONFIG = hn.Config(select=SELECT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("ranks") / "sim"
    hn.simulate(out, impressions=12_000, seed=3)
    return out


@pytest.fixture(scope="module")
def runs(folder):
    return hn.retrieve(pq.read_table(folder / "queries.parquet")["query"], folder / "documents.parquet", top=40)


def semi(result) -> set[tuple[str, str]]:
    return {(row["query"], row["neg_id"]) for row in result.negatives.to_pylist() if row["kind"] == "semi"}


@pytest.mark.parametrize("privacy", [NONE, hn.Privacy.k_users(2)], ids=["none", "k"])
def test_ranks_count_and_not_the_order_of_rows(folder, runs, privacy):
    log = folder / "log.parquet"
    expected = hn.mine(log, privacy=privacy, config=CONFIG, retrieved=runs.select(["query", "doc_id"]))
    ranks = {(row["query"], row["doc_id"]): row["rank"] for row in runs.to_pylist()}
    assert len(semi(expected)) > 20
    assert all(10 <= ranks[pair] <= 25 for pair in semi(expected))
    down = runs.sort_by([("rank", "descending")]).rename_columns(["query", "doc_id", "rank", "score"])
    found = hn.mine(log, privacy=privacy, config=CONFIG, retrieved=down)
    assert found.negatives == expected.negatives
    assert found.triplets == expected.triplets


def test_the_stage_by_itself_goes_by_ranks_too(folder, runs):
    evidence = hn.evidence(hn.release(hn.count(folder / "log.parquet"), privacy=NONE))
    expected = hn.select(evidence, config=SELECT, retrieved=runs.select(["query", "doc_id"]))
    found = hn.select(evidence, config=SELECT, retrieved=runs.sort_by([("rank", "descending")]))
    assert pa.table(found.negatives) == pa.table(expected.negatives)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_lists_are_those_that_sorting_each_by_hand_gives(lengths, draw: random.Random):
    rows = [(f"q{q}", f"d{draw.randrange(9)}", at) for q, n in enumerate(lengths) for at in range(1, n + 1)]
    draw.shuffle(rows)
    columns = [
        pa.array([row[i] for row in rows], kind) for i, kind in enumerate([pa.string(), pa.string(), pa.int32()])
    ]
    found = by_rank(pa.table(columns, names=["query", "doc_id", "rank"]), "retrieved")
    naive = {q: [d for _, d in sorted((at, d) for p, d, at in rows if p == q)] for q, _, _ in rows}
    own: dict[str, list[str]] = {}
    for row in found.to_pylist():
        own.setdefault(row["query"], []).append(row["doc_id"])
    assert own == naive
    assert found.column_names == ["query", "doc_id"]


def test_lists_of_queries_that_become_one_are_merged_by_rank(folder, runs):
    """Spelled alike but for case: the same whatever the order of the rows."""
    shouted = runs.set_column(0, "query", pa.array([text.upper() for text in runs["query"].to_pylist()]))
    both = pa.concat_tables([runs, shouted])
    found = [
        hn.mine(folder / "log.parquet", privacy=NONE, config=CONFIG, retrieved=table)
        for table in (runs, both, both.sort_by([("rank", "descending"), ("doc_id", "ascending")]))
    ]
    assert found[0].negatives == found[1].negatives == found[2].negatives


@pytest.mark.parametrize(
    ("ranks", "says"),
    [
        ([1, 2, 2], "row 2 has rank 2, which another document of its query has too"),
        ([3, 1, 2, 5], "row 3 has rank 5, and its query has no rank 4"),
        ([0, 1, 2], "row 0 has rank 0, and ranks begin at 1"),
        ([30, 31], "row 0 has rank 30, and its query has no rank 1"),
        ([1, None], "row 1 has no rank"),
        (pa.array([1, 2**63 + 1], pa.uint64()), "row 1 has rank 9007199254740992, and its query has no rank 2"),
        ([1.0, 2.0], "column 'rank' is double; give whole numbers"),
        (["1", "2"], "column 'rank' is string; give whole numbers"),
    ],
)
def test_ranks_that_cannot_be_are_refused_by_name(tmp_path, capsys, ranks, says):
    rows = pa.table({"query": ["secret"] * len(ranks), "doc_id": [f"d{i}" for i in range(len(ranks))], "rank": ranks})
    with pytest.raises(hn.DataError, match="retrieved") as caught:
        hn.mine("none.parquet", privacy=NONE, config=CONFIG, retrieved=rows)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)
    pq.write_table(rows, tmp_path / "run.parquet")
    mine = ["mine", "none.parquet", "-o", str(tmp_path / "out"), "--no-privacy", "--select.semi-negatives", "2"]
    assert cli.main([*mine, "--retrieved", str(tmp_path / "run.parquet")]) == 3
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--select.semi-negatives", "2"], "select.semi_negatives takes retrieved documents, and none are given"),
        (["--select.fill", "semi"], "select.fill semi takes retrieved documents, and none are given"),
    ],
)
def test_places_that_nothing_could_take_are_refused(folder, tmp_path, capsys, words, says, more):
    mine = ["mine", str(folder / "log.parquet"), "-o", str(tmp_path / "out"), "--no-privacy"]
    assert cli.main([*mine, *words, *more]) == 2
    assert f"{says}: --retrieved FILE, or --select.retriever bm25" in capsys.readouterr().err
    # Random ones take their places.
    assert cli.main([*mine, "--select.preset", "reranker", *more]) == 0


@pytest.mark.parametrize("privacy", [NONE, hn.Privacy.k_users(2)], ids=["none", "k"])
def test_lists_too_short_for_the_first_rank_are_said(folder, runs, privacy):
    def notes(**changes):
        config = hn.Config(select=replace(SELECT, **changes))
        return hn.mine(folder / "log.parquet", privacy=privacy, config=config, retrieved=runs).report["input"]["notes"]

    said = "retrieved: no document has a rank of 60 to 200; lower select.retrieved_from"
    assert said in notes(retrieved_from=60, retrieved_to=200)
    assert not any("retrieved" in note for note in notes())

"""The simulator: same bytes for a seed, canonical columns, and a world worth testing on."""

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from hardneg_fast.cli import main
from hardneg_fast.exceptions import FileError, UsageError
from hardneg_fast.simulate import simulate, tables
from hardneg_fast.simulate.vocabulary import DOMAINS, NEEDS_PER_DOMAIN, words

FILES = {"log.parquet", "documents.parquet", "queries.parquet", "truth.parquet", "candidates.parquet"}


def digests(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    directory = tmp_path_factory.mktemp("simulated") / "world"
    counts = simulate(directory, impressions=100_000, seed=7)
    return counts, pq.read_table(directory / "log.parquet"), directory


def rows_with_truth(directory: Path) -> pa.Table:
    log = pq.read_table(directory / "log.parquet")
    truth = pq.read_table(directory / "truth.parquet")
    return log.join(truth, ["query", "doc_id"])


def click_rates(log: pa.Table) -> list[float]:
    grouped = log.group_by("position").aggregate([("clicked", "mean")]).sort_by("position")
    return grouped["clicked_mean"].to_pylist()


def test_same_seed_gives_the_same_bytes(tmp_path):
    first = simulate(tmp_path / "a", impressions=5_000, seed=3)
    second = simulate(tmp_path / "b", impressions=5_000, seed=3)
    simulate(tmp_path / "c", impressions=5_000, seed=4)
    assert set(digests(tmp_path / "a")) == FILES
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert digests(tmp_path / "a")["log.parquet"] != digests(tmp_path / "c")["log.parquet"]
    assert first.clicks == second.clicks


def test_schema(world):
    _, log, directory = world
    assert log.schema.equals(
        pa.schema(
            [
                ("user_id", pa.string()),
                ("session_id", pa.string()),
                ("search_id", pa.string()),
                ("query", pa.string()),
                ("doc_id", pa.string()),
                ("position", pa.int32()),
                ("clicked", pa.bool_()),
                ("dwell_ms", pa.int64()),
                ("timestamp", pa.timestamp("us", tz="UTC")),
                ("click_ms", pa.int64()),
            ]
        )
    )
    text = pa.string()
    assert pq.read_schema(directory / "documents.parquet").equals(pa.schema([("doc_id", text), ("text", text)]))
    assert pq.read_schema(directory / "queries.parquet").equals(pa.schema([("query", text)]))
    truth = pa.schema([("query", text), ("doc_id", text), ("relevance", pa.float64())])
    assert pq.read_schema(directory / "truth.parquet").equals(truth)
    candidates = pa.schema([("query", text), ("doc_id", text), ("position", pa.int32())])
    assert pq.read_schema(directory / "candidates.parquet").equals(candidates)


@pytest.mark.parametrize("impressions", [10, 14, 99, 1_234])
def test_small_logs_have_whole_pages(tmp_path, impressions):
    counts = simulate(tmp_path / "out", impressions=impressions, seed=0)
    log = pq.read_table(tmp_path / "out" / "log.parquet")
    assert counts.impressions == log.num_rows
    assert abs(log.num_rows - impressions) <= 10
    assert log["position"].to_pylist() == [*range(1, 11)] * (log.num_rows // 10)


def test_counts_are_those_of_the_log(world):
    counts, log, directory = world
    assert counts.impressions == log.num_rows == 100_000
    for name, column in [
        ("searches", "search_id"),
        ("sessions", "session_id"),
        ("users", "user_id"),
        ("queries", "query"),
        ("documents", "doc_id"),
    ]:
        assert getattr(counts, name) == pc.count_distinct(log[column]).as_py()
    assert counts.clicks == pc.sum(log["clicked"]).as_py()
    relevance = rows_with_truth(directory)["relevance"]
    assert counts.shown_relevant == pc.sum(pc.greater(relevance, 0)).as_py()


def test_size_of_the_world(world):
    """Bounds about a third either way of the sizes aimed at."""
    counts, _, _ = world
    assert 700 <= counts.users <= 1_100
    assert 3_000 <= counts.sessions <= 5_000
    assert 1_300 <= counts.queries <= 2_500
    assert 4_000 <= counts.documents <= 8_000
    assert 0.06 <= counts.clicks / counts.impressions <= 0.11
    assert 0.12 <= counts.shown_relevant / counts.impressions <= 0.25


def test_tables_refer_to_each_other(world):
    _, log, directory = world
    documents = pq.read_table(directory / "documents.parquet")
    queries = pq.read_table(directory / "queries.parquet")
    assert set(log["doc_id"].to_pylist()) <= set(documents["doc_id"].to_pylist())
    assert set(log["query"].to_pylist()) == set(queries["query"].to_pylist())
    assert rows_with_truth(directory)["relevance"].null_count == 0
    for table, column in [(documents, "doc_id"), (documents, "text"), (queries, "query")]:
        assert pc.count_distinct(table[column]).as_py() == table.num_rows
    # Canonical already, so that the truth still joins after normalisation.
    assert all(query == " ".join(query.casefold().split()) for query in queries["query"].to_pylist())


def test_candidates_come_from_before_the_log(tmp_path):
    """The same for two logs of one world, and there for queries that nobody asked."""
    lists = []
    for model in ("pbm", "dbn"):
        simulate(tmp_path / model, impressions=20_000, seed=3, model=model)
        lists.append(pq.read_table(tmp_path / model / "candidates.parquet"))
    assert lists[0].equals(lists[1])
    assert digests(tmp_path / "pbm")["log.parquet"] != digests(tmp_path / "dbn")["log.parquet"]
    asked = set(pq.read_table(tmp_path / "pbm" / "queries.parquet")["query"].to_pylist())
    assert asked < set(lists[0]["query"].to_pylist())
    pairs = lists[0].group_by(["query", "doc_id"]).aggregate([]).num_rows
    assert pairs == lists[0].num_rows == 10 * pc.count_distinct(lists[0]["query"]).as_py()
    assert set(lists[0]["position"].to_pylist()) == set(range(1, 11))


def test_a_page_is_one_search_of_one_user_without_repeated_documents(world):
    _, log, _ = world
    page = log.group_by("search_id").aggregate(
        [(name, "count_distinct") for name in ("user_id", "session_id", "query", "timestamp", "doc_id")]
    )
    for name in ("user_id", "session_id", "query", "timestamp"):
        assert set(page[f"{name}_count_distinct"].to_pylist()) == {1}
    assert set(page["doc_id_count_distinct"].to_pylist()) == {10}


def test_clicks_alone_have_times(world):
    _, log, _ = world
    clicked = log["clicked"]
    assert pc.is_valid(log["dwell_ms"]).equals(clicked)
    assert pc.is_valid(log["click_ms"]).equals(clicked)
    assert pc.min(log["dwell_ms"]).as_py() > 0
    assert pc.min(log["click_ms"]).as_py() > 0


def test_sessions_and_time(world):
    """In order of time; sessions are half an hour apart, their searches are not."""
    _, log, _ = world
    assert pc.all(pc.greater_equal(log["timestamp"][1:], log["timestamp"][:-1])).as_py()
    last: dict[str, tuple[str, int]] = {}
    pages = log.take(pa.array(range(0, log.num_rows, 10)))
    times = pages["timestamp"].cast(pa.int64()).to_pylist()
    for user, session, time in zip(pages["user_id"].to_pylist(), pages["session_id"].to_pylist(), times, strict=True):
        if user in last:
            gap = time - last[user][1]
            assert gap > 0
            assert (gap < 30 * 60_000_000) == (session == last[user][0])
        last[user] = (session, time)


@pytest.mark.parametrize("model", ["pbm", "dbn", "mixed"])
def test_click_rate_falls_with_position(tmp_path, model):
    simulate(tmp_path / "out", impressions=200_000, seed=5, model=model)
    rates = click_rates(pq.read_table(tmp_path / "out" / "log.parquet"))
    assert rates[0] > 1.4 * rates[1]
    assert rates[0] > 5 * rates[9]
    # 20,000 pages: the difference of two neighbouring rates below 0.1 has a standard error of 0.003.
    assert all(later < earlier + 0.01 for earlier, later in itertools.pairwise(rates))


def test_models_differ(tmp_path):
    for model in ("pbm", "dbn"):
        simulate(tmp_path / model, impressions=100_000, seed=5, model=model)
    pbm, dbn = (np.array(click_rates(pq.read_table(tmp_path / m / "log.parquet"))) for m in ("pbm", "dbn"))
    # PBM: examination falls as a power of the position; DBN: by a factor a position, so slower at first.
    assert dbn[1] / dbn[0] > pbm[1] / pbm[0] + 0.05


def test_relevance_shows_in_clicks_and_dwell(world):
    _, _, directory = world
    rows = rows_with_truth(directory)
    by_grade = rows.group_by("relevance").aggregate([("clicked", "mean"), ("dwell_ms", "approximate_median")])
    by_grade = by_grade.sort_by("relevance")
    assert by_grade["relevance"].to_pylist() == [0.0, 0.5, 1.0]
    none, partly, fully = by_grade["clicked_mean"].to_pylist()
    assert none * 2 < partly < fully
    none, partly, fully = by_grade["dwell_ms_approximate_median"].to_pylist()
    assert 3_000 < none < 10_000 < 25_000 < partly < 45_000 < fully < 85_000


def test_documents_move_between_positions(world):
    """Without that, position bias could not be told from relevance."""
    _, log, _ = world
    pairs = log.group_by(["query", "doc_id"]).aggregate([("position", "count"), ("position", "count_distinct")])
    often = pairs.filter(pc.greater_equal(pairs["position_count"], 10))
    assert pc.mean(often["position_count_distinct"]).as_py() > 4


def test_some_users_are_robots(world):
    _, log, _ = world
    users = log.group_by("user_id").aggregate([("clicked", "mean"), ("clicked", "count")])
    busy = users.filter(pc.greater_equal(users["clicked_count"], 300))
    rates = busy["clicked_mean"].to_pylist()
    assert any(rate > 0.4 for rate in rates)
    assert any(rate < 0.004 for rate in rates)


def test_chunks_do_not_show(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "CHUNK_SEARCHES", 50)
    counts = simulate(tmp_path / "out", impressions=5_000, seed=1)
    log = pq.read_table(tmp_path / "out" / "log.parquet")
    assert log.num_rows == counts.impressions == 5_000
    assert pc.count_distinct(log["search_id"]).as_py() == 500
    assert pq.ParquetFile(tmp_path / "out" / "log.parquet").num_row_groups > 5


def test_every_domain_has_the_same_number_of_words():
    assert {tuple(len(words(column)) for column in domain) for domain in DOMAINS} == {(16, 12, NEEDS_PER_DOMAIN)}


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"impressions": 9, "seed": 0}, "impressions"),
        ({"impressions": 100, "seed": -1}, "seed"),
        ({"impressions": 100, "seed": 0, "model": "cascade"}, "pbm, dbn, mixed"),
    ],
)
def test_refuses_what_cannot_be(tmp_path, options, word):
    with pytest.raises(UsageError, match=word):
        simulate(tmp_path / "out", **options)
    assert not any(tmp_path.iterdir())


def test_replaces_an_earlier_simulation_where_it_is_told_to_and_nothing_else(tmp_path, capsys):
    simulate(tmp_path / "out", impressions=100, seed=0)
    with pytest.raises(UsageError, match=r"not empty.*overwrite=True"):
        simulate(tmp_path / "out", impressions=200, seed=0)
    assert pq.read_metadata(tmp_path / "out" / "log.parquet").num_rows == 100
    simulate(tmp_path / "out", impressions=200, seed=0, overwrite=True)
    assert pq.read_metadata(tmp_path / "out" / "log.parquet").num_rows == 200
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not made here"):
        simulate(tmp_path / "out", impressions=100, seed=0, overwrite=True)
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    (tmp_path / "own" / "log").mkdir(parents=True)
    (tmp_path / "own" / "log" / "log.parquet").write_text("mine")
    words = ["simulate", "-o", str(tmp_path / "own" / "log"), "--impressions", "100", "--seed", "1"]
    for command in (words, ["demo", "-o", str(tmp_path / "own"), "--impressions", "100"]):
        assert main(command) == 2
        assert "not empty" in capsys.readouterr().err
        assert (tmp_path / "own" / "log" / "log.parquet").read_text() == "mine"
    assert main([*words, "--overwrite"]) == 0


def test_unwritable_directory_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="file/out"):
        simulate(tmp_path / "file" / "out", impressions=100, seed=0)

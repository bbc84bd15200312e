"""Counts in the place of a log: the same negatives, and every refusal that the log would meet."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hardneg_fast as hn
from hardneg_fast import cli
from hardneg_fast.ledger import Ledger

TABLES = ("negatives", "triplets", "positives", "queries", "by_position")
LOOSE = hn.SelectConfig(positive_coec=0.1, alpha=1.0, negative_coec=10.0, max_p_false_negative=1.0)


@pytest.fixture(scope="module")
def sim(tmp_path_factory):
    folder = tmp_path_factory.mktemp("counted")
    hn.simulate(folder / "sim", impressions=20_000, seed=3)
    hn.count(str(folder / "sim" / "log.parquet")).save(folder / "all.counts")
    return folder


@pytest.fixture
def log(sim):
    return sim / "sim" / "log.parquet"


@pytest.fixture
def saved(sim):
    return sim / "all.counts"


def assert_same(found: hn.Result, expected: hn.Result) -> None:
    for name in TABLES:
        assert getattr(found, name) == getattr(expected, name), name
    # Only what is said of the input differs.
    assert {**found.report, "input": 0} == {**expected.report, "input": 0}
    assert found.privacy == expected.privacy


@pytest.mark.parametrize("privacy", [hn.Privacy.none(), hn.Privacy.k_users(4)], ids=["none", "k-users"])
def test_counts_give_what_their_log_gives(log, saved, privacy, tmp_path):
    config = hn.Config(select=LOOSE)
    expected = hn.mine(log, privacy=privacy, config=config)
    assert expected.negatives.num_rows > 20
    # The report of what was written says what stands in the files, too.
    written = hn.mine(log, tmp_path / "of log", privacy=privacy, config=config)
    assert_same(hn.mine(saved, tmp_path / "out", privacy=privacy, config=config), written)
    assert_same(hn.mine(hn.load_counts(saved), privacy=privacy, config=config), expected)
    assert pq.read_table(tmp_path / "out" / "negatives").num_rows == expected.negatives.num_rows
    said = json.loads((tmp_path / "out" / "report.json").read_text())["input"]
    assert (said["format"], said["files"], said["shape"]) == ("counts", 1, "counts")
    assert "mined from counts" in said["notes"][0]


def rows(users: list[int], draw: list[int]) -> pa.Table:
    n = len(users)
    return pa.table(
        {
            "user_id": [f"u{u}" for u in users],
            "search_id": [f"s{i // 3}u{u}" for i, u in enumerate(users)],
            "query": ["hats", "red shoes"][0:1] * n,
            "doc_id": [f"d{x % 5}" for x in draw],
            "position": pa.array([x % 3 + 1 for x in draw], pa.int32()),
            "clicked": [x % 7 == 0 for x in draw],
        }
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    log=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 40)), min_size=1, max_size=80),
    k=st.sampled_from([None, 2, 3]),
)
def test_any_log(log, k, tmp_path):
    """Mined, or counted, saved, merged by users and mined: the same, be it a result or a refusal."""
    table = rows([u for u, _ in log], [x for _, x in log])
    privacy = hn.Privacy.none() if k is None else hn.Privacy.k_users(k)
    config = hn.Config(count=hn.CountConfig(min_page_length=1), select=LOOSE)
    odd = pa.array([u % 2 == 1 for u, _ in log])
    halves = [hn.count(table.filter(one), config=config) for one in (odd, pa.compute.invert(odd))]
    hn.merge(*halves, users="disjoint").save(tmp_path / "any.counts", overwrite=True)

    def tried(given: object) -> hn.Result | str:
        try:
            return hn.mine(given, privacy=privacy, config=config)
        except hn.DataError as error:
            return type(error).__name__

    found, expected = tried(tmp_path / "any.counts"), tried(table)
    if isinstance(expected, str):
        assert found == expected
        return
    assert_same(found, expected)


def test_differential_privacy_needs_whole_users(saved, tmp_path):
    Ledger.create(tmp_path / "ledger", epsilon=10, delta=1e-6)
    private = hn.Privacy.dp(epsilon=1, lineage="web", ledger=tmp_path / "ledger")
    before = (tmp_path / "ledger").read_bytes()
    for counts in (saved, hn.load_counts(saved)):
        with pytest.raises(hn.PrivacyError, match="counts have lost who is who"):
            hn.mine(counts, tmp_path / "out", privacy=private)
    assert (tmp_path / "ledger").read_bytes() == before
    assert not (tmp_path / "out").exists()


def test_each_release_of_counts_is_in_the_ledger(saved, tmp_path):
    path = tmp_path / "ledger"
    Ledger.create(path, epsilon=10, delta=1e-6)
    privacy = hn.Privacy.k_users(4, lineage="web", ledger=path)
    for _ in range(2):
        hn.mine(saved, privacy=privacy)
    lines = path.read_text()
    assert lines.count('"k-users output"') + lines.count('"a k-users output"') == 2
    assert lines.count("what was counted") == 2


def test_a_lineage_with_a_private_release_is_refused(saved, tmp_path):
    path = tmp_path / "ledger"
    ledger = Ledger.create(path, epsilon=10, delta=1e-6)
    ledger.reserve("web", window="w", mu=0.1, delta_t=1e-9, what="mine", config_hash="0" * 64)
    for privacy in (hn.Privacy.k_users(4, lineage="web", ledger=path), hn.Privacy.none(lineage="web", ledger=path)):
        with pytest.raises(hn.PrivacyError, match="would end their claim"):
            hn.mine(saved, privacy=privacy)
    free = hn.Privacy.k_users(4, lineage="web", ledger=path, override_dp_claim=True)
    assert hn.mine(saved, privacy=free).privacy["lineage"] == "web"


def test_users_of_two_files_are_refused(saved):
    both = hn.merge(hn.load_counts(saved), hn.load_counts(saved))
    with pytest.raises(hn.PrivacyError, match="disjoint"):
        hn.mine(both, privacy=hn.Privacy.k_users(4))
    assert hn.mine(both, privacy=hn.Privacy.none(), config=hn.Config(select=LOOSE)).negatives.num_rows


def test_a_part_of_a_log_is_refused(log):
    key, config = hn.Key.ephemeral(), hn.Config(read=hn.ReadConfig(position_base="1"))
    blocks = pa.table(hn.split(log, 2, key=key, config=config))
    first = blocks.filter(pa.compute.equal(blocks["part"], 0)).replace_schema_metadata(blocks.schema.metadata)
    part = hn.count(first, part=(0, 2), key=key, config=config)
    with pytest.raises(hn.UsageError, match="part"):
        hn.mine(part, privacy=hn.Privacy.none())


def test_options_are_those_of_the_counts(log, tmp_path):
    config = hn.Config(count=hn.CountConfig(max_votes=1, surfaces=()), scrub=hn.ScrubConfig(action="drop"))
    hn.count(log, config=config).save(tmp_path / "one.counts")
    same = hn.Config(scrub=config.scrub, select=LOOSE)
    found = hn.mine(tmp_path / "one.counts", privacy=hn.Privacy.none(), config=same)
    assert found.report["config"]["count"]["max_votes"] == 1
    assert found.privacy["query_text"].startswith("normalised; queries with personal data")
    stated = hn.Config(scrub=config.scrub, count=config.count, select=LOOSE)
    assert_same(hn.mine(tmp_path / "one.counts", privacy=hn.Privacy.none(), config=stated), found)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (hn.Config(count=hn.CountConfig(max_votes=9)), "counted with another count.max_votes"),
        (hn.Config(read=hn.ReadConfig(position_base="0")), "leave out read.position_base"),
        (hn.Config(scrub=hn.ScrubConfig(action="off")), "were scrubbed otherwise"),
        (hn.Config(scrub=hn.ScrubConfig(kinds=("email",))), "were scrubbed otherwise"),
        (hn.Config(count=hn.CountConfig(page_counts="on")), "do not tell count.page_counts"),
    ],
)
def test_other_options_are_refused(saved, config, said):
    with pytest.raises(hn.UsageError, match=said):
        hn.mine(saved, privacy=hn.Privacy.none(), config=config)


def test_the_seed_is_that_of_the_counts(log, saved, tmp_path):
    config = hn.Config(seed=7, select=LOOSE)
    seven = hn.count(log, config=config)
    assert seven.seed == 7
    expected = hn.mine(log, privacy=hn.Privacy.none(), config=config)
    seven.save(tmp_path / "seven.counts")
    for asked in (config, hn.Config(select=LOOSE)):
        assert_same(hn.mine(tmp_path / "seven.counts", privacy=hn.Privacy.none(), config=asked), expected)
    with pytest.raises(hn.UsageError, match="counted with another seed"):
        hn.mine(saved, privacy=hn.Privacy.none(), config=config)
    with pytest.raises(hn.UsageError, match="counted with different seed"):
        hn.merge(seven, hn.load_counts(saved))


def test_what_counts_cannot_tell_is_said(saved):
    def notes(counts):
        return " ".join(hn.mine(counts, privacy=hn.Privacy.none()).report["input"]["notes"])

    one, two = hn.load_counts(saved), hn.load_counts(saved)
    assert "limited to (count.since, count.until)" in notes(one)
    assert "merged without the word" not in notes(one)
    assert "merged without the word" in notes(hn.merge(one, two))
    assert "merged without the word" not in notes(hn.merge(one, two, users="disjoint"))


def test_rules_that_lack_their_table_are_off(log):
    few = hn.count(log, tables=("queries", "cells", "pairs"))
    found = hn.mine(few, privacy=hn.Privacy.none(), config=hn.Config(select=LOOSE))
    assert "without the table preferences" in found.report["rules_off"]["skip_above"]


def test_sessions_that_stand_for_users_are_told(log, tmp_path):
    table = pq.read_table(log).drop_columns(["user_id"])
    config = hn.Config(read=hn.ReadConfig(columns={"user_id": "session_id"}))
    hn.count(table, config=config).save(tmp_path / "s.counts")
    privacy = hn.Privacy.k_users(2)
    found, expected = hn.mine(tmp_path / "s.counts", privacy=privacy), hn.mine(table, privacy=privacy, config=config)
    assert found.privacy["sessions_stand_for_users"]
    assert "2 sessions" in found.privacy["claim"]
    assert found.privacy == expected.privacy
    with pytest.raises(hn.UsageError, match="different users"):
        hn.merge(hn.load_counts(tmp_path / "s.counts"), hn.count(table.append_column("user_id", table["session_id"])))


def test_nothing_counted():
    empty = hn.count(rows([1], [1]), config=hn.Config(count=hn.CountConfig(min_page_length=9)))
    with pytest.raises(hn.DataError, match="nothing was counted"):
        hn.mine(empty, privacy=hn.Privacy.none())


def run(*words: object) -> int:
    return cli.main([str(word) for word in words])


def test_command(log, saved, tmp_path, capsys):
    out = tmp_path / "out"
    loose = ["--select.max-p-false-negative", 1, "--select.negative-coec", 10, "--k-users", 3]
    assert run("mine", saved, "-o", out, "--dry-run", *loose) == 0
    said = capsys.readouterr().out
    assert "the counts were read; nothing was written" in said
    assert "format counts" in said or "counts, shape counts" in said
    assert not out.exists()
    assert run("mine", saved, "-o", out, *loose) == 0
    assert run("mine", log, "-o", tmp_path / "of_log", *loose) == 0
    assert pq.read_table(out / "negatives") == pq.read_table(tmp_path / "of_log" / "negatives")
    capsys.readouterr()
    row = pq.read_table(out / "negatives").to_pylist()[0]
    assert run("explain", out, "--query", row["query"], "--log", saved) == 0
    assert row["neg_id"] in capsys.readouterr().out


def test_command_refuses(log, saved, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("mine", saved, "-o", out) == 4
    assert run("mine", saved, log, "-o", out, "--no-privacy") == 3
    assert "saved counts, not a log" in capsys.readouterr().err
    assert run("mine", saved, "-o", out, "--no-privacy", "--columns", "user_id=uid") == 2
    assert "leave out read.columns" in capsys.readouterr().err
    cut = tmp_path / "cut.counts"
    cut.write_bytes(saved.read_bytes()[:-100])
    assert run("mine", cut, "-o", out, "--no-privacy") == 3
    assert "cut.counts" in capsys.readouterr().err
    assert run("mine", saved, "-o", out, "--no-privacy", "--dry-run", "--count.max-votes", 9) == 2
    assert run("audit", out, "--log", saved) != 0
    assert [path.name for path in tmp_path.iterdir()] == ["cut.counts"]

"""Counts that last: what is loaded is what was saved, parts sum up to the whole, and damage is refused by name."""

import os
import random
import stat

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hardneg_fast as hn
import strategies
from hardneg_fast import cli
from hardneg_fast.count import TABLES

N = 1_800
POOL = random.Random(11)
ROWS = pa.table(
    {
        "user_id": pa.array([f"user {i // 6 % 40}" for i in range(N)]),
        "search_id": pa.array([i // 6 for i in range(N)]),
        "query": pa.array([["Red Shoes", "red  shoes", "hats", None][i // 6 % 4] for i in range(N)]),
        "doc_id": pa.array([f"dé {(i * 7) % 9}" if i % 50 else None for i in range(N)]),
        "position": pa.array([i % 6 + 1 for i in range(N)], pa.int32()),
        "clicked": pa.array([POOL.random() < (0.5 if (i * 7) % 9 < 2 else 0.02) for i in range(N)]),
        "dwell_ms": pa.array([POOL.choice([None, 500, 20_000]) for _ in range(N)], pa.int64()),
        "timestamp": pa.array([strategies.NOON + i // 6 * 30_000_000 for i in range(N)], pa.timestamp("us", tz="UTC")),
    }
)
SELECT = hn.SelectConfig(positive_coec=0.1, alpha=1.0, negative_coec=10.0)
FACTS = ("rows", "quarantine", "dropped", "sizes", "has", "timestamp_notations", "users_disjoint")


def assert_equal(found: hn.Counts, expected: hn.Counts, tables: tuple[str, ...] = TABLES) -> None:
    for fact in FACTS:
        assert getattr(found, fact) == getattr(expected, fact), fact
    for name in tables:
        assert pa.table(found.table(name)) == pa.table(expected.table(name)), name


def user_parts(n: int) -> list[pa.Table]:
    """The log by user."""
    of = [int(user.split()[1]) % n for user in ROWS["user_id"].to_pylist()]
    return [ROWS.filter(pa.array([part == i for part in of])) for i in range(n)]


@pytest.fixture(scope="module")
def whole() -> hn.Counts:
    return hn.count(ROWS, tables=TABLES)


@pytest.fixture
def saved(whole, tmp_path):
    path = tmp_path / "all.counts"
    whole.save(path)
    return path


def test_loaded_is_saved(whole, saved, tmp_path):
    found = hn.load_counts(saved)
    assert_equal(found, whole)
    assert found.quarantine
    assert found.dropped
    found.save(tmp_path / "again.counts")
    assert (tmp_path / "again.counts").read_bytes() == saved.read_bytes()
    assert_equal(hn.load_counts(str(saved), config=hn.Config(memory="64MB", spill_dir=str(tmp_path))), whole)


@pytest.mark.parametrize("privacy", [hn.Privacy.none(), hn.Privacy.k_users(5)])
def test_releases_are_equal(whole, saved, privacy):
    released = [hn.release(counts, privacy=privacy) for counts in (whole, hn.load_counts(saved))]
    assert pa.table(released[0].table()) == pa.table(released[1].table())
    assert pa.table(released[0].table()).num_rows > 5
    chosen = [hn.select(hn.evidence(r), config=SELECT) for r in released]
    assert pa.table(chosen[0].negatives) == pa.table(chosen[1].negatives)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.integers(0, N - 1), max_size=60), columns=st.sets(st.sampled_from(ROWS.column_names[:2])))
def test_any_log(rows, columns, tmp_path):
    counts = hn.count(ROWS.take(pa.array(rows, pa.int64())).drop([*columns]), tables=TABLES)
    counts.save(tmp_path / "any.counts", overwrite=True)
    assert_equal(hn.load_counts(tmp_path / "any.counts"), counts)


@pytest.mark.parametrize("n", [2, 3])
def test_parts_make_the_whole(whole, tmp_path, n):
    parts = []
    for i, part in enumerate(user_parts(n)):
        hn.count(part, tables=TABLES).save(tmp_path / f"{i}.counts")
        parts.append(hn.load_counts(tmp_path / f"{i}.counts"))
    merged = parts[0]
    for part in parts[1:]:
        merged = hn.merge(merged, part, users="disjoint")
    merged.save(tmp_path / "merged.counts")
    assert_equal(hn.load_counts(tmp_path / "merged.counts"), whole)


def test_a_merge_of_unknown_users_stays_one(saved, tmp_path):
    merged = hn.merge(hn.load_counts(saved), hn.load_counts(saved))
    merged.save(tmp_path / "twice.counts")
    found = hn.load_counts(tmp_path / "twice.counts")
    assert not found.users_disjoint
    with pytest.raises(hn.PrivacyError, match="disjoint"):
        hn.release(found, privacy=hn.Privacy.k_users(2))


def test_other_tables_and_options_do_not_merge(saved):
    with pytest.raises(hn.UsageError, match="cannot be merged"):
        hn.merge(hn.load_counts(saved), hn.count(ROWS, tables=("pairs",)))
    other = hn.Config(count=hn.CountConfig(max_votes=9, surfaces=()))
    with pytest.raises(hn.UsageError, match="different max_votes; count both"):
        hn.merge(hn.load_counts(saved), hn.count(ROWS, tables=TABLES, config=other))


def test_files_are_private_and_whole(whole, tmp_path):
    path = tmp_path / "deep" / "a.counts"
    before = os.umask(0)
    try:
        whole.save(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_bytes()
    assert b"user " not in content, "no identifier of a person is in the counts"
    with pytest.raises(hn.UsageError, match="overwrite"):
        whole.save(path)
    path.chmod(0o644)
    hn.count(ROWS[:12]).save(path, overwrite=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes() != content
    with pytest.raises(hn.FileError, match="directory"):
        whole.save(tmp_path / "deep", overwrite=True)
    assert [p.name for p in path.parent.iterdir()] == ["a.counts"]


def test_damaged_files(saved):
    content = saved.read_bytes()
    picks = random.Random(5)
    for _ in range(300):
        at = picks.randrange(len(content))
        for damaged in (
            content[:at],
            content[:at] + bytes([content[at] ^ picks.randrange(1, 256)]) + content[at + 1 :],
        ):
            saved.write_bytes(damaged)
            with pytest.raises(hn.DataError, match=r"all\.counts") as caught:
                hn.load_counts(saved)
            assert str(saved.parent) not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"x", b"PAR1 and more", b"query,doc_id\nsecret,a\n", bytes(10_000)])
def test_foreign_files(content, tmp_path):
    path = tmp_path / "a.counts"
    path.write_bytes(content)
    with pytest.raises(hn.DataError, match=r"holds no saved counts.*hardneg-fast count") as caught:
        hn.load_counts(path)
    assert "secret" not in str(caught.value)


def test_files_that_are_none(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, said in (("nothing", "no such file"), (".", "no file"), ("pipe", "no file")):
        with pytest.raises(hn.FileError, match=said):
            hn.load_counts(tmp_path / name)


def test_the_command(whole, tmp_path, capsys):
    log, out = tmp_path / "log.parquet", tmp_path / "log.counts"
    pq.write_table(ROWS, log)
    args = ["count", str(log), "-o", str(out)]
    assert cli.main([*args, "--tables", ",".join(TABLES)]) == 0
    said = capsys.readouterr().out
    for words in (f"{N:,} rows", f"{whole.sizes['pairs']} pairs", "null_doc_id", "exact and private: release", "twice"):
        assert words in said
    assert_equal(hn.load_counts(out), whole)
    before = out.read_bytes()
    assert cli.main(args) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert out.read_bytes() == before
    assert cli.main([*args, "--overwrite", "--tables", "pairs", "--count.max-votes", "1"]) == 0
    expected = hn.count(ROWS, tables=("pairs",), config=hn.Config(count=hn.CountConfig(max_votes=1)))
    assert_equal(hn.load_counts(out), expected, ("queries", "pairs"))
    assert cli.main([*args, "--overwrite", "--tables", "tabel"]) == 2
    assert cli.main([*args, "--overwrite", "--users", "disjoint"]) == 2


def test_the_command_merges(whole, tmp_path, capsys):
    files = []
    for i, part in enumerate(user_parts(3)):
        files.append(str(tmp_path / f"{i}.counts"))
        hn.count(part, tables=TABLES).save(files[-1])
    out = tmp_path / "all.counts"
    merge = ["count", "--merge", *files, "-o", str(out)]
    assert cli.main([*merge, "--users", "disjoint"]) == 0
    assert "refused" not in capsys.readouterr().out
    assert_equal(hn.load_counts(out), whole)
    assert cli.main(merge) == 2
    assert cli.main([*merge, "--overwrite"]) == 0
    assert "counted twice" in capsys.readouterr().out
    assert not hn.load_counts(out).users_disjoint
    for wrong in (["--count.max-votes", "1"], ["--tables", "pairs"], ["--columns", "query=q"]):
        assert cli.main([*merge, "--overwrite", *wrong]) == 2, wrong
    for few in (files[:1], [files[0], files[0]]):
        assert cli.main(["count", "--merge", *few, "-o", str(tmp_path / "one.counts")]) == 2
    (tmp_path / "1.counts").write_bytes(b"no counts")
    assert cli.main([*merge, "--overwrite"]) == 3
    assert "1.counts" in capsys.readouterr().err


def test_an_empty_log_is_refused(tmp_path):
    log = tmp_path / "log.parquet"
    pq.write_table(ROWS[:0], log)
    assert cli.main(["count", str(log), "-o", str(tmp_path / "a.counts")]) == 3
    assert not (tmp_path / "a.counts").exists()

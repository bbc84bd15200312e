"""A log in parts comes to what it is whole: split by user, counted, split by query, merged, released, gathered."""

from __future__ import annotations

import datetime
import itertools
import random
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hardneg_fast as hn
import strategies
from hardneg_fast.count import TABLES

N = 3_000
KEY = hn.Key(bytes(range(32)))
OTHER = hn.Key(bytes(32))
POOL = random.Random(3)
ROWS = pa.table(
    {
        "user_id": pa.array([f"user {i // 6 % 90}" if i % 70 else None for i in range(N)]),
        "session_id": pa.array([f"session {i // 24}" for i in range(N)]),
        "search_id": pa.array([i // 6 for i in range(N)]),
        "query": pa.array([["Red Shoes", "red  shoes", "hats", "coats", None][i // 6 % 5] for i in range(N)]),
        "doc_id": pa.array([f"dé {(i * 7) % 9}" if i % 50 else None for i in range(N)]),
        "position": pa.array([i % 6 + 1 for i in range(N)], pa.int32()),
        "clicked": pa.array([POOL.random() < (0.5 if (i * 7) % 9 < 2 else 0.02) for i in range(N)]),
        "dwell_ms": pa.array([POOL.choice([None, 500, 20_000]) for _ in range(N)], pa.int64()),
        "timestamp": pa.array([strategies.NOON + i // 6 * 30_000_000 for i in range(N)], pa.timestamp("us", tz="UTC")),
    }
)
CONFIG = hn.Config(read=hn.ReadConfig(position_base="1"))
FACTS = ("rows", "quarantine", "dropped", "sizes", "has", "timestamp_notations", "scrubbed", "users_disjoint")
MODES = [hn.Privacy.none(), hn.Privacy.k_users(3)]


def blocks_of(log: object, parts: int, **options) -> list[pa.Table]:
    """Blocks by part."""
    table = hn.split(log, parts, **{"key": KEY, "config": CONFIG} | options).read_all()
    return [table.filter(pa.array([p == i for p in table["part"].to_pylist()])) for i in range(parts)]


def counted(blocks: pa.Table, part: tuple[int, int], **options) -> hn.Counts:
    return hn.count(blocks, **{"key": KEY, "config": CONFIG, "tables": TABLES, "part": part} | options)


def in_parts(parts: int, log: pa.Table = ROWS) -> list[hn.Counts]:
    return [counted(blocks, (i, parts)) for i, blocks in enumerate(blocks_of(log, parts))]


def by_query(counts: list[hn.Counts], parts: int) -> list[hn.Counts]:
    """Counts of all users, by part of the queries."""
    blocks = [hn.split(each, parts, key=KEY).read_all()["block"].to_pylist() for each in counts]
    return [hn.merge(*(hn.load_counts(b, key=KEY) for b in same)) for same in zip(*blocks, strict=True)]


def assert_equal(found: hn.Counts, expected: hn.Counts) -> None:
    for fact in FACTS:
        assert getattr(found, fact) == getattr(expected, fact), fact
    for name in TABLES:
        assert pa.table(found.table(name)) == pa.table(expected.table(name)), name


@pytest.fixture(scope="module")
def whole() -> hn.Counts:
    return hn.count(ROWS, config=CONFIG, tables=TABLES)


@pytest.mark.parametrize("parts", [1, 2, 5, 300])
def test_parts_by_user_sum_up(whole, parts):
    counts = in_parts(parts)
    POOL.shuffle(counts)
    merged = hn.merge(*counts)
    assert_equal(merged, whole)
    assert merged.parts["users"] == (parts, list(range(parts)))
    assert merged.quarantine["null_user_id"] > 20


@pytest.mark.parametrize(("users", "queries"), [(1, 3), (3, 1), (4, 5), (2, 40)])
def test_parts_by_query_sum_up(whole, users, queries):
    pieces = by_query(in_parts(users), queries)
    assert_equal(hn.merge(*pieces), whole)
    POOL.shuffle(pieces)
    assert_equal(hn.merge(*pieces), whole)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> pa.Table:
    folder = tmp_path_factory.mktemp("simulated") / "log"
    hn.simulate(folder, impressions=40_000, seed=8)
    return pq.read_table(folder / "log.parquet")


@pytest.mark.parametrize("privacy", MODES)
@pytest.mark.parametrize("blocks", [False, True])
def test_released_by_parts_is_released(simulated, privacy, blocks):
    whole = hn.count(simulated, config=CONFIG, tables=TABLES)
    pieces = by_query(in_parts(3, simulated), 4)
    parts = [hn.release(counts, privacy=privacy, part=(i, 4)) for i, counts in enumerate(pieces)]
    assert [p.part for p in parts] == [(i, 4) for i in range(4)]
    parts.reverse()
    gathered = hn.gather([p.block(key=KEY) for p in parts] if blocks else parts, privacy=privacy, key=KEY)
    expected = hn.release(whole, privacy=privacy)
    assert gathered.part is None
    assert gathered.passed == expected.passed
    assert pa.table(gathered.table()) == pa.table(expected.table())
    found, wanted = hn.evidence(gathered), hn.evidence(expected)
    assert pa.table(found.table()) == pa.table(wanted.table())
    assert pa.table(found.positions()) == pa.table(wanted.positions())
    assert found.model == wanted.model
    chosen, alike = (hn.select(e) for e in (found, wanted))
    assert pa.table(chosen.negatives) == pa.table(alike.negatives)
    assert pa.table(chosen.negatives).num_rows > 100
    assert pa.table(chosen.triplets) == pa.table(alike.triplets)
    assert chosen.funnel == alike.funnel


@settings(max_examples=25)
@given(
    rows=st.lists(st.integers(0, N - 1), max_size=200),
    cuts=st.lists(st.integers(0, 200), max_size=4),
    users=st.integers(1, 6),
    queries=st.integers(1, 6),
    ids=st.sampled_from(["text", "number", "dictionary"]),
)
def test_any_log_in_any_pieces(rows, cuts, users, queries, ids):
    log = ROWS.take(pa.array(rows, pa.int64()))
    if ids != "text":
        number = pa.array([None if u is None else int(u.split()[1]) for u in log["user_id"].to_pylist()], pa.int64())
        coded = log["user_id"].combine_chunks().dictionary_encode()
        log = log.set_column(0, "user_id", number if ids == "number" else coded)
    expected = hn.count(log, config=CONFIG, tables=TABLES)
    at = [0, *sorted(min(c, log.num_rows) for c in cuts), log.num_rows]
    pieces = [log.slice(start, end - start) for start, end in itertools.pairwise(at)]
    table = pa.concat_tables(hn.split(p, users, key=KEY, config=CONFIG).read_all() for p in pieces)
    counts = []
    for i in range(users):
        mine = table.filter(pa.array([p == i for p in table["part"].to_pylist()]))
        counts.append(counted(mine.take(list(reversed(range(mine.num_rows)))), (i, users)))
    assert_equal(hn.merge(*by_query(counts, queries)), expected)


def test_what_is_sealed_says_nothing():
    table = hn.split(ROWS, 3, key=KEY, config=CONFIG).read_all()
    counts = hn.split(in_parts(1)[0], 3, key=KEY).read_all()
    released = hn.release(hn.merge(*in_parts(2)), privacy=hn.Privacy.none()).block(key=KEY)
    for content in (*table["block"].to_pylist(), *counts["block"].to_pylist(), released):
        for word in (b"user", b"session ", b"hats", b"coats", "dé".encode(), b"clicked", KEY.material()):
            assert word not in content.partition(b"}")[2], word
    said = {name.decode(): value.decode() for name, value in table.schema.metadata.items()}
    assert said["hardneg_fast.stage"] == "rows"
    assert said["hardneg_fast.parts"] == "3"
    assert said["hardneg_fast.key_id"] == KEY.id
    assert len(said["hardneg_fast.config"]) == 16
    assert counts.schema.metadata[b"hardneg_fast.stage"] == b"counts"


def test_a_user_of_another_part_is_refused():
    """Rows that come without split are looked at one by one."""
    with pytest.raises(hn.DataError, match=r"a user who is not of part 1 of 3.*split") as caught:
        hn.count(ROWS, part=(1, 3), key=KEY, config=CONFIG)
    assert "user 4" not in str(caught.value)
    alone = hn.count(ROWS, part=(0, 1), key=KEY, config=CONFIG, tables=TABLES)
    assert alone.parts["users"] == (1, [0])
    # Under another key users have other parts.
    with pytest.raises(hn.UsageError, match="sealed under key"):
        counted(blocks_of(ROWS, 3)[0], (0, 3), key=OTHER)


def test_merge_refuses():
    one, two, three = in_parts(3)
    with pytest.raises(hn.UsageError, match="part 1 of 3 of the users is in both"):
        hn.merge(one, two, hn.merge(two, three))
    with pytest.raises(hn.UsageError, match="different splits"):
        hn.merge(one, in_parts(4)[1])
    other = replace(CONFIG, count=hn.CountConfig(since=datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)))
    with pytest.raises(hn.UsageError, match="different options"):
        hn.merge(one, counted(blocks_of(ROWS, 3, config=other)[1], (1, 3), config=other))
    with pytest.raises(hn.UsageError, match="different keys"):
        hn.merge(one, counted(blocks_of(ROWS, 3, key=OTHER)[1], (1, 3), key=OTHER))
    with pytest.raises(hn.UsageError, match="one is a part of a log and the other is not"):
        hn.merge(one, hn.count(ROWS[:60], config=CONFIG, tables=TABLES))
    (a, b), (c, _) = by_query([one], 2), by_query([two], 2)
    with pytest.raises(hn.UsageError, match="part 0 of 3 of the users is in both"):
        hn.merge(a, a)
    with pytest.raises(hn.UsageError, match="merge all users of the same queries first"):
        hn.merge(b, c)
    released = hn.release(hn.merge(one, two, three), privacy=hn.Privacy.none()).block(key=KEY)
    with pytest.raises(hn.UsageError, match="holds released where counts are asked for"):
        hn.load_counts(released, key=KEY)


def test_release_refuses_what_is_missing():
    parts = in_parts(9)
    with pytest.raises(hn.UsageError, match=r"7 of 9 parts of the users are missing \(0, 2, 3, 5, 6, …\)"):
        hn.release(hn.merge(parts[1], parts[4]), privacy=hn.Privacy.none())
    pieces = by_query(parts, 3)
    with pytest.raises(hn.UsageError, match=r"2 of 3 parts of the queries are missing \(0, 2\)"):
        hn.release(pieces[1], privacy=hn.Privacy.k_users(2))
    with pytest.raises(hn.UsageError, match="not of part 2 of 3"):
        hn.release(pieces[1], privacy=hn.Privacy.none(), part=(2, 3))
    with pytest.raises(hn.UsageError, match="users are missing"):
        hn.release(by_query(parts[:4], 3)[0], privacy=hn.Privacy.none(), part=(0, 3))
    with pytest.raises(hn.UsageError, match="of a whole log"):
        hn.release(hn.count(ROWS, config=CONFIG), privacy=hn.Privacy.none(), part=(0, 3))
    with pytest.raises(hn.UsageError, match=r"part \(3, 3\) does not exist"):
        hn.release(pieces[1], privacy=hn.Privacy.none(), part=(3, 3))


def test_gather_refuses():
    none = hn.Privacy.none()
    parts = [hn.release(c, privacy=none, part=(i, 3)) for i, c in enumerate(by_query(in_parts(2), 3))]
    for wrong in (parts[:2], [*parts[:2], parts[1]], [parts[0], parts[0], parts[2]], [*parts, parts[0]]):
        with pytest.raises(hn.UsageError, match="each once"):
            hn.gather(wrong, privacy=none)
    with pytest.raises(hn.UsageError, match="no parts"):
        hn.gather([], privacy=none)
    with pytest.raises(hn.UsageError, match="in another way"):
        hn.gather(parts, privacy=hn.Privacy.k_users(2))
    with pytest.raises(hn.UsageError, match=r"gather\(blocks, key"):
        hn.gather([p.block(key=KEY) for p in parts], privacy=none)
    with pytest.raises(hn.UsageError, match="part 1 of 3 of the queries of a release"):
        hn.evidence(parts[1])
    counts = by_query(in_parts(1), 1)[0]
    block = hn.split(counts, 1, key=KEY).read_all()["block"][0].as_py()
    with pytest.raises(hn.UsageError, match="holds counts where released are asked for"):
        hn.gather([block], privacy=none, key=KEY)


def test_blocks_that_do_not_belong_together():
    mine, other = blocks_of(ROWS, 3)[0], blocks_of(ROWS, 3)[1]
    with pytest.raises(hn.UsageError, match="part 0 of 3 and of part 1 of 3 came together"):
        counted(pa.concat_tables([mine, other]), (0, 3))
    with pytest.raises(hn.UsageError, match="of part 1 of 3, not of part 0 of 3"):
        counted(other, (0, 3))
    with pytest.raises(hn.DataError, match="no block of part 0 of 3"):
        counted(mine.slice(0, 0), (0, 3))
    with pytest.raises(hn.UsageError, match="another configuration"):
        counted(mine, (0, 3), config=replace(CONFIG, seed=1))
    loose = blocks_of(ROWS, 3, config=replace(CONFIG, scrub=hn.ScrubConfig(action="off")))[0]
    with pytest.raises(hn.UsageError, match="split with different options"):
        counted(pa.concat_tables([mine, loose]), (0, 3))
    cast = ROWS.set_column(5, "position", ROWS["position"].cast(pa.int64()))
    with pytest.raises(hn.DataError, match="types of their columns"):
        counted(pa.concat_tables([mine, blocks_of(cast, 3)[0]]), (0, 3))


def test_damaged_blocks():
    block = blocks_of(ROWS, 1)[0]["block"][0].as_py()
    counts = hn.split(in_parts(1)[0], 1, key=KEY).read_all()["block"][0].as_py()
    for _ in range(100):
        at = POOL.randrange(len(block))
        for damaged in (block[:at], block[:at] + bytes([block[at] ^ POOL.randrange(1, 256)]) + block[at + 1 :]):
            with pytest.raises((hn.DataError, hn.UsageError), match=r"block|key|configuration|part"):
                counted(pa.table({"part": pa.array([0], pa.int32()), "block": [damaged]}), (0, 1))
        with pytest.raises((hn.DataError, hn.UsageError), match=r"block|key"):
            hn.load_counts(counts[: POOL.randrange(len(counts))], key=KEY)


def test_bad_arguments():
    blocks = blocks_of(ROWS, 2)
    for wrong in ((2, 2), (-1, 2), (0, 0), (0,), "0/2", (0.0, 2), (True, 2), (0, 2**21)):
        with pytest.raises(hn.UsageError, match="part is"):
            counted(blocks[0], wrong)
    with pytest.raises(hn.UsageError, match="keyed hashes"):
        counted(blocks[0], (0, 2), key=None)
    with pytest.raises(hn.UsageError, match=r"Key\.load"):
        hn.split(ROWS, 2, key=None)
    with pytest.raises(hn.ColumnError, match="has none"):
        hn.split(ROWS.drop(["user_id"]), 2, key=KEY, config=CONFIG)
    with pytest.raises(hn.UsageError, match="position_base 0 or 1"):
        hn.split(ROWS, 2, key=KEY)
    with pytest.raises(hn.UsageError, match="made by user"):
        hn.count(ROWS.drop(["user_id"]), part=(0, 1), key=KEY, config=CONFIG)
    with pytest.raises(hn.UsageError, match="not split"):
        hn.split(hn.count(ROWS, config=CONFIG), 2, key=KEY)
    with pytest.raises(hn.UsageError, match="counted under key"):
        hn.split(counted(blocks[0], (0, 2)), 2, key=OTHER)
    with pytest.raises(hn.UsageError, match="split by query already"):
        hn.split(by_query(in_parts(1), 2)[0], 2, key=KEY)
    with pytest.raises(hn.UsageError, match="opens with the key"):
        hn.load_counts(b"HNBLOCK1")


def test_parts_are_kept_in_files(tmp_path):
    one, two = in_parts(2)
    one.save(tmp_path / "one.counts")
    found = hn.load_counts(tmp_path / "one.counts")
    assert found.parts == one.parts
    with pytest.raises(hn.UsageError, match="1 of 2 parts of the users are missing"):
        hn.release(found, privacy=hn.Privacy.none())
    merged = hn.merge(found, two)
    merged.save(tmp_path / "all.counts")
    assert hn.load_counts(tmp_path / "all.counts").parts == {**merged.parts, "queries": (1, [0])}

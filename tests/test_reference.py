"""The reference itself, held to answers worked out by hand from docs/ARCHITECTURE.md."""

from __future__ import annotations

import datetime
import json
import math
import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from hardneg_fast.config import Config, CountConfig, EvidenceConfig, SelectConfig
from reference import (
    Counts,
    canonical_key,
    code,
    count,
    evidence,
    in_canonical_order,
    mine,
    normalize,
    pseudonym,
    query_id,
    release,
    seed_hash,
    select,
    siphash24,
)
from reference.evidence import poisson_cdf, wilson_upper
from reference.pseudonym import hkdf_sha256, lp
from reference.release import Released
from reference.select import half_up
from strategies import (
    CANONICAL,
    NOON,
    arrow_variants,
    count_configs,
    evidence_configs,
    logs,
    raw_queries,
    rebatch,
    select_configs,
    to_table,
)

DATA = Path(__file__).parent / "data"
ALL = set(CANONICAL.names)
MINUTE = 60_000_000
DAY = 24 * 60 * MINUTE
LOOSE = {"min_page_length": 1, "robots": "keep", "max_votes": 0}
slow = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


def page(results: str, user="u", search="s", query="q", time=NOON, session="1", **fixed) -> list[dict]:
    """Rows of a page from a word a result, from the top: `d*` is clicked, `d@7` at position 7, `d@` without one.

    `d*500` has 500 ms of dwell time, and `d*!3` was clicked 3 ms after the page was shown.
    """
    rows = []
    for n, word in enumerate(results.split(), 1):
        rest, _, click_ms = word.partition("!")
        rest, at, position = rest.partition("@")
        doc, star, dwell = rest.partition("*")
        row = dict.fromkeys(CANONICAL.names)
        row |= {"user_id": user, "search_id": search, "session_id": session, "query": query, "timestamp": time}
        row |= {"doc_id": doc, "clicked": bool(star), "dwell_ms": int(dwell) if dwell else None}
        row |= {"position": int(position) if position else None if at else n}
        row |= {"click_ms": int(click_ms) if click_ms else None}
        rows.append(row | fixed)
    return rows


def counted(*pages: list[dict], columns: set[str] = ALL, has_pages=True, seed=0, **options) -> Counts:
    rows = [row for rows in pages for row in rows]
    return count(rows, columns, has_pages, CountConfig(**LOOSE | options), seed)


def column(table: dict, name: str, query: str | None = "q") -> dict:
    """(…, last key) → a column of one query; shortened to the document for `pairs`."""
    return {key[1] if len(key) == 2 else key[1:]: row[name] for key, row in table.items() if key[0] == query}


# --- anonymize ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", json.loads((DATA / "pseudonym_vectors.json").read_text()))
def test_pseudonym_vectors(vector):
    key = bytes.fromhex(vector["master_key"])
    info = b"hardneg_fast/v1" + b"".join(lp(vector[name].encode()) for name in ("field", "epoch", "dataset"))
    assert hkdf_sha256(key, info).hex() == vector["field_key"]
    assert HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(key).hex() == vector["field_key"]
    made = pseudonym(key, vector["field"], vector["value"], vector["epoch"], vector["dataset"])
    assert made.hex() == vector["pseudonym"]


def test_pseudonym_vectors_are_all_different():
    vectors = json.loads((DATA / "pseudonym_vectors.json").read_text())
    assert len({vector["pseudonym"] for vector in vectors}) == len(vectors)


@pytest.mark.parametrize("vector", json.loads((DATA / "normalize_vectors.json").read_text()), ids=lambda v: v["why"])
def test_normalize_vectors(vector):
    assert normalize(vector["raw"]) == vector["normalized"]
    assert query_id(vector["normalized"]) == vector["query_id"]


@given(st.text(st.characters(exclude_categories=("Cs", "Cn"))) | raw_queries())
def test_normalize_changes_nothing_twice(text):
    once = normalize(text)
    assert normalize(once) == once


def test_siphash_reference_vector():
    assert siphash24(bytes(range(16)), bytes(range(15))) == 0xA129CA6149BE45E5


def test_seed_hash_vectors():
    vectors = json.loads((DATA / "seed_hash_vectors.json").read_text())
    for vector in vectors["siphash24"]:
        made = siphash24(bytes.fromhex(vector["key"]), bytes.fromhex(vector["message"]))
        assert f"{made:016x}" == vector["hash"]
    for vector in vectors["seed_hash"]:
        made = seed_hash(vector["seed"], vector["domain"], *map(bytes.fromhex, vector["parts"]))
        assert f"{made:016x}" == vector["hash"]


# --- count: quarantine, window, pages ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"user_id": None, "search_id": None}, "null_user_id"),
        ({"user_id": ""}, "null_user_id"),
        ({"search_id": None, "query": None}, "null_search_id"),
        ({"query": ""}, "null_query"),
        ({"query": " \x00"}, "null_query"),
        ({"query": " \x00", "clicked": None}, "null_clicked"),
        ({"doc_id": "", "clicked": None}, "null_doc_id"),
        ({"query": "x" * 1025, "clicked": None}, "query_too_long"),
        ({"query": " " * 1025}, "query_too_long"),
        ({"clicked": None, "position": 0}, "null_clicked"),
        ({"position": 0, "timestamp": None}, "position_impossible"),
        ({"position": 65_536}, "position_impossible"),
        ({"timestamp": None}, "null_timestamp"),
        ({"timestamp": 631_151_999_999_999}, "timestamp_impossible"),
        ({"timestamp": 4_133_980_800_000_000}, "timestamp_impossible"),
    ],
)
def test_quarantine(change, reason):
    counts = counted(page("a b"), page("c", **change))
    assert counts.dropped == {reason: 1}
    assert set(column(counts.pairs, "impressions")) == {"a", "b"}


@pytest.mark.parametrize(
    "change",
    [
        {"query": "x" * 1024},
        {"position": 65_535},
        {"position": None},
        {"session_id": None},
        {"timestamp": 631_152_000_000_000},
        {"timestamp": 4_133_980_799_999_999},
    ],
)
def test_odd_rows_that_stay(change):
    assert counted(page("a", **change), max_position=65_535).dropped == {}


def test_columns_that_the_log_lacks_are_not_missed():
    rows = page("a", user_id=None, search_id=None, timestamp=None)
    assert counted(rows, columns={"query", "doc_id", "clicked"}).dropped == {}


def test_impossible_durations_are_null_and_the_row_stays():
    counts = counted(page("a* b*!2", dwell_ms=-1), page("c*", search="t", click_ms=-1))
    assert counts.dropped == {"dwell_impossible": 2, "click_ms_impossible": 1}
    assert column(counts.pairs, "satisfied_clicks") == {"a": 1, "b": 1, "c": 1}


def test_window_then_surface():
    at = datetime.datetime.fromtimestamp(NOON / 1e6, datetime.UTC)
    rows = (
        page("a b", surface="home") + page("c", surface="shop") + page("d") + page("e", time=NOON + 10, surface="shop")
    )
    counts = counted(rows, since=at, until=at + datetime.timedelta(microseconds=10), surfaces=("home",))
    assert counts.dropped == {"outside_window": 1, "other_surface": 2}
    assert set(column(counts.pairs, "impressions")) == {"a", "b"}
    assert counted(page("a", time=NOON - 1), since=at.replace(tzinfo=None)).dropped == {"outside_window": 1}


@pytest.mark.parametrize(
    ("lacking", "options"),
    [
        ("timestamp", {"since": datetime.datetime(2025, 1, 1)}),
        ("timestamp", {"until": datetime.datetime(2025, 1, 1)}),
        ("surface", {"surfaces": ("home",)}),
        ("until", {"half_life_days": 1.0}),
    ],
)
def test_options_without_what_they_need_are_refused(lacking, options):
    with pytest.raises(ValueError, match=lacking):
        counted(page("a"), columns=ALL - {lacking}, **options)


def test_duplicates_are_one_impression():
    rows = page("a*500!9", time=NOON + 5) + page("a@1", dwell_ms=20_000, click_ms=3) + page("a@2 b@1 c@ c@")
    counts = counted(rows)
    assert counts.dropped == {"duplicate_impression": 2}
    a = counts.pairs["q", "a"]
    assert (a["impressions"], a["clicks"], a["satisfied_clicks"], a["dwell_ms_sum"]) == (2, 1, 1, 20_000)
    assert (a["first_seen"], a["last_seen"], a["position_sum"]) == (NOON, NOON, 3)
    assert counts.pairs["q", "c"]["positioned"] == 0


def test_a_page_is_user_search_and_normalised_query():
    rows = (
        page("a", query="Shoes")
        + page("b*", query=" shoes ")
        + page("c", query="hats")
        + page("d", query="shoes", user="v")
    )
    assert counted(rows).queries == {
        ("shoes",): {"users": 2, "searches": 2, "searches_clicked": 1},
        ("hats",): {"users": 1, "searches": 1, "searches_clicked": 0},
    }


def test_a_page_without_search_id_is_user_session_query_and_time():
    columns = ALL - {"search_id"}
    rows = page("a b") + page("c", session="2") + page("d", time=NOON + 1) + page("e", session=None)
    assert counted(rows, columns=columns, has_pages=False).queries["q",]["searches"] == 4
    untimed = counted(rows, columns=columns - {"timestamp"}, has_pages=False)
    assert untimed.queries["q",]["searches"] == 3


def test_fold_follows_the_search():
    fold = seed_hash(5, "fold", seed_hash(5, "search", b"s").to_bytes(8, "big")) % 10
    assert set(counted(page("a b"), page("a", user="v", query="p"), seed=5).cells) == {
        ("q", "a", 1, 0, fold),
        ("q", "b", 2, 0, fold),
        ("p", "a", 1, 0, fold),
    }
    parts = (b"1", code("q"), NOON.to_bytes(8, "big"))
    fold = seed_hash(0, "fold", seed_hash(0, "page", *parts).to_bytes(8, "big")) % 10
    assert set(counted(page("a"), columns=ALL - {"search_id"}, has_pages=False).cells) == {("q", "a", 1, 0, fold)}


def test_each_row_its_own_page_without_user_and_search():
    rows = page("a a@1 a*@1 b@")
    counts = counted(rows, columns={"query", "doc_id", "clicked", "position"}, has_pages=False)
    assert counts.dropped == {}
    assert counts.queries == {("q",): {"users": 4, "searches": 4, "searches_clicked": 1}}
    assert column(counts.pairs, "rejections") == {"a": 0, "b": 0}
    assert counts.preferences == {}
    keys = [
        seed_hash(0, "row", code("q"), code("a"), (1).to_bytes(8, "big"), clicked, b"", ordinal.to_bytes(8, "big"))
        for clicked, ordinal in [(b"\0", 0), (b"\0", 1), (b"\1", 0)]
    ] + [seed_hash(0, "row", code("q"), code("b"), b"", b"\0", b"", bytes(8))]
    folds = sorted(seed_hash(0, "fold", key.to_bytes(8, "big")) % 10 for key in keys)
    found = sorted(fold for (*_, fold), cell in counts.cells.items() for _ in range(cell["impressions"]))
    assert found == folds


def test_pages_by_session_without_user_and_search():
    columns = ALL - {"user_id", "search_id"}
    rows = page("a b*") + page("c", session="2") + page("d", time=NOON + 1) + page("a")
    counts = counted(rows, columns=columns, has_pages=False)
    assert counts.queries["q",] == {"users": 3, "searches": 3, "searches_clicked": 1}
    assert counts.dropped == {"duplicate_impression": 1}
    assert column(counts.pairs, "rejections") == {"a": 1, "b": 0, "c": 0, "d": 0}


def test_decay_keeps_pages_by_their_hash():
    until = datetime.datetime.fromtimestamp((NOON + DAY) / 1e6, datetime.UTC)
    pages = [page("a b", search=f"{n}", user=f"{n}") for n in range(400)]
    counts = counted(*pages, until=until, half_life_days=1.0)
    kept = 0
    for n in range(400):
        key = seed_hash(0, "search", f"{n}".encode()).to_bytes(8, "big")
        kept += seed_hash(0, "decay", key) < 2**63
    assert counts.queries["q",]["searches"] == kept
    assert counts.dropped == {"decayed": 2 * (400 - kept)}
    # Half of 400 fair coins, five standard deviations (10 each): false alarm below 1e-6.
    assert 150 < kept < 250


# --- count: robots, length, sessions -----------------------------------------------------------------------------


def many(pages: int, results: str = "a b c d", gap: int = DAY) -> list[dict]:
    return [row for n in range(pages) for row in page(results, search=f"{n}", time=NOON + n * gap)]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (many(51, gap=1), "robot_searches"),
        (many(50, "a*", gap=1), None),
        # 26 minutes apart from noon on: 28 of them on the first day.
        (many(51, "a*", gap=26 * MINUTE), None),
        (many(25, "a* b* c d"), "robot_clicks"),
        (many(24, "a* b* c d"), None),
        (many(20, "a* b* c d e"), None),
        (many(30), "robot_no_clicks"),
        (many(29), None),
        (many(5, "a*1000 b*1499 c d e f g"), "robot_dwell"),
        (many(5, "a*1000 b*1500 c d e f g"), "robot_dwell"),
        (many(5, "a*1500 b*1501 c d e f g"), None),
        (many(10, "a*9000 b c d"), "robot_dwell"),
        (many(9, "a*9000 b c d"), None),
        (many(10, "a*9000 b c d") + page("x*9001", search="x"), None),
    ],
)
def test_robots(rows, reason):
    honest = page("z", user="v")
    counts = counted(rows, honest, robots="drop")
    assert counts.dropped == ({reason: len(rows)} if reason else {})
    assert ("q", "z") in counts.pairs
    assert counted(rows, honest).dropped == {}


def test_robots_are_judged_before_far_positions_go():
    rows = many(25, "a* b* c@60 d@61")
    assert counted(rows, robots="drop").dropped == {"robot_clicks": 100}


def test_no_robots_without_users():
    assert counted(many(51, gap=1), columns=ALL - {"user_id"}, robots="drop").dropped == {}


def test_far_positions_then_short_pages():
    rows = (
        page("a b c@50 d@51") + page("e f g@51", search="t") + page("h@ i@ j@", search="v") + page("k@60", search="w")
    )
    counts = counted(rows, min_page_length=3)
    assert counts.dropped == {"beyond_max_position": 3, "short_page": 2}
    assert set(column(counts.pairs, "impressions")) == set("abchij")
    assert counts.queries["q",]["searches"] == 2
    assert counted(rows, min_page_length=3, has_pages=False).dropped == {"beyond_max_position": 3}


def test_duplicates_do_not_lengthen_a_page():
    assert counted(page("a b b@2"), min_page_length=3).dropped == {"duplicate_impression": 1, "short_page": 2}


# --- count: facts, votes, sums -----------------------------------------------------------------------------------


def test_page_facts():
    # Clicks at 2 and 4, without click times: the last click is the deepest.
    counts = counted(page("a b*9999 c d* e f@"))
    assert column(counts.pairs, "rejections") == {"a": 1, "b": 0, "c": 1, "d": 0, "e": 1, "f": 1}
    assert column(counts.pairs, "skips") == {"a": 1, "b": 0, "c": 1, "d": 0, "e": 0, "f": 0}
    assert column(counts.pairs, "skip_position_sum") == {"a": 1, "b": 0, "c": 3, "d": 0, "e": 0, "f": 0}
    assert column(counts.pairs, "examined_first") == {"a": 1, "b": 1, "c": 0, "d": 0, "e": 0, "f": 0}
    assert column(counts.pairs, "examined_last") == {"a": 1, "b": 1, "c": 1, "d": 1, "e": 0, "f": 0}
    assert column(counts.pairs, "last_clicks") == {"a": 0, "b": 0, "c": 0, "d": 1, "e": 0, "f": 0}
    assert column(counts.pairs, "satisfied_clicks") == {"a": 0, "b": 0, "c": 0, "d": 1, "e": 0, "f": 0}
    assert column(counts.pairs, "dwells") == {"a": 0, "b": 1, "c": 0, "d": 0, "e": 0, "f": 0}
    assert {key[1:4] for key in counts.cells} == {
        ("a", 1, 0),
        ("b", 2, 0),
        ("c", 3, 2),
        ("d", 4, 2),
        ("e", 5, 4),
        ("f", 0, 0),
    }


@pytest.mark.parametrize(
    ("results", "last"),
    [
        ("a b*!7 c d*!3 e", 2),
        ("a b*!7 c d* e", 4),
        ("a b*!7 c d*!7 e", 4),
        # A click without a position is not looked at.
        ("a b*!7 c d*!3 e*@", 2),
    ],
)
def test_last_click(results, last):
    pairs = counted(page(results)).pairs
    assert column(pairs, "examined_last") == {doc: int(n <= last and n < 5) for n, doc in enumerate("abcde", 1)} | (
        {"e": 0} if "e*@" in results else {}
    )
    assert column(pairs, "last_clicks") == {doc: int(n == last) for n, doc in enumerate("abcde", 1)}


def test_pages_without_a_click_say_nothing():
    pair = counted(page("a b")).pairs["q", "a"]
    assert [pair[name] for name in ("rejections", "skips", "examined_first", "examined_last")] == [0, 0, 0, 0]


def test_a_click_without_a_position_rejects_but_skips_nothing():
    pair = counted(page("a b*@")).pairs["q", "a"]
    assert (pair["rejections"], pair["skips"], pair["examined_last"]) == (1, 0, 0)


def test_votes_clicked_first_then_in_order():
    rows = (
        page("a x*", search="1", time=NOON)
        + page("x a", search="2", time=NOON + 1)
        + page("x y a*100", search="3", time=NOON + 2)
        + page("x y z a*20000", search="4", time=NOON + 3)
    )
    two = counted(rows, max_votes=2).pairs["q", "a"]
    assert (two["impressions"], two["clicks"], two["satisfied_clicks"], two["position_sum"]) == (2, 2, 1, 7)
    one = counted(rows, max_votes=1).pairs["q", "a"]
    assert (one["impressions"], one["clicks"], one["satisfied_clicks"], one["position_sum"]) == (1, 1, 0, 3)
    # The user was satisfied all the same.
    assert (one["users_shown"], one["users_clicked"], one["users_satisfied"]) == (1, 1, 1)
    assert (one["first_seen"], one["last_seen"]) == (NOON + 2, NOON + 2)
    three = counted(rows, max_votes=3).pairs["q", "a"]
    assert (three["position_sum"], three["rejections"], three["first_seen"]) == (8, 1, NOON)
    assert counted(rows, rows, max_votes=3).pairs == counted(rows, max_votes=3).pairs


def test_votes_on_one_page_null_position_first():
    pair = counted(page("a@3 a@ a@2"), max_votes=2).pairs["q", "a"]
    assert (pair["positioned"], pair["position_sum"]) == (1, 2)


def test_pages_at_one_moment_go_by_search_order_key():
    keys = {search: seed_hash(0, "search", search.encode()) for search in ("s", "t")}
    first = min(keys, key=keys.get)
    second = ({"s", "t"} - {first}).pop()
    rows = page("a@4", search=first) + page("a@7", search=second)
    assert counted(rows, max_votes=1).pairs["q", "a"]["position_sum"] == 4


def test_users_are_told_apart_and_votes_are_per_user():
    counts = counted(*[page("a b*", user=user, search=search) for user in "uvw" for search in "st"], max_votes=1)
    pair = counts.pairs["q", "a"]
    assert (pair["users_shown"], pair["impressions"], pair["rejections"]) == (3, 3, 3)
    assert counts.queries["q",] == {"users": 3, "searches": 6, "searches_clicked": 6}


def test_without_users_each_page_is_one():
    rows = page("a b*", search="s") + page("a b*", search="t")
    counts = counted(rows, columns=ALL - {"user_id"}, max_votes=1)
    assert counts.queries["q",] == {"users": 2, "searches": 2, "searches_clicked": 2}
    assert counts.pairs["q", "a"]["impressions"] == 2
    assert counts.successions == {}


# --- count: preferences, successions, pages ----------------------------------------------------------------------


def preferences(counts: Counts, rule: str) -> dict:
    return {
        f"{preferred}>{skipped}": (row["users"], row["position_preferred_sum"], row["position_skipped_sum"])
        for (_, preferred, skipped, own), row in counts.preferences.items()
        if own == rule
    }


def test_preferences_of_a_page():
    counts = counted(page("a b* c d* e f"))
    assert preferences(counts, "skip_above") == {"b>a": (1, 2, 1), "d>a": (1, 4, 1), "d>c": (1, 4, 3)}
    assert preferences(counts, "last_click_skip_above") == {"d>a": (1, 4, 1), "d>c": (1, 4, 3)}
    assert preferences(counts, "click_no_click_next") == {"b>c": (1, 2, 3), "d>e": (1, 4, 5)}


def test_preferences_of_the_last_click_in_time():
    assert preferences(counted(page("a b*!9 c d*!1")), "last_click_skip_above") == {"b>a": (1, 2, 1)}


def test_preferences_next_position_over_gaps_and_ties():
    counts = counted(page("a*@1 b@3 c@3 d*@3 e@4 f@"))
    assert preferences(counts, "click_no_click_next") == {"a>b": (1, 1, 3), "a>c": (1, 1, 3), "d>e": (1, 3, 4)}
    # The next position is clicked only: nothing is said about the one after it.
    assert preferences(counted(page("a* b* c")), "click_no_click_next") == {"b>c": (1, 2, 3)}


def test_no_document_is_preferred_to_itself():
    assert counted(page("a a* a@3")).preferences == {}


def test_no_preferences_without_positions():
    assert counted(page("a b* c"), columns=ALL - {"position"}).preferences == {}


def test_one_preference_a_user_the_earliest():
    rows = page("a x b*", search="1", time=NOON + 1) + page("x a b*", search="2", time=NOON)
    rows += page("a b*", user="v", time=NOON + 9)
    assert preferences(counted(rows), "skip_above")["b>a"] == (2, 3 + 2, 2 + 1)
    # Two on one page: by the preferred position, then by the skipped one.
    both = page("a@1 a@2 b*@5 b*@4")
    assert preferences(counted(both), "skip_above")["b>a"] == (1, 4, 1)


def test_preferences_are_of_all_pages_voted_or_not():
    rows = [row for n in range(5) for row in page("a x y", search=f"{n}", time=NOON + n)]
    rows += page("a b*", search="9", time=NOON + 9)
    counts = counted(rows, max_votes=1)
    assert counts.pairs["q", "a"]["rejections"] == 0
    assert preferences(counts, "skip_above")["b>a"] == (1, 2, 1)


def test_successions():
    rows = (
        page("a", query="p", search="1", time=NOON)
        + page("a", query="P ", search="2", time=NOON + 1)
        + page("b* c", query="q", search="3", time=NOON + 2)
        + page("a", query="p", search="4", time=NOON + 3)
        + page("b d*", query="q", search="5", time=NOON + 4)
        + page("e", query="r", search="6", time=NOON + 5, session="2")
        + page("e", query="q", search="1", user="v", time=NOON + 1)
        + page("a", query="p", search="2", user="v", time=NOON)
    )
    counts = counted(rows)
    assert counts.successions == {
        ("p", "q"): {"users": 2, "users_clicked_after": 1},
        ("q", "p"): {"users": 1, "users_clicked_after": 0},
    }
    assert counts.succession_clicks == {("p", "q", "b"): {"users": 1}, ("p", "q", "d"): {"users": 1}}
    assert counted(rows, columns=ALL - {"timestamp"}).successions == {}


def test_a_null_session_is_a_session():
    rows = page("a", query="p", session=None) + page("a", query="x", search="x", time=NOON + 1)
    rows += page("a", query="q", search="t", time=NOON + DAY, session="")
    assert set(counted(rows).successions) == {("p", "q")}


def test_sessions_by_gap():
    rows = page("a", query="p") + page("a", query="q", search="t", time=NOON + 30 * MINUTE)
    rows += page("a", query="r", search="v", time=NOON + 60 * MINUTE + 1)
    assert set(counted(rows, columns=ALL - {"session_id"}).successions) == {("p", "q")}
    assert set(counted(rows).successions) == {("p", "q"), ("q", "r")}


def test_a_page_whose_rows_disagree_on_the_session_is_of_the_null_session():
    mixed = page("a", query="p") + page("b@2", query="p", session="2")
    half = page("a", query="r", search="3") + page("b@2", query="r", search="3", session=None)
    follow = [page("a", query=f"q{s}", search=f"f{s}", session=s, time=NOON + 1) for s in ("1", "2", None)]
    assert set(counted(mixed, *follow).successions) == {("p", "qnone")}
    assert set(counted(half, *follow).successions) == {("r", "qnone")}


def test_whole_pages():
    rows = page("b a* c@") + page("b a* c@", search="t") + page("b a c@", search="v")
    assert counted(rows, page_counts="on").pages == {
        ("q", ("c", "b", "a"), (False, False, True)): {"count": 2},
        ("q", ("c", "b", "a"), (False, False, False)): {"count": 1},
    }
    assert counted(rows).pages == {}


def test_canonical_order():
    # SHA-256 of a, b, c begins ca978112, 3e23e816, 2e7d2c03.
    assert [key for key, _ in in_canonical_order(counted(page("a b c")).pairs)] == [("q", "c"), ("q", "b"), ("q", "a")]
    rules = [key[3] for key, _ in in_canonical_order(counted(page("a b* a@3")).preferences)]
    assert rules == ["skip_above", "last_click_skip_above", "click_no_click_next"]


# --- release, evidence -------------------------------------------------------------------------------------------


def test_release_without_privacy_is_everything():
    counts = counted(page("a b* c", query="p"), page("a* b", query="q", search="t", time=NOON + 1), page_counts="on")
    released = release(counts, None)
    for table in ("queries", "pairs", "preferences", "successions", "succession_clicks", "pages"):
        assert getattr(released, table) == getattr(counts, table)
    assert released.cells["p", "b", 2] == {
        "clicks": 1,
        "impressions": 1,
        "clicks_variance": 0,
        "impressions_variance": 0,
        "weighting": 1,
    }


def test_released_cells_sum_over_folds_and_previous_clicks():
    rows = [row for n in range(30) for row in page("a* b" if n % 2 else "a b", user=f"{n}", search=f"{n}")]
    cell = release(counted(rows), None).cells["q", "b", 2]
    assert (cell["impressions"], cell["clicks"]) == (30, 0)


def test_k_users():
    rows = []
    for n, user in enumerate("uvw"):
        rows += page("a b* c" if n < 2 else "a b", user=user, query="p", search="1", time=NOON)
        rows += page("d*" if n < 2 else "d", user=user, query="q", search="2", time=NOON + 1)
        rows += page("d", user=user, query="r", search="3", time=NOON + 2) if n < 2 else []
    released = release(counted(rows), 3)
    assert set(released.queries) == {("p",), ("q",)}
    assert set(released.pairs) == {("p", "a"), ("p", "b"), ("q", "d")}
    assert set(released.cells) == {("p", "a", 1), ("p", "b", 2), ("q", "d", 1)}
    # Two users clicked: exact inside, for F1 and for rates.
    assert released.pairs["p", "b"]["users_clicked"] == 2
    assert released.pairs["p", "b"]["clicks"] == 2
    assert released.preferences == {}
    assert released.successions == {("p", "q"): {"users": 3, "users_clicked_after": 2}}
    assert released.succession_clicks == {}
    two = release(counted(rows), 2)
    assert ("p", "b", "a", "skip_above") in two.preferences
    assert two.succession_clicks == {("p", "q", "d"): {"users": 2}}


def test_preferences_need_both_documents():
    # Users 1 and 2 prefer b to a in two ways; c is shown to one user only, and below K as a pair.
    rows = page("a b* c", user="1") + page("a b*", user="2")
    assert {key[2] for key in release(counted(rows), 2).preferences} == {"a"}


def test_k_users_without_users_is_refused():
    with pytest.raises(ValueError, match="user_id"):
        release(counted(page("a"), columns=ALL - {"user_id"}), 2)


def test_evidence_by_hand():
    # Position 1: 4 shown, 1 clicked (0.25). Position 2: 4 shown, 2 clicked (0.5). No position: 1 shown, 1 clicked (1).
    rows = page("a* b", user="1") + page("a b*", user="2") + page("a b*", user="3") + page("b a", user="4")
    rows += page("b*@", user="5")
    table = evidence(release(counted(rows), None), EvidenceConfig(shrinkage=1.0, page_depth=10))
    a, b = table["q", "a"], table["q", "b"]
    assert a["expected_clicks"] == 3 * 0.25 + 0.5
    assert b["expected_clicks"] == 1.0 + 0.25 + 3 * 0.5
    assert a["coec"] == 2 / 2.25
    assert b["coec"] == 4 / 3.75
    assert a["p_zero"] == pytest.approx(math.exp(-1.25) * (1 + 1.25))
    assert a["mean_position"] == 5 / 4
    assert b["mean_position"] == 7 / 4
    assert a["skip_weight"] == 2 * 11 - 2
    # Wilson 1927 at z = 1.96 for 1 of 4, worked out apart.
    assert a["ctr_upper"] == pytest.approx(0.699364, abs=1e-6)


def test_evidence_without_positions():
    counts = counted(page("a* b c d"), columns=ALL - {"position"})
    row = evidence(release(counts, None), EvidenceConfig())["q", "b"]
    assert row["expected_clicks"] == 0.25
    assert row["mean_position"] is None


def test_poisson_and_wilson():
    assert poisson_cdf(0.0, 0) == 1.0
    assert poisson_cdf(2.0, 0) == pytest.approx(math.exp(-2))
    assert poisson_cdf(800.0, 800) == pytest.approx(0.5094, abs=1e-4)
    assert poisson_cdf(1e-300, 50) == 1.0
    assert wilson_upper(0, 1) == pytest.approx(1.96**2 / (1 + 1.96**2))
    assert wilson_upper(7, 7) == pytest.approx(1.0)


# --- select ------------------------------------------------------------------------------------------------------

FREE = {
    "alpha": 1.0,
    "negative_coec": 100.0,
    "abandoned": "keep",
    "positive_coec": 0.0,
}


def selected(rows: list[dict], *, k=None, columns: set[str] = ALL, seed=0, **options):
    released = release(counted(rows, columns=columns, has_pages="search_id" in columns), k)
    config = SelectConfig(**FREE | options)
    return select(released, evidence(released, EvidenceConfig()), config, seed, k)


def drawn(result) -> set[tuple]:
    return {(row["pos_id"], row["neg_id"], row["rule"]) for row in result.negatives}


def test_the_first_rule_names_the_pair():
    rows = page("a b* c d")
    assert drawn(selected(rows)) == {
        ("b", "a", "skip_above"),
        (None, "a", "top_shown_never_clicked"),
        (None, "c", "top_shown_never_clicked"),
        (None, "d", "top_shown_never_clicked"),
    }
    rules = ("skipped", "shown_not_clicked", "click_no_click_next", "last_click_skip_above", "skip_above")
    assert drawn(selected(rows, rules=rules)) == {
        (None, "a", "skipped"),
        (None, "c", "shown_not_clicked"),
        (None, "d", "shown_not_clicked"),
        ("b", "c", "click_no_click_next"),
        ("b", "a", "last_click_skip_above"),
    }
    assert {neg for _, neg, _ in drawn(selected(rows, rules=("top_shown_never_clicked",), top_positions=3.0))} == set(
        "ac"
    )


def test_a_query_without_a_positive_gives_nothing():
    result = selected(page("a b c"))
    assert (result.negatives, result.triplets, dict(result.funnel)) == ([], [], {"negatives": 0})


@pytest.mark.parametrize(
    ("pages", "options", "positives"),
    [
        (["a*"], {}, 1),
        (["a*100"], {}, 0),
        # One satisfied click is enough below four impressions, not from there on.
        (["a*", "a", "a"], {}, 1),
        (["a*", "a", "a", "a"], {}, 0),
        (["a*", "a*", "a", "a"], {}, 1),
        (["a*", "a"], {"positive_users": 2}, 0),
        (["a*", "a*"], {"positive_users": 2}, 1),
        # All alone at its position it is clicked just as expected: (2 + 1) / (2 + 1).
        (["a*", "a*"], {"positive_coec": 1.0}, 0),
        (["a*", "a*"], {"positive_coec": 0.99}, 1),
    ],
)
def test_positives(pages, options, positives):
    rows = [row for n, results in enumerate(pages) for row in page(results, user=f"{n}")]
    assert selected(rows, **options).funnel["positives"] == positives


def test_positives_best_first_and_capped():
    # Clicked as often at one position each: a is clicked twice of 2, b and c once of 2.
    rows = page("a*@1 b*@2 c@3 x@4", user="1") + page("a*@1 b@2 c*@3 x@4", user="2")
    rows += page("y@1 y@2 y@3 x@4", user="3", query="other")
    triplets = selected(rows, rules=("shown_not_clicked",)).triplets
    tied = sorted("bc", key=canonical_key)
    assert [row["positive"] for row in triplets] == ["a", *tied]
    capped = selected(rows, rules=("shown_not_clicked",), max_positives_per_query=2)
    assert [row["positive"] for row in capped.triplets] == ["a", tied[0]]
    # Beyond the cap, still never a negative, even where its one click would be forgiven.
    forgiven = selected(rows, max_positives_per_query=1, own_positive="users", own_positive_users=2)
    assert {row["neg_id"] for row in forgiven.negatives} == {"x"}


@pytest.mark.parametrize(
    ("options", "guard"),
    [
        ({}, None),
        ({"abandoned": "drop"}, "abandoned"),
        ({"alpha": 0.1}, "zero_click_significance"),
        ({"negative_coec": 0.25}, "coec"),
        ({"min_impressions": 3}, "min_impressions"),
        ({"max_ctr_upper": 0.5}, "ctr_upper"),
        ({"abandoned": "drop", "alpha": 0.1, "negative_coec": 0.25, "min_impressions": 3}, "abandoned"),
        ({"negative_coec": 0.25, "min_impressions": 3}, "coec"),
    ],
)
def test_guards_of_an_absolute_negative(options, guard):
    # x is shown twice on pages without a click, at a position where nothing is clicked.
    rows = page("a*", user="1") + page("x@2", user="2") + page("x@2", user="3")
    result = selected(rows, rules=("top_shown_never_clicked",), **options)
    assert result.funnel["candidates"] == 1
    assert drawn(result) == (set() if guard else {(None, "x", "top_shown_never_clicked")})
    if guard:
        assert result.funnel[guard] == 1


def test_own_positive():
    # b was clicked once, without satisfaction, by one user; the other skipped it.
    rows = page("b*10 a x", user="1") + page("b a*", user="2") + page("a*", user="3")
    strict = selected(rows, rules=("skip_above", "shown_not_clicked"), own_positive="strict")
    assert strict.funnel["own_positive"] == 3  # (a, b), and absolutely a, which user 1 left unclicked, and b
    assert {row["neg_id"] for row in strict.negatives} == {"x"}
    users = selected(rows, rules=("skip_above", "shown_not_clicked"), own_positive="users")
    assert drawn(users) == {
        ("a", "b", "skip_above"),
        (None, "b", "shown_not_clicked"),
        (None, "x", "shown_not_clicked"),
    }
    assert drawn(selected(rows, rules=("skip_above", "shown_not_clicked"), own_positive="satisfied")) == drawn(users)


def test_preferences_escape_absolute_guards():
    options = {"abandoned": "drop", "alpha": 0.0, "negative_coec": 0.0, "min_impressions": 99, "max_ctr_upper": 0.0}
    assert drawn(selected(page("a b*"), **options)) == {("b", "a", "skip_above")}


def test_abandoned_is_off_where_rows_are_pages():
    rows = page("a*") + page("x")
    columns = {"query", "doc_id", "clicked", "position"}
    assert {row["neg_id"] for row in selected(rows, columns=columns, abandoned="drop").negatives} == {"x"}


def test_cap_and_order_random():
    rows = page("a* b c d e f g")
    places = sorted("bcdefg", key=lambda doc: seed_hash(9, "negative", code("q"), code(doc)))
    result = selected(rows, seed=9, max_negatives_per_query=4, order="random")
    assert [row["neg_id"] for row in result.negatives] == places[:4]
    assert result.funnel["max_negatives_per_query"] == 2


def test_order_skip_weight():
    # Skipped at 1 (weight 10), at 2 and again at 3 (9 + 8), at 3 (8), never; ties by the document's bytes.
    rows = page("b c d a* e f", user="1") + page("z@1 y@2 c@3 a*@4", user="2")
    result = selected(rows, order="skip_weight", rules=("shown_not_clicked",))
    assert [row["neg_id"] for row in result.negatives] == ["c", "b", "z", "y", "d", "e", "f"]


def test_a_document_has_one_place():
    result = selected(page("x a* b*"), max_negatives_per_query=1)
    pairs = [(row["pos_id"], row["neg_id"]) for row in result.negatives]
    positives = sorted("ab", key=canonical_key)
    assert pairs == [(None, "x"), (positives[0], "x"), (positives[1], "x")]


def test_reuse_cap():
    queries = [f"q{n}" for n in range(5)]
    rows = [row for n, query in enumerate(queries) for row in page("x a*", query=query, search=f"{n}")]
    result = selected(rows, rules=("shown_not_clicked",), max_queries_per_document=2)
    kept = sorted(queries, key=lambda query: seed_hash(0, "reuse", code("x"), code(query)))[:2]
    assert [row["query"] for row in result.negatives] == sorted(kept, key=canonical_key)
    assert result.funnel["max_queries_per_document"] == 3


def test_negatives_columns():
    rows = page("x y a*", user="1") + page("y@1 x@2 a*@4", user="2")
    first, second = selected(rows, max_negatives_per_query=1, order="skip_weight", carry=("skips",)).negatives
    # Skipped at 1 and 2 by both x and y: x has the smaller bytes. Means 1.5 and 3.5 are rounded up.
    assert first == {
        "query_id": query_id("q"),
        "query": "q",
        "pos_id": None,
        "neg_id": "x",
        "rule": "top_shown_never_clicked",
        "kind": "hard",
        "position_pos": None,
        "position_neg": 2,
        "expected_clicks": 0.0,
        "examinations": None,
        "users": 2,
        "p_false_negative": None,
        "weight": None,
        "split": None,
        "skips": 2,
    }
    assert second == first | {"pos_id": "a", "rule": "skip_above", "position_pos": 4}


def test_half_up():
    assert [half_up(total, 2) for total in (2, 3, 4, 5)] == [1, 2, 2, 3]
    assert half_up(0, 0) is None


def test_k_users_rounds_what_is_reported():
    # Five users see x above a: three click a. Two click z, three times in all; K is 3.
    rows = []
    for n in range(5):
        rows += page("x a* z*" if n == 0 else "x a* z" if n < 3 else "x z a", user=f"{n}", search="1")
    rows += page("z*", user="0", search="2") + page("z*", user="1", search="2")
    result = selected(
        rows, k=3, own_positive="users", own_positive_users=3, carry=("clicks", "skips"), rules=("shown_not_clicked",)
    )
    by_doc = {row["neg_id"]: row for row in result.negatives}
    assert set(by_doc) == {"x", "z"}
    assert (by_doc["x"]["users"], by_doc["x"]["skips"], by_doc["x"]["position_neg"]) == (3, None, 1)
    # Clicks: 2 of 7 at position 1, 3 of 5 at 2, 1 of 5 at 3. z expects 2 * 2/7 + 2 * 3/5 + 3 * 1/5 = 2.37: down to 0.
    assert by_doc["z"]["expected_clicks"] == 0
    assert by_doc["z"]["clicks"] == 0
    options = {"own_positive": "users", "own_positive_users": 3, "positive_users": 3, "carry": ("clicks",)}
    exact = {row["neg_id"]: row for row in selected(rows, **options).negatives}
    assert exact["z"]["clicks"] == 3
    # A positive needs K users; a is clicked by three.
    assert selected(rows, k=4).negatives == []


def test_k_users_carries_no_rates():
    rows = page("x y a*", user="1") + page("y@1 x@2 a*@3", user="2")
    carry = ("coec", "p_zero", "ctr_upper", "mean_position", "impressions")
    row = selected(rows, k=2, carry=carry, rules=("shown_not_clicked",)).negatives[0]
    assert [row[name] for name in carry] == [None, None, None, 2, 2]


def test_triplets_of_each_positive():
    # a is preferred to x; b, above it, is preferred to nothing.
    rows = page("b* x a* y")
    result = selected(rows, rules=("skip_above",))
    assert result.triplets == [{"query": "q", "positive": "a", "negative_1": "x"}]
    rules = ("skip_above", "click_no_click_next", "shown_not_clicked")
    result = selected(rows, rules=rules, num_negatives=2, order="random")
    places = sorted("xy", key=lambda doc: seed_hash(0, "negative", code("q"), code(doc)))
    names = {"negative_1": places[0], "negative_2": places[1]}
    assert result.triplets == [{"query": "q", "positive": doc} | names for doc in sorted("ab", key=canonical_key)]


def test_refill():
    rows = page("a* x y z") + [row for n in range(9) for row in page(f"o{n}", query="other", search=f"{n}")]
    x, y, z = (row["neg_id"] for row in selected(rows).negatives)

    def rows_of(refill: str, n: int) -> list[list[str]]:
        triplets = selected(rows, refill=refill, num_negatives=n).triplets
        return [[row[f"negative_{i}"] for i in range(1, n + 1)] for row in triplets]

    assert rows_of("drop", 2) == [[x, y]]
    assert rows_of("drop", 4) == []
    assert rows_of("repeat", 2) == [[x, y], [z, x]]
    assert rows_of("repeat", 7) == [[x, y, z, x, y, z, x]]
    documents = sorted(["a", "x", "y", "z", *(f"o{n}" for n in range(9))], key=canonical_key)
    draws = [documents[seed_hash(0, "refill", code("q"), i.to_bytes(8, "big")) % 13] for i in range(64)]
    others = list(dict.fromkeys(doc for doc in draws if doc.startswith("o")))
    assert rows_of("random", 2) == [[x, y], [z, others[0]]]
    assert rows_of("random", 3) == [[x, y, z]]
    assert rows_of("random", 5) == [[x, y, z, *others[:2]]]
    # More than there are: the row is dropped.
    assert rows_of("random", 13) == []


def test_mine_is_its_stages():
    rows = page("a b* c")
    config = Config(count=CountConfig(**LOOSE), select=SelectConfig(**FREE))
    mined = mine(rows, ALL, True, config)
    assert mined.selected.negatives == selected(rows).negatives
    assert isinstance(mined.released, Released)


# --- properties of the whole -------------------------------------------------------------------------------------


@slow
@given(logs(), st.randoms(use_true_random=False), st.data())
def test_the_order_of_rows_does_not_matter(log, random_, data):
    config = Config(
        seed=3,
        count=data.draw(count_configs(log.columns)),
        evidence=data.draw(evidence_configs()),
        select=data.draw(select_configs()),
    )
    shuffled = random_.sample(log.rows, len(log.rows))
    one = mine(log.rows, log.columns, log.has_pages, config)
    two = mine(shuffled, log.columns, log.has_pages, config)
    for table in ("queries", "cells", "pairs", "preferences", "successions", "succession_clicks", "pages"):
        assert in_canonical_order(getattr(one.counts, table)) == in_canonical_order(getattr(two.counts, table)), table
    assert one.counts.dropped == two.counts.dropped
    assert one.selected == two.selected


@slow
@given(logs(), st.data())
def test_every_row_is_dropped_for_a_reason_or_counted(log, data):
    options = data.draw(count_configs(log.columns))
    counts = count(log.rows, log.columns, log.has_pages, CountConfig(**vars(options) | {"max_votes": 0}), 0)
    dropped = sum(
        n for reason, n in counts.dropped.items() if reason not in ("dwell_impossible", "click_ms_impossible")
    )
    assert dropped + sum(row["impressions"] for row in counts.pairs.values()) == len(log.rows)
    for name in ("impressions", "clicks", "satisfied_clicks"):
        assert sum(row[name] for row in counts.pairs.values()) == sum(row[name] for row in counts.cells.values())


@slow
@given(logs(), st.data())
def test_parts_with_disjoint_users_add_up(log, data):
    assume("user_id" in log.columns)
    config = data.draw(count_configs(log.columns))
    whole = count(log.rows, log.columns, log.has_pages, config, 0)
    some = data.draw(st.sets(st.sampled_from(["7", "42", "u", "v1", "robot"])))
    parts = [
        count([row for row in log.rows if (row["user_id"] in some) == inside], log.columns, log.has_pages, config, 0)
        for inside in (True, False)
    ]
    for table in ("queries", "cells", "preferences", "successions", "succession_clicks", "pages"):
        total: dict = {}
        for part in parts:
            for key, row in getattr(part, table).items():
                old = total.setdefault(key, dict.fromkeys(row, 0))
                total[key] = {name: old[name] + row[name] for name in row}
        assert total == getattr(whole, table), table


@slow
@given(logs(clean=True), st.integers(1, 4), st.data())
def test_k_users_reports_multiples_of_k(log, k, data):
    assume("user_id" in log.columns)
    config = Config(count=data.draw(count_configs(log.columns)), select=data.draw(select_configs()))
    mined = mine(log.rows, log.columns, log.has_pages, config, k)
    for row in mined.selected.negatives:
        reported = [
            row["users"],
            row["expected_clicks"],
            *(row[name] for name in config.select.carry if name != "mean_position"),
        ]
        assert all(value is None or value % k == 0 for value in reported)
        assert mined.counts.queries[row["query"],]["users"] >= k
        assert mined.counts.pairs[row["query"], row["neg_id"]]["users_shown"] >= k
        assert row["users"] >= k
    for triplet in mined.selected.triplets:
        assert mined.counts.pairs[triplet["query"], triplet["positive"]]["users_satisfied"] >= k


@slow
@given(logs(), st.data())
def test_the_funnel_adds_up(log, data):
    config = Config(count=data.draw(count_configs(log.columns)), select=data.draw(select_configs()))
    funnel = mine(log.rows, log.columns, log.has_pages, config).selected.funnel
    guards = [
        "own_positive",
        "same_intent",
        "abandoned",
        "zero_click_significance",
        "coec",
        "min_impressions",
        "ctr_upper",
    ]
    drops = sum(funnel[name] for name in [*guards, "max_negatives_per_query", "max_queries_per_document"])
    assert funnel["candidates"] == drops + funnel["negatives"]
    assert funnel["candidates"] == sum(funnel[rule] for rule in config.select.rules)


@slow
@given(logs())
def test_tables_say_what_the_rows_say(log):
    table = to_table(log.rows, log.columns)
    rows = table.to_pylist()
    for name, variant in arrow_variants(table).items():
        assert variant.num_rows == len(rows), name
        same = variant.select([n for n in variant.column_names if n == "query"]).to_pylist()
        assert same == [{"query": row["query"]} for row in rows], name
    assert rebatch(table, 2).to_pylist() == rows


def test_strategies_reach_every_corner():
    """A strategy that never draws a case tests nothing: each reason, rule and guard must turn up."""
    reasons = """
        null_user_id null_search_id null_query query_too_long null_doc_id null_clicked position_impossible
        null_timestamp timestamp_impossible dwell_impossible click_ms_impossible outside_window other_surface
        duplicate_impression decayed robot_searches robot_clicks robot_no_clicks robot_dwell beyond_max_position
        short_page own_positive abandoned zero_click_significance coec min_impressions ctr_upper
        max_negatives_per_query max_queries_per_document skip_above last_click_skip_above click_no_click_next
        shown_not_clicked top_shown_never_clicked skipped
    """
    tables = ("queries", "cells", "pairs", "preferences", "successions", "succession_clicks", "pages")
    wanted = {*reasons.split(), *(f"table {name}" for name in tables), "negatives without pages"}
    wanted |= {f"refill {way}" for way in ("drop", "repeat", "random")}

    class AllSeenError(Exception):
        """Ends the drawing: hypothesis stops at an exception, and is told not to shrink it."""

    @settings(slow, max_examples=3_000, derandomize=True, phases=[Phase.generate])
    @given(logs(), select_configs(), st.data())
    def draw(log, select_config, data):
        config = Config(count=data.draw(count_configs(log.columns)), select=select_config)
        mined = mine(log.rows, log.columns, log.has_pages, config)
        wanted.difference_update(mined.counts.dropped, mined.selected.funnel)
        wanted.difference_update(f"table {table}" for table in tables if getattr(mined.counts, table))
        if mined.selected.triplets:
            wanted.discard(f"refill {select_config.refill}")
        if not mined.counts.page_rules and mined.selected.negatives:
            wanted.discard("negatives without pages")
        if not wanted:
            raise AllSeenError

    try:
        draw()
    except AllSeenError:
        return
    raise AssertionError(f"never drawn: {sorted(wanted)}")


def test_random_seeds_change_samples():
    rows = page("a* b c d e f g h")
    random_ = random.Random(0)
    seeds = [random_.getrandbits(64) for _ in range(20)]
    assert len({selected(rows, seed=seed, max_negatives_per_query=1).negatives[0]["neg_id"] for seed in seeds}) > 1

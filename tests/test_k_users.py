"""What a k-users output shows, against sets of users counted from the raw rows in a few lines."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hardneg_fast as hn
import reference
import strategies

NOT_COUNTS = {"k", "position", "config", "version", "files", "position_bases", "position_neg", "position_pos", "preset"}
NOT_COUNTS |= {"attractiveness_prior", "attractive", "attraction", "prior", "satisfied", "examination", "held_out"}
NOT_COUNTS |= {"expected", "lower", "upper", "from", "below"}
"""Keys of a report whose numbers are no counts of the log."""


def counts_in(value: object, name: str = "") -> list[tuple[str, object]]:
    """Every number in a report that is a count, with its name."""
    if isinstance(value, dict):
        return [found for key, inner in value.items() if key not in NOT_COUNTS for found in counts_in(inner, key)]
    if isinstance(value, list):
        return [found for inner in value for found in counts_in(inner, name)]
    if isinstance(value, str):
        # Words with counts in them: notes, explanations.
        return [(name, int(n.replace(",", ""))) for n in re.findall(r"(?<![\w.])(\d[\d,]*) (?:users|rows|of)", value)]
    return [(name, value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


def people(log: strategies.Log) -> dict[str, dict]:
    """Who stands behind what, of raw rows: an upper bound of whatever cleaning leaves."""
    found: dict[str, dict] = {name: defaultdict(set) for name in ("asked", "shown", "clicked", "at", "clicked_at")}
    for row in log.rows:
        if row["user_id"] is None or row["query"] is None or row["doc_id"] is None:
            continue
        user, query = row["user_id"], reference.normalize(row["query"])
        clicked = row["clicked"]
        found["asked"][query].add(user)
        found["shown"][query, row["doc_id"]].add(user)
        found["at"][row.get("position")].add(user)
        if clicked:
            found["clicked"][query, row["doc_id"]].add(user)
            found["clicked_at"][row.get("position")].add(user)
    return found


LOOSE = hn.SelectConfig(
    rules=("skip_above", "click_no_click_next", "top_shown_never_clicked", "shown_not_clicked", "skipped"),
    positive_coec=0.01,
    alpha=1.0,
    negative_coec=5.0,
    abandoned="keep",
    own_positive="users",
    own_positive_users=100,
    num_negatives=1,
    carry=("users_shown", "users_clicked", "impressions", "clicks", "skips", "mean_position", "coec", "ctr_upper"),
)


@settings(max_examples=16)
@given(log=strategies.logs(columns={*strategies.CANONICAL.names}, clean=True), k=st.sampled_from([2, 3, 5]))
def test_nothing_is_shown_of_fewer_than_k_users(log, k, tmp_path_factory):
    config = hn.Config(
        threads=1,
        read=hn.ReadConfig(position_base="1"),
        count=hn.CountConfig(min_page_length=1, robots="keep"),
        select=LOOSE,
    )
    out = tmp_path_factory.mktemp("k") / "out"
    try:
        result = hn.mine(strategies.to_table(log.rows, log.columns), out, privacy=hn.Privacy.k_users(k), config=config)
    except hn.DataError:
        return
    who = people(log)

    def at_least(users: set, shown: int | None = None) -> None:
        assert len(users) >= k
        assert shown is None or (shown % k == 0 and 0 < shown <= len(users))

    for row in result.negatives.to_pylist():
        at_least(who["asked"][row["query"]])
        at_least(who["shown"][row["query"], row["neg_id"]], row["users"])
        if row["pos_id"] is not None:
            at_least(who["clicked"][row["query"], row["pos_id"]])
        for name in ("users_shown", "users_clicked", "impressions", "clicks"):
            assert row[name] % k == 0
        assert row["users_shown"] <= len(who["shown"][row["query"], row["neg_id"]])
        assert row["users_clicked"] <= len(who["clicked"][row["query"], row["neg_id"]])
        if row["clicks"]:
            at_least(who["clicked"][row["query"], row["neg_id"]])
        # From these exact counts could be worked out.
        assert (row["coec"], row["ctr_upper"], row["skips"]) == (None, None, None)
        assert row["expected_clicks"] is None or row["expected_clicks"] % k == 0
    for row in result.triplets.to_pylist():
        at_least(who["clicked"][row["query"], row["positive"]])
        at_least(who["shown"][row["query"], row["negative_1"]])
    for row in result.by_position.to_pylist():
        assert row["impressions"] % k == row["clicks"] % k == 0
        if row["position"] and row["impressions"]:
            at_least(who["at"][row["position"]])
        if row["position"] and row["clicks"]:
            at_least(who["clicked_at"][row["position"]])
    report = json.loads((out / "report.json").read_text())
    for name, value in counts_in({k: v for k, v in report.items() if k not in ("written", "ctr_by_position")}):
        assert value % k == 0, name
    # Queries and documents that the files name are released ones, the page and the card included.
    named = set(result.queries["query"].to_pylist())
    rare = {q for q in who["asked"] if len(who["asked"][q]) < k and len(q) > 5 and q != "skip_above"}
    secret = {q for q in rare if not any(q in n for n in named)}
    for path in (p for p in out.rglob("*") if p.suffix in (".md", ".html", ".json")):
        assert not [q for q in secret if q in path.read_text()], path.name


@pytest.mark.parametrize("k", [None, 5])
def test_a_log_without_a_row_to_use_counts_as_shown(k):
    rows = [{"user_id": f"u{i}", "query": None, "doc_id": "d", "clicked": False} for i in range(7)]
    rows += [{"user_id": "u1", "query": "shoes", "doc_id": None, "clicked": False}] * 2
    schema = pa.schema({"user_id": "string", "query": "string", "doc_id": "string", "clicked": "bool"})
    log, privacy = pa.Table.from_pylist(rows, schema), hn.Privacy.k_users(k) if k else hn.Privacy.none()
    says = r"\(null_query 5\)" if k else r"\(null_doc_id 2, null_query 7\)"
    with pytest.raises(hn.DataError, match=says):
        hn.mine(log, privacy=privacy)
    if k:
        with pytest.raises(hn.DataError, match=r"all were set aside .fewer than 5 for any one reason"):
            hn.mine(log.slice(5), privacy=privacy)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sim")
    hn.simulate(folder / "log", impressions=30_000, seed=5)
    return folder / "log" / "log.parquet"


def test_card_and_page_print_what_the_report_says(log, tmp_path):
    """Every number of the card's table and the page's tiles is one of the report, or the number of rows of a file."""
    k = 7
    config = hn.Config(select=replace(LOOSE, carry=()))
    hn.mine(log, tmp_path / "out", privacy=hn.Privacy.k_users(k), config=config)
    rows = {pq.read_table(p).num_rows for p in (tmp_path / "out").glob("*") if p.is_dir()}
    card = (tmp_path / "out" / "README.md").read_text()
    numbers = card[card.index("## Numbers") : card.index("## Limits")].partition("## Examples")[0]
    shown = [int(n.replace(",", "")) for n in re.findall(r"\| ([\d,]+) \|", numbers)]
    assert len(shown) > 5
    assert [n for n in shown if n % k and n not in rows] == []
    page = (tmp_path / "out" / "report.html").read_text()
    cells = re.findall(r"<(?:td|div) class=\"?n\"?>([\d,]+)</", page)
    assert len(cells) > 20
    positions = {
        row["position"] for row in json.loads((tmp_path / "out" / "report.json").read_text())["ctr_by_position"]
    }
    counts = {int(n.replace(",", "")) for n in cells} - positions - rows
    assert len(counts) > 10
    assert [n for n in counts if n % k] == []


def test_saved_tables_are_not_a_way_round(log, tmp_path):
    """`write_table` of what was released shows what the release shows; of counts it is exact, and they say so."""
    k = 7
    released = hn.release(hn.count(log), privacy=hn.Privacy.k_users(k))
    hn.write_table(released.table(), tmp_path / "released.parquet")
    table = pq.read_table(tmp_path / "released.parquet")
    assert table.num_rows > 100
    for name in ("clicks", "impressions"):
        assert not [v for v in table[name].to_pylist() if v % k]
    assert set(table["position"].to_pylist()) == {None}
    for before, after in released.passed.values():
        assert before % k == after % k == 0
    evidence = pa.table(hn.evidence(released).table())
    for name in ("clicks", "impressions", "users_shown", "users_clicked"):
        if name in evidence.column_names:
            assert not [v for v in evidence[name].to_pylist() if v is not None and v % k], name

"""Propensities from elsewhere: of a table, of a file, of a column of the log; used as they are, or refused by name."""

import json
from collections import defaultdict

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hardneg_fast as hn
from hardneg_fast import cli

CONFIG = hn.Config(read=hn.ReadConfig(position_base="1"), count=hn.CountConfig(min_page_length=1, robots="keep"))
LOGGED = hn.EvidenceConfig(debias="logged")

ROWS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.integers(1, 4),
        st.booleans(),
        st.one_of(st.none(), st.floats(1e-6, 1.0), st.sampled_from([0.0, 1.5, -1.0, float("nan"), float("inf"), 0.25])),
    ),
    min_size=1,
    max_size=60,
)


def table_of(rows: list[tuple]) -> pa.Table:
    return pa.table(
        {
            "user_id": [f"u{u}" for u, *_ in rows],
            "search_id": [f"s{i}" for i, _ in enumerate(rows)],
            "query": ["hats"] * len(rows),
            "doc_id": [f"d{i % 3}" for i, _ in enumerate(rows)],
            "position": pa.array([p for _, p, *_ in rows], pa.int32()),
            "clicked": [c for *_, c, _ in rows],
            "propensity": pa.array([x for *_, x in rows], pa.float64(), from_pandas=False),
        }
    )


def naive(rows: list[tuple]) -> tuple[dict[int, float], int]:
    """Mean by position, and how many cannot be."""
    found, bad = defaultdict(list), 0
    for _, position, _, x in rows:
        if x is None or x != x:
            continue
        if 0 < x <= 1:
            found[position].append(x)
        else:
            bad += 1
    return {p: sum(values) / len(values) for p, values in found.items()}, bad


def released(counts: hn.Counts, k: int | None = None) -> hn.Released:
    return hn.release(counts, privacy=hn.Privacy.none() if k is None else hn.Privacy.k_users(k))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, threads=st.integers(1, 2), shuffle=st.randoms(use_true_random=False))
def test_a_column_is_averaged_by_position(rows, threads, shuffle, tmp_path):
    expected, bad = naive(rows)
    shuffle.shuffle(rows)
    table = table_of(rows)
    counts = hn.count(table, config=hn.Config(threads=threads, read=CONFIG.read, count=CONFIG.count))
    assert counts.quarantine.get("propensity_impossible", 0) == bad
    assert counts.sizes["pairs"] == len({*table["doc_id"].to_pylist()}), "rows stay"
    odd = pa.array([u % 2 == 1 for u, *_ in rows])
    halves = [hn.count(table.filter(one), config=CONFIG) for one in (odd, pa.compute.invert(odd))]
    hn.merge(*halves, users="disjoint").save(tmp_path / "merged.counts", overwrite=True)
    for each in (counts, hn.load_counts(tmp_path / "merged.counts")):
        if {p for _, p, *_ in rows} - {*expected}:
            with pytest.raises(hn.DataError, match=r"evidence\.debias logged"):
                hn.evidence(released(each), config=LOGGED)
            continue
        model = hn.evidence(released(each), config=LOGGED).model
        found = {position: p for position, _, p in model["places"] if position in expected}
        assert found == pytest.approx({p: min(x, 1 - 1e-6) for p, x in expected.items()}, abs=2e-9)
        varies = any(max(v) - min(v) > 0.01 for v in _values(rows).values())
        assert ("differ within" in model["reason"]) == varies


def _values(rows: list[tuple]) -> dict[int, list[float]]:
    found = defaultdict(list)
    for _, position, _, x in rows:
        if x is not None and 0 < x <= 1:
            # As they are kept: in parts of 2^-30.
            found[position].append(round(x * 2**30) / 2**30)
    return found


def test_a_log_without_the_column_is_refused():
    table = table_of([(1, 1, True, 0.5), (2, 2, False, 0.5)]).drop_columns(["propensity"])
    with pytest.raises(hn.DataError, match="map a column to propensity"):
        hn.evidence(released(hn.count(table, config=CONFIG)), config=LOGGED)


def test_positions_of_few_users_are_like_those_above():
    """Under k-users the mean of a position that one person saw is not used."""
    rows = [(u, 1, u % 3 == 0, 0.9) for u in range(9)] + [(1, 2, False, 0.123)]
    table = table_of(rows).set_column(3, "doc_id", pa.array(["d"] * len(rows)))
    counts = hn.count(table, config=CONFIG)
    alone = {p: x for p, _, x in hn.evidence(released(counts), config=LOGGED).model["places"]}
    assert alone == pytest.approx({1: 0.9, 2: 0.123})
    shown = hn.evidence(released(counts, 3), config=LOGGED).model
    assert "0.12" not in json.dumps(shown)


def test_one_row_changes_no_word_under_k_users():
    rows = [(u, 1, u % 3 == 0, 0.9) for u in range(9)]
    said = []
    for more in ([], [(1, 1, False, 0.1)]):
        counts = hn.count(table_of(rows + more), config=CONFIG)
        said.append([hn.evidence(released(counts, k), config=LOGGED).model["reason"] for k in (None, 3)])
    assert said[0] == ["in the log"] * 2
    assert "differ within" in said[1][0]
    assert said[1][1] == "in the log"


@pytest.fixture(scope="module")
def sim(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    hn.simulate(folder / "sim", impressions=20_000, seed=5)
    rows = [{"position": p, "propensity": p**-0.75} for p in range(1, 11)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "p.parquet")
    return folder


def test_mine_takes_them_in_any_form(sim):
    log = sim / "sim" / "log.parquet"
    values = tuple(p**-0.75 for p in range(1, 11))
    asked = hn.Config(evidence=hn.EvidenceConfig(debias="propensities", propensities=values))
    expected = hn.mine(log, privacy=hn.Privacy.none(), config=asked)
    assert expected.report["evidence"]["reason"] == "given"
    assert expected.negatives.num_rows > 20
    fitted = hn.mine(log, privacy=hn.Privacy.none())
    assert fitted.report["evidence"]["debias"] != "propensities"
    table = pq.read_table(sim / "p.parquet")
    law = hn.Propensities.power_law(0.75, depth=10)
    for form in (sim / "p.parquet", str(sim / "p.parquet"), table, table.take(list(range(9, -1, -1))), law, law.table):
        found = hn.mine(log, privacy=hn.Privacy.none(), propensities=form)
        assert found.negatives == expected.negatives
        assert found.report == expected.report
    with_column = pq.read_table(log)
    exponents = pa.compute.power(pa.compute.cast(with_column["position"], pa.float64()), -0.75)
    found = hn.mine(
        with_column.append_column("propensity", exponents),
        privacy=hn.Privacy.none(),
        config=hn.Config(evidence=LOGGED),
    )
    assert found.report["evidence"]["reason"] == "in the log"
    assert found.negatives.drop_columns(
        ["p_false_negative", "weight", "examinations"]
    ) == expected.negatives.drop_columns(["p_false_negative", "weight", "examinations"])
    assert found.negatives["examinations"].to_numpy() == pytest.approx(expected.negatives["examinations"].to_numpy())


def test_what_a_fit_found_goes_in(sim):
    log = sim / "sim" / "log.parquet"
    harvested = hn.estimate_propensities(log, bootstrap=0)
    # Harvested figures are relative to the top, and chance can put one above it.
    capped = hn.Propensities.given({r["position"]: min(r["propensity"], 1.0) for r in harvested.table.to_pylist()})
    found = hn.mine(log, privacy=hn.Privacy.k_users(3), propensities=capped)
    said = {row["position"]: row["examination"] for row in found.report["evidence"]["positions"]}
    assert said.items() <= {p: round(x, 2) for p, x in enumerate(capped.by_position(), 1)}.items()
    assert len(said) > 5
    # They were fitted to all rows: none stands in the report at full length.
    assert found.report["config"]["evidence"]["propensities"] == {"positions": len(capped.by_position())}
    exact = {p for p in capped.by_position() if p != round(p, 2)}
    assert len(exact) > 5
    assert not [p for p in exact if repr(p) in json.dumps(found.report)]


def table(**columns: object) -> pa.Table:
    return pa.table(columns)


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        (table(position=[1, 3], propensity=[1.0, 0.5]), hn.DataError, r"positions \[2\]"),
        (table(position=[1, 1], propensity=[1.0, 0.5]), hn.DataError, "each position once"),
        (table(position=[0, 1], propensity=[1.0, 0.5]), hn.UsageError, "above 0, by position from 1"),
        (table(position=[1, 2], propensity=[1.0, 0.0]), hn.UsageError, "above 0"),
        (table(position=[1, 2], propensity=[1.0, 1.5]), hn.UsageError, "position 2"),
        (table(position=["1"], propensity=[1.0]), hn.ColumnError, "whole numbers and floats"),
        (table(rank=[1], propensity=[1.0]), hn.ColumnError, "one column each"),
        ("missing.parquet", hn.FileError, "no such file"),
        (7, hn.UsageError, "propensities must be"),
    ],
)
def test_what_is_none_is_refused(sim, wrong, error, said):
    with pytest.raises(error, match=said):
        hn.mine(sim / "sim" / "log.parquet", privacy=hn.Privacy.none(), propensities=wrong)


def test_what_contradicts_is_refused(sim, tmp_path):
    log, law = sim / "sim" / "log.parquet", hn.Propensities.power_law(1.0, depth=10)
    with pytest.raises(hn.UsageError, match="says something else"):
        hn.mine(log, privacy=hn.Privacy.none(), propensities=law, config=hn.Config(evidence=LOGGED))
    private = hn.Privacy.dp(epsilon=1, lineage="web", ledger=tmp_path / "none")
    with pytest.raises(hn.UsageError, match="leave out propensities"):
        hn.mine(log, privacy=private, propensities=law)


def test_command(sim, tmp_path, capsys):
    log, out = str(sim / "sim" / "log.parquet"), tmp_path / "out"
    words = ["mine", log, "-o", str(out), "--no-privacy", "--propensities", str(sim / "p.parquet")]
    assert cli.main([*words, "--dry-run"]) == 0
    assert cli.main(words) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["evidence"]["debias"] == "propensities"
    assert report["config"]["evidence"]["propensities"][1] == pytest.approx(2**-0.75)
    assert "was given, by position" in (out / "report.html").read_text()
    query = pq.read_table(out / "negatives")["query"][0].as_py()
    capsys.readouterr()
    assert cli.main(["explain", str(out), "--query", query, "--log", log]) == 0
    shown = tmp_path / "shown"
    k = [str(shown) if word == str(out) else word for word in words]
    k[k.index("--no-privacy") : k.index("--no-privacy") + 1] = ["--k-users", "3"]
    assert cli.main(k) == 0
    assert cli.main(["explain", str(shown), "--query", query, "--log", log]) == 3
    assert "whose values no k-users output shows" in capsys.readouterr().err
    words = [*words[:-1], str(tmp_path / "none.parquet"), "--dry-run", "--overwrite"]
    assert cli.main(words) == 3
    assert "none.parquet" in capsys.readouterr().err

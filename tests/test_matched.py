"""Tables beside the log that match nothing: said without privacy by number, else by what the output tells."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
from hardneg_fast import cli

NONE = hn.Privacy.none()
NAMES = ("known_relevant", "positives", "extra_negatives")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("matched") / "sim"
    hn.simulate(out, impressions=12_000, seed=3)
    return out


def pairs(*rows) -> pa.Table:
    return pa.table({"query": [q for q, _ in rows], "doc_id": [d for _, d in rows]})


def notes(folder, privacy, **given) -> list[str]:
    return hn.mine(folder / "log.parquet", privacy=privacy, **given).report["input"]["notes"]


@pytest.mark.parametrize("name", NAMES)
def test_without_privacy_the_numbers_are_those_of_the_log(folder, name):
    log = pq.read_table(folder / "log.parquet").to_pylist()
    shown = {(hn.normalize(pa.array([row["query"]]))[0].as_py(), row["doc_id"]) for row in log[:300]}
    some = sorted(shown)[:5]
    rows = [*some, (some[0][0], "never shown"), ("no such query", some[0][1])]
    what, known = ("a query and document", 5) if name == "known_relevant" else ("a query", 6)
    assert notes(folder, NONE, **{name: pairs(*rows)}) == [f"{name}: {known} of 7 pairs name {what} of the log"]
    assert notes(folder, NONE, **{name: pairs(*some)}) == []
    # Ids that are numbers are those digits.
    numbers = pa.table({"query": ["none"], "doc_id": pa.array([7], pa.int64())})
    assert notes(folder, NONE, known_relevant=numbers) == [
        "known_relevant: 0 of 1 pairs name a query and document of the log"
    ]


def test_under_k_users_only_what_the_output_tells(folder):
    """Neither a number, nor a word of queries of the log that the output does not name."""
    privacy = hn.Privacy.k_users(3)
    result = hn.mine(folder / "log.parquet", privacy=privacy)
    named = {*result.queries["query"].to_pylist()}
    log = pq.read_table(folder / "log.parquet", columns=["query"])["query"]
    asked = {*hn.normalize(log.combine_chunks()).to_pylist()} - named
    inside, outside = sorted(named)[0], sorted(asked)[0]
    said = ["known_relevant: none of its pairs names a query of this output"]
    assert notes(folder, privacy, known_relevant=pairs((outside, "d"))) == said
    assert notes(folder, privacy, known_relevant=pairs(("never asked by anybody", "d"))) == said
    assert notes(folder, privacy, known_relevant=pairs((inside, "d"), (outside, "d"))) == []


def test_it_is_printed_and_shown(folder, tmp_path, capsys):
    pq.write_table(pairs(("Nobody asked", "d")), tmp_path / "judged.parquet")
    mine = ["mine", str(folder / "log.parquet"), "-o", str(tmp_path / "out"), "--no-privacy"]
    assert cli.main([*mine, "--known-relevant", str(tmp_path / "judged.parquet")]) == 0
    said = "known_relevant: 0 of 1 pairs name a query and document of the log"
    assert f"note: {said}" in capsys.readouterr().out
    assert said in (tmp_path / "out" / "report.json").read_text()

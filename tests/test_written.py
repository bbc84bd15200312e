"""What `mine` prints of its training rows is what stands on the disk; and why others do not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
from hardneg_fast import cli
from hardneg_fast.ledger import Ledger
from hardneg_fast.writers.stable_json import to_json

NONE = hn.Privacy.none()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("written") / "sim"
    hn.simulate(out, impressions=20_000, seed=3)
    texts = pq.read_table(out / "documents.parquet")
    pq.write_table(texts.filter(pa.array([i % 2 == 0 for i in range(texts.num_rows)])), out / "half.parquet")
    ids = pa.array([f"other {i}" for i in range(texts.num_rows)])
    pq.write_table(texts.set_column(texts.column_names.index("doc_id"), "doc_id", ids), out / "strangers.parquet")
    return out


def printed(capsys, *words: str) -> tuple[str, dict[str, int]]:
    """What is printed, and the figures of the table in it."""
    assert cli.main([*words]) == 0
    said = capsys.readouterr().out
    rows = re.findall(r"(?m)^  (\S.*?) {2,}([\d,]+)$", said)
    return said, {name: int(n.replace(",", "")) for name, n in rows}


def rows_of(out: Path, config: str = "triplets") -> int:
    return sum(pq.read_metadata(file).num_rows for file in (out / config).glob("*.parquet"))


@pytest.mark.parametrize("privacy", [["--no-privacy"], ["--k-users", "2"]], ids=["none", "k"])
def test_rows_printed_are_rows_written(folder, tmp_path, capsys, privacy):
    mine = ["mine", str(folder / "log.parquet"), *privacy, "-o"]
    k = 2 if "--k-users" in privacy else 1
    _, whole = printed(capsys, *mine, str(tmp_path / "ids"))
    assert whole["training rows"] == rows_of(tmp_path / "ids") // k * k > 100
    said, found = printed(capsys, *mine, str(tmp_path / "half"), "--documents", str(folder / "half.parquet"))
    n = rows_of(tmp_path / "half")
    assert 0 < n < rows_of(tmp_path / "ids")
    assert found["training rows"] == n // k * k
    documents, every = rows_of(tmp_path / "half", "documents"), rows_of(tmp_path / "ids", "documents")
    lacking = f"left out: rows without a text ({every - documents:,} of {every:,} documents have none)"
    assert found[lacking] == rows_of(tmp_path / "ids") - n
    report = json.loads((tmp_path / "half" / "report.json").read_text())
    assert report["funnel"][-1] == {"stage": "training rows", "count": n // k * k}
    assert "load_dataset opens it" in said


def test_the_report_that_is_returned_is_the_one_that_was_written(folder, tmp_path):
    result = hn.mine(folder / "log.parquet", tmp_path / "out", privacy=NONE, documents=folder / "half.parquet")
    assert to_json(result.report) == (tmp_path / "out" / "report.json").read_bytes()


@pytest.mark.parametrize("privacy", [["--no-privacy"], ["--k-users", "2"]], ids=["none", "k"])
def test_texts_of_other_documents_are_refused_and_nothing_is_replaced(folder, tmp_path, capsys, privacy):
    mine = ["mine", str(folder / "log.parquet"), "-o", str(tmp_path / "out"), *privacy, "--overwrite"]
    assert cli.main(mine) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    capsys.readouterr()
    assert cli.main([*mine, "--documents", str(folder / "strangers.parquet")]) == 3
    said = capsys.readouterr().err
    assert re.search(r"documents: of [\d,]+ documents that texts are needed of, none has one there", said)
    assert before == {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}


def test_a_private_release_is_not_paid_for_texts_of_other_documents(folder, tmp_path):
    Ledger.create(tmp_path / "ledger", epsilon=20, delta=1e-5)
    config = hn.Config(read=hn.ReadConfig(position_base="1"))

    def released(**candidates):
        privacy = hn.Privacy.dp(epsilon=8.0, delta=1e-6, lineage="web", ledger=tmp_path / "ledger", **candidates)
        return hn.mine(
            folder / "log.parquet", tmp_path / "out", privacy=privacy, config=config,
            documents=folder / "strangers.parquet",
        )  # fmt: skip

    with pytest.raises(hn.DataError, match="none has one there"):
        released(candidates=folder / "candidates.parquet", candidates_class="function_of_public_corpus")
    assert Ledger(tmp_path / "ledger").claims() == []
    # What is found without a list is known once it is paid for: it stays, with ids.
    result = released()
    assert result.report["written"]["triplets"] == result.report["funnel"][-1]["count"] == 0
    assert rows_of(tmp_path / "out", "negatives") == result.negatives.num_rows


def test_short_rows_and_caps_are_printed_and_the_hint_speaks_of_them(folder, tmp_path, capsys):
    mine = ["mine", str(folder / "log.parquet"), "--no-privacy", "-o"]
    said, found = printed(capsys, *mine, str(tmp_path / "wide"), "--select.num-negatives", "50")
    report = json.loads((tmp_path / "wide" / "report.json").read_text())
    assert rows_of(tmp_path / "wide") == found["training rows"] == 0
    assert found["left out: rows with fewer than 50 negatives"] == report["select"]["short_rows"] > 10
    assert f"{report['select']['short_rows']:,} training rows were left out because they had too few negatives" in (
        tmp_path / "wide" / "report.html"
    ).read_text(encoding="utf-8")
    assert "hint: no query has 50 negatives for a row" in said
    assert "of all guards" not in said
    _, found = printed(capsys, *mine, str(tmp_path / "few"), "--select.max-negatives-per-query", "2")
    report = json.loads((tmp_path / "few" / "report.json").read_text())
    assert found["caps: max_negatives_per_query"] == report["select"]["caps"]["max_negatives_per_query"] > 10


@pytest.mark.parametrize(("most", "held"), [("1", False), ("0.005", True)])
def test_the_limit_that_a_target_leads_to_is_printed(folder, tmp_path, capsys, most, held):
    mine = ["mine", str(folder / "log.parquet"), "--no-privacy", "-o", str(tmp_path / "out")]
    said, _ = printed(capsys, *mine, "--select.target-fnr", "0.02", "--select.max-p-false-negative", most)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    limit = report["yield"]["limit"]
    assert (limit == float(most)) == held
    by = ", held by max_p_false_negative" if held else ""
    assert f"limit of P(relevant): {limit:g} (target_fnr 0.02{by})" in said
    assert max(row for row in pq.read_table(tmp_path / "out" / "negatives")["p_false_negative"].to_pylist()) <= limit


def test_without_a_target_no_limit_is_printed(folder, tmp_path, capsys):
    said, _ = printed(capsys, "mine", str(folder / "log.parquet"), "--no-privacy", "-o", str(tmp_path / "out"))
    assert "limit of P(relevant)" not in said

"""The whole way, from published logs to directories that `datasets` opens, through the command line."""

from __future__ import annotations

import ast
import json
import re
import shutil
from pathlib import Path

import datasets
import polars as pl
import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
from hardneg_fast import cli

UBI, DUMP = "ubi-chorus/ubi_queries_events.ndjson", "ubi-chorus/log_events.zip"
TREC = "trec-session-2014/train_per_query_quid.txt"
OBD = "openbandit-sample/random"
RUNS = {
    "ubi": (UBI, "ubi", ["--no-privacy"]),
    "ubi_k": (UBI, "ubi", ["--k-users", "2"]),
    "dump": (DUMP, "ubi", ["--no-privacy"]),
    "dump_k": (DUMP, "ubi", ["--k-users", "2"]),
    "trec": (TREC, "trec-session", ["--no-privacy"]),
    "trec_k": (TREC, "trec-session", ["--k-users", "2"]),
}


@pytest.fixture(scope="module")
def mined(data_dir, tmp_path_factory):
    """Name of a run → its directory and what it printed; each is made once."""
    made: dict[str, Path] = {}

    def get(name: str, capsys) -> tuple[Path, str]:
        if name not in made:
            log, preset, mode = RUNS[name]
            out = tmp_path_factory.mktemp(name) / "out"
            assert cli.main(["mine", str(data_dir / log), "-o", str(out), "--preset", preset, *mode]) == 0
            said = capsys.readouterr()
            assert said.err == ""
            out.with_name("said").write_text(said.out)
            made[name] = out
        return made[name], made[name].with_name("said").read_text()

    return get


def report_of(out: Path) -> dict:
    return json.loads((out / "report.json").read_text())


@pytest.mark.parametrize("name", RUNS)
def test_mine(name, mined, capsys, tmp_path, monkeypatch):
    out, said = mined(name, capsys)
    report = report_of(out)
    tables = {
        part: pq.read_table(out / part) for part in ("triplets", "negatives", "positives", "queries", "documents")
    }
    negatives = tables["negatives"]
    assert negatives.num_rows >= 10
    assert tables["triplets"].column_names == ["query", "positive", "negative_1"]
    k = report["release"]["k"]
    assert k == (2 if name.endswith("_k") else None)
    printed = re.search(r"^  negatives +([\d,]+)$", said, re.MULTILINE)
    assert int(printed[1].replace(",", "")) == negatives.num_rows // (k or 1) * (k or 1)
    # No document is its own negative, nor a positive and a negative of one query.
    positives = {(r["query"], r["positive"]) for r in tables["triplets"].to_pylist()}
    assert not positives & {(r["query"], r["neg_id"]) for r in negatives.to_pylist()}
    assert len({(r["query"], r["pos_id"], r["neg_id"]) for r in negatives.to_pylist()}) == negatives.num_rows
    ids = {r["query"]: r["query_id"] for r in tables["queries"].to_pylist()}
    good = {(r["query_id"], r["doc_id"]) for r in tables["positives"].to_pylist()}
    assert {(ids[query], doc) for query, doc in positives} <= good
    assert {query for query, _ in good} == {*ids.values()}
    assert set(tables["queries"]["query"].to_pylist()) == set(negatives["query"].to_pylist())
    # As a user opens it.
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    opened = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"), split="train")
    assert opened.to_list() == tables["triplets"].to_pylist()
    for part, table in tables.items():
        opened = datasets.load_dataset(str(out), part, cache_dir=str(tmp_path / "cache"), split="train")
        assert opened.column_names == table.column_names
        assert opened.num_rows == table.num_rows
    statement = json.loads((out / "privacy.json").read_text())
    assert statement["sessions_stand_for_users"] == name.startswith("trec")


def test_what_became_of_the_ubi_log(mined, capsys):
    out, said = mined("ubi", capsys)
    report = report_of(out)
    steps = {step["stage"]: step["count"] for step in report["funnel"]}
    assert (steps["rows read"], steps["impressions"]) == (3_921, 1_999)
    assert report["input"]["position_bases"] == {"Chorus": 1, "esci_ubi_sample": 0}
    assert report["quarantine"]["click_without_impression"] == 52
    assert "note: 710 of 3,448 events name no document" in said
    kept = steps["impressions"] - report["quarantine"].get("null_query", 0)
    assert steps["impressions that could be read"] == kept
    assert steps["impressions counted"] == kept - sum(report["cleaning"].values())


def test_negatives_of_the_ubi_log_by_hand(data_dir, mined, capsys):
    """Each negative was shown for its query, and nobody clicked it there; each positive somebody did."""
    out, _ = mined("ubi", capsys)
    config = hn.Config(read=hn.ReadConfig(preset="ubi"))
    rows = pl.DataFrame(hn.read(data_dir / UBI, config=config)).filter(pl.col("query").str.strip_chars() != "")
    rows = rows.with_columns(query=pl.Series(hn.normalize(rows["query"])))
    pairs = rows.group_by("query", "doc_id").agg(pl.col("clicked").sum(), pl.col("user_id").n_unique())
    facts = {(query, doc): (clicks, users) for query, doc, clicks, users in pairs.iter_rows()}
    for row in pq.read_table(out / "negatives").to_pylist():
        clicks, users = facts[row["query"], row["neg_id"]]
        assert clicks == 0
        assert 1 <= row["users"] <= users
    for row in pq.read_table(out / "triplets").to_pylist():
        assert facts[row["query"], row["positive"]][0] > 0


def test_k_users_on_sessions_that_stand_for_users(data_dir, mined, capsys):
    out, said = mined("trec_k", capsys)
    assert "note: sessions stand for users" in said
    for name in ("report.html", "README.md"):
        assert "sessions stand for users" in (out / name).read_text().lower(), name
    folder = data_dir / "trec-session-2014"
    numbers = ast.literal_eval((folder / "query_qid.dict").read_text())
    queries = [query for query in numbers if query]
    normal = dict(zip(queries, hn.normalize(pl.Series(queries)).to_pylist(), strict=True))
    names = {str(number): normal.get(query) for query, number in numbers.items()}
    users: dict[str | None, set[str]] = {}
    lines = (folder / "train_per_query_quid.txt").read_text().splitlines()
    for session, query, *_ in (line.split("\t") for line in lines):
        users.setdefault(names[query], set()).add(session)
    released = pq.read_table(out / "queries")["query"].to_pylist()
    assert released
    assert min(len(users[query]) for query in released) == 2


def test_the_open_bandit_log(data_dir, tmp_path, capsys):
    log = str(data_dir / OBD / "men.csv")
    args = ["mine", log, "--preset", "obd", "-o", str(tmp_path / "out")]
    assert cli.main([*args, "--k-users", "2"]) == 4
    refused = capsys.readouterr().err
    assert "user ids" in refused
    assert "--columns user_id=" in refused
    assert "--no-privacy" in refused
    assert not (tmp_path / "out").exists()
    # Its documents are clicked alike: none is known to be less attractive than one never looked at.
    loose = ["--select.rules", "top_shown_never_clicked", "--select.max-attractiveness", "1"]
    assert cli.main([*args, "--no-privacy", *loose]) == 0
    said = capsys.readouterr().out
    assert "each file's name (its campaign) stands for the query" in said
    table = pq.read_table(tmp_path / "out" / "negatives")
    assert table["query"].unique().to_pylist() == ["men"]
    assert table["users"].null_count == table.num_rows > 0
    raw = pl.read_csv(log).group_by("item_id").agg(pl.col("click").sum())
    unclicked = {str(item) for item, clicks in raw.iter_rows() if clicks == 0}
    assert set(table["neg_id"].to_pylist()) <= unclicked
    assert cli.main([*args, "--no-privacy", "--overwrite"]) == 0
    assert "rule off: skip_above: the log does not say which results were shown together" in capsys.readouterr().out


def test_logs_of_several_files(data_dir, tmp_path, capsys):
    for policy in ("random", "bts"):
        shutil.copy(data_dir / "openbandit-sample" / policy / "men.csv", tmp_path / f"{policy}.csv")
    args = ["mine", str(tmp_path / "random.csv"), str(tmp_path / "bts.csv"), "-o", str(tmp_path / "out")]
    assert cli.main([*args, "--preset", "obd", "--no-privacy"]) == 0
    capsys.readouterr()
    report = report_of(tmp_path / "out")
    assert (report["input"]["files"], report["input"]["rows"], report["counts"]["queries"]) == (2, 20_000, 2)


def test_inspect_of_the_ubi_log(data_dir, capsys):
    log = data_dir / UBI
    assert cli.main(["inspect", str(log)]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    for line in (
        "positions   start at 0 in esci_ubi_sample",
        "positions   start at 1 in Chorus",
        "timestamps  429 as epoch milliseconds",
        "timestamps  3,492 as ISO 8601 text",
    ):
        assert line in lines
    assert any(line.startswith("set aside   52 click_without_impression: ") for line in lines)
    assert any("710 of 3,448 events name no document" in line for line in lines)
    assert any("preset ubi" in line for line in lines)
    assert any("pages 262" in line for line in lines)
    assert lines[-1] == f"next        hardneg-fast mine {log} -o OUT --k-users 10 --preset ubi"
    assert cli.main(["inspect", str(log), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["position_bases"] == {"esci_ubi_sample": 0, "Chorus": 1}


@pytest.mark.parametrize(("log", "preset", "mode"), [(TREC, "trec-session", "--k-users"), (OBD, "obd", "--no-privacy")])
def test_the_command_that_inspect_suggests_runs(log, preset, mode, data_dir, tmp_path, capsys):
    assert cli.main(["inspect", str(data_dir / log)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    program, *args = last.removeprefix("next        ").split()
    assert program == "hardneg-fast"
    assert {preset, mode} <= {*args}
    assert cli.main([str(tmp_path / "out") if arg == "OUT" else arg for arg in args]) == 0
    capsys.readouterr()
    assert (tmp_path / "out" / "triplets").is_dir()

"""Releases of one body of data with and without differential privacy: together they are refused, or lose the label."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
from hardneg_fast import cli
from hardneg_fast.ledger import Ledger
from hardneg_fast.pipeline import private as pipeline

DOCS = ("a", "b", "c", "d")
BASE = ["--read.position-base", "1"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """log.parquet: 1,500 users ask one thing and click its second result; and candidates.parquet."""
    folder = tmp_path_factory.mktemp("lineage")
    rows = [
        {"user_id": f"u{i}", "search_id": f"s{i}", "query": "shoes", "doc_id": d, "position": p, "clicked": d == "b"}
        for i in range(1_500)
        for p, d in enumerate(DOCS, start=1)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "log.parquet")
    pq.write_table(
        pa.table({"query": ["shoes"] * 4, "doc_id": DOCS, "position": range(1, 5)}), folder / "lists.parquet"
    )
    return folder


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    Ledger.create(tmp_path / "ledger", epsilon=20, delta=1e-5)
    return tmp_path / "ledger"


def arguments(kind: str, files: Path, ledger: Path, out: Path) -> list[str]:
    """A command that releases the log of lineage `web` to `out`."""
    command = "anonymize" if kind == "anonymize" else "mine"
    how = {
        "anonymize": [],
        "k_users": ["--k-users", "10", *BASE],
        "none": ["--no-privacy", *BASE],
        "dp": ["--epsilon", "4", "--delta", "1e-6", "--candidates-class", "already_public", *BASE],
    }[kind]
    if kind == "dp":
        how += ["--candidates", str(files / "lists.parquet")]
    return [command, str(files / "log.parquet"), "-o", str(out), "--lineage", "web", "--ledger", str(ledger), *how]


WITHOUT = {"anonymize": "an anonymized log", "k_users": "a k-users output", "none": "an output without privacy"}
"""Kinds that are not differentially private, and what the ledger calls them."""


@pytest.mark.parametrize("kind", WITHOUT)
def test_differential_privacy_after_a_release_without(kind, files, ledger, tmp_path, capsys):
    assert cli.main(arguments(kind, files, ledger, tmp_path / "first")) == 0
    private = arguments("dp", files, ledger, tmp_path / "out")
    assert cli.main(private) == 4
    assert f"lineage 'web' had a release without differential privacy ({WITHOUT[kind]})" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert cli.main([*private, "--override-dp-claim"]) == 0
    said = capsys.readouterr().out
    assert f"privacy: no differential privacy claim: {WITHOUT[kind]} of lineage 'web' was released" in said
    # The label is gone from everything, and so are the figures that would be read as one.
    statement = json.loads((tmp_path / "out" / "privacy.json").read_text())
    assert statement["mode"] == json.loads((tmp_path / "out" / "report.json").read_text())["release"]["mode"]
    assert statement["mode"] == "no_dp_claim"
    assert not {"epsilon", "delta", "gaussian", "constants"} & {*statement}
    assert statement["lineage_claim"]["dp"] is False
    for name in ("README.md", "report.html"):
        text = (tmp_path / "out" / name).read_text()
        assert "No differential privacy claim" in text
        assert WITHOUT[kind] in text
        assert "Differential privacy: epsilon" not in text
        assert "hardly changes" not in text
    # A lineage of its own is what it was.
    other = [word if word != "web" else "other" for word in arguments("dp", files, ledger, tmp_path / "other")]
    assert cli.main(other) == 0
    assert "privacy: (4, 1e-06)-differential privacy for one user id" in capsys.readouterr().out


@pytest.mark.parametrize("kind", WITHOUT)
def test_a_release_without_after_differential_privacy(kind, files, ledger, tmp_path, capsys):
    assert cli.main(arguments("dp", files, ledger, tmp_path / "first")) == 0
    assert Ledger(ledger).claim("web")["dp"]
    without = arguments(kind, files, ledger, tmp_path / "out")
    assert cli.main(without) == 4
    assert f"{WITHOUT[kind]} of the same data would end their claim; the override (--override-dp-claim) does so" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()
    assert Ledger(ledger).claim("web")["dp"]
    assert cli.main([*without, "--override-dp-claim"]) == 0
    claim = Ledger(ledger).claim("web")
    assert (claim["dp"], claim["without"]) == (False, [WITHOUT[kind]])
    assert cli.main(arguments("dp", files, ledger, tmp_path / "again")) == 4


def test_what_ends_the_claim_while_a_release_runs_takes_its_label(files, ledger, monkeypatch):
    released = pipeline.release_private

    def late(*args: object, **options: object) -> object:
        Ledger(ledger).no_dp_claim("web", window="all", what="an anonymized log", override=True)
        return released(*args, **options)

    monkeypatch.setattr(pipeline, "release_private", late)
    privacy = hn.Privacy.dp(
        epsilon=4,
        delta=1e-6,
        lineage="web",
        ledger=ledger,
        candidates=files / "lists.parquet",
        candidates_class="already_public",
    )
    config = hn.Config(read=hn.ReadConfig(position_base="1"))
    result = hn.mine(files / "log.parquet", privacy=privacy, config=config)
    assert result.privacy["mode"] == "no_dp_claim"


def test_no_key_is_shared_with_a_private_release(files, ledger, tmp_path, capsys):
    hn.Key.ephemeral().save(tmp_path / "key")
    private = arguments("dp", files, ledger, tmp_path / "out")
    for more in ([], ["--override-dp-claim"]):
        assert cli.main([*private, "--key", str(tmp_path / "key"), *more]) == 4
        assert "shares no key with pseudonyms" in capsys.readouterr().err
    assert Ledger(ledger).claims() == []


def test_k_users_and_differential_privacy_are_not_combined_by_accident(files, ledger, tmp_path, capsys):
    private = arguments("dp", files, ledger, tmp_path / "out")
    assert cli.main([*private, "--k-users", "10"]) == 4
    assert "exclude each other" in capsys.readouterr().err
    for privacy in (
        hn.Privacy(mode="dp", k=10, epsilon=1.0, delta=1e-6, lineage="web", ledger=str(ledger)),
        hn.Privacy(mode="k_users", k=10, epsilon=1.0),
        hn.Privacy(mode="none", delta=1e-6),
    ):
        with pytest.raises(hn.UsageError, match="not combined"):
            hn.mine(files / "log.parquet", privacy=privacy)
    # Not one after the other, either: a log without its rare queries is a threshold on exact counts.
    safe = tmp_path / "safe.parquet"
    hn.anonymize(files / "log.parquet", safe, k_users=10)
    private[1] = str(safe)
    assert cli.main(private) == 4
    assert "a threshold on exact counts before the noise is a leak" in capsys.readouterr().err
    privacy = hn.Privacy.dp(epsilon=1, lineage="web", ledger=ledger)
    read = hn.ReadConfig(position_base="1", columns={n: n for n in ("user_id", "query", "doc_id", "clicked")})
    with pytest.raises(hn.PrivacyError, match="threshold on exact counts"):
        hn.mine(pq.read_table(safe), privacy=privacy, config=hn.Config(read=read))
    assert Ledger(ledger).claims() == []
    hn.anonymize(files / "log.parquet", safe, overwrite=True)
    assert cli.main(private) == 0


def test_the_manifest_names_lineage_and_key(files, ledger, tmp_path):
    key = hn.Key.ephemeral()
    hn.anonymize(
        files / "log.parquet", tmp_path / "o", key=key, lineage="web", ledger=ledger, manifest=tmp_path / "manifest"
    )
    said = json.loads((tmp_path / "manifest").read_text())
    assert (said["lineage"], said["key_id"]) == ("web", key.id)
    (line,) = [json.loads(text) for text in ledger.read_text().splitlines()][1:]
    assert (line["type"], line["lineage"], line["what"]) == ("no_dp_claim", "web", "an anonymized log")


def test_lineages_that_cannot_be(files, ledger, tmp_path):
    log, out = files / "log.parquet", tmp_path / "out"
    for options in ({"lineage": "web"}, {"ledger": ledger}, {"override_dp_claim": True}):
        with pytest.raises(hn.UsageError, match=r"--lineage NAME --ledger FILE"):
            hn.anonymize(log, out, **options)
        with pytest.raises(hn.UsageError, match=r"--lineage NAME --ledger FILE"):
            hn.Privacy.k_users(10, **options)
    with pytest.raises(hn.PrivacyError, match="no ledger"):
        hn.anonymize(log, out, lineage="web", ledger=tmp_path / "none")
    # A run that could not have read a row enters nothing.
    wrong = hn.Config(read=hn.ReadConfig(columns={"query": "nowhere"}))
    with pytest.raises(hn.ColumnError):
        hn.anonymize(log, out, lineage="web", ledger=ledger, config=wrong)
    assert Ledger(ledger).claims() == []
    # Copied by pages or not, it is entered once.
    hn.anonymize(log, out, lineage="web", ledger=ledger, time="keep", query_text="keep")
    assert len(ledger.read_text().splitlines()) == 2

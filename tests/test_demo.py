"""The demo: a simulated log mined under a threshold and under differential privacy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hardneg_fast.cli import main
from hardneg_fast.ledger import Ledger


def test_the_demo_shows_both_releases_as_often_as_it_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "demo"
    for impressions in ("20000", "200000"):
        assert main(["demo", "-o", str(out), "--impressions", impressions]) == 0
        said = capsys.readouterr().out
        assert said.index("k-user threshold") < said.index("differential privacy (epsilon 2")
        claim = Ledger(out / "ledger").claim("demo")
        assert (claim["charges"], claim["dp"]) == (1, True)
        assert claim["epsilon"] <= 2
    modes = [json.loads((out / name / "privacy.json").read_text())["mode"] for name in ("negatives", "dp")]
    assert modes == ["k_users", "dp"]
    statement = json.loads((out / "dp" / "privacy.json").read_text())
    assert statement["candidates"]["class"] == "frozen_before_window"
    # Some queries stand far above the threshold, also in a log so small.
    funnel = {step["stage"]: step["count"] for step in json.loads((out / "dp" / "report.json").read_text())["funnel"]}
    assert funnel["queries released"] > 0
    assert (out / "dp.private").stat().st_mode & 0o777 == 0o700
    assert main(["demo", "-o", str(out), "--impressions", "20000", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["simulated"]["impressions"] > 0
    assert found["dp"]["privacy"] == json.loads((out / "dp" / "privacy.json").read_text())
    assert [found["audits"][name]["failed"] for name in ("negatives", "dp")] == [[], []]

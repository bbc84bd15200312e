"""Two neighbouring logs through the real job: no event proves more than the claim, and planted bugs are caught.

Events are looked for in one half of the runs and tested on the other, both ways, with Clopper-Pearson bounds at a joint
false-alarm rate of 1e-3 (`audit_mechanism`). `python tests/neighbours.py` is the large version.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from hardneg_fast.audit_dp import Outcome
from hardneg_fast.ledger import Ledger
from neighbours import (
    CLICK,
    MIXED,
    OWN,
    Claim,
    Files,
    Worlds,
    audited,
    candidates_of,
    edge,
    halved_noise,
    log_of,
    outcome_of,
)


@pytest.mark.parametrize("mechanism", ["weighted_gaussian", "pag"])
def test_no_event_proves_more_than_the_claim(mechanism: str, tmp_path: Path) -> None:
    claim = Claim(mechanism=mechanism)
    found = audited(lambda pair: Worlds(pair, claim, tmp_path), claim, runs=400, pairs=[CLICK, OWN, edge(5)])
    assert found.passed, found.said
    # The runs could have shown something: the user's own queries leave sometimes, the query at the threshold often.
    released = found.figures["mean_released"]
    assert 0 < released[OWN.name][1] < 0.25
    assert released[edge(5).name][0] + 0.05 < released[edge(5).name][1]


@pytest.mark.parametrize(("mechanism", "users"), [("weighted_gaussian", 3), ("pag", 4)])
def test_half_the_noise_is_caught(mechanism: str, users: int, tmp_path: Path) -> None:
    claim = Claim(mechanism=mechanism, share=0.95)
    with halved_noise():
        found = audited(
            lambda pair: Worlds(pair, claim, tmp_path, worlds=1_000),
            claim,
            runs=6_000,
            pairs=[edge(users)],
            events=4,
        )
    assert not found.passed, found.said


FILES = Claim(epsilon=0.25)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, list[Outcome]]:
    """What 36 runs on each of two neighbouring logs wrote; whether the user was there."""
    files = Files(MIXED, FILES, tmp_path_factory.mktemp("files"))
    return {there: [files.run(MIXED.with_ if there else MIXED.without) for _ in range(36)] for there in (False, True)}


class Again:
    """Outcomes that were seen, with something more that leaks."""

    def __init__(self, seen: dict[bool, list[Outcome]], leaked: dict[bool, float]) -> None:
        self.left = {there: list(outcomes) for there, outcomes in seen.items()}
        self.leaked = leaked

    def run(self, users: Any) -> Outcome:
        there = MIXED.user in users
        seen = self.left[there].pop()
        return Outcome(seen.released, {**seen.figures, "files": seen.figures["files"] + self.leaked[there]})


@pytest.mark.parametrize("leaked", [0, 1])
def test_sizes_and_figures_of_what_is_written_prove_no_more_than_the_claim(
    written: dict[bool, list[Outcome]], leaked: int
) -> None:
    # Planted: a file more where the user is there, say of what was set aside.
    again = Again(written, {False: 0, True: leaked})
    found = audited(lambda _: again, FILES, runs=36, pairs=[MIXED], events=2)
    assert found.passed == (leaked == 0), found.said


def test_the_command_itself_lets_out_what_the_job_does(tmp_path: Path) -> None:
    worlds = [(0, MIXED, True)]
    pq.write_table(log_of(worlds), tmp_path / "log.parquet")
    pq.write_table(candidates_of(worlds), tmp_path / "candidates.parquet")
    Ledger.create(tmp_path / "ledger", epsilon=5, delta=1e-6)
    options = {
        "-o": "out",
        "--epsilon": "4",
        "--delta": "1e-7",
        "--lineage": "web",
        "--ledger": "ledger",
        "--candidates": "candidates.parquet",
        "--candidates-class": "function_of_public_corpus",
        "--read.position-base": "1",
        "--count.min-page-length": "1",
    }
    command = [
        sys.executable,
        "-m",
        "hardneg_fast",
        "mine",
        "log.parquet",
        *(word for o in options.items() for word in o),
    ]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ}, check=False)
    assert ran.returncode == 0, ran.stderr
    # 30 users stand far above the threshold, four far below it.
    found = outcome_of(tmp_path / "out").figures
    assert found["queries released"] == 1
    assert found["cells counted under noise"] == 2
    files = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert files >= {"privacy.json", "report.json", "report.html", "README.md"}
    assert json.loads((tmp_path / "out" / "privacy.json").read_text())["epsilon"] == 4
    said = ran.stdout + ran.stderr
    # 30 + 4 + 1 users, 45 searches, two rows each: nothing of it is said.
    exact = json.loads((tmp_path / "out.private" / "exact.json").read_text())
    assert (exact["users"], exact["rows"]) == (35, 90)
    for figure in ("own0", "edge", " 35 ", " 90 ", " 45 "):
        assert figure not in said, said

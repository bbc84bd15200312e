"""Releases under differential privacy through `mine`: what leaves, what is refused, and what the ledger says."""

from __future__ import annotations

import json
import math
import stat
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
from hardneg_fast.anonymize import scrubbing
from hardneg_fast.audit.arithmetic import in_ledger
from hardneg_fast.audit.arithmetic import statement as statement_checks
from hardneg_fast.audit.output import open_output
from hardneg_fast.calibration import GRID
from hardneg_fast.config import ReleaseConfig
from hardneg_fast.contrast import attractiveness, contrasts
from hardneg_fast.contribute import contribute_stream
from hardneg_fast.ledger import Ledger
from hardneg_fast.release_private import release_private
from hardneg_fast.release_weights import examined

DOCS = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two thousand users ask one thing and click its second result; one asks what nobody else does."""
    rows = [
        {"user_id": f"u{i}", "search_id": f"s{i}", "query": query, "doc_id": d, "position": p, "clicked": d == "b"}
        for i, query in enumerate(["shoes"] * 2_000 + ["only mine"])
        for p, d in enumerate(DOCS, start=1)
    ]
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


CANDIDATES = pa.table(
    {
        "query": [q for q in ("shoes", "only mine", "unasked") for _ in DOCS],
        "doc_id": [*DOCS] * 3,
        "position": [*range(1, 5)] * 3,
    }
)


def mine(log: Path, ledger: Path, out: Path | None = None, **changed: Any) -> hn.Result:
    given = {"epsilon": 4.0, "delta": 1e-6, "lineage": "web", "ledger": ledger}
    given |= {"candidates": CANDIDATES, "candidates_class": "function_of_public_corpus"}
    config = changed.pop("config", None) or hn.Config(read=hn.ReadConfig(position_base="1"))
    return hn.mine(log, out, privacy=hn.Privacy.dp(**{**given, **changed}), config=config)


def test_what_many_share_leaves_and_what_one_has_does_not(log: Path, tmp_path: Path) -> None:
    Ledger.create(tmp_path / "ledger", epsilon=5, delta=3e-6)
    result = mine(log, tmp_path / "ledger", tmp_path / "out")
    # 2,000 users stand some hundred standard deviations above the threshold, one some five below it.
    assert set(zip(*(result.negatives[c].to_pylist() for c in ("query", "pos_id", "neg_id")), strict=True)) == {
        ("shoes", "b", d) for d in "acd"
    }
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            assert b"only mine" not in path.read_bytes(), path
            assert b"2001" not in path.read_bytes(), path
    private = tmp_path / "out.private"
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert stat.S_IMODE((private / "exact.json").stat().st_mode) == 0o600
    assert json.loads((private / "exact.json").read_text())["users"] == 2_001
    statement = json.loads((tmp_path / "out" / "privacy.json").read_text())
    assert (statement["mode"], statement["epsilon"], statement["lineage"]) == ("dp", 4.0, "web")


def test_the_ledger_refuses_what_would_exceed_it(log: Path, tmp_path: Path) -> None:
    Ledger.create(tmp_path / "ledger", epsilon=5, delta=3e-6)
    mine(log, tmp_path / "ledger")
    with pytest.raises(hn.PrivacyError, match="has spent"):
        mine(log, tmp_path / "ledger")
    with pytest.raises(hn.HardnegError):
        mine(log, tmp_path / "none")


def checked(folder: Path) -> dict[str, str]:
    """What the audit says of the statement."""
    return {check.name: check.verdict for check in statement_checks(open_output(folder / "out"))}


@pytest.mark.parametrize("mechanism", ["weighted_gaussian", "pag"])
def test_without_candidates_pairs_are_chosen_under_noise(log: Path, tmp_path: Path, mechanism: Any) -> None:
    Ledger.create(tmp_path / "ledger", epsilon=5, delta=3e-6)
    config = hn.Config(read=hn.ReadConfig(position_base="1"), release=hn.ReleaseConfig(mechanism=mechanism))
    given = {"candidates": None, "candidates_class": None, "config": config}
    result = mine(log, tmp_path / "ledger", tmp_path / "out", **given)
    # 2,000 users were shown four documents, and clicked the second.
    assert set(zip(*(result.negatives[c].to_pylist() for c in ("query", "pos_id", "neg_id")), strict=True)) == {
        ("shoes", "b", d) for d in "acd"
    }
    assert result.negatives["position_neg"].null_count == 3
    statement = json.loads((tmp_path / "out" / "privacy.json").read_text())
    assert statement["candidates"]["class"] is None
    spent = statement["gaussian"]
    assert spent["mu_selection"] ** 2 + spent["mu_pairs"] ** 2 + spent["mu_counts"] ** 2 <= spent["mu"] ** 2
    assert len(statement["constants"]["pairs_thresholds"]) == statement["constants"]["rounds"]
    assert checked(tmp_path) == {"privacy statement": "pass", "thresholds": "pass", "thresholds of pairs": "pass"}
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {"stage": "pairs released", "count": 4} in report["funnel"]
    for path in (tmp_path / "out").rglob("*"):
        assert not path.is_file() or b"only mine" not in path.read_bytes(), path


def test_coverage_and_reversals_are_of_released_figures(log: Path, tmp_path: Path) -> None:
    """What the report says follows from the released table: noise changed afterwards would change it alike."""
    released = pa.table(
        {
            "query": ["q"] * 3 + ["r"] * 2,
            "doc_id": [*"abcde"],
            "clicks": [100.0, 20.0, 5.0, 1.0, -2.0],
            "clicks_variance": [4.0, 9.0, 4.0, 25.0, 25.0],
            "exposures": pa.nulls(5, pa.float64()),
            "position": pa.nulls(5, pa.int32()),
        }
    )
    options = {"config": hn.ContrastConfig(confidence=0.1, margin=0.9), "select": hn.SelectConfig(num_negatives=1)}
    chosen = contrasts(released, [1.0, 0.5, 1.0, 1.0, 1.0], **options)
    worth, noise = (
        dict(zip("abcde", (100, 40, 5, 1, -2), strict=True)),
        dict(zip("abcde", (2, 6, 2, 5, 5), strict=True)),
    )
    rows = chosen.negatives.to_pylist()
    assert len(rows) == 3
    for row, p in zip(rows, chosen.reversed, strict=True):
        better, worse = row["pos_id"], row["neg_id"]
        apart = NormalDist(worth[better] - worth[worse], math.hypot(noise[better], noise[worse]))
        assert p == pytest.approx(apart.cdf(0), rel=1e-9)
    Ledger.create(tmp_path / "ledger", epsilon=5, delta=3e-6)
    mine(log, tmp_path / "ledger", tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["reversals"]["expected"] < 0.01
    assert sum(row["rows"] for row in report["reversals"]["distribution"]) == report["select"]["rows"]
    assert sum(row["queries"] for row in report["coverage"]) == 1
    card, page = ((tmp_path / "out" / name).read_text() for name in ("README.md", "report.html"))
    assert "Released impressions of a query" in card
    assert "no chance of being relevant" in card
    for said in (report["coverage_by"]["from"], "Negatives that noise may have made"):
        assert said in page


PUBLIC = pa.table({"query": ["Shoes ", "unasked", "shoes", None]})


def test_public_queries_need_no_delta(log: Path, tmp_path: Path) -> None:
    Ledger.create(tmp_path / "ledger", epsilon=5, delta=3e-6)
    given = {"public_queries": PUBLIC, "public_queries_class": "already_public", "delta": 0.0}
    result = mine(log, tmp_path / "ledger", tmp_path / "out", **given)
    assert set(zip(*(result.negatives[c].to_pylist() for c in ("query", "pos_id", "neg_id")), strict=True)) >= {
        ("shoes", "b", d) for d in "acd"
    }
    statement = json.loads((tmp_path / "out" / "privacy.json").read_text())
    assert (statement["epsilon"], statement["delta"], statement["pure_epsilon"]) == (4.0, 2.0**-64, 4.0)
    assert statement["constants"]["count_noise"] == "laplace"
    assert statement["lineage_claim"]["epsilon"] == 4.0
    assert checked(tmp_path) == {"privacy statement": "pass", "thresholds": "not checked"}
    assert in_ledger(open_output(tmp_path / "out"), tmp_path / "ledger").verdict == "pass"
    for name, x in (("pure_epsilon", 3.9), ("constants", {**statement["constants"], "count_scale": GRID // 4 - 1})):
        (tmp_path / "out" / "privacy.json").write_text(json.dumps({**statement, name: x}))
        assert checked(tmp_path)["privacy statement"] == "fail"
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    # Asked or not: two queries with four documents each.
    assert report["funnel"][0] == {"stage": "queries released", "count": 2}
    assert {"stage": "cells counted under noise", "count": 8} in report["funnel"]
    with pytest.raises(hn.PrivacyError, match="has spent epsilon 4 of 5"):
        mine(log, tmp_path / "ledger", **given)


def test_public_queries_with_delta_get_gaussian_noise_and_all_of_the_budget(log: Path, tmp_path: Path) -> None:
    Ledger.create(tmp_path / "ledger", epsilon=5, delta=3e-6)
    result = mine(log, tmp_path / "ledger", public_queries=PUBLIC, public_queries_class="already_public")
    spent = result.privacy["gaussian"]
    assert (spent["mu_selection"], spent["mu_pairs"]) == (0, 0)
    assert spent["mu_counts"] == spent["mu"]
    assert result.privacy["thresholds"]["delta_t"] == 2.0**-64


def test_where_lists_change_clicks_are_of_those_who_were_shown(tmp_path: Path) -> None:
    # Half of 4,000 users see a above b, the others b and c, which are worth the same; every fourth looks at the second.
    def page(i: int) -> list[tuple[str, bool]]:
        return [("a", i % 2 == 0), ("b", i % 8 == 0)] if i < 2_000 else [("b", i % 2 == 0), ("c", i % 8 == 0)]

    rows = [
        {"user_id": f"u{i}", "search_id": f"s{i}", "query": "q", "doc_id": d, "position": p, "clicked": clicked}
        for i in range(4_000)
        for p, (d, clicked) in enumerate(page(i), start=1)
    ]
    log = pa.Table.from_pylist(rows)
    listed = pa.table({"query": ["q"] * 3, "doc_id": ["a", "b", "c"], "position": [1, 2, 3]})
    counted = hn.CountConfig(min_page_length=2, robots="keep")

    def worth(**options: Any) -> dict[str, float]:
        config = ReleaseConfig(examination_exponent=2.0, **options)
        core = contribute_stream(
            log.to_reader(),
            config=counted,
            window=(None, None),
            scrub=(scrubbing(hn.Config().scrub)[0], None),
            threads=1,
            memory=1 << 26,
            spill_dir="",
            position_base=1,
            has_pages=True,
            shown=True,
        )
        privacy = hn.Privacy.dp(
            epsilon=20,
            delta=1e-6,
            lineage="w",
            ledger=tmp_path / "none",
            candidates=listed,
            candidates_class="already_public",
        )
        table = release_private(core, listed, None, privacy=privacy, config=config).table
        found, _ = attractiveness(table, examined(table["position"].to_numpy(), 2.0))
        return dict(zip(table["doc_id"].to_pylist(), found / found[0], strict=True))

    plain = worth()
    own = worth(positions="own")
    both = worth(positions="own", exposure_weight=0.25)
    # Noise is some two of a hundred here.
    assert plain["b"] > 3
    assert own["b"] == pytest.approx(2, abs=0.3)
    assert own["c"] == pytest.approx(1, abs=0.3)
    assert both["b"] == pytest.approx(1, abs=0.15)
    assert both["c"] == pytest.approx(1, abs=0.15)


def test_a_log_whose_columns_hang_on_its_rows_is_refused(tmp_path: Path) -> None:
    # With one row more that names a timestamp, every row without one would be set aside.
    path = tmp_path / "log.ndjson"
    path.write_text(json.dumps({"user_id": "u", "query": "q", "doc_id": "d", "position": 1, "clicked": True}) + "\n")
    Ledger.create(tmp_path / "ledger", epsilon=5, delta=3e-6)
    with pytest.raises(hn.PrivacyError, match="NDJSON"):
        mine(path, tmp_path / "ledger")
    assert Ledger(tmp_path / "ledger").claims() == []


NAN = float("nan")


@pytest.mark.parametrize(
    "wrong",
    [
        *({"release": hn.ReleaseConfig(clip=x)} for x in (NAN, 0, 1e300)),
        *({"release": hn.ReleaseConfig(examination_exponent=x)} for x in (NAN, -1, 1e9)),
        {"release": hn.ReleaseConfig(impression_weight=NAN)},
        {"release": hn.ReleaseConfig(selection_share=1 - 1e-15)},
        {"release": hn.ReleaseConfig(max_queries_per_user=0)},
        {"release": hn.ReleaseConfig(mechanism="pag", rounds=2_000)},
        {"contrast": hn.ContrastConfig(margin=NAN)},
        {"select": hn.SelectConfig(refill="random")},
        {"select": hn.SelectConfig(num_negatives=0)},
        {"select": hn.SelectConfig(chain_users=3)},
        {"select": hn.SelectConfig(max_queries_per_document=5)},
        {"select": hn.SelectConfig(validation=0.1)},
        {"evidence": hn.EvidenceConfig(propensities=(1.0, 0.5))},
    ],
    ids=str,
)
def test_constants_are_refused_before_they_are_paid_for(log: Path, tmp_path: Path, wrong: dict[str, Any]) -> None:
    Ledger.create(tmp_path / "ledger", epsilon=5, delta=3e-6)
    config = hn.Config(read=hn.ReadConfig(position_base="1"), **wrong)
    with pytest.raises(hn.UsageError):
        mine(log, tmp_path / "ledger", config=config)
    assert Ledger(tmp_path / "ledger").claims() == []


@pytest.mark.parametrize("epsilon", [1e-7, 1e-15])
def test_noise_too_large_is_refused_before_it_is_paid_for(log: Path, tmp_path: Path, epsilon: float) -> None:
    Ledger.create(tmp_path / "ledger", epsilon=5, delta=3e-6)
    public = {"public_queries": PUBLIC, "public_queries_class": "already_public"}
    with pytest.raises(hn.UsageError, match="epsilon"):
        mine(log, tmp_path / "ledger", epsilon=epsilon, delta=0.0, **public)
    assert Ledger(tmp_path / "ledger").claims() == []


def test_an_output_says_nothing_of_runs_that_broke_off(log: Path, tmp_path: Path) -> None:
    # One user's row can break a run; what is released afterwards must not tell.
    Ledger.create(tmp_path / "ledger", epsilon=9, delta=3e-6)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(log.read_bytes()[:-4_000] + b"x" * 3_000 + log.read_bytes()[-1_000:])
    with pytest.raises(hn.HardnegError):
        mine(broken, tmp_path / "ledger")
    mine(log, tmp_path / "ledger", tmp_path / "out", epsilon=3.0)
    for name in ("privacy.json", "report.json", "README.md", "report.html"):
        text = (tmp_path / "out" / name).read_text()
        assert "unfinished" not in text
        assert '"charges"' not in text


def test_where_the_output_cannot_be_written_exact_figures_stay_too(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger.create(tmp_path / "ledger", epsilon=9, delta=3e-6)
    mine(log, tmp_path / "ledger", tmp_path / "out")
    before = {path: path.read_bytes() for path in tmp_path.glob("out*/**/*") if path.is_file()}
    shorter = tmp_path / "shorter.parquet"
    pq.write_table(pq.read_table(log).slice(4), shorter)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hardneg_fast.write.write_dataset", full)
    given = {"epsilon": 4.0, "delta": 1e-6, "lineage": "web", "ledger": tmp_path / "ledger"}
    given |= {"candidates": CANDIDATES, "candidates_class": "function_of_public_corpus"}
    config = hn.Config(read=hn.ReadConfig(position_base="1"))
    with pytest.raises(hn.FileError, match="No space left"):
        hn.mine(shorter, tmp_path / "out", privacy=hn.Privacy.dp(**given), config=config, overwrite=True)
    assert {path: path.read_bytes() for path in tmp_path.glob("out*/**/*") if path.is_file()} == before


def test_claims_are_printed_with_all_their_digits(log: Path, tmp_path: Path) -> None:
    Ledger.create(tmp_path / "ledger", epsilon=5, delta=3e-6)
    mine(log, tmp_path / "ledger", tmp_path / "out", epsilon=1.0000004)
    statement = json.loads((tmp_path / "out" / "privacy.json").read_text())
    assert statement["claim"].startswith("(1.0000004, 1e-06)-differential privacy")
    assert checked(tmp_path)["privacy statement"] == "pass"


def test_a_document_listed_twice_is_refused_before_it_is_paid_for(log: Path, tmp_path: Path) -> None:
    Ledger.create(tmp_path / "ledger", epsilon=5, delta=3e-6)
    # Also of a query that will never be named, and in another spelling.
    twice = pa.table({"query": ["never", "NEVER "], "doc_id": ["a", "a"], "position": [1, 2]})
    with pytest.raises(hn.DataError, match="twice"):
        mine(log, tmp_path / "ledger", candidates=twice)
    assert Ledger(tmp_path / "ledger").claims() == []


def test_what_cannot_be_is_refused(log: Path, tmp_path: Path) -> None:
    Ledger.create(tmp_path / "ledger", epsilon=5, delta=3e-6)
    with pytest.raises(hn.UsageError, match="public queries"):
        mine(log, tmp_path / "ledger", delta=0)
    with pytest.raises(hn.UsageError, match="public_queries_class"):
        mine(log, tmp_path / "ledger", public_queries=pa.table({"query": ["shoes"]}))
    with pytest.raises(hn.UsageError, match="candidates_class"):
        mine(log, tmp_path / "ledger", candidates_class="ours")
    private = hn.Privacy.dp(epsilon=1, lineage="web", ledger=tmp_path / "ledger")
    with pytest.raises(hn.PrivacyError, match="counts have lost"):
        hn.release(hn.count(log), privacy=private)
    with pytest.raises(hn.PrivacyError, match="key"):
        hn.mine(log, privacy=private, key=hn.Key(b"k" * 32))


def test_a_file_that_breaks_off_is_named(log: Path, tmp_path: Path) -> None:
    broken = tmp_path / "log.arrow"
    table = pq.read_table(log)
    with pa.ipc.new_file(broken, table.schema) as file:
        file.write_table(table, max_chunksize=1_000)
    content = bytearray(broken.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(byte ^ 0xFF for byte in content[middle : middle + 400])
    broken.write_bytes(content)
    Ledger.create(tmp_path / "ledger", epsilon=8, delta=1e-5)
    with pytest.raises(hn.FileError, match=r"log\.arrow: damaged"):
        mine(broken, tmp_path / "ledger")

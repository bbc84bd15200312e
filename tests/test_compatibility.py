"""What earlier versions wrote still opens; `tests/data/compatibility` has what each wrote, as it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
from hardneg_fast.ledger import Ledger
from hardneg_fast.writers.parquet import SCHEMA, SCHEMA_KEY

WRITTEN = Path(__file__).parent / "data" / "compatibility"
VERSIONS = sorted(path.name for path in WRITTEN.iterdir())
HEADERS = {"0.1": "hardneg_fast key 1"}


@pytest.fixture(params=VERSIONS)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return shutil.copytree(WRITTEN / request.param, tmp_path / "written")


def test_a_dataset_is_exported(written: Path, tmp_path: Path) -> None:
    done = hn.export(written / "dataset", tmp_path / "qrels", to="qrels")
    assert sum(done["rows"].values()) > 0
    assert hn.audit(written / "dataset").passed


def test_counts_are_loaded_and_merged(written: Path) -> None:
    counts = hn.load_counts(written / "log.counts")
    assert counts.rows == 4_000
    assert hn.merge(counts, counts, users="unknown").rows == 8_000
    assert pa.table(hn.evidence(hn.release(counts, privacy=hn.Privacy.k_users(2))).table()).num_rows > 0


def test_a_ledger_goes_on(written: Path) -> None:
    ledger = Ledger(written / "budget.ledger")
    claim = ledger.claim("web")
    assert claim["charges"] == 1
    ledger.reserve("web", window="2026-02", mu=0.1, delta_t=1e-9, what="mine", config_hash="0" * 64)
    assert Ledger(written / "budget.ledger").claim("web")["charges"] == 2


def test_a_key_makes_the_same_pseudonyms(written: Path) -> None:
    (written / "master.key").chmod(0o600)
    key = hn.Key.load(written / "master.key")
    made = hn.pseudonymize(pa.array(["u1", "u2"]), key=key, field="user_id")
    assert [one.hex() for one in made.to_pylist()] == (written / "pseudonyms.txt").read_text().split()
    assert hn.reveal(pa.array((written / "tokens.txt").read_text().split()), key=key).to_pylist() == [b"u1"]


def test_tables_say_their_schema_and_newer_ones_are_refused_by_name(written: Path, tmp_path: Path) -> None:
    hn.simulate(tmp_path / "sim", impressions=4_000, seed=1)
    hn.mine(tmp_path / "sim" / "log.parquet", tmp_path / "out", privacy=hn.Privacy.none())
    for file in (tmp_path / "out").glob("*/*.parquet"):
        assert pq.ParquetFile(file).metadata.metadata[SCHEMA_KEY] == str(SCHEMA).encode()
    file = next((written / "dataset" / "queries").iterdir())
    table = pq.read_table(file)
    with pq.ParquetWriter(file, table.schema) as writer:
        writer.add_key_value_metadata({SCHEMA_KEY: str(SCHEMA + 1)})
        writer.write_table(table)
    with pytest.raises(hn.DataError, match=r"written by a newer version .* upgrade"):
        hn.export(written / "dataset", tmp_path / "qrels", to="qrels")

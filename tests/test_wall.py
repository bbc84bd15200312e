"""The wall of a private release: once it is made nothing can reach the log, and exact figures are the owner's alone."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import re
import stat
import subprocess
import sys
import types
import weakref
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
from hardneg_fast import _hardneg
from hardneg_fast.contribute import Contributions
from hardneg_fast.ledger import Ledger
from hardneg_fast.pipeline import private
from hardneg_fast.read import RawLog, open_log
from hardneg_fast.release_private import PrivateReleased
from hardneg_fast.sources import Source

DOCS = ("a", "b", "c")
USERS = 1_237
"""No other figure of the run is this one, or this one times the length of a page."""
EXACT = {str(USERS), f"{USERS:,}", str(USERS * 3), f"{USERS * 3:,}"}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        {"user_id": f"u{i}", "search_id": f"s{i}", "query": "shoes", "doc_id": d, "position": p, "clicked": d == "b"}
        for i in range(USERS)
        for p, d in enumerate(DOCS, start=1)
    ]
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def claimed(folder: Path) -> hn.Privacy:
    Ledger.create(folder / "ledger", epsilon=9, delta=1e-5)
    return hn.Privacy.dp(
        epsilon=2,
        delta=1e-6,
        lineage="web",
        ledger=folder / "ledger",
        candidates=pa.table({"query": ["shoes"] * 3, "doc_id": DOCS, "position": [1, 2, 3]}),
        candidates_class="function_of_public_corpus",
    )


def mine(log: Path, folder: Path, **options: Any) -> hn.Result:
    config = hn.Config(read=hn.ReadConfig(position_base="1"))
    return hn.mine(log, folder / "out", privacy=claimed(folder), config=config, **options)


def reached(root: object) -> list[object]:
    """Everything that can be reached from an object, modules and classes left out: they hold the whole program."""
    seen: dict[int, object] = {}
    waiting = [root]
    while waiting:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, types.ModuleType | type | types.FunctionType):
            continue
        seen[id(found)] = found
        waiting += gc.get_referents(found)
    return list(seen.values())


OF_THE_LOG = (
    Contributions, RawLog, Source, pa.RecordBatchReader, _hardneg.Contributions, _hardneg.Keys, _hardneg.ParquetLog
)  # fmt: skip


def test_what_goes_on_after_the_release_holds_nothing_of_the_log(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What was read and counted is not only out of reach: it is gone by the time that anything else begins.
    made: list[weakref.ref[Any]] = []
    after: list[str] = []

    def watched(name: str) -> None:
        honest = getattr(private, name)

        def call(*given: Any, **options: Any) -> Any:
            found = honest(*given, **options)
            made.append(weakref.ref(found))
            return found

        monkeypatch.setattr(private, name, call)

    def guarded(name: str) -> None:
        honest = getattr(private, name)

        def call(*given: Any, **options: Any) -> Any:
            gc.collect()
            after.append(name)
            assert len(made) == 2
            assert [ref() for ref in made] == [None, None]
            assert not [x for x in reached([given, options]) if isinstance(x, OF_THE_LOG)]
            return honest(*given, **options)

        monkeypatch.setattr(private, name, call)

    watched("open_log")
    watched("contribute_stream")
    for name in ("contrasts", "private_result", "write"):
        guarded(name)
    result = mine(log, tmp_path)
    assert after == ["contrasts", "private_result", "write"]
    assert not [x for x in reached(result) if isinstance(x, OF_THE_LOG)]


def test_the_search_finds_what_it_looks_for(log: Path) -> None:
    holder = types.SimpleNamespace(inner=[{"deep": (open_log(log, hn.ReadConfig()),)}])
    assert {type(x) for x in reached(holder) if isinstance(x, OF_THE_LOG)} >= {RawLog}


def test_a_release_is_made_of_plain_values() -> None:
    fields = {f.name: f.type for f in dataclasses.fields(PrivateReleased)}
    assert fields == {
        "table": "pa.Table",
        "queries": "int",
        "pairs": "int | None",
        "privacy": "Privacy",
        "budget": "Budget",
        "constants": "dict[str, Any]",
    }


def test_stages_after_the_release_import_nothing_that_reads() -> None:
    # As the import contract says; here of the modules that are there once they have been imported alone.
    code = (
        "import sys, types; p = types.ModuleType('hardneg_fast'); import importlib.util as u;"
        "p.__path__ = u.find_spec('hardneg_fast').submodule_search_locations; sys.modules['hardneg_fast'] = p;"
        "import hardneg_fast.contrast, hardneg_fast.result_private, hardneg_fast.write;"
        "print(*sorted(m for m in sys.modules if m.startswith('hardneg_fast.')))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(ran.stdout.split())
    assert {"hardneg_fast.contrast", "hardneg_fast.write"} <= modules
    reading = {"read", "count", "contribute", "anonymize", "pipeline", "keys"}
    assert not modules & {f"hardneg_fast.{name}" for name in reading}
    assert not [m for m in modules if m.startswith("hardneg_fast.sources")]


def numbers(out: Path) -> set[str]:
    """All numbers in what was written, as they are written, and those of Parquet's own statistics."""
    found: set[str] = set()
    for path in (p for p in out.rglob("*") if p.is_file()):
        if path.suffix == ".parquet":
            footer = pq.read_metadata(path)
            found.add(str(footer.num_rows))
            found |= {str(value) for column in pq.read_table(path).columns for value in column.to_pylist()}
        else:
            found |= set(re.findall(r"\d[\d,]*", path.read_text(encoding="utf-8")))
    return found


def test_exact_figures_stand_in_the_private_folder_and_nowhere_else(log: Path, tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        mine(log, tmp_path)
    finally:
        os.umask(mask)
    exact = json.loads((tmp_path / "out.private" / "exact.json").read_text())
    assert (exact["users"], exact["rows"]) == (USERS, USERS * 3)
    written = numbers(tmp_path / "out")
    assert len(written) > 50
    assert not written & EXACT
    # Even with no umask at all.
    assert stat.S_IMODE((tmp_path / "out.private").stat().st_mode) == 0o700


def test_a_private_folder_that_was_open_is_closed(log: Path, tmp_path: Path) -> None:
    mine(log, tmp_path)
    (tmp_path / "out.private").chmod(0o755)
    (tmp_path / "ledger").unlink()
    (tmp_path / "ledger.head").unlink()
    mine(log, tmp_path, overwrite=True)
    assert stat.S_IMODE((tmp_path / "out.private").stat().st_mode) == 0o700


def test_a_folder_without_a_name_has_its_private_one_beside_it(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    config = hn.Config(read=hn.ReadConfig(position_base="1"))
    hn.mine(log, ".", privacy=claimed(tmp_path), config=config)
    assert (tmp_path / "here" / "privacy.json").exists()
    assert (tmp_path / "here.private" / "exact.json").exists()


def test_nothing_is_written_where_the_private_folder_cannot_be(log: Path, tmp_path: Path) -> None:
    (tmp_path / "out.private").mkdir()
    (tmp_path / "out.private" / "theirs").touch()
    with pytest.raises(hn.UsageError):
        mine(log, tmp_path)
    assert not (tmp_path / "out").exists()
    assert Ledger(tmp_path / "ledger").claims() == []

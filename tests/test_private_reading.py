"""What one user's rows can do to everybody else's on the way in: nothing, in any format a private release reads.

A user is added whose rows are as nasty as rows can be; sums are read next to without noise. All others must add
what they added before, so that sums move by no more than the one user may: a Euclidean norm of one.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
from hardneg_fast import _hardneg
from hardneg_fast.calibration import GRID
from hardneg_fast.ledger import Ledger
from hardneg_fast.pipeline import private
from private_logs import distance, keys

DOCS = ("a", "b", "c")
QUERIES = ("shoes", "boots", "strasse 1")
NAMES = ("user_id", "search_id", "query", "doc_id", "position", "clicked", "timestamp")
TIME = "2026-03-02T10:00:00"


def crowd() -> list[tuple[Any, ...]]:
    return [
        (f"u{i}", f"u{i} {q}", q, d, p, d == DOCS[i % 3], TIME)
        for i in range(12)
        for q in QUERIES[: i % 3 + 1]
        for p, d in enumerate(DOCS, start=1)
    ]


def nasty() -> list[tuple[Any, ...]]:
    """Of one user: values that cannot be, of others' pages and sessions, far too many, and some that are fine."""
    own = []
    for n, (query, doc, position, time) in enumerate(
        itertools.product(
            ["shoes", None, "", "q" * 2_000, "SHOES ", "4111 1111 1111 1111"],
            ["a", None, "", "d" * 5_000],
            [1, 0, -1, 70_000, None],
            [TIME, "", "never", "1970-01-01", "9999999999999999999"],
        )
    ):
        # The first rows name pages of others.
        own.append(("v", f"u{n} shoes" if n < 12 else f"v{n}", query, doc, position, n % 2 == 0, time))
    return own + [("v", f"w{n}", "boots", d, p, True, TIME) for n in range(40) for p, d in enumerate(DOCS, start=1)]


def parquet(rows: list[tuple[Any, ...]], folder: Path) -> Path:
    pq.write_table(pa.table(dict(zip(NAMES, zip(*rows, strict=True), strict=True))), folder / "log.parquet")
    return folder / "log.parquet"


def dictionaries(rows: list[tuple[Any, ...]], _: Path) -> pa.Table:
    """In memory, text as dictionaries that hold bytes which are no text."""
    table = pa.table(dict(zip(NAMES, zip(*rows, strict=True), strict=True)))
    for name in ("user_id", "query", "doc_id"):
        raw = table[name].cast(pa.binary()).combine_chunks()
        if len(rows) > len(crowd()):
            raw = pa.array([b"\xff\xfe" if v == b"" else v for v in raw.to_pylist()], pa.binary())
        table = table.set_column(table.column_names.index(name), name, raw.dictionary_encode())
    return table


def text(delimiter: str) -> Callable[[list[tuple[Any, ...]], Path], Path]:
    def write(rows: list[tuple[Any, ...]], folder: Path) -> Path:
        path = folder / ("log.csv" if delimiter == "," else "log.tsv")
        with path.open("w", newline="", encoding="utf-8") as file:
            quoting = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
            writer = csv.writer(file, delimiter=delimiter, quoting=quoting, quotechar='"' if delimiter == "," else None)
            writer.writerow(NAMES)
            writer.writerows(rows)
        if len(rows) > len(crowd()):
            with path.open("ab") as file:
                file.write(b"v\nv" + delimiter.encode() * 30 + b"\n" + delimiter.encode().join([b"v\xff"] * 7) + b"\n")
        return path

    return write


def pages(rows: list[tuple[Any, ...]], folder: Path) -> Path:
    """A row a page, lists as text; the nasty user's lists are broken in several ways."""
    names = ["user_id", "search_id", "query", "documents", "clicks", "timestamp"]
    out: list[list[Any]] = []
    for (user, search), group in itertools.groupby(rows, key=lambda r: r[:2]):
        shown = list(group)
        out.append(
            [user, search, shown[0][2], json.dumps([r[3] for r in shown]), json.dumps([int(r[5]) for r in shown]), TIME]
        )
    if len(rows) > len(crowd()):
        for documents, clicks in [
            ("[", "[1]"),
            ('["a"]', "[1, 0]"),
            ("{}", "[]"),
            ("['a', 'b']", "[True, False]"),
            ("1", "x"),
        ]:
            out.append(["v", f"x{len(out)}", "shoes", documents, clicks, TIME])
    pq.write_table(pa.table(dict(zip(names, zip(*out, strict=True), strict=True))), folder / "log.parquet")
    return folder / "log.parquet"


FORMATS = {"parquet": parquet, "dictionaries": dictionaries, "csv": text(","), "tsv": text("\t"), "pages": pages}


def contributed(log: object, folder: Path, patch: pytest.MonkeyPatch) -> _hardneg.Contributions:
    """What the real job counts from."""
    seen = []
    honest = private.contribute_stream

    def recorded(*given: Any, **options: Any) -> Any:
        seen.append(honest(*given, **options))
        return seen[-1]

    with patch.context() as within:
        within.setattr(private, "contribute_stream", recorded)
        ledger = folder / f"ledger{len(list(folder.iterdir()))}"
        Ledger.create(ledger, epsilon=2, delta=1e-5)
        privacy = hn.Privacy.dp(
            epsilon=1,
            delta=1e-6,
            lineage="web",
            ledger=ledger,
            candidates=pa.table({"query": ["shoes"], "doc_id": ["a"]}),
            candidates_class="function_of_public_corpus",
        )
        config = hn.Config(
            read=hn.ReadConfig(position_base="1"), count=hn.CountConfig(min_page_length=1, robots="keep")
        )
        hn.mine(log, privacy=privacy, config=config)
    core: _hardneg.Contributions = seen[0]._core
    return core


def scores(core: _hardneg.Contributions) -> dict[str, float]:
    found = keys(core)
    return {q: s / GRID for q, s in zip(found.queries, found.scores, strict=True)}


def cells(core: _hardneg.Contributions) -> dict[tuple[str, str], float]:
    """Clicks on all documents of the queries, and impressions, next to without noise."""
    found = keys(core)
    wanted = [i for i, query in enumerate(found.queries) if query in QUERIES]
    rows = [(i, doc) for i in wanted for doc in DOCS]
    shown, clicked, _ = core.clicks(
        found,
        shown=[1024] * len(found.queries),
        rows=[i for i, _ in rows],
        docs=[doc for _, doc in rows],
        positions=[1] * len(rows),
        weights=[4096] * len(rows),
        exposures=[0] * len(rows),
        length=3_000,
        noise="gaussian",
        scale=1,
        examined=[],
        most=1,
        threads=1,
    )
    out = {(found.queries[i], doc): n / GRID for (i, doc), n in zip(rows, clicked, strict=True)}
    return out | {(found.queries[i], ""): shown[i] / GRID for i in wanted}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("place", ["first", "last"])
def test_nasty_rows_of_one_user_move_nothing_of_others(
    name: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, all_rows = FORMATS[name], [*nasty(), *crowd()] if place == "first" else [*crowd(), *nasty()]
    without = contributed(write(crowd(), tmp_path), tmp_path, monkeypatch)
    with_ = contributed(write(all_rows, tmp_path), tmp_path, monkeypatch)
    before, after = scores(without), scores(with_)
    assert set(before) == set(QUERIES)
    # They are there, and have what one user may have.
    moved = distance(before, after)
    assert 0.5 < moved <= 1 + 1e-4
    moved = math.dist(*zip(*[(cells(without)[c], cells(with_)[c]) for c in cells(without)], strict=True))
    assert 0.1 < moved <= 1 + 1e-4

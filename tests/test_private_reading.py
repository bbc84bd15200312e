"""What one user's rows can do to everybody else's on the way in: nothing, in any format a private release reads.

A user is added whose rows are as nasty as rows can be; sums are read next to without noise. All others must add
what they added before, so that sums move by no more than the one user may: a Euclidean norm of one.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
from hardneg_fast import _hardneg
from hardneg_fast.calibration import GRID
from hardneg_fast.dry_run import dry_run
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


def contributed(
    log: object, folder: Path, patch: pytest.MonkeyPatch, names: Sequence[str] = NAMES
) -> _hardneg.Contributions:
    """What the real job counts from; of what is no file, these columns."""
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
            read=hn.ReadConfig(position_base="1", columns={} if isinstance(log, Path) else {n: n for n in names}),
            count=hn.CountConfig(min_page_length=1, robots="keep"),
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


FIELDS = ("user_id", "query", "doc_id", "position", "clicked")


def records(rows: list[tuple[Any, ...]], folder: Path) -> Path:
    """As JSON; the nasty user has fields that nobody else has."""
    plain = ({name: row[NAMES.index(name)] for name in FIELDS} for row in rows)
    own = [
        {"user_id": "v", "query": "shoes", "doc_id": "a", "search_id": "x", "timestamp": "never", "documents": ["a"]}
    ]
    with (folder / "log.ndjson").open("w", encoding="utf-8") as file:
        for record in [*(own if len(rows) > len(crowd()) else []), *plain]:
            file.write(json.dumps(record) + "\n")
    return folder / "log.ndjson"


FRAMES: dict[str, Callable[[Path], object]] = {
    "polars": lambda path: pl.scan_ndjson(path, infer_schema_length=None),
    "duckdb": lambda path: duckdb.read_json(str(path), sample_size=-1),
    "arrow": lambda path: pyarrow.json.read_json(path),
}


@pytest.mark.parametrize("name", FRAMES)
def test_fields_that_one_user_alone_has_move_nothing_of_others(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a frame whose columns were found by looking at rows, only those are taken that were named beforehand."""
    own = [("v", "", "shoes", d, p, d == "c", "") for p, d in enumerate(DOCS, start=1)]
    without = contributed(FRAMES[name](records(crowd(), tmp_path)), tmp_path, monkeypatch, FIELDS)
    with_ = contributed(FRAMES[name](records([*own, *crowd()], tmp_path)), tmp_path, monkeypatch, FIELDS)
    assert 0.5 < distance(scores(without), scores(with_)) <= 1 + 1e-4
    both = cells(without), cells(with_)
    moved = math.dist(*zip(*[(both[0][c], both[1][c]) for c in both[0]], strict=True))
    assert 0.1 < moved <= 1 + 1e-4


@pytest.mark.parametrize("named", [(), ("user_id", "query", "doc_id")])
@pytest.mark.parametrize("name", FRAMES)
def test_frames_whose_columns_nobody_named_are_refused(name: str, named: tuple[str, ...], tmp_path: Path) -> None:
    privacy = hn.Privacy.dp(epsilon=1, lineage="web", ledger=tmp_path / "ledger")
    ledger = tmp_path / "ledger"
    Ledger.create(ledger, epsilon=2, delta=1e-5)
    before = ledger.read_bytes()
    config = hn.Config(read=hn.ReadConfig(position_base="1", columns={n: n for n in named}))
    log = FRAMES[name](records(crowd(), tmp_path))
    with pytest.raises(hn.PrivacyError, match=r"are named beforehand, and .*clicked (is|are) not"):
        hn.mine(log, privacy=privacy, config=config)
    assert ledger.read_bytes() == before


@pytest.mark.parametrize("lacks", ["documents", "clicks"])
def test_frames_of_pages_are_read_by_their_names(lacks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pages(crowd(), tmp_path)
    frame = pl.read_parquet(path)
    by_file = contributed(path, tmp_path, monkeypatch)
    by_name = contributed(frame, tmp_path, monkeypatch, frame.columns)
    assert scores(by_name) == pytest.approx(scores(by_file), abs=1e-2)
    assert cells(by_name) == pytest.approx(cells(by_file), abs=1e-2)
    with pytest.raises(hn.PrivacyError, match=rf"are named beforehand, and .*(clicked|{lacks}).* (is|are) not"):
        contributed(frame, tmp_path, monkeypatch, [name for name in frame.columns if name != lacks])


LINES = """
[source]
shape = "rows"
format = "lines"
lines = ['(?P<user>[^\\t]*)\\t(?P<query>[^\\t]*)', '>(?P<doc>[^\\t]*)\\t(?P<place>\\d+)\\t(?P<click>\\d)']
{hold}
[columns]
user_id = "user"
query = "query"
doc_id = "doc"
position = "place"
clicked = "click"
{page}
"""


@pytest.mark.parametrize("hold", ['fill = ["user", "query"]', ""])
def test_lines_that_fill_others_or_number_them_are_refused(hold: str, tmp_path: Path) -> None:
    """One user's line would change what the lines after it mean."""
    mapping, log = tmp_path / "blocks.toml", tmp_path / "log.txt"
    page = 'search_id = "_block"' if not hold else ""
    mapping.write_text(LINES.format(hold=hold, page=page), encoding="utf-8")
    log.write_text("u1\tshoes\n>a\t1\t1\n", encoding="utf-8")
    ledger = tmp_path / "ledger"
    Ledger.create(ledger, epsilon=2, delta=1e-5)
    before = ledger.read_bytes()
    privacy = hn.Privacy.dp(epsilon=1, lineage="web", ledger=ledger)
    config = hn.Config(read=hn.ReadConfig(position_base="1", preset=str(mapping)))
    for job in (hn.mine, dry_run):
        with pytest.raises(hn.PrivacyError, match="a line stands by itself"):
            job(log, tmp_path / "out", privacy=privacy, config=config)
    assert ledger.read_bytes() == before


def test_a_line_that_fits_no_pattern_ends_what_was_held_on_to(tmp_path: Path) -> None:
    """It may have been a head: what follows is not booked on whoever came before."""
    mapping, log = tmp_path / "blocks.toml", tmp_path / "log.txt"
    mapping.write_text(LINES.format(hold='fill = ["user", "query"]', page='search_id = "_block"'), encoding="utf-8")
    # The second user's query holds a tab.
    log.write_text("u1\tshoes\n>a\t1\t1\nv\tso\tmine\n>of v alone\t1\t1\nu2\tboots\n>b\t1\t0\n", encoding="utf-8")
    rows = hn.read(log, config=hn.Config(read=hn.ReadConfig(position_base="1", preset=str(mapping)))).read_all()
    found = list(zip(*(rows[name].to_pylist() for name in ("query", "doc_id")), strict=True))
    assert {("shoes", "a"), ("boots", "b")} <= {*found}
    assert all(query is None for query, doc in found if doc == "of v alone")
    assert len(set(rows["search_id"].to_pylist())) == len(rows)

"""Bad input and bad options: a named error that says what to do, or a counted quarantine; and nothing is written."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
from hardneg_fast import cli

N = 30


def rows(**columns: object) -> dict[str, object]:
    """Three results a page, a page a user, the lowest clicked."""
    base: dict[str, object] = {
        "user_id": [f"u{i // 3}" for i in range(N)],
        "search_id": [f"s{i // 3}" for i in range(N)],
        "query": ["shoes"] * N,
        "doc_id": [f"d{i % 3}" for i in range(N)],
        "position": [i % 3 + 1 for i in range(N)],
        "clicked": [i % 3 == 2 for i in range(N)],
    }
    return base | columns


def parquet(folder: Path, table: pa.Table) -> Path:
    pq.write_table(table, folder / "log.parquet")
    return folder / "log.parquet"


def without(*names: str) -> Callable[[Path], object]:
    return lambda folder: parquet(folder, pa.table(rows()).drop(list(names)))


def having(**columns: object) -> Callable[[Path], object]:
    return lambda folder: parquet(folder, pa.table(rows(**columns)))


def file(name: str, content: bytes | str) -> Callable[[Path], object]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder / name

    return make


def damaged(cut: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    def make(folder: Path) -> Path:
        path = parquet(folder, pa.table(rows()))
        path.write_bytes(cut(path.read_bytes()))
        return path

    return make


def spoiled_arrow(folder: Path) -> Path:
    """Its schema and footer are whole, what says how its rows lie is not."""
    path = folder / "log.arrow"
    table = pa.table(rows())
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    content = path.read_bytes()
    mark = b"\xff" * 4  # of the schema, then of the rows
    at = content.index(mark, content.index(mark) + 4)
    path.write_bytes(content[: at + 8] + b"\xfe" * 16 + content[at + 24 :])
    return path


def astray_arrow(new: Callable[..., Any]) -> Callable[[Path], object]:
    """A text of its says that it goes on far beyond what there is: Arrow does not look."""

    def make(folder: Path) -> Path:
        path = folder / "log.arrow"
        table = pa.table({**rows(), "query": ["abcdefg"] * N})
        with new(path, table.schema) as writer:
            writer.write_table(table)
        content, offsets = path.read_bytes(), struct.pack("<4i", 0, 7, 14, 21)
        assert content.count(offsets) == 1
        path.write_bytes(content.replace(offsets, struct.pack("<4i", 0, 1 << 29, 14, 21)))
        return path

    return make


def committed(name: str) -> Callable[[Path], object]:
    """A damaged file that fuzzing found."""
    return lambda folder: shutil.copy(Path(__file__).parent / "data" / "damaged" / name, folder / "log.parquet")


LINES = [json.dumps({name: column[i] for name, column in rows().items()}) for i in range(N)]
CSV = [",".join(rows())] + [",".join(str(column[i]).lower() for column in rows().values()) for i in range(N)]
CLICKS = having(clicked=[True] * N)

# What the log is, the error, and what its message says: what is wrong, where, and what to do.
ERRORS: dict[str, tuple[Callable[[Path], object], type[hn.HardnegError], list[str]]] = {
    "missing": (without("clicked", "query"), hn.ColumnError, ["['query', 'clicked']", "'doc_id'", "--columns"]),
    "float_id": (having(user_id=[1.5] * N), hn.ColumnError, ["'user_id'", "double", "cast"]),
    "list_doc": (having(doc_id=[["d"]] * N), hn.ColumnError, ["'doc_id'", "list", "--columns documents"]),
    "struct_query": (having(query=[{"text": "q"}] * N), hn.ColumnError, ["'query'", "column.field"]),
    "bool_position": (having(position=[True] * N), hn.ColumnError, ["'position'", "number"]),
    "clicked_text": (having(clicked=["maybe"] * N), hn.DataError, ["clicked_impossible 30", "inspect"]),
    "position_text": (having(position=["top"] * N), hn.DataError, ["position_impossible 30"]),
    "times": (having(timestamp=["lately"] * N), hn.DataError, ["timestamp_unreadable 30"]),
    "null_users": (having(user_id=[None] * N), hn.DataError, ["null_user_id 30"]),
    "null_searches": (having(search_id=pa.nulls(N, pa.int64())), hn.DataError, ["null_search_id 30"]),
    "null_queries": (having(query=[None] * N), hn.DataError, ["null_query 30"]),
    "null_documents": (having(doc_id=pa.nulls(N, pa.string())), hn.DataError, ["null_doc_id 30"]),
    "null_clicked": (having(clicked=[None] * N), hn.DataError, ["null_clicked 30"]),
    "no_rows": (lambda f: parquet(f, pa.table(rows()).slice(0, 0)), hn.DataError, ["no rows"]),
    "header_only": (file("log.csv", CSV[0] + "\n"), hn.DataError, ["no rows"]),
    "no_bytes": (file("log.parquet", b""), hn.FileError, ["log.parquet", "empty"]),
    "truncated": (damaged(lambda b: b[:-100]), hn.FileError, ["log.parquet", "cut short"]),
    "spoiled": (damaged(lambda b: b[:4] + b"\xff" * 300 + b[304:]), hn.DataError, ["log.parquet", "damaged"]),
    "footer_types": (committed("type_of_column.parquet"), hn.FileError, ["log.parquet", "damaged"]),
    "footer_histogram": (committed("histogram.parquet"), hn.DataError, ["log.parquet", "footer"]),
    "spoiled_arrow": (spoiled_arrow, hn.FileError, ["log.arrow", "damaged"]),
    "astray_arrow": (astray_arrow(pa.ipc.new_file), hn.FileError, ["log.arrow", "damaged"]),
    "astray_arrow_stream": (astray_arrow(pa.ipc.new_stream), hn.FileError, ["log.arrow", "damaged"]),
    "doubled_csv": (file("log.csv", "query,query,doc_id,clicked\na,b,c,1\n"), hn.ColumnError, ["'query'", "rename"]),
    "unknown_format": (file("log.bin", b"neither here nor there"), hn.DataError, ["log.bin", "--read.format"]),
    "nowhere": (lambda f: f / "nowhere.parquet", hn.FileError, ["nowhere.parquet", "no such file"]),
    "no_match": (lambda f: str(f / "*.parquet"), hn.FileError, ["no file matches"]),
    "empty_folder": (lambda f: f, hn.FileError, ["without data files"]),
    "address": (lambda _: "nope://bucket/log", hn.FileError, ["nope://"]),
    "clicks_only": (CLICKS, hn.DataError, ["no rule can run", "skip_above: the log holds clicks only"]),
    "all_broken": (file("log.ndjson", "{broken\n[1]\n"), hn.ColumnError, ["columns not found"]),
}


def logged(n: int, clicked: set[int]) -> pa.Table:
    """Pages of four results, of which some are clicked, on the surface web."""
    shown = [(user, place) for user in range(n) for place in (1, 2, 3, 4)]
    return pa.Table.from_pylist(
        [
            {"user_id": f"u{user}", "search_id": f"s{user}", "query": "q", "doc_id": f"d{place}", "position": place,
             "clicked": place in clicked, "surface": "web", "timestamp": f"2026-01-01T00:{user:02}:00Z"}
            for user, place in shown
        ]
    )  # fmt: skip


SINCE = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"surfaces": ("wbe",)}, "no impression is left; left out were other_surface 80 (count.surfaces);"),
        ({"since": SINCE}, "no impression is left; left out were outside_window 80 (count.since, count.until);"),
    ],
)
def test_what_left_nothing_is_named(options: dict, says: str) -> None:
    config = hn.Config(count=hn.CountConfig(robots="keep", **options))
    with pytest.raises(hn.DataError, match=re.escape(says)):
        hn.mine(logged(20, {2}), privacy=hn.Privacy.none(), config=config)
    # As in the report of k-users, figures are multiples of K, and what rounds to nothing is not named.
    with pytest.raises(hn.DataError, match=re.escape(says.replace("80", "77"))):
        hn.mine(logged(20, {2}), privacy=hn.Privacy.k_users(7), config=config)
    with pytest.raises(hn.DataError, match=re.escape("no impression is left; `hardneg-fast inspect")):
        hn.mine(logged(20, {2}), privacy=hn.Privacy.k_users(81), config=config)


def test_broken_rows_are_no_log_of_clicks(tmp_path: Path) -> None:
    rows = logged(20, {2, 3, 4}).to_pylist()
    lines = [",".join(str(v) for v in row.values()) + ("" if row["clicked"] else ",more") for row in rows]
    path = file("log.csv", "\n".join([",".join(rows[0]), *lines]) + "\n")(tmp_path)
    with pytest.raises(hn.DataError, match="no impression without a click is left; left out were broken_line 20;"):
        hn.mine(path, privacy=hn.Privacy.none())


def on_the_command_line(capsys, *args: object) -> tuple[int, str, str]:
    try:
        code = cli.main([str(arg) for arg in args])
    except SystemExit as left:
        code = left.code
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name, tmp_path, capsys):
    make, kind, says = ERRORS[name]
    (tmp_path / "in").mkdir()
    log, out = make(tmp_path / "in"), tmp_path / "out"
    with pytest.raises(kind) as caught:
        hn.mine(log, out, privacy=hn.Privacy.none())
    assert type(caught.value) is kind
    for words in says:
        assert words in str(caught.value)
    assert isinstance(caught.value, ValueError)
    code, said, error = on_the_command_line(capsys, "mine", log, "-o", out, "--no-privacy")
    assert (code, said) == (kind.exit_code, "")
    assert error == f"hardneg-fast: {caught.value}\n"
    assert [p.name for p in tmp_path.iterdir()] == ["in"], "not even a hidden file is left"


# What the log is, and what is set aside of it; everything else is counted.
QUARANTINES: dict[str, tuple[Callable[[Path], object], dict[str, int]]] = {
    "zero": (having(position=[0 if i == 3 else i % 3 + 1 for i in range(N)]), {"position_impossible": 1}),
    "negative": (having(position=[-7 if i < 3 else i % 3 + 1 for i in range(N)]), {"position_impossible": 3}),
    "zero_based": (having(position=[i % 3 for i in range(N)]), {}),
    "huge_query": (having(query=["x" * 10**6, *["shoes"] * (N - 1)]), {"query_too_long": 1}),
    "latin1": (having(query=[b"sch\xf6n", *[b"shoes"] * (N - 1)]), {"invalid_utf8": 1}),
    "ndjson": (
        file("log.ndjson", "\n".join([*LINES[:7], "{broken", "[1, 2]", *LINES[7:], '{"query'])),
        {"broken_line": 3},
    ),
    "csv_cells": (file("log.csv", "\n".join([*CSV[:5], "a,b", *CSV[5:]])), {"broken_line": 1}),
    "csv_utf8": (file("log.csv", "\n".join(CSV).encode() + b"\nu1,s1,\xff,d1,1,false"), {"broken_line": 1}),
    "csv_quote": (file("log.csv", "\n".join([*CSV, '"never closed', "u,u"])), {"broken_line": 1}),
    "mixed": (
        having(
            user_id=[None, *["u"] * (N - 1)],
            clicked=[None, 7, 2, *[0, 1, 0] * 9],
            timestamp=["2026-01-01"] * (N - 4) + ["", "1e300", "1800-01-01", "today"],
        ),
        {
            "null_user_id": 1,
            "clicked_impossible": 2,
            "null_timestamp": 1,
            "timestamp_unreadable": 1,
            "timestamp_impossible": 2,
        },
    ),
}


@pytest.mark.parametrize("name", QUARANTINES)
def test_quarantines(name, tmp_path, capsys):
    make, expected = QUARANTINES[name]
    log = make(tmp_path)
    report = hn.mine(log, privacy=hn.Privacy.none()).report
    assert report["quarantine"] == expected
    steps = {step["stage"]: step["count"] for step in report["funnel"]}
    total = N + expected.get("broken_line", 0)
    assert steps["rows read"] == report["input"]["rows"] == total
    assert steps["impressions that could be read"] == total - sum(expected.values())
    assert steps["impressions counted"] == total - sum(expected.values()) - sum(report["cleaning"].values())
    code, said, _ = on_the_command_line(capsys, "mine", log, "-o", tmp_path / "out", "--no-privacy")
    assert code == 0
    for reason, n in expected.items():
        assert re.search(rf"set aside: {reason} +{n}\n", said)


def test_one_row(tmp_path):
    log = parquet(tmp_path, pa.table(rows()).slice(0, 1))
    result = hn.mine(log, tmp_path / "out", privacy=hn.Privacy.none())
    assert (len(result.negatives), result.report["cleaning"]) == (0, {"short_page": 1})
    assert (tmp_path / "out" / "report.json").exists()


def test_doubled_names_in_arrow_and_parquet(tmp_path):
    doubled = pa.Table.from_arrays([pa.array(v) for v in [*rows().values(), ["x"] * N]], [*rows(), "query"])
    for log in (doubled, parquet(tmp_path, doubled)):
        with pytest.raises(hn.ColumnError, match=r"more than once: \['query'\]; rename"):
            hn.mine(log, privacy=hn.Privacy.none())
    with pytest.raises(hn.ColumnError, match="one column each"):
        hn.mine(pa.table(rows()), privacy=hn.Privacy.none(), documents=doubled)


LOG = "LOG"
"""Stands for a good log in the arguments below."""
NO_USERS = "NO_USERS"
COMMANDS: dict[str, tuple[list[str], int, list[str]]] = {
    "no_privacy_named": (["mine", LOG], 4, ["exactly one of", "--k-users K", "--epsilon E", "--no-privacy"]),
    "two_modes": (["mine", LOG, "--k-users", "5", "--no-privacy"], 4, ["exclude each other", "--k-users K"]),
    "all_modes": (["mine", LOG, "--k-users", "5", "--no-privacy", "--epsilon", "1"], 4, ["exclude each other"]),
    "epsilon_without_ledger": (
        ["mine", LOG, "--epsilon", "4", "--lineage", "web"],
        2,
        ["--ledger FILE", "--read.position-base 1"],
    ),
    "epsilon_without_lineage": (["mine", LOG, "--epsilon", "4"], 2, ["lineage", "--lineage"]),
    "epsilon_looks_at_no_position": (
        ["mine", LOG, "--epsilon", "4", "--lineage", "web", "--ledger", "no.ledger"],
        2,
        ["--read.position-base"],
    ),
    "k_1": (["mine", LOG, "--k-users", "1"], 2, ["k_users is 1", "2"]),
    "k_negative": (["mine", LOG, "--k-users", "-5"], 2, ["k_users is -5"]),
    "k_huge": (["mine", LOG, "--k-users", str(2**40)], 2, ["k_users is"]),
    "k_text": (["mine", LOG, "--k-users", "ten"], 2, ["--k-users", "'ten'"]),
    "no_users": (["mine", NO_USERS, "--k-users", "5"], 4, ["user ids", "--columns user_id=", "--no-privacy"]),
    "half_life": (["mine", LOG, "--no-privacy", "--count.half-life-days", "3"], 2, ["half_life_days", "until"]),
    "no_times": (["mine", LOG, "--no-privacy", "--count.since", "2026-01-01"], 2, ["timestamp"]),
    "no_surface": (["mine", LOG, "--no-privacy", "--count.surfaces", "web"], 2, ["surface"]),
    "typo": (
        ["mine", LOG, "--no-privacy", "--select.alpa", "1"],
        2,
        ["--select.alpa", "did you mean '--select.alpha'?"],
    ),
    "typo_mode": (["mine", LOG, "--no-privcy"], 2, ["did you mean '--no-privacy'?"]),
    "typo_column": (["mine", LOG, "--no-privacy", "--columns", "usr_id=u"], 2, ["usr_id", "user_id"]),
    "no_column": (["mine", LOG, "--no-privacy", "--columns", "surface=slot"], 3, ["['slot']", "'doc_id'"]),
    "columns_shape": (["mine", LOG, "--no-privacy", "--columns", "user_id"], 2, ["canonical=theirs"]),
    "rule": (["mine", LOG, "--no-privacy", "--select.rules", "skip"], 2, ["'skip'", "skip_above"]),
    "no_rule": (["mine", LOG, "--no-privacy", "--select.rules", ""], 2, ["select.rules"]),
    "carry": (["mine", LOG, "--no-privacy", "--select.carry", "user_id"], 2, ["user_id", "skips"]),
    "carried": (["mine", "nowhere.parquet", "--no-privacy", "--select.carry", "p_relevant"], 2, ["p_relevant", "coec"]),
    "carried_twice": (["mine", "nowhere.parquet", "--no-privacy", "--select.carry", "coec,coec"], 2, ["coec twice"]),
    "word": (["mine", LOG, "--no-privacy", "--count.max-votes", "many"], 2, ["count.max_votes", "'many'"]),
    "negative": (["mine", LOG, "--no-privacy", "--count.max-votes=-1"], 2, ["count.max_votes", "negative"]),
    "nan": (["mine", LOG, "--no-privacy", "--select.alpha", "nan"], 2, ["select.alpha"]),
    "half": (["mine", LOG, "--no-privacy", "--count.max-votes", "1.5"], 2, ["count.max_votes", "whole"]),
    "memory": (
        ["mine", LOG, "--no-privacy", "--select.num-negatives", "1000000000"],
        2,
        ["select.num_negatives", "1,000"],
    ),
    "seed": (["mine", LOG, "--no-privacy", "--seed", str(2**64)], 2, ["seed", "at most"]),
    "threads": (["mine", LOG, "--no-privacy", "--threads", "many"], 2, ["threads"]),
    "batch": (["mine", LOG, "--no-privacy", "--read.batch-rows", "0"], 2, ["read.batch_rows", "at least 1"]),
    "preset": (["mine", LOG, "--no-privacy", "--preset", "ubu"], 2, ["ubu", "'ubi'", "mapping file"]),
    "time": (["mine", LOG, "--no-privacy", "--count.until", "soon"], 2, ["count.until", "2026-01-31"]),
    "toml": (["mine", LOG, "--no-privacy", "--config", "nowhere.toml"], 3, ["'nowhere.toml'"]),
    "documents": (["mine", LOG, "--no-privacy", "--documents", "no.parquet"], 3, ["'no.parquet'", "no such file"]),
    "documents_of": (["mine", LOG, "--no-privacy", "--documents", LOG], 3, ["'text'", "'clicked'"]),
    "key": (["mine", LOG, "--no-privacy", "--key", LOG], 3, ["'log.parquet' is no key file", "keygen"]),
    "key_folder": (["mine", LOG, "--no-privacy", "--key", "."], 3, ["is no key file", "keygen"]),
    "no_key": (["anonymize", LOG, "--key", "no.key"], 3, ["'no.key'"]),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands(name, tmp_path, monkeypatch, capsys):
    args, expected, says = COMMANDS[name]
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table(rows()), "log.parquet")
    pq.write_table(pa.table(rows()).drop(["user_id"]), "none.parquet")
    Path("log.parquet").chmod(0o644)
    args = [{LOG: "log.parquet", NO_USERS: "none.parquet"}.get(arg, arg) for arg in args]
    code, said, error = on_the_command_line(capsys, *args, "-o", "out")
    assert (code, said) == (expected, "")
    for words in says:
        assert words in error
    assert "Traceback" not in error
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log.parquet", "none.parquet"]


def test_toml(tmp_path):
    wrong = {
        "[select]\nalpa = 1\n": "did you mean 'select.alpha'",
        "[selekt]\nalpha = 1\n": "did you mean 'select'",
        "select = 3\n": r"\[select\] must be a table",
        "[select\n": "not TOML",
        "threads = -1\n": "threads is -1",
        "[count]\nmax_votes = inf\n": "count.max_votes",
        "[read]\nposition_base = 2\n": "choose one of auto, 0, 1",
        "[count]\nsurfaces = 'web'\nuntil = 3\n": "count.until must be a date",
    }
    for content, says in wrong.items():
        (tmp_path / "c.toml").write_text(content)
        with pytest.raises(hn.UsageError, match=says):
            hn.mine(pa.table(rows()), privacy=hn.Privacy.none(), config=hn.options.load(tmp_path / "c.toml", {}))


def test_options_in_python():
    log, none = pa.table(rows()), hn.Privacy.none()
    wrong = [
        (hn.Config(count=hn.CountConfig(max_votes=-1)), "count.max_votes is -1"),
        (hn.Config(count=hn.CountConfig(max_votes=True)), "count.max_votes must be a number"),
        (hn.Config(select=hn.SelectConfig(alpha=float("nan"))), "select.alpha"),
        (hn.Config(select=hn.SelectConfig(rules=("clicks",))), "select.rules is 'clicks'"),
        (hn.Config(read=hn.ReadConfig(batch_rows=0)), "read.batch_rows is 0"),
        (hn.Config(seed=-1), "seed is -1"),
        (hn.Config(count=hn.SelectConfig()), "CountConfig, not SelectConfig"),
        (hn.SelectConfig(), "Config, not SelectConfig"),
    ]
    for config, says in wrong:
        for act in (lambda c: hn.mine(log, privacy=none, config=c), lambda c: hn.count(log, config=c)):
            with pytest.raises(hn.UsageError, match=says):
                act(config)
    with pytest.raises(hn.UsageError, match="foo"):
        hn.count(log, tables=("foo",))
    for privacy in ("none", None, hn.Privacy(mode="k_users"), hn.Privacy(mode="k_users", k=1), hn.Privacy(mode="dqp")):
        with pytest.raises(hn.UsageError):
            hn.mine(log, privacy=privacy)
        with pytest.raises(hn.UsageError):
            hn.release(hn.count(log), privacy=privacy)
    for log in (5, None, [], [1], object()):
        with pytest.raises(hn.UsageError, match="a log is a path"):
            hn.count(log)


def test_what_stands_at_the_target(tmp_path, capsys):
    log = parquet(tmp_path, pa.table(rows()))
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for command in ("mine", "anonymize"):
        target = out if command == "mine" else tmp_path / "file"
        args = [command, log, "-o", target, *(["--no-privacy"] if command == "mine" else [])]
        code, _, error = on_the_command_line(capsys, *args)
        assert code == 2
        assert "overwrit" in error
    code, _, error = on_the_command_line(capsys, "mine", log, "-o", tmp_path / "file", "--no-privacy")
    assert (code, "not a directory" in error) == (3, True)
    code, _, error = on_the_command_line(capsys, "anonymize", log, "-o", out)
    assert (code, "directory" in error) == (3, True)
    code, _, error = on_the_command_line(capsys, "mine", log, "-o", log / "below", "--no-privacy")
    assert (code, "cannot write" in error) == (3, True)
    assert (out / "mine.txt").read_text() == (tmp_path / "file").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "log.parquet", "out"]


def run(*args: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "hardneg_fast", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Root may do everything, so somebody else tries."""
    root = os.geteuid() == 0
    folder.chmod(0o755 if root else 0o555)
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o700)


def test_paths_without_permission(capsys):
    with tempfile.TemporaryDirectory() as name:  # outside of pytest's folders, which only their owner may enter
        folder = Path(name)
        log = parquet(folder, pa.table(rows()))
        open_log = folder / "open.parquet"
        open_log.write_bytes(log.read_bytes())
        open_log.chmod(0o644)
        log.chmod(0o000)
        with as_nobody(folder):
            for command, path, target in [
                (["mine", "--no-privacy"], log, folder / "out"),
                (["mine", "--no-privacy"], open_log, folder / "out"),
                (["anonymize"], log, folder / "out"),
                (["anonymize"], open_log, folder / "out"),
                (["inspect"], log, None),
            ]:
                code, _, error = on_the_command_line(capsys, *command, path, *(["-o", target] if target else []))
                assert code == 3, error
                assert ("no permission to read" if path == log else "cannot write") in error
                assert (log.name if path == log else "out") in error
        assert sorted(p.name for p in folder.iterdir()) == ["log.parquet", "open.parquet"]


def test_the_program_by_itself(tmp_path):
    """No traceback, whatever argparse and the interpreter add around `cli.main`."""
    log = parquet(tmp_path, pa.table(rows()))
    for args, code, says in [
        (["mine", log], 2, "-o/--out"),
        (["mine", log, "-o", tmp_path / "out"], 4, "exactly one of"),
        (["mine", tmp_path / "none", "-o", tmp_path / "out", "--no-privacy"], 3, "no such file"),
        (["moan"], 2, "no command is called 'moan'"),
        ([], 2, "COMMAND"),
    ]:
        done = run(*args)
        assert (done.returncode, done.stdout) == (code, "")
        assert says in done.stderr
        assert "Traceback" not in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["log.parquet"]

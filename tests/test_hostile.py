"""What strangers put into logs, names and files: it stays what it is, and does nothing on the way."""

from __future__ import annotations

import base64
import gzip
import html.parser
import json
import re
import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hardneg_fast as hn
from hardneg_fast import cli
from hardneg_fast.audit.search import URL_SAFE, _padded, encoded
from hardneg_fast.sources import presets

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m"
BIDI = "\u202egpj.exe\u2066\u200f"
QUERIES = [
    f"red shoes {ESCAPES}",
    f"invoice {BIDI}",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></svg><iframe srcdoc='<b>'>",
    "[click](javascript:alert(1)) ![x](https://collect.example/x.png)",
    "a | b\n---\nconfigs:\n- evil",
    "=cmd|' /C calc'!A0",
    "{{7*7}} ${7*7} <%= 7*7 %>",
    "\u0440\u0430\u0443\u0440\u0430l login",  # Cyrillic letters that look like Latin ones
]
TAGS = {"script", "iframe", "object", "embed", "img", "link", "base", "form", "meta-refresh"}


def hostile_log(rows: int = 6) -> pa.Table:
    """Every query asked by several people, who clicked the second of three documents with names of the same kind."""
    made: dict[str, list[object]] = {
        name: [] for name in ("user_id", "search_id", "query", "doc_id", "position", "clicked")
    }
    for n, query in enumerate(QUERIES):
        for user in range(rows):
            for place in range(3):
                values = (f"u{user}{ESCAPES}", f"s{n}-{user}", query, f"d{place} {query}", place + 1, place == 1)
                for name, value in zip(made, values, strict=True):
                    made[name].append(value)
    return pa.table(made)


class Page(html.parser.HTMLParser):
    """Which elements a page has, and what could run or load something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.active: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            loads = name in ("src", "srcdoc", "action", "formaction", "data", "poster", "background", "ping")
            runs = name.startswith("on") or "javascript:" in (value or "").lower()
            leaves = name in ("href", "xlink:href") and not (value or "").startswith("#")
            if loads or runs or leaves:
                self.active.append((name, value))


def unprintable(text: str) -> set[str]:
    return {c for c in text if not c.isprintable() and c != "\n"}


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hostile") / "out"
    config = hn.Config(threads=1, select=hn.SelectConfig(max_attractiveness=1.0))
    hn.mine(hostile_log(), out, privacy=hn.Privacy.k_users(2), config=config)
    return out


def test_a_report_runs_and_loads_nothing(mined: Path) -> None:
    text = (mined / "report.html").read_text()
    page = Page(text)
    assert not page.tags & TAGS
    assert page.active == []
    assert "default-src 'none'" in text, "and a browser is told to run and load nothing"
    assert unprintable(text) == set()


def test_a_card_stays_text(mined: Path) -> None:
    text = (mined / "README.md").read_text()
    assert unprintable(text) == set()
    assert not re.search(r"<\s*(script|img|iframe)|\]\(javascript|!\[", text, re.IGNORECASE)
    header = text.split("---\n")[1]
    assert "evil" not in header


def test_queries_in_the_tables_are_what_was_asked(mined: Path) -> None:
    found = set(pq.read_table(mined / "queries").column("query").to_pylist())
    assert found == set(hn.normalize(pa.array(QUERIES)).to_pylist())
    # Look-alikes stay apart: nobody's query is counted for another's.
    assert "paypal login" not in found
    assert not any(c in query for query in found for c in "\x1b\x07\x9b\n")


def hostile_command(kind: str, folder: Path) -> list[str]:
    log = folder / f"{ESCAPES} log.parquet"
    pq.write_table(hostile_log(), log)
    odd = folder / "odd.parquet"
    pq.write_table(pa.table({f"col{ESCAPES}{BIDI}": ["x"], "query": ["q"]}), odd)
    match kind:
        case "no such file":
            return ["inspect", str(folder / f"{ESCAPES}.parquet")]
        case "no parquet":
            log.write_bytes(b"PAR1" + ESCAPES.encode() * 9)
            return ["mine", str(log), "-o", str(folder / "out"), "--no-privacy"]
        case "odd columns":
            return ["mine", str(odd), "-o", str(folder / "out"), "--no-privacy"]
        case "odd columns inspected":
            return ["inspect", str(odd)]
        case "inspect":
            return ["inspect", str(log)]
        case "mine":
            return ["mine", str(log), "-o", str(folder / f"out{ESCAPES}"), "--no-privacy"]
        case "dry run":
            return ["mine", str(log), "-o", str(folder / "out"), "--no-privacy", "--dry-run"]
        case "preset":
            return ["inspect", str(log), "--preset", f"../{ESCAPES}{BIDI}"]
        case "option":
            return ["mine", str(log), f"--{ESCAPES}{BIDI}"]
        case "lineage":
            return ["ledger", str(folder / "l"), "--create", "--epsilon", "1", "--delta", "1e-6", "--lineage", ESCAPES]
        case _:
            key = folder / "k"
            hn.Key.ephemeral().save(key)
            safe = folder / "safe.parquet"
            hn.anonymize(log, safe, key=hn.Key.load(key), reversible=("user_id",))
            return ["reveal", "--key", str(key), "--file", str(safe), "--column", "user_id"]


COMMANDS = (
    "no such file",
    "no parquet",
    "odd columns",
    "odd columns inspected",
    "inspect",
    "mine",
    "dry run",
    "preset",
    "option",
    "lineage",
    "reveal",
)


@pytest.mark.parametrize("kind", COMMANDS)
def test_no_command_sends_a_terminal_what_a_stranger_wrote(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = hostile_command(kind, tmp_path)
    capsys.readouterr()
    try:
        cli.main(argv)
    except SystemExit:
        assert kind == "option"
    said = capsys.readouterr()
    assert said.out + said.err
    assert unprintable((said.out + said.err).replace("\t", " ")) == set()


def test_names_lead_nowhere_else(tmp_path: Path) -> None:
    """Members of archives, names of presets, columns, documents and lineages are names, never paths."""
    inside = tmp_path / "in" / "deep"
    inside.mkdir(parents=True)
    secret = tmp_path / "secret.csv"
    secret.write_text("user_id,query,doc_id,clicked\nsecret,secret,secret,1\n")
    archive = inside / "log.zip"
    row = (
        "user_id,search_id,query,doc_id,position,clicked\n"
        "u,s,../../../etc/passwd,/etc/passwd,1,0\nu,s,../../../etc/passwd,../../secret.csv,2,1\n"
    )
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("../../secret.csv", "/etc/cron.d/x.csv", "..\\..\\x.csv"):
            file.writestr(name, row)
    before = sorted(tmp_path.rglob("*"))
    table = hn.read(archive, config=hn.Config(threads=1)).read_all()
    assert set(table.column("user_id").to_pylist()) == {"u"}
    assert secret.read_text().count("secret") == 3
    out = inside / "out"
    hn.mine(archive, out, privacy=hn.Privacy.none())
    for to in ("qrels", "beir", "letor", "msmarco"):
        try:
            hn.export(out, inside / to, to=to)
        except hn.HardnegError:
            continue
    assert [p for p in sorted(tmp_path.rglob("*")) if inside not in p.parents] == [
        p for p in before if inside not in p.parents
    ]
    for preset in ("../presets/ubi", "/etc/passwd", "..", "ubi\0"):
        with pytest.raises(hn.HardnegError):
            hn.read(archive, config=hn.Config(read=hn.ReadConfig(preset=preset)))


BOMB = 1 << 28
"""Bytes that a bomb unpacks to; a job with less memory than that must bear it."""


@pytest.mark.parametrize("kind", ["gzip, one line", "gzip, one cell", "zip, one line", "many columns", "deep"])
def test_bombs_are_refused_in_little_memory(kind: str, tmp_path: Path) -> None:
    path = tmp_path / ("log.zip" if kind.startswith("zip") else "log.ndjson.gz" if "line" in kind else "log.csv.gz")
    head = b"user_id,query,doc_id,clicked\n"
    match kind:
        case "gzip, one line":
            path.write_bytes(gzip.compress(b'{"query":"' + b"a" * BOMB, 1))
        case "gzip, one cell":
            path.write_bytes(gzip.compress(head + b'u,"' + b"a" * BOMB, 1))
        case "zip, one line":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
                file.writestr("log.ndjson", b'{"query":"' + b"a" * BOMB)
        case "many columns":
            path.write_bytes(gzip.compress(b"query,doc_id,clicked," + b"c," * 200_000 + b"\nq,d,1\n"))
        case _:
            path = tmp_path / "log.ndjson"
            path.write_bytes(b'{"query":' + b"[" * 500_000 + b"\n" + b'{"query":"q","doc_id":"d","clicked":1}\n')
    child = (
        "import sys, hardneg_fast as hn, pyarrow.parquet, pyarrow.csv\n"
        "peak = lambda: int(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])\n"
        "before = peak()\n"
        "try:\n"
        "    hn.count(sys.argv[1], config=hn.Config(threads=1, memory='64MB'))\n"
        "    print('counted', peak() - before)\n"
        "except hn.HardnegError as e:\n"
        "    assert len(str(e)) < 2000, len(str(e))\n"
        "    print('refused', peak() - before, e)\n"
    )
    said = subprocess.run([sys.executable, "-c", child, str(path)], capture_output=True, text=True, timeout=120)
    assert said.returncode == 0, said.stderr[-2000:]
    what, grown, *_ = said.stdout.split(" ", 2)
    assert what in ("refused", "counted")
    assert int(grown) < 300_000, said.stdout


UNITS = ["a", "0", "\t", " ", ":", "]\t1 1\t", "[a]\t1\t", "\x01", "1\x01", "1\t", "\t1", "Q\t", ",", "ab01", "a,1\t"]
"""What hostile lines are made of: all that patterns of presets repeat, and what comes after it."""


def seconds(job: Callable[[], object]) -> float:
    begun = time.process_time()
    job()
    return time.process_time() - begun


@pytest.mark.parametrize("preset", [p for p in presets.names() if presets.load(p).lines or presets.load(p).detect_line])
def test_no_line_keeps_a_pattern_of_a_preset_busy(preset: str) -> None:
    """Half a megabyte in a line; what goes back at every character would take hours."""
    found = presets.load(preset)
    for pattern in [*found.lines, *filter(None, [found.detect_line])]:
        compiled = re.compile(pattern)
        for head in ("", "12:00:00\tu\t[", "1\t", "1\tM\t1\t2\t"):
            for unit in UNITS:
                line = head + unit * (500_000 // len(unit)) + "\n!"
                assert seconds(lambda: compiled.fullmatch(line)) < 2, (pattern, head, unit)  # noqa: B023


def test_patterns_of_recipes_take_no_time_that_texts_decide(tmp_path: Path) -> None:
    """They are RE2's, which never goes back."""
    log = pa.table({"q": ["a" * 30 + "!", "a" * 500_000 + "!"], "d": ["d", "e"], "clicked": [1, 0], "u": ["u", "v"]})
    mapping = tmp_path / "bomb.toml"
    mapping.write_text(
        "[source]\nabout = 'bomb'\nshape = 'rows'\n[columns]\nuser_id = 'u'\ndoc_id = 'd'\nclicked = 'clicked'\n"
        "query = {column = 'q', extract = '^(?P<value>(?:a+)+)$', replace = {'(?:a|a)*b' = 'x'}}\n"
    )
    config = hn.Config(read=hn.ReadConfig(preset=str(mapping)), threads=1)
    assert seconds(lambda: hn.count(log, config=config)) < 10


@settings(max_examples=200)
@given(st.binary(max_size=80) | st.text("0aF+/_-xz \n", max_size=80).map(str.encode))
def test_runs_of_base64_are_those_that_are_not_hexadecimal(buffer: bytes) -> None:
    """The naive twin looks ahead at every character."""
    naive = re.compile(rb"(?![0-9A-Fa-f]+(?![A-Za-z0-9+/_-]))[A-Za-z0-9+/_-]{22,}").findall(buffer)
    made = [part for how, part in encoded(buffer) if how == "base64"]
    texts = (run[shift:].translate(URL_SAFE) for run in naive for shift in range(4))
    assert made == ([b"\n".join(base64.b64decode(_padded(text)) for text in texts)] if naive else [])


def test_a_long_run_of_hexadecimal_keeps_no_audit_busy() -> None:
    """40,000 characters took the audit 16 s, and a million would have taken hours."""
    assert seconds(lambda: list(encoded(b"ab01" * 500_000))) < 10


@pytest.mark.parametrize("form", ["base64", "hex", "file text"])
def test_a_key_on_the_command_line_is_not_repeated(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    material = bytes(range(7, 39))
    text = base64.b64encode(material).decode()
    given = {"base64": text, "hex": material.hex(), "file text": f"hardneg_fast key 1\n{text}"}[form]
    log = tmp_path / "log.parquet"
    pq.write_table(hostile_log(), log)
    assert cli.main(["anonymize", str(log), "-o", str(tmp_path / "safe.parquet"), "--key", given]) == 2
    said = capsys.readouterr().err
    assert "everybody on this machine" in said
    assert text not in said
    assert material.hex() not in said
    assert text[:20] not in said


@pytest.mark.skipif(sys.platform != "linux", reason="core dumps are forbidden where the system can be told")
def test_no_core_dump_of_a_run(tmp_path: Path) -> None:
    child = (
        "import ctypes, os, resource, sys\n"
        "from hardneg_fast import cli\n"
        "sys.argv = ['hardneg-fast', 'config', 'show']\n"
        "cli.main()\n"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE)[0], flush=True)\n"
        "os.abort()\n"
    )
    most = resource.getrlimit(resource.RLIMIT_CORE)[1]
    said = subprocess.run(
        [sys.executable, "-c", child],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (most, most)),
    )
    assert said.returncode == -6
    assert said.stdout.splitlines()[-1] == "0 0"
    assert list(tmp_path.iterdir()) == []


def test_json_output_is_ascii(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / f"log{BIDI}.parquet"
    pq.write_table(hostile_log(), log)
    assert cli.main(["inspect", str(log), "--format", "json"]) == 0
    out = capsys.readouterr().out
    assert out.isascii()
    json.loads(out)

"""Keys, passphrases and cells are not in what an error drags along: local variables of frames, errors behind it."""

from __future__ import annotations

import base64
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import hardneg_fast as hn
from hardneg_fast import keys
from hardneg_fast.sources import text

MASTER = b"these bytes are what we look for"
WORDS = "correct horse battery staple"
KEY = hn.Key(MASTER)
NEEDLES = (MASTER.decode(), MASTER.hex(), base64.b64encode(MASTER).decode(), WORDS)
LOG = {
    "user_id": ["u1", "u1"],
    "search_id": ["s1", "s1"],
    "query": ["shoes", "shoes"],
    "doc_id": ["d1", "d2"],
    "position": [1, 2],
    "clicked": [False, True],
}


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "SCRYPT", {"n": 2**14, "r": 8, "p": 1})


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and all behind it, suppressed or not."""
    seen: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is not None and not any(one is other for other in seen):
            seen.append(one)
            yield one
            todo += [one.__cause__, one.__context__]


def told(error: BaseException) -> str:
    """All that a collector of errors could send: texts, and local variables of frames; the test's own left out."""
    said = []
    for one in chain(error):
        said += [repr(one), str(one), repr(vars(one))]
        frames = traceback.TracebackException.from_exception(one, capture_locals=True).stack
        said += [repr(frame.locals) for frame in frames if frame.filename != __file__]
    return "\n".join(said)


def raises(call: Callable[[], object]) -> str:
    with pytest.raises((hn.HardnegError, OSError, TypeError, ValueError)) as caught:
        call()
    return told(caught.value)


def file(folder: Path, content: str, mode: int = 0o600) -> Path:
    path = folder / f"{len(list(folder.iterdir()))}.key"
    path.write_text(content)
    path.chmod(mode)
    return path


def of_keys(folder: Path, environment: pytest.MonkeyPatch) -> dict[str, list[Callable[[], object]]]:
    """Calls that make, save and load keys, with what cannot be."""
    good, sealed = folder / "good.key", folder / "sealed.key"
    KEY.save(good)
    KEY.save(sealed, WORDS)
    plain = good.read_text()
    other = hn.Key.ephemeral()
    other.save(folder / "other.key", "other words")
    environment.setenv("A_KEY_OF_TESTS", plain.replace("key 1", "key 9"))
    environment.setenv("A_SEALED_KEY_OF_TESTS", (folder / "other.key").read_text())
    wide = folder / "wide"
    wide.mkdir()
    KEY.save(wide / "in.key")
    wide.chmod(0o777)
    cut = sealed.read_text()[:-40]
    return {
        "Key.__init__": [
            lambda: hn.Key(MASTER[1:]),
            lambda: hn.Key(MASTER + b"!"),
            lambda: hn.Key(MASTER.decode()),  # type: ignore[arg-type]
        ],
        "Key.from_callback": [
            lambda: hn.Key.from_callback(lambda: MASTER + MASTER),
            lambda: hn.Key.from_callback(lambda: MASTER.hex()),  # type: ignore[arg-type,return-value]
        ],
        "Key.from_env": [
            lambda: hn.Key.from_env("A_KEY_OF_TESTS"),
            lambda: hn.Key.from_env("A_SEALED_KEY_OF_TESTS", WORDS),
            lambda: hn.Key.from_env("NO_KEY_OF_TESTS", WORDS),
        ],
        "Key.load": [
            lambda: hn.Key.load(file(folder, plain.replace("key 1", "key 9"))),
            lambda: hn.Key.load(file(folder, plain[:-3] + "!!\n")),
            lambda: hn.Key.load(file(folder, plain + plain)),
            lambda: hn.Key.load(file(folder, plain, 0o644)),
            lambda: hn.Key.load(file(folder, "é" + plain)),
            lambda: hn.Key.load(wide / "in.key"),
            lambda: hn.Key.load(folder / "nowhere", WORDS),
            lambda: hn.Key.load(folder / "other.key", WORDS),
            lambda: hn.Key.load(folder / "other.key", WORDS + "\ud800"),
            lambda: hn.Key.load(file(folder, cut), WORDS),
            lambda: hn.Key.load(file(folder, cut.replace('"n"', '"m"')), WORDS),
        ],
        "Key.save": [
            lambda: KEY.save(good),
            lambda: KEY.save(good, WORDS),
            lambda: KEY.save(wide / "out.key", WORDS),
            lambda: KEY.save(folder / "no" / "folder", WORDS),
            lambda: KEY.save(folder / "surrogate", WORDS + "\ud800"),
            lambda: KEY.save(folder / "empty", ""),
            lambda: KEY.save(folder / "no text", WORDS.encode()),  # type: ignore[arg-type]
        ],
    }


def with_keys(folder: Path) -> dict[str, list[Callable[[], object]]]:
    """Calls that take a key, with what cannot be."""
    log, none = pa.table(LOG), pa.table({"x": [1]})
    broken = folder / "broken.parquet"
    broken.write_bytes(b"PAR1 and no more PAR1")
    tokens = {"action": "token", "key": KEY}
    out = folder / "out.parquet"
    released = hn.release(hn.count(log), privacy=hn.Privacy.none())
    chosen = hn.select(hn.evidence(released))
    no_privacy = hn.Privacy.none()
    return {
        "Whole.__init__": [lambda: hn.Whole(0, key=KEY, privacy=no_privacy)],
        "Released.block": [],  # takes nothing besides that could be wrong
        "Selected.outcome": [lambda: chosen.outcome(key=KEY)],
        "anonymize": [
            lambda: hn.anonymize(none, out, key=KEY),
            lambda: hn.anonymize(broken, out, key=KEY, time="keep", query_text="keep"),
            lambda: hn.anonymize(log, out, key=KEY, reversible=("session_id",)),
            lambda: hn.anonymize(log, folder, key=KEY),
            lambda: hn.anonymize(log, out, key=KEY, epoch=1),  # type: ignore[arg-type]
        ],
        "answer": [lambda: hn.answer(released, b"no question", key=KEY)],
        "audit": [lambda: hn.audit(folder, log=broken, key=KEY)],
        "count": [lambda: hn.count(none, key=KEY), lambda: hn.count(log, key=KEY, part=(3, 2))],
        "evidence": [lambda: hn.evidence(released, key=KEY, share=b"no share")],
        "gather": [lambda: hn.gather([b"no block"], privacy=no_privacy, key=KEY)],
        "load_counts": [lambda: hn.load_counts(b"no counts", key=KEY), lambda: hn.load_counts(broken, key=KEY)],
        "load_released": [lambda: hn.load_released(b"no block", privacy=no_privacy, key=KEY)],
        "mine": [
            lambda: hn.mine(none, privacy=no_privacy, key=KEY),
            lambda: hn.mine(log, privacy=no_privacy, key=KEY, positives=none),
        ],
        "normalize": [
            lambda: hn.normalize(pa.array([[1]]), key=KEY),
            lambda: hn.normalize(pa.array([1.5]), scrub=hn.ScrubConfig(action="token"), key=KEY),
        ],
        "pseudonymize": [
            lambda: hn.pseudonymize(pa.array([[1]]), key=KEY),
            lambda: hn.pseudonymize(pa.array(["a"]), key=KEY, epoch=1),  # type: ignore[arg-type]
        ],
        "reveal": [
            lambda: hn.reveal(pa.array(["hfr1_nonsense"]), key=KEY),
            lambda: hn.reveal(pa.array([1]), key=KEY),
            lambda: hn.reveal(pa.array(["x"]), key=KEY, epoch=1),  # type: ignore[arg-type]
        ],
        "scrub": [
            lambda: hn.scrub(pa.array([[1]]), **tokens),  # type: ignore[arg-type]
            lambda: hn.scrub(pa.array(["x"]), kinds=("nonsense",), **tokens),  # type: ignore[arg-type]
        ],
        "split": [lambda: hn.split(log, 0, key=KEY), lambda: hn.split(none, 2, key=KEY).read_all()],
    }


def takers() -> set[str]:
    """Public calls that take a key, or what one is made of."""
    found = set()
    for name in hn.__all__:
        public = getattr(hn, name)
        members = {name: public}
        if isinstance(public, type):
            members = {f"{name}.{m}": getattr(public, m) for m in dir(public) if m == "__init__" or m[0] != "_"}
        for called, member in members.items():
            try:
                taken = set(inspect.signature(member).parameters)
            except (TypeError, ValueError):
                continue
            if taken & {"key", "passphrase", "material"} or called == "Key.from_callback":
                found.add(called)
    return found


def test_no_error_shows_a_key_or_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = of_keys(tmp_path, monkeypatch) | with_keys(tmp_path)
    assert set(cases) == takers(), "a call that takes a key has no case here"
    for name, calls in cases.items():
        for number, call in enumerate(calls):
            said = raises(call)
            assert not [needle for needle in NEEDLES if needle in said], (name, number)


def test_what_is_looked_for_would_be_found() -> None:
    def careless() -> None:
        """Compiled as of another file: the test's own frames are left out."""
        code = compile("def f(material):\n    raise ValueError\nf(MASTER)", "elsewhere.py", "exec")
        exec(code, {"MASTER": MASTER})  # noqa: S102 - a frame of another file

    assert MASTER.decode() in raises(careless)


CELL = "4929 the secret cell"


class Quoting:
    """A producer of Arrow data that quotes what it holds."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        schema = pa.schema([(name, pa.array(values).type) for name, values in LOG.items()])

        def batches() -> Iterator[pa.RecordBatch]:
            raise ValueError(f"cannot convert {CELL}")
            yield

        return pa.RecordBatchReader.from_batches(schema, batches()).__arrow_c_stream__(requested_schema)


class Refusing:
    """One that does so at once."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        raise RuntimeError(f"cannot convert {CELL}")


def ragged() -> bytes:
    return b"user_id,query,doc_id,position,clicked\nu,q,d,1,1\n" + CELL.encode() + b"\xff\n"


BEHIND: dict[str, Callable[[Path], object]] = {
    "stream": lambda _: hn.read(Quoting()).read_all(),
    "object": lambda _: hn.read(Refusing()),
    "pandas": lambda _: hn.read(pd.DataFrame(LOG | {"query": [object(), CELL]})).read_all(),
    "pandas objects": lambda _: hn.read(pd.DataFrame({**LOG, "x": [{1, CELL}, 2]})).read_all(),
    "polars": lambda _: hn.mine(
        pl.LazyFrame(LOG | {"query": [CELL, CELL]}).with_columns(position=pl.col("query").cast(pl.Int64)),
        privacy=hn.Privacy.none(),
    ),
    "duckdb": lambda _: hn.mine(
        duckdb.sql(f"select 'u' user_id, 'q' query, 'd' doc_id, '{CELL}'::int as position, 1 clicked"),
        privacy=hn.Privacy.none(),
    ),
    "csv": lambda folder: hn.read(folder / "ragged.csv").read_all(),
    "column": lambda _: hn.scrub(Quoting()),
    "count": lambda _: hn.count(Quoting()),
    "mine": lambda _: hn.mine(Quoting(), privacy=hn.Privacy.none()),
    "anonymize": lambda folder: hn.anonymize(Quoting(), folder / "safe.parquet"),
    "split": lambda _: hn.split(Quoting(), 2, key=KEY).read_all(),
    "inspect": lambda _: hn.inspect(Refusing()),
    "csv, mined": lambda folder: hn.mine(folder / "ragged.csv", privacy=hn.Privacy.none()),
    "csv, anonymized": lambda folder: hn.anonymize(folder / "ragged.csv", folder / "safe.parquet"),
}


@pytest.mark.parametrize("name", BEHIND)
def test_cells_do_not_stand_behind_errors(name: str, tmp_path: Path) -> None:
    (tmp_path / "ragged.csv").write_bytes(ragged())
    with pytest.raises(hn.HardnegError) as caught:
        BEHIND[name](tmp_path)
    for error in chain(caught.value):
        assert CELL not in str(error)
        assert CELL.encode() not in b"".join(a for a in error.args if isinstance(a, bytes))
    assert caught.value.__context__ is None


def test_rows_that_arrow_cannot_show_do_not_reach_the_hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ragged.csv").write_bytes(ragged())
    said: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    ours = sys.unraisablehook
    with pytest.raises(hn.DataError, match="more or fewer cells"):
        hn.read(tmp_path / "ragged.csv").read_all()
    assert said == []
    assert sys.unraisablehook == ours, "it is given back"


def test_errors_of_the_program_reach_its_hook_while_a_log_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __del__(self) -> None:
            raise ValueError("of the program")

    said: list[sys.UnraisableHookArgs] = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    ours = sys.unraisablehook
    with text._QUIET, text._QUIET:
        assert sys.unraisablehook != ours
        Broken()
        later = sys.unraisablehook
        monkeypatch.setattr(sys, "unraisablehook", lambda it: later(it))  # the program sets one of its own
    with text._QUIET:
        Broken()
    assert [str(one.exc_value) for one in said] == ["of the program"] * 2

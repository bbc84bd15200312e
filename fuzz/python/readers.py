"""Fuzzes a reader of the package with atheris: whatever a file holds, it is read or refused by name.

    python fuzz/python/readers.py READER [options of libFuzzer]

The module is not part of the package; `make fuzz-python` runs it with what requirements/fuzz.txt pins.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

with atheris.instrument_imports(include=["hardneg_fast"]):
    import hardneg_fast as hn
    from hardneg_fast import _hardneg, export, keys, ledger, options, reversible  # noqa: F401 - loaded lazily otherwise
    from hardneg_fast.read import open_log
    from hardneg_fast.sources import presets

ROOT = Path(__file__).resolve().parents[2]
SCRATCH = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
LONGEST = 12_000
NAMED = "External error: "
"""What stands before an error of the core's own on its way through a stream."""
KEY = hn.Key(bytes(range(32)))

# Deriving a key takes tenths of a second, on purpose; what is fuzzed is the file.
keys._wrapping = lambda passphrase, _salt, _cost: hashlib.sha256(passphrase.encode()).digest()


def put(name: str, content: bytes) -> Path:
    """A scratch file."""
    path = SCRATCH / name
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def read(path: Path, config: hn.Config) -> None:
    """Reads a log to its end; the stream itself can say no more of an error than that there was one."""
    raw = open_log(path, config.read)
    try:
        stream = _hardneg.canonicalize(raw.reader(), position_base=raw.position_base)
        for batch in pa.RecordBatchReader.from_stream(stream):
            batch.validate(full=True)
    except pa.ArrowException as e:
        if raw.error is None and str(e).startswith(NAMED) and "this is a bug" not in str(e):
            return
        raise raw.error or AssertionError("an error without a name") from None


def log(name: str, **options: object) -> Callable[[bytes], None]:
    """Reads a log to its end."""
    config = hn.Config(threads=1, read=hn.ReadConfig(**options))  # type: ignore[arg-type]

    def once(content: bytes) -> None:
        read(put(name, content), config)

    return once


def mapping(content: bytes) -> None:
    """A mapping file, and a log read by it."""
    preset = str(put("mapping.toml", content))
    presets.load(preset)
    config = hn.Config(threads=1, read=hn.ReadConfig(preset=preset))
    read(SAMPLE, config)


def configuration(content: bytes) -> None:
    options.load(put("config.toml", content), {})


def key(content: bytes) -> None:
    """A key file, with and without a passphrase, and shredding it."""
    path = put("master.key", content)
    for passphrase in (None, "words"):
        try:
            loaded = hn.Key.load(path, passphrase)
        except hn.HardnegError:
            continue
        assert len(loaded.material()) == 32
    keys.shred(path)


def budget(content: bytes) -> None:
    """A ledger whose lines follow one another and whose head is right, so that what they say is looked at."""
    lines: list[bytes] = []
    for line in content.splitlines():
        try:
            entry = json.loads(line)
            entry |= {"n": len(lines) + 1, "previous": hashlib.sha256(lines[-1]).hexdigest() if lines else "0" * 64}
            line = json.dumps(entry, sort_keys=True).encode()
        except (ValueError, TypeError, RecursionError):
            pass
        lines.append(line)
    path = put("budget.ledger", b"".join(line + b"\n" for line in lines))
    last = hashlib.sha256(lines[-1] if lines else b"").hexdigest()
    put("budget.ledger.head", json.dumps({"hash": last, "lines": len(lines)}).encode())
    found = ledger.Ledger(path)
    found.claims()
    found.afford("web", mu=0.1, delta_t=1e-9)


def head(content: bytes) -> None:
    """The head of a sound ledger."""
    for old in (SCRATCH / "sound.ledger", SCRATCH / "sound.ledger.head"):
        old.unlink(missing_ok=True)
    path = SCRATCH / "sound.ledger"
    ledger.Ledger.create(path, epsilon=4, delta=1e-6)
    (SCRATCH / "sound.ledger.head").write_bytes(content)
    ledger.Ledger(path).claims()


def token(content: bytes) -> None:
    hn.reveal(pa.array([content.decode("latin-1")]), key=KEY)


def counts(content: bytes) -> None:
    found = hn.load_counts(put("log.counts", content))
    hn.release(found, privacy=hn.Privacy.none())


def dataset(content: bytes) -> None:
    """A dataset whose report and privacy statement are the input, cut in two."""
    folder = SCRATCH / "dataset"
    if not folder.exists():
        hn.mine(SAMPLE, folder, privacy=hn.Privacy.none())
    first, _, second = content.partition(b"\0")
    (folder / "privacy.json").write_bytes(first)
    (folder / "report.json").write_bytes(second)
    shutil.rmtree(SCRATCH / "exported", ignore_errors=True)
    hn.export(folder, SCRATCH / "exported", to="qrels")


def pages(content: bytes) -> None:
    """A page a row, its lists in text."""
    head, _, rest = content.partition(b"\n")
    row = b"\t".join(cell.replace(b"\t", b" ") for cell in (b"u", b"q", head, rest.replace(b"\n", b" ")))
    path = put("pages.tsv", b"user_id\tquery\tdocuments\tclicks\n" + row + b"\n")
    read(path, hn.Config(threads=1, read=hn.ReadConfig(shape="pages")))


CANONICAL = b"user_id,search_id,query,doc_id,position,clicked,dwell_ms,timestamp\n"
ROWS = [
    b"u1,s1,red shoes,d1,1,true,41000,2024-01-01T12:00:00Z",
    b"u1,s1,red shoes,d2,2,false,,2024-01-01T12:00:00Z",
    b'u2,s2,"red, ""shoes""",d2,1,1,900,1704110400',
]
SAMPLE = put("sample.csv", CANONICAL + b"\n".join(ROWS) + b"\n")
NDJSON = (
    b'{"user_id":"u1","search_id":1,"query":"red","doc_id":"d1","position":1,"clicked":true,"timestamp":1704110400}\n'
    b'{"user_id":null,"query":["a"],"doc_id":{"x":1},"clicked":0}\n'
)


def samples(*patterns: str) -> list[bytes]:
    """Beginnings of the logs that the tests have."""
    folder = ROOT / "tests" / "data" / "sources"
    return [path.read_bytes()[:LONGEST] for pattern in patterns for path in sorted(folder.glob(pattern))]


def parquet(ending: str) -> list[bytes]:
    table = pacsv.read_csv(SAMPLE)
    sink = pa.BufferOutputStream()
    if ending == "arrow":
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        pq.write_table(table, sink)
    return [sink.getvalue().to_pybytes()]


def sealed() -> list[bytes]:
    made = []
    for n, passphrase in enumerate((None, "words")):
        path = SCRATCH / f"{n}.key"
        KEY.save(path, passphrase)
        made.append(path.read_bytes())
    return made


def ledgers() -> list[bytes]:
    path = SCRATCH / "seed.ledger"
    made = ledger.Ledger.create(path, epsilon=4, delta=1e-6)
    made.limit("web", epsilon=2, delta=1e-6)
    made.commit(made.reserve("web", window="2024", mu=0.2, delta_t=1e-9, what="a release", config_hash="0" * 64))
    made.no_dp_claim("other", window="2024", what="k-users")
    return [path.read_bytes()]


def saved() -> list[bytes]:
    path = SCRATCH / "seed.counts"
    hn.count(SAMPLE).save(path)
    return [path.read_bytes()]


def statements() -> list[bytes]:
    folder = SCRATCH / "seed"
    hn.mine(SAMPLE, folder, privacy=hn.Privacy.none())
    return [(folder / "privacy.json").read_bytes() + b"\0" + (folder / "report.json").read_bytes()]


def mappings() -> list[bytes]:
    return [path.read_bytes() for path in sorted(presets.FOLDER.glob("*.toml"))]


Reader = tuple[Callable[[bytes], None], Callable[[], list[bytes]]]
READERS: dict[str, Reader] = {
    "csv": (log("log.csv", format="csv"), lambda: [SAMPLE.read_bytes(), *samples("*/*.csv")]),
    "tsv": (log("log.tsv", format="tsv"), lambda: [SAMPLE.read_bytes().replace(b",", b"\t"), *samples("*/*.tsv")]),
    "ndjson": (log("log.ndjson", format="ndjson"), lambda: [NDJSON]),
    "ubi": (log("ubi.ndjson", preset="ubi"), lambda: samples("ubi/*")),
    "ga4": (log("ga4.ndjson", preset="ga4"), lambda: samples("ga4/*")),
    "yandex": (log("train", preset="yandex"), lambda: samples("yandex/*")),
    "pages": (pages, lambda: [b'["d1","d2"]\n[0,1]', b"['d1', 'd2']\n['d2']", b"d1 d2\n1"]),
    "any": (log("log"), lambda: [SAMPLE.read_bytes(), NDJSON, *parquet("parquet"), *parquet("arrow")]),
    "parquet": (log("log.parquet"), lambda: parquet("parquet")),
    "arrow": (log("log.arrow"), lambda: parquet("arrow")),
    "mapping": (mapping, mappings),
    "configuration": (
        configuration,
        lambda: [b"seed = 3\n[count]\nmax_votes = 2\nsince = 2024-01-01\n[select]\nrules = ['a']"],
    ),
    "key": (key, sealed),
    "ledger": (budget, ledgers),
    "head": (head, lambda: [b'{"hash": "' + b"0" * 64 + b'", "lines": 1}\n']),
    "token": (token, lambda: [reversible.Sealer(KEY, "user_id", "", "")._sealed(b"u1").encode()]),
    "counts": (counts, saved),
    "dataset": (dataset, statements),
}


def main() -> None:
    """The command line."""
    if len(sys.argv) < 2 or sys.argv[1] not in READERS:
        sys.exit(f"usage: readers.py READER [options of libFuzzer]; readers: {' '.join(READERS)}")
    reader, seeds = READERS[sys.argv[1]]
    corpus = SCRATCH / "corpus"
    corpus.mkdir()
    for n, seed in enumerate(seeds()):
        (corpus / f"seed-{n}").write_bytes(seed)

    def once(content: bytes) -> None:
        try:
            reader(content)
        except hn.HardnegError as e:
            message = str(e)
            assert "internal" not in (message or "internal"), message

    # pyarrow says of rows that are not UTF-8 that it cannot show them; the reader says so itself.
    sys.unraisablehook = lambda _: None
    # libFuzzer ends the process with the interpreter's lock held; Arrow then waits for threads that wait for the lock.
    libc = ctypes.CDLL(None)
    libc.__cxa_atexit(libc._exit, None, None)
    replayed = any(Path(given).is_file() for given in sys.argv[2:])
    atheris.Setup(
        [
            sys.argv[0],
            f"-max_len={LONGEST}",
            "-timeout=20",
            "-rss_limit_mb=3000",
            *sys.argv[2:],
            *([] if replayed else [str(corpus)]),
        ],
        once,
    )
    try:
        atheris.Fuzz()
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    main()

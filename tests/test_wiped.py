"""Keys are gone from memory when what used them is: every byte of a process is looked through, from outside."""

from __future__ import annotations

import hashlib
import hmac
import struct
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory of other processes is a file on Linux only")

MASTER = hashlib.sha256(b"a key of this test").digest()
MASK = 0x5A
"""What goes to the child is masked, or every copy of its command line would be found."""
BEGIN = """
import sys
import pyarrow as pa
import hardneg_fast as hn
from hardneg_fast import _hardneg
from hardneg_fast.anonymize import scrubbing
key = hn.Key(bytes(byte ^ 0x5A for byte in bytes.fromhex(sys.argv[1])))
rows = range(2_000)
log = pa.table({
    "user_id": [f"user {i // 20}" for i in rows], "search_id": [f"s{i // 10}" for i in rows],
    "query": [f"query {i // 10 % 30}" for i in rows], "doc_id": [f"d{i % 50}" for i in rows],
    "position": [i % 10 + 1 for i in rows], "clicked": [i % 7 == 0 for i in rows],
})
def stream():
    made = _hardneg.rewrite(log, position_base=1, key=key.material(), epoch="", dataset="", day=False, normalise=True,
                            scrub=scrubbing(hn.Config().scrub), keep=[], plain=[])
    reader = pa.RecordBatchReader.from_stream(made)
    reader.read_next_batch()
    return made, reader
"""
END = """
print("ready", flush=True)
sys.stdin.readline()
"""
JOBS = {
    "pseudonymize": "hn.pseudonymize(log['user_id'], key=key, field='user_id')",
    "a stream that is gone": "stream()",
    "anonymize": "hn.anonymize(log, sys.argv[2] + '/safe.parquet', key=key)",
    "anonymize by pages": "import pyarrow.parquet as pq\n"
    "pq.write_table(log, sys.argv[2] + '/log.parquet')\n"
    "kept = {'query_text': 'keep', 'time': 'keep'}\n"
    "hn.anonymize(sys.argv[2] + '/log.parquet', sys.argv[2] + '/safe.parquet', key=key, **kept)",
    "count": "hn.count(log, key=key, config=hn.Config(threads=2))",
}


def prefixed(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


def rotated(x: int, n: int) -> int:
    return (x >> n | x << 32 - n) & 0xFFFFFFFF


def primes(n: int) -> list[int]:
    found: list[int] = []
    candidate = 2
    while len(found) < n:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 1
    return found


def absorbed(block: bytes) -> list[int]:
    """The state of SHA-256 after one block (FIPS 180-4, 6.2.2); hashlib does not show it."""
    constants = [_fraction(prime, 3) for prime in primes(64)]
    start = [_fraction(prime, 2) for prime in primes(8)]
    words = list(struct.unpack(">16I", block))
    for i in range(16, 64):
        low = rotated(words[i - 15], 7) ^ rotated(words[i - 15], 18) ^ words[i - 15] >> 3
        high = rotated(words[i - 2], 17) ^ rotated(words[i - 2], 19) ^ words[i - 2] >> 10
        words.append((words[i - 16] + low + words[i - 7] + high) & 0xFFFFFFFF)
    a, b, c, d, e, f, g, h = start
    for constant, word in zip(constants, words, strict=True):
        one = h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + (e & f ^ ~e & g) + constant + word
        two = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + (a & b ^ a & c ^ b & c)
        h, g, f, e, d, c, b, a = g, f, e, (d + one) & 0xFFFFFFFF, c, b, a, (one + two) & 0xFFFFFFFF
    return [(x + y) & 0xFFFFFFFF for x, y in zip(start, (a, b, c, d, e, f, g, h), strict=True)]


def _fraction(prime: int, root: int) -> int:
    """The first 32 bits of the fraction of a square or cube root."""
    power = 32 * root
    low, high = 0, prime << 32
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**root <= prime << power else (low, middle - 1)
    return low & 0xFFFFFFFF


def secrets() -> dict[str, bytes]:
    """All that pseudonyms of users can be made from, as the core may hold it."""
    extracted = hmac.digest(bytes(32), MASTER, "sha256")
    info = b"hardneg_fast/v1" + prefixed(b"user_id") + prefixed(b"") * 2
    derived = hmac.digest(extracted, info + b"\x01", "sha256")
    found = {"master": MASTER, "extracted": extracted, "derived": derived}
    for name, key in (("extracted", extracted), ("derived", derived)):
        for side, byte in (("inner", 0x36), ("outer", 0x5C)):
            pad = bytes(b ^ byte for b in key.ljust(64, b"\0"))
            found[f"{name}, {side} pad"] = pad[:32]
            found[f"{name}, {side} state"] = struct.pack("=8I", *absorbed(pad))
    return found


def copies(pid: int) -> dict[str, int]:
    """How often each secret stands in the memory of a process."""
    found = dict.fromkeys(secrets(), 0)
    needles = secrets()
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in maps:
            places, rights, *_ = line.split()
            start, end = (int(place, 16) for place in places.split("-"))
            if not rights.startswith("rw"):
                continue
            memory.seek(start)
            content = memory.read(end - start)
            for name, needle in needles.items():
                found[name] += content.count(needle)
    return found


def after(job: str, folder: Path) -> dict[str, int]:
    masked = bytes(byte ^ MASK for byte in MASTER).hex()
    with subprocess.Popen(
        [sys.executable, "-c", f"{BEGIN}\n{job}\n{END}", masked, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        found = copies(child.pid)
        child.stdin.write("\n")
    return found


@pytest.mark.parametrize("job", JOBS)
def test_nothing_of_a_key_stays_behind(job: str, tmp_path: Path) -> None:
    found = after(JOBS[job], tmp_path)
    # Python's own, in `key`: without it the search would be in the wrong place.
    assert found.pop("master") == 1
    assert found == dict.fromkeys(found, 0)


def test_what_is_used_still_is_found(tmp_path: Path) -> None:
    """The search finds what there is, and knows how the core holds it."""
    found = after("held = stream()", tmp_path)
    assert found["derived, inner state"] > 0
    assert found["derived, outer state"] > 0


def test_states_are_those_of_sha256() -> None:
    padded = b"abc" + b"\x80" + bytes(52) + struct.pack(">Q", 24)
    assert struct.pack(">8I", *absorbed(padded)) == hashlib.sha256(b"abc").digest()

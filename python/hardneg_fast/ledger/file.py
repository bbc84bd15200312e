"""The ledger's file, and the head beside it: read whole, and only ever appended to."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..exceptions import FileError, PrivacyError, UsageError
from ..owners import anybody_replaces, resolved
from .lineage import Past, is_name

_VERSION = 1
_START = "0" * 64
_FIELDS = {
    "ledger": {"version", "epsilon", "delta"},
    "limit": {"lineage", "epsilon", "delta"},
    "reserve": {"lineage", "window", "mu", "delta_t", "pure", "what", "config_hash", "at", "override"},
    "commit": {"reservation"},
    "no_dp_claim": {"lineage", "window", "what", "at", "override"},
}
_LARGEST = {"epsilon": 1_000, "delta": 1, "mu": 1_000, "delta_t": 1, "pure": 1_000}


class File:
    """A locked ledger file."""

    def __init__(self, path: Path, handle: int) -> None:
        self._path, self._handle = path, handle
        self._lines: list[bytes] = []
        self._whole: int | None = None
        """Where a line begins that a killed writer left half written."""

    def read(self) -> Past:
        """All entries, checked against each other and against the head."""
        data = _content(self._handle)
        self._lines = data.split(b"\n")
        torn = self._lines.pop()
        if self.is_unfinished():
            raise PrivacyError(
                f"ledger {self._path.name!r} was begun and not finished, and nothing was charged to it; begin it with: "
                "hardneg-fast ledger FILE --create --epsilon E --delta D"
            )
        lines, last = self._remembered()
        whole = len(data) - len(torn)
        if not self._lines or len(self._lines) < lines:
            raise self._broken("lines that were there are gone: it was cut, or is an older copy")
        if _hash(self._lines[lines - 1]) != last:
            raise self._broken(f"line {lines} is not the one that was written last")
        entries, previous = [], _START
        for number, line in enumerate(self._lines, start=1):
            entries.append(self._entry(number, line, previous))
            previous = _hash(line)
        # Beyond the head, so its charge was never granted and nothing was looked at: a writer was killed.
        self._whole = whole if torn else None
        return Past(entries)

    def append(self, kind: str, **fields: Any) -> int:
        """Writes an entry, then the head; both are on the disk when this returns. Gives the number of its line."""
        line = self._line(kind, **fields)
        if self._whole is not None:
            os.ftruncate(self._handle, self._whole)
            self._whole = None
        _write(self._handle, line + b"\n")
        self._lines.append(line)
        self._remember()
        return len(self._lines)

    def begin(self, **fields: Any) -> None:
        """Writes the first entry, the head before it: so an empty ledger whose head remembers more was cut."""
        os.ftruncate(self._handle, 0)
        self._lines = []
        line = self._line("ledger", version=_VERSION, **fields)
        self._lines = [line]
        self._remember()
        _write(self._handle, line + b"\n")

    def is_unfinished(self) -> bool:
        """Whether its creator was killed: it has no entry, and no head, or one that remembers the first alone."""
        if b"\n" in _content(self._handle):
            return False
        return not head_of(self._path).exists() or self._remembered()[0] == 1

    def _line(self, kind: str, **fields: Any) -> bytes:
        previous = _hash(self._lines[-1]) if self._lines else _START
        entry = {"n": len(self._lines) + 1, "previous": previous, "type": kind, **fields}
        return json.dumps(entry, sort_keys=True, allow_nan=False).encode()

    def _remember(self) -> None:
        """Writes the head, under a name that nobody could have put a link at."""
        head = json.dumps({"hash": _hash(self._lines[-1]), "lines": len(self._lines)}, sort_keys=True).encode()
        final, ledger = head_of(self._path), os.fstat(self._handle)
        self._sweep()
        partial = final.with_name(f"{final.name}.{secrets.token_hex(8)}.partial")
        handle = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o600)
        try:
            # Whoever may use the ledger may use its head, and nobody else: bits of a group are of that group.
            mode = ledger.st_mode & 0o666
            if os.fstat(handle).st_gid != ledger.st_gid:
                try:
                    os.fchown(handle, -1, ledger.st_gid)
                except OSError:
                    mode &= ~0o060
            os.fchmod(handle, mode)
            _write(handle, head + b"\n")
        finally:
            os.close(handle)
        partial.replace(final)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _sweep(self) -> None:
        """Removes what killed writers left of heads; who has the lock is the only writer."""
        left = re.compile(re.escape(head_of(self._path).name) + r"\.([0-9a-f]{16}\.)?partial")
        for path in self._path.parent.iterdir():
            if left.fullmatch(path.name):
                with suppress(OSError):
                    path.unlink()

    def _remembered(self) -> tuple[int, str]:
        name = head_of(self._path).name
        try:
            head = json.loads(head_of(self._path).read_bytes())
            lines, last = int(head["lines"]), str(head["hash"])
        except FileNotFoundError:
            raise self._broken(f"{name!r} is not beside it, so nobody knows whether it is whole") from None
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise self._broken(f"{name!r} beside it cannot be read") from None
        return max(lines, 1), last

    def _entry(self, number: int, line: bytes, previous: str) -> dict[str, Any]:
        try:
            entry = json.loads(line)
            kind, known = entry["type"], set(entry) - {"n", "previous", "type"}
            fits = (
                entry["n"] == number
                and entry["previous"] == previous
                and known in (_FIELDS[kind], _FIELDS[kind] - {"pure"})
            )
        except (ValueError, KeyError, TypeError, RecursionError):
            raise self._broken(f"line {number} cannot be read") from None
        if not fits or (kind == "ledger") != (number == 1):
            raise self._broken(f"line {number} does not follow the line before it: something was edited or taken out")
        if kind == "ledger" and entry["version"] != _VERSION:
            raise PrivacyError(f"ledger {self._path.name!r} is of another version than this program's")
        if wrong := sorted(name for name in known if not _sound(name, entry[name])):
            raise self._broken(f"line {number} holds {', '.join(wrong)} that was never written there")
        # Ledgers of before there were releases without delta do not say that there were none.
        return {"pure": 0.0, **entry} if kind == "reserve" else dict(entry)

    def _broken(self, what: str) -> PrivacyError:
        return PrivacyError(f"ledger {self._path.name!r} is refused: {what}; restore both files as they were last")


def head_of(path: Path) -> Path:
    """The file that remembers the last line."""
    return path.with_name(path.name + ".head")


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _write(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]
    os.fsync(handle)


def _content(handle: int) -> bytes:
    with os.fdopen(os.dup(handle), "rb") as file:
        file.seek(0)
        return file.read()


def place(path: Path) -> Path:
    """Where the file is, links that may be followed followed."""
    with naming(path):
        return resolved(path)


def refuse_open(path: Path) -> None:
    """Refuses folders in which anybody could put another file in its place."""
    if anybody_replaces(path.parent):
        raise UsageError(
            f"ledger {path.name!r} is refused: anybody may replace what is in its folder; choose one of your own, or "
            "chmod +t it"
        )


@contextmanager
def locked(path: Path, flags: int = 0) -> Iterator[int]:
    """A handle to append to, under a lock that goes with it."""
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | flags, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turns whatever goes wrong with the file into a FileError."""
    try:
        yield
    except (PrivacyError, UsageError):
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise FileError(f"ledger {path.name!r} cannot be used: {reason}; nothing may be released without it") from error


def _sound(name: str, value: Any) -> bool:
    """Whether the value of a field is one that is written."""
    if name in _LARGEST:
        return type(value) in (int, float) and 0 <= value <= _LARGEST[name]
    if name in ("version", "reservation"):
        return type(value) is int
    if name == "override":
        return type(value) is bool
    return isinstance(value, str) and is_name(value)

"""The budget ledger: what differentially private releases of a body of data have cost so far, and where that ends.

A *lineage* is a body of data, named by whoever releases it: all logs that may hold the same users are one lineage,
whatever period they are from. Every look at the data is charged before it happens: `reserve` writes, and syncs, a line;
then the log may be read. A run that fails or is killed stays charged, also where it had not looked yet, because nobody
can tell. Looks that only try settings are looks. Runs in test mode, whose output is marked NOT PRIVATE, must not be
entered.

Charges add up as `calibration.compose` says, also where a release was chosen in the light of earlier ones: for Gaussian
privacy the plain sum of mu^2 is a valid stopping rule (Smith & Thakurta 2022, arXiv 2210.17520; Whitehouse et al. 2023,
ICML, "Fully-adaptive composition in differential privacy"); epsilons of releases without delta add up beside it. A
charge that would take a lineage beyond its limit is refused.

The file has one JSON object a line, and is only ever appended to. Each line holds the SHA-256 of the line before; a
file beside it (`NAME.head`) remembers the last one. So an edited line, a lost end, an older copy or a missing file is
noticed and refused. This protects honest operators from mistakes: who can write both files can write another past. So
a ledger is its owner's alone (0600); `chmod` it for a group, and its head follows. No line holds a value that follows
from the data; that a run finished is noted without its time.

A lineage is one under one name: names are compared composed (Unicode's NFC), and one that looks like another of the
ledger, or holds what is not seen, is refused.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import re
import secrets
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from .calibration import compose, epsilon_at, exactly, within
from .exceptions import FileError, PrivacyError, UsageError
from .owners import anybody_replaces, is_trusted, resolved

__all__ = ["Ledger", "Reservation"]

_VERSION = 1
_START = "0" * 64
_FIELDS = {
    "ledger": {"version", "epsilon", "delta"},
    "limit": {"lineage", "epsilon", "delta"},
    "reserve": {"lineage", "window", "mu", "delta_t", "pure", "what", "config_hash", "at", "override"},
    "commit": {"reservation"},
    "no_dp_claim": {"lineage", "window", "what", "at", "override"},
}
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
"""Printable by Unicode's categories, and not seen (Default_Ignorable_Code_Point)."""
_LARGEST = {"epsilon": 1_000, "delta": 1, "mu": 1_000, "delta_t": 1, "pure": 1_000}


@dataclass(frozen=True)
class Reservation:
    """A charge that is in the ledger.

    Attributes:
        number: of its line.
        lineage: what it is charged to.
        labelled: whether what is released under it may be called differentially private.
    """

    number: int
    lineage: str
    labelled: bool


class Ledger:
    """A ledger file. Each method reads all of it anew under a lock, so that processes may share it."""

    def __init__(self, path: Path | str) -> None:
        """Opens a ledger that is there, and checks it.

        Raises:
            PrivacyError: it is missing, was edited, cut, or is an older copy.
            UsageError: anybody could put another in its place, or a link of somebody else leads to it.
            FileError: it cannot be read.
        """
        self._path = _place(Path(path))
        with self._open() as file:
            file.read()

    def __repr__(self) -> str:
        return f"Ledger({self._path.name!r})"

    @classmethod
    def create(cls, path: Path | str, *, epsilon: float, delta: float) -> Ledger:
        """Begins a ledger.

        Args:
            path: the file; `NAME.head` goes beside it.
            epsilon: limit of every lineage that is not given its own.
            delta: likewise; above the sum of the deltas of all releases to come.

        Raises:
            UsageError: it exists, or limits that cannot be; anybody could put another in its place.
            PrivacyError: a head remembers a ledger of that name, which is gone.
            FileError: it cannot be written.
        """
        _check_limit(epsilon, delta)
        final = _place(Path(path))
        if not final.exists() and _head(final).exists():
            raise PrivacyError(
                f"ledger {final.name!r} is gone, but {_head(final).name!r} remembers it: restore it, or begin a ledger "
                "of another name, for lineages that were never released"
            )
        with _named(final):
            final.parent.mkdir(parents=True, exist_ok=True)
            _refuse_open(final)
            with _locked(final, os.O_CREAT) as handle:
                file = _File(final, handle)
                # What a creator that was killed left is begun anew: nothing was ever charged to it.
                if not file.is_unfinished() or not is_trusted(os.fstat(handle)):
                    raise UsageError(f"ledger {final.name!r} exists; it can be used, not made anew")
                file.begin(epsilon=float(epsilon), delta=float(delta))
        return cls(final)

    def limit(self, lineage: str, *, epsilon: float, delta: float, raise_it: bool = False) -> None:
        """Gives a lineage a limit of its own.

        Args:
            lineage: its name.
            epsilon: the limit.
            delta: the limit.
            raise_it: whether the limit may be above the one that the lineage was charged under; stays on record.

        Raises:
            PrivacyError: it is above the one that the lineage was charged under, or below what was spent.
            UsageError: figures or names that cannot be.
        """
        _check_name("lineage", lineage)
        _check_limit(epsilon, delta)
        with self._open() as file:
            past = file.read()
            lineage = past.named(lineage)
            state = past.lineage(lineage)
            higher = epsilon > state.epsilon or delta > state.delta
            if state.charges and higher and not raise_it:
                raise PrivacyError(
                    f"ledger {self._path.name!r}: lineage {lineage!r} was charged under the limit epsilon "
                    f"{state.epsilon:g}, delta {state.delta:g}; it is not raised unless you say so (raise_it)"
                )
            if not _sum(state.charges).within(epsilon, delta):
                raise PrivacyError(f"ledger {self._path.name!r}: lineage {lineage!r} has spent more than that limit")
            file.append("limit", lineage=lineage, epsilon=float(epsilon), delta=float(delta))

    def reserve(
        self,
        lineage: str,
        *,
        window: str,
        mu: float,
        delta_t: float,
        what: str,
        config_hash: str,
        pure: float = 0.0,
        override: bool = False,
    ) -> Reservation:
        """Charges a lineage. Must return before anything of the data is looked at.

        There is no refund: a run that failed before it looked cannot be told from one that failed after.

        Args:
            lineage: name of the data.
            window: the period that is read, as it was asked for, not as it is in the data.
            mu: Gaussian budget of all that will be released.
            delta_t: threshold budget of the same.
            what: kind of release.
            config_hash: of the settings, 64 hex digits.
            pure: epsilon of what needs no delta (`calibration.pure`).
            override: charge a lineage that had releases without a claim, and go without a claim, too.

        Raises:
            PrivacyError: it would exceed the limit; the lineage had releases without a claim; the ledger is not whole.
            UsageError: figures or names that cannot be.
            FileError: the ledger cannot be written.
        """
        for name, text in (("lineage", lineage), ("window", window), ("what", what)):
            _check_name(name, text)
        if len(config_hash) != 64 or not set(config_hash) <= set("0123456789abcdef"):
            raise UsageError("config_hash must be 64 hex digits")
        if not (0 <= mu <= 1_000 and 0 <= delta_t < 1 and 0 <= pure <= 1_000 and mu + delta_t + pure > 0):
            raise UsageError(f"a charge of mu {mu!r}, delta_t {delta_t!r}, epsilon {pure!r} cannot be")
        with self._open() as file:
            past = file.read()
            lineage = past.named(lineage)
            state = past.lineage(lineage)
            self._afford(state, mu=mu, delta_t=delta_t, pure=pure, override=override)
            number = file.append(
                "reserve",
                lineage=lineage,
                window=window,
                mu=float(mu),
                delta_t=float(delta_t),
                pure=float(pure),
                what=what,
                config_hash=config_hash,
                at=_now(),
                override=override,
            )
            return Reservation(number, lineage, not state.unclaimed)

    def afford(
        self, lineage: str, *, mu: float, delta_t: float, pure: float = 0.0, override: bool = False
    ) -> dict[str, float]:
        """What `reserve` would charge; charges nothing and writes nothing.

        Args:
            lineage: as for `reserve`, like the others.
            mu: likewise.
            delta_t: likewise.
            pure: likewise.
            override: likewise.

        Returns:
            `spent` and `after`, epsilon of the lineage before and after the charge, at `delta`, and the `limit`.

        Raises:
            PrivacyError: what `reserve` would refuse.
            UsageError: a name that cannot be.
        """
        _check_name("lineage", lineage)
        with self._open() as file:
            past = file.read()
            state = past.lineage(past.named(lineage))
        total = self._afford(state, mu=mu, delta_t=delta_t, pure=pure, override=override)
        spent = _sum(state.charges).epsilon_at(state.delta)
        return {
            "spent": spent,
            "after": total.epsilon_at(state.delta),
            "limit": state.epsilon,
            "delta": state.delta,
        }

    def _afford(self, state: _Lineage, *, mu: float, delta_t: float, pure: float, override: bool) -> _Sum:
        """The sum with one charge more, where it is allowed."""
        if state.unclaimed and not override:
            raise PrivacyError(
                f"ledger {self._path.name!r}: lineage {state.name!r} had a release without differential privacy "
                f"({state.unclaimed[0]['what']}); together with it nothing is differentially private. The override "
                "(--override-dp-claim) releases without that label"
            )
        total = _sum([*state.charges, {"mu": mu, "delta_t": delta_t, "pure": pure}])
        if not total.within(state.epsilon, state.delta):
            if delta_t >= state.delta:
                raise PrivacyError(
                    f"ledger {self._path.name!r}: --delta is too high: {delta_t:.4g} of it goes to thresholds, and the "
                    f"limit of lineage {state.name!r} is {state.delta:g} in all; give a smaller one"
                )
            spent = _sum(state.charges).epsilon_at(state.delta)
            raise PrivacyError(
                f"ledger {self._path.name!r}: lineage {state.name!r} has spent epsilon {spent:.4g} of "
                f"{state.epsilon:g} at delta {state.delta:g}, and this release would take it to "
                f"{total.epsilon_at(state.delta):.4g}; release less, or nothing more of this data"
            )
        return total

    def commit(self, reservation: Reservation) -> None:
        """Notes that what was reserved was released; the charge is the same with and without.

        Raises:
            PrivacyError: the ledger is not whole.
            UsageError: it is no open reservation of this ledger.
        """
        with self._open() as file:
            if reservation.number not in file.read().open_reservations(reservation.lineage):
                raise UsageError(f"ledger {self._path.name!r}: line {reservation.number} is no open reservation")
            file.append("commit", reservation=reservation.number)

    def no_dp_claim(self, lineage: str, *, window: str, what: str, override: bool = False) -> None:
        """Enters a release of the lineage that is not differentially private: k-users, or an anonymized log.

        Args:
            lineage: name of the data.
            window: the period, as it was asked for.
            what: kind of release.
            override: enter it although the lineage has been released under differential privacy, whose claim ends.

        Raises:
            PrivacyError: the lineage has been released under differential privacy; the ledger is not whole.
            UsageError: names that cannot be.
        """
        for name, text in (("lineage", lineage), ("window", window), ("what", what)):
            _check_name(name, text)
        with self._open() as file:
            past = file.read()
            lineage = past.named(lineage)
            self._allow(past.lineage(lineage), what, override=override)
            file.append("no_dp_claim", lineage=lineage, window=window, what=what, at=_now(), override=override)

    def allow(self, lineage: str, *, what: str, override: bool = False) -> None:
        """Refuses what `no_dp_claim` would refuse; enters nothing.

        Raises:
            PrivacyError, UsageError: as `no_dp_claim`.
        """
        _check_name("lineage", lineage)
        with self._open() as file:
            past = file.read()
            self._allow(past.lineage(past.named(lineage)), what, override=override)

    def _allow(self, state: _Lineage, what: str, *, override: bool) -> None:
        if state.charges and not override:
            raise PrivacyError(
                f"ledger {self._path.name!r}: lineage {state.name!r} has releases under differential privacy, and "
                f"{what} of the same data would end their claim; the override "
                "(--override-dp-claim) does so"
            )

    def claim(self, lineage: str) -> dict[str, Any]:
        """What may be said of all releases of a lineage so far, in a sentence and in figures.

        Returns:
            `sentence`, `dp` (whether there is a claim), `without` (kinds of releases that ended it), `epsilon` at
            `delta` (that of the limit), `mu`, `delta_t`, `pure`, `limit_epsilon`, `charges`, `unfinished` (of them),
            and the same for each of `windows`.

        Raises:
            PrivacyError: the ledger is not whole.
            UsageError: a name that cannot be.
        """
        _check_name("lineage", lineage)
        with self._open() as file:
            past = file.read()
            return past.lineage(past.named(lineage)).claim()

    def claims(self) -> list[dict[str, Any]]:
        """`claim` of every lineage, by name.

        Raises:
            PrivacyError: the ledger is not whole.
        """
        with self._open() as file:
            past = file.read()
            return [past.lineage(name).claim() for name in past.names()]

    @contextmanager
    def _open(self) -> Iterator[_File]:
        if not self._path.exists():
            raise PrivacyError(
                f"no ledger {self._path.name!r}: without it nobody knows what was spent. Restore it; or begin one, for "
                "data that was never released: hardneg-fast ledger FILE --create --epsilon E --delta D"
            )
        with _named(self._path), _locked(self._path) as handle:
            _refuse_open(self._path)
            yield _File(self._path, handle)


class _File:
    """A locked ledger file."""

    def __init__(self, path: Path, handle: int) -> None:
        self._path, self._handle = path, handle
        self._lines: list[bytes] = []
        self._whole: int | None = None
        """Where a line begins that a killed writer left half written."""

    def read(self) -> _Past:
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
        return _Past(entries)

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
        return not _head(self._path).exists() or self._remembered()[0] == 1

    def _line(self, kind: str, **fields: Any) -> bytes:
        previous = _hash(self._lines[-1]) if self._lines else _START
        entry = {"n": len(self._lines) + 1, "previous": previous, "type": kind, **fields}
        return json.dumps(entry, sort_keys=True, allow_nan=False).encode()

    def _remember(self) -> None:
        """Writes the head, under a name that nobody could have put a link at."""
        head = json.dumps({"hash": _hash(self._lines[-1]), "lines": len(self._lines)}, sort_keys=True).encode()
        final, ledger = _head(self._path), os.fstat(self._handle)
        self._sweep()
        partial = final.with_name(f"{final.name}.{secrets.token_hex(8)}.partial")
        handle = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o600)
        try:
            # Whoever may use the ledger may use its head.
            if os.fstat(handle).st_gid != ledger.st_gid:
                with suppress(OSError):
                    os.fchown(handle, -1, ledger.st_gid)
            os.fchmod(handle, ledger.st_mode & 0o666)
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
        left = re.compile(re.escape(_head(self._path).name) + r"\.([0-9a-f]{16}\.)?partial")
        for path in self._path.parent.iterdir():
            if left.fullmatch(path.name):
                with suppress(OSError):
                    path.unlink()

    def _remembered(self) -> tuple[int, str]:
        name = _head(self._path).name
        try:
            head = json.loads(_head(self._path).read_bytes())
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


class _Past:
    """Entries of a whole ledger."""

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        self._entries = entries
        self._done = {entry["reservation"] for entry in entries if entry["type"] == "commit"}

    def names(self) -> list[str]:
        return sorted({entry["lineage"] for entry in self._entries if "lineage" in entry})

    def named(self, lineage: str) -> str:
        """The name of a lineage, as it is in the ledger or would be.

        Raises:
            UsageError: it looks like another of the ledger, or cannot be the name of a new one.
        """
        names = self.names()
        if lineage in names:
            return lineage
        lineage = unicodedata.normalize("NFC", lineage)
        for name in names:
            if unicodedata.normalize("NFC", name) == lineage:
                return name
        for name in names:
            if _looks(name) == _looks(lineage):
                raise UsageError(
                    f"lineage {lineage!r} looks like {name!r}, which is in the ledger, and would have a budget of its "
                    f"own: write {name!r}, or a name that is another"
                )
        if lineage != " ".join(lineage.split()) or _UNSEEN.search(lineage):
            raise UsageError(
                f"lineage {lineage!r} has spaces at its ends or several in a row, or characters that are not seen; "
                "leave them out"
            )
        _check_name("lineage", lineage)
        return lineage

    def open_reservations(self, lineage: str) -> set[int]:
        return {entry["n"] for entry in self.lineage(lineage).charges} - self._done

    def lineage(self, name: str) -> _Lineage:
        own = [entry for entry in self._entries if entry.get("lineage") == name]
        limit = ([self._entries[0]] + [entry for entry in own if entry["type"] == "limit"])[-1]
        return _Lineage(
            name,
            limit["epsilon"],
            limit["delta"],
            [entry for entry in own if entry["type"] == "reserve"],
            [entry for entry in own if entry["type"] == "no_dp_claim"],
            self._done,
        )


@dataclass(frozen=True)
class _Lineage:
    name: str
    epsilon: float
    delta: float
    charges: list[dict[str, Any]]
    unclaimed: list[dict[str, Any]]
    done: set[int]

    def claim(self) -> dict[str, Any]:
        windows = sorted({entry["window"] for entry in self.charges})
        total = self._figures(self.charges)
        return {
            "lineage": self.name,
            "dp": not self.unclaimed,
            "without": sorted({entry["what"] for entry in self.unclaimed}),
            "sentence": self._sentence(total, len(windows)),
            "limit_epsilon": self.epsilon,
            **total,
            "windows": [
                {"window": window, **self._figures([entry for entry in self.charges if entry["window"] == window])}
                for window in windows
            ],
        }

    def _figures(self, charges: list[dict[str, Any]]) -> dict[str, Any]:
        total = _sum(charges)
        epsilon = total.epsilon_at(self.delta)
        return {
            "epsilon": epsilon if math.isfinite(epsilon) else None,
            "delta": self.delta,
            "mu": total.mu,
            "delta_t": total.delta_t,
            "pure": total.pure,
            "charges": len(charges),
            "unfinished": sum(entry["n"] not in self.done for entry in charges),
        }

    def _sentence(self, total: dict[str, Any], windows: int) -> str:
        if self.unclaimed:
            return (
                f"No claim: {self.unclaimed[0]['what']} of lineage {self.name!r} was released, which is not "
                "differentially private."
            )
        if not self.charges:
            return f"Nothing of lineage {self.name!r} has been released under this ledger."
        if total["epsilon"] is None:
            return (
                f"No claim at delta {exactly(self.delta)}: what was released of lineage {self.name!r} under it "
                f"takes a delta above {exactly(total['delta_t'])}."
            )
        # Rounded up in the fourth digit after the point: what is printed is no less than what was spent.
        epsilon = f"{math.ceil(total['epsilon'] * 10_000) / 10_000:.4f}".rstrip("0").rstrip(".")
        period = "the one window" if windows == 1 else f"all {windows} windows together"
        return (
            f"All that was released of lineage {self.name!r} under this ledger is ({epsilon}, {exactly(self.delta)})-"
            f"differentially private for one user id, added or removed, over {period}; "
            "a person with several ids, and releases outside this ledger, are not covered."
        )


@dataclass(frozen=True)
class _Sum:
    mu: float
    delta_t: float
    pure: float

    def within(self, epsilon: float, delta: float) -> bool:
        return within(self.mu, self.delta_t, epsilon, delta, self.pure)

    def epsilon_at(self, delta: float) -> float:
        return epsilon_at(self.mu, self.delta_t, delta, self.pure)


def _sum(charges: list[dict[str, Any]]) -> _Sum:
    mu, delta_t = compose([entry["mu"] for entry in charges], [entry["delta_t"] for entry in charges])
    exact = sum((Fraction(entry["pure"]) for entry in charges), Fraction(0))
    pure = float(exact)
    return _Sum(mu, delta_t, math.nextafter(pure, math.inf) if Fraction(pure) < exact else pure)


def _head(path: Path) -> Path:
    return path.with_name(path.name + ".head")


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]
    os.fsync(handle)


def _content(handle: int) -> bytes:
    with os.fdopen(os.dup(handle), "rb") as file:
        file.seek(0)
        return file.read()


def _place(path: Path) -> Path:
    with _named(path):
        return resolved(path)


def _refuse_open(path: Path) -> None:
    if anybody_replaces(path.parent):
        raise UsageError(
            f"ledger {path.name!r} is refused: anybody may replace what is in its folder; choose one of your own, or "
            "chmod +t it"
        )


@contextmanager
def _locked(path: Path, flags: int = 0) -> Iterator[int]:
    """A handle to append to, under a lock that goes with it."""
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | flags, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _named(path: Path) -> Iterator[None]:
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
    return isinstance(value, str) and _is_name(value)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= 200 and text.isprintable()


def _looks(name: str) -> str:
    """What names have in common that are taken for each other."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join(_UNSEEN.sub("", folded).split())


def _check_name(name: str, text: str) -> None:
    if not isinstance(text, str) or not _is_name(text):
        raise UsageError(f"{name} must have 1 to 200 printable characters")


def _check_limit(epsilon: float, delta: float) -> None:
    if not (0 < epsilon <= 1_000 and 0 < delta < 1):
        raise UsageError(f"a limit of epsilon {epsilon!r}, delta {delta!r} cannot be: above 0, and delta below 1")

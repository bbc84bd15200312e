"""The ledger: limits, charges and claims of lineages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..exceptions import PrivacyError, UsageError
from ..owners import is_trusted
from .file import File, head_of, locked, naming, place, refuse_open
from .lineage import Lineage, Sum, check_name, total_of


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
        self._path = place(Path(path))
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
        final = place(Path(path))
        with naming(final):
            is_gone = not final.exists() and head_of(final).exists()
        if is_gone:
            raise PrivacyError(
                f"ledger {final.name!r} is gone, but {head_of(final).name!r} remembers it: restore it, or begin a "
                "ledger of another name, for lineages that were never released"
            )
        with naming(final):
            final.parent.mkdir(parents=True, exist_ok=True)
            refuse_open(final)
            with locked(final, os.O_CREAT) as handle:
                file = File(final, handle)
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
        check_name("lineage", lineage)
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
            if not total_of(state.charges).within(epsilon, delta):
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
            check_name(name, text)
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
        check_name("lineage", lineage)
        with self._open() as file:
            past = file.read()
            state = past.lineage(past.named(lineage))
        total = self._afford(state, mu=mu, delta_t=delta_t, pure=pure, override=override)
        spent = total_of(state.charges).epsilon_at(state.delta)
        return {
            "spent": spent,
            "after": total.epsilon_at(state.delta),
            "limit": state.epsilon,
            "delta": state.delta,
        }

    def _afford(self, state: Lineage, *, mu: float, delta_t: float, pure: float, override: bool) -> Sum:
        """The sum with one charge more, where it is allowed."""
        if state.unclaimed and not override:
            raise PrivacyError(
                f"ledger {self._path.name!r}: lineage {state.name!r} had a release without differential privacy "
                f"({state.unclaimed[0]['what']}); together with it nothing is differentially private. The override "
                "(--override-dp-claim) releases without that label"
            )
        total = total_of([*state.charges, {"mu": mu, "delta_t": delta_t, "pure": pure}])
        if not total.within(state.epsilon, state.delta):
            if delta_t >= state.delta:
                raise PrivacyError(
                    f"ledger {self._path.name!r}: --delta is too high: {delta_t:.4g} of it goes to thresholds, and the "
                    f"limit of lineage {state.name!r} is {state.delta:g} in all; give a smaller one"
                )
            spent = total_of(state.charges).epsilon_at(state.delta)
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
            check_name(name, text)
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
        check_name("lineage", lineage)
        with self._open() as file:
            past = file.read()
            self._allow(past.lineage(past.named(lineage)), what, override=override)

    def _allow(self, state: Lineage, what: str, *, override: bool) -> None:
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
        check_name("lineage", lineage)
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
    def _open(self) -> Iterator[File]:
        with naming(self._path):
            is_there = self._path.exists()
        if not is_there:
            raise PrivacyError(
                f"no ledger {self._path.name!r}: without it nobody knows what was spent. Restore it; or begin one, for "
                "data that was never released: hardneg-fast ledger FILE --create --epsilon E --delta D"
            )
        with naming(self._path), locked(self._path) as handle:
            refuse_open(self._path)
            yield File(self._path, handle)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _check_limit(epsilon: float, delta: float) -> None:
    if not (0 < epsilon <= 1_000 and 0 < delta < 1):
        raise UsageError(f"a limit of epsilon {epsilon!r}, delta {delta!r} cannot be: above 0, and delta below 1")

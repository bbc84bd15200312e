"""What the entries of a ledger come to for each lineage, and the names of lineages."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ..calibration import compose, epsilon_at, exactly, within
from ..exceptions import UsageError

_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
"""Printable by Unicode's categories, and not seen (Default_Ignorable_Code_Point)."""


class Past:
    """Entries of a whole ledger."""

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        self._entries = entries
        self._done = {entry["reservation"] for entry in entries if entry["type"] == "commit"}

    def names(self) -> list[str]:
        """Names of all lineages, sorted."""
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
        check_name("lineage", lineage)
        return lineage

    def open_reservations(self, lineage: str) -> set[int]:
        """Charges of runs that did not say that they finished."""
        return {entry["n"] for entry in self.lineage(lineage).charges} - self._done

    def lineage(self, name: str) -> Lineage:
        """What is known of a lineage; one that is not there has spent nothing."""
        own = [entry for entry in self._entries if entry.get("lineage") == name]
        limit = ([self._entries[0]] + [entry for entry in own if entry["type"] == "limit"])[-1]
        return Lineage(
            name,
            limit["epsilon"],
            limit["delta"],
            [entry for entry in own if entry["type"] == "reserve"],
            [entry for entry in own if entry["type"] == "no_dp_claim"],
            self._done,
        )


@dataclass(frozen=True)
class Lineage:
    """Entries of one lineage, and the limit that holds for it."""

    name: str
    epsilon: float
    delta: float
    charges: list[dict[str, Any]]
    unclaimed: list[dict[str, Any]]
    done: set[int]

    def claim(self) -> dict[str, Any]:
        """What may be said of all its releases: a sentence, and its figures."""
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
        total = total_of(charges)
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
class Sum:
    """Charges added up: Gaussian privacy, threshold delta, epsilon without delta."""

    mu: float
    delta_t: float
    pure: float

    def within(self, epsilon: float, delta: float) -> bool:
        """Whether a limit holds it."""
        return within(self.mu, self.delta_t, epsilon, delta, self.pure)

    def epsilon_at(self, delta: float) -> float:
        """What it comes to at a delta."""
        return epsilon_at(self.mu, self.delta_t, delta, self.pure)


def total_of(charges: list[dict[str, Any]]) -> Sum:
    """The sum of charges, rounded up."""
    mu, delta_t = compose([entry["mu"] for entry in charges], [entry["delta_t"] for entry in charges])
    exact = sum((Fraction(entry["pure"]) for entry in charges), Fraction(0))
    pure = float(exact)
    return Sum(mu, delta_t, math.nextafter(pure, math.inf) if Fraction(pure) < exact else pure)


def is_name(text: str) -> bool:
    """Whether a text can be a name in the ledger."""
    return 0 < len(text) <= 200 and text.isprintable()


def _looks(name: str) -> str:
    """What names have in common that are taken for each other."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join(_UNSEEN.sub("", folded).split())


def check_name(name: str, text: str) -> None:
    """Refuses what cannot be a name."""
    if not isinstance(text, str) or not is_name(text):
        raise UsageError(f"{name} must have 1 to 200 printable characters")

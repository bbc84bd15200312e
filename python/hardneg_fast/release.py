"""release: the one gate between counts and everything that may leave."""

from __future__ import annotations

from typing import Protocol

from . import _hardneg
from .config import Privacy
from .exceptions import PrivacyError, UsageError

__all__ = ["Released", "release"]


ENTERED = ("lineage", "ledger", "override_dp_claim")
"""What every mode takes, and checks."""

DP = ("epsilon", "delta", "candidates", "candidates_class", "public_queries", "public_queries_class")
"""What `Privacy.dp` takes besides."""


class HasCore(Protocol):
    """Counts, seen from here."""

    @property
    def _core(self) -> _hardneg.Counts: ...


class Released:
    """What passed. Counts and log cannot be reached from here; k-users figures are rounded on their way out."""

    def __init__(self, core: _hardneg.Released, privacy: Privacy) -> None:
        self._core = core
        self.privacy = privacy

    def table(self) -> _hardneg.Table:
        """query, doc_id, position, clicks, impressions, their variances, weighting."""
        return self._core.table()

    @property
    def passed(self) -> dict[str, tuple[int, int]]:
        """Table → rows before and after."""
        k = self.privacy.k or 1
        return {table: (before // k * k, after // k * k) for table, (before, after) in self._core.passed.items()}

    def __repr__(self) -> str:
        before, after = self.passed["pairs"]
        return f"<Released {after} of {before} pairs, {self.privacy.mode}>"


def release(counts: HasCore, /, *, privacy: Privacy) -> Released:
    """Lets pass what `privacy` allows.

    Raises:
        PrivacyError: k-users on a log without users; differential privacy, which needs whole users and not counts.
        UsageError: `privacy` contradicts itself.
    """
    checked(privacy)
    if privacy.mode == "dp":
        raise PrivacyError(
            "counts have lost who is who, so nothing of them can be released under differential privacy; `mine` does "
            "it from the log (--epsilon), and nothing weaker takes its place here"
        )
    return Released(_hardneg.release(counts._core, k_users=privacy.k), privacy)


def checked(privacy: Privacy) -> None:
    """Refuses what cannot be released with; a threshold that got lost must not turn into no threshold.

    Raises:
        UsageError: a mode that does not exist, or that contradicts k.
    """
    if not isinstance(privacy, Privacy) or privacy.mode not in ("none", "k_users", "dp"):
        raise UsageError("privacy must be Privacy.k_users(K), Privacy.none() or Privacy.dp(…)")
    if privacy.mode == "dp":
        if privacy.k is not None:
            raise UsageError("k-users and differential privacy are not combined: a threshold on exact counts is a leak")
        Privacy.dp(**{name: getattr(privacy, name) for name in (*ENTERED, *DP)})
        return
    if any(getattr(privacy, name) is not None for name in DP):
        raise UsageError(
            f"privacy has mode {privacy.mode} and options of differential privacy; the two are not combined: a "
            "threshold on exact counts is a leak"
        )
    Privacy.none(**{name: getattr(privacy, name) for name in ENTERED})
    k = privacy.k
    if privacy.mode == "none" and k is not None:
        raise UsageError(f"privacy has mode none and k {k!r}; use Privacy.k_users(K) or Privacy.none()")
    if privacy.mode == "k_users" and (not isinstance(k, int) or not 2 <= k < 2**32):
        raise UsageError(f"k_users is {k!r}; K is a whole number from 2, so that no single person's rows pass")

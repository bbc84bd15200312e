"""release: the one gate between counts and everything that may leave."""

from __future__ import annotations

from typing import Protocol

from . import _hardneg
from .config import Privacy
from .exceptions import PrivacyError

__all__ = ["Released", "release"]


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
        return self._core.passed

    def __repr__(self) -> str:
        before, after = self.passed["pairs"]
        return f"<Released {after} of {before} pairs, {self.privacy.mode}>"


def release(counts: HasCore, /, *, privacy: Privacy) -> Released:
    """Lets pass what `privacy` allows.

    Raises:
        PrivacyError: k-users on a log without users; differential privacy, which is not built yet.
    """
    refuse_dp(privacy)
    return Released(_hardneg.release(counts._core, k_users=privacy.k), privacy)


def refuse_dp(privacy: Privacy) -> None:
    """Differential privacy is not there yet, and nothing weaker may stand in for it.

    Raises:
        PrivacyError: it was asked for.
    """
    if privacy.mode == "dp":
        raise PrivacyError(
            "differential privacy (--epsilon) is not built yet, and nothing weaker takes its place; choose --k-users K or "
            "--no-privacy"
        )

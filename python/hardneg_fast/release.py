"""release: the one gate between counts and everything that may leave."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from typing import Protocol

from . import _hardneg
from .blocks import Header, config_hash, opened, sealed
from .config import Privacy
from .exceptions import PrivacyError, UsageError
from .keys import Key

__all__ = ["Released", "gather", "load_released", "release"]


ENTERED = ("lineage", "ledger", "override_dp_claim")
"""What every mode takes, and checks."""

DP = ("epsilon", "delta", "candidates", "candidates_class", "public_queries", "public_queries_class")
"""What `Privacy.dp` takes besides."""


NO_SPILL = 2**62
"""What passed is read over and over, so it stays in memory."""


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

    @property
    def part(self) -> tuple[int, int] | None:
        """(i, n) where these are part i, from 0, of n parts of the queries; None for all of them."""
        return self._core.part

    def block(self, *, key: Key) -> bytes:
        """These as a sealed block, for where parts are gathered."""
        number, of = self.part or (0, 1)
        header = Header(stage="released", part=number, of=of, config=config_hash({"k": self.privacy.k}), key=key.id)
        return sealed(self._core.pack(), header, number, key)

    def __repr__(self) -> str:
        before, after = self.passed["pairs"]
        return f"<Released {after} of {before} pairs, {self.privacy.mode}>"


def release(counts: HasCore, /, *, privacy: Privacy, part: tuple[int, int] | None = None) -> Released:
    """Lets pass what `privacy` allows.

    Args:
        counts: of all users.
        privacy: what may leave.
        part: (i, n) if these are counts of part i of n of the queries alone; parts are brought together by `gather`.

    Raises:
        PrivacyError: k-users on a log without users; differential privacy, which needs whole users and not counts.
        UsageError: `privacy` contradicts itself; parts of the log are missing.
    """
    checked(privacy)
    if privacy.mode == "dp":
        raise PrivacyError(
            "counts have lost who is who, so nothing of them can be released under differential privacy; `mine` does "
            "it from the log (--epsilon), and nothing weaker takes its place here"
        )
    return Released(_hardneg.release(counts._core, k_users=privacy.k, part=part), privacy)


def gather(parts: Iterable[Released | bytes], /, *, privacy: Privacy, key: Key | None = None) -> Released:
    """All queries out of their parts, released each by itself; the same as if they had been released together.

    Args:
        parts: what `release` let pass of each, or the blocks that `Released.block` made of it.
        privacy: what they were released with.
        key: of blocks: the master key that they were sealed under.

    Raises:
        UsageError: a part is missing or comes twice, or one was released in another way; blocks without their key.
        DataError: a block is damaged; two parts hold different documents of one code.
    """
    checked(privacy)
    cores = [part._core if isinstance(part, Released) else _opened(part, key) for part in parts]
    if any(core.k != privacy.k for core in cores):
        raise UsageError("a part was released in another way than privacy says; release all of them alike")
    return Released(_hardneg.gather(cores), privacy)


def load_released(block: bytes, /, *, privacy: Privacy, key: Key) -> Released:
    """One part of a release out of the block that `Released.block` made of it.

    Args:
        block: the block.
        privacy: what it was released with.
        key: the master key that it was sealed under.

    Raises:
        UsageError: a block of another key, or released in another way.
        DataError: the block is damaged.
    """
    checked(privacy)
    core = _opened(block, key)
    if core.k != privacy.k:
        raise UsageError("the part was released in another way than privacy says")
    return Released(core, privacy)


def _opened(block: bytes, key: Key | None) -> _hardneg.Released:
    if not isinstance(key, Key):
        raise UsageError("blocks of a release open with the key that they were sealed under: gather(blocks, key=…)")
    _, content = opened(block, key, stage="released")
    return _hardneg.unpack_released(content.to_pybytes(), memory=NO_SPILL, spill=tempfile.gettempdir())


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

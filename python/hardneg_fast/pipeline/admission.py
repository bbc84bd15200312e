"""admission: what is refused of a job before the log is opened or counted on, and what its ledger is told."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..config import Config, Privacy
from ..exceptions import DataError, PrivacyError
from ..keys import Key
from ..ledger import Ledger
from ..release import checked
from ..result import VALUES, as_shown, quarantined
from ..write import check_target

__all__ = ["check_job", "check_users", "enter", "kind_of", "refuse_nothing", "refuse_unseen", "window"]


def check_job(out: Path | str | None, *, privacy: Privacy, key: Key | None, overwrite: bool) -> None:
    """What can be refused of `mine` before the log is opened.

    Raises:
        PrivacyError, UsageError, FileError: as `mine`.
    """
    checked(privacy)
    if privacy.mode == "dp" and key is not None:
        raise PrivacyError(
            "a release under differential privacy shares no key with pseudonyms: its identifiers are hashed under one "
            "of the run; leave out --key"
        )
    if out is not None:
        check_target(Path(out), overwrite=overwrite)


def check_users(privacy: Privacy, names: Collection[str]) -> None:
    """Refuses a threshold of users for a log without, before it is read, not an hour later.

    Raises:
        PrivacyError: none of its canonical columns is user_id.
    """
    if privacy.mode == "k_users" and "user_id" not in names:
        raise PrivacyError(
            "the k-user threshold needs user ids, and the log has none: map a column to user_id "
            "(--columns user_id=NAME), or choose --no-privacy"
        )


def refuse_nothing(raw: Any, counts: Any, k: int | None = None) -> None:
    """A log without a row that can be read is told apart from one in which no rule finds anything.

    With a threshold `k` of users reasons are counted as they may be shown.
    """
    quarantine = quarantined(raw.report.quarantine, counts.quarantine)
    if counts.rows > sum(n for reason, n in counts.quarantine.items() if reason not in VALUES):
        return
    shown = as_shown(quarantine, k)
    reasons = (
        ", ".join(f"{reason} {n:,}" for reason, n in sorted(shown.items())) or f"fewer than {k} for any one reason"
    )
    raise DataError(
        f"no row of the log can be used: all were set aside ({reasons}); `hardneg-fast inspect LOG` says what that is"
        if quarantine
        else "the log has no rows; a log needs at least one record"
    )


BY_OPTION = {
    "other_surface": "count.surfaces",
    "outside_window": "count.since, count.until",
    "beyond_max_position": "count.max_position",
}
"""What an option left out, as it was asked to."""


def refuse_unseen(raw: Any, counts: Any, k: int | None) -> None:
    """A log of which all rows without a click were left out is told apart from one that holds clicks only.

    With a threshold `k` of users reasons are counted as they may be shown.

    Raises:
        DataError: nothing was counted that was shown and not clicked, and rows were left out.
    """
    if counts.has["unclicked"]:
        return
    left_out = {**quarantined(raw.report.quarantine, counts.quarantine), **counts.dropped}
    told = [
        f"{reason} {n:,}" + (f" ({BY_OPTION[reason]})" if reason in BY_OPTION else "")
        for reason, n in sorted(as_shown(left_out, k).items())
        if n and reason not in VALUES
    ]
    if told or not counts.sizes["pairs"]:
        what = "no impression without a click is left" if counts.sizes["pairs"] else "no impression is left"
        raise DataError(
            f"no rule can run on this log: {what}"
            + (f"; left out were {', '.join(told)}" if told else "")
            + "; `hardneg-fast inspect LOG` says what the log holds"
        )


def kind_of(privacy: Privacy) -> str:
    """What a ledger calls an output that is not differentially private."""
    return "an output without privacy" if privacy.k is None else "a k-users output"


def enter(privacy: Privacy, *, window: str, what: str) -> None:
    """Notes in the ledger a release that is not differentially private, before a row is read; a run that fails stays.

    Raises:
        PrivacyError: the lineage was released under differential privacy, and nothing overrides that.
    """
    if privacy.lineage is not None and privacy.ledger is not None:
        override = privacy.override_dp_claim
        Ledger(privacy.ledger).no_dp_claim(privacy.lineage, window=window, what=what, override=override)


def window(config: Config) -> str:
    """The time window that is asked for, in words; the claim is about rows in it."""
    since, until = (None if t is None else t.isoformat() for t in (config.count.since, config.count.until))
    return f"{since or 'the beginning'} to {until or 'the end'} of the log"

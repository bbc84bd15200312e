"""The privacy statement in words for people who do not read code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NO_IDS = (
    "No user, session or search id of the log is in these files, raw or encoded. Document ids, and document texts "
    "where they were given, are written as they are."
)


def statement(privacy: Mapping[str, Any], release: Mapping[str, Any]) -> tuple[str, list[str]]:
    """A headline and paragraphs for what was done.

    Args:
        privacy: content of `privacy.json`; `mode` and `k` are used.
        release: the report's `release`, for what `privacy` does not say.
    """
    mode = str(privacy.get("mode", release.get("mode", "unknown")))
    if mode in ("k_users", "k-users"):
        k = privacy.get("k", release.get("k"))
        return _k_users(k if isinstance(k, int) else None, sessions=bool(privacy.get("sessions_stand_for_users")))
    if mode == "dp":
        return _dp(privacy)
    if mode == "no_dp_claim":
        return _no_claim(privacy)
    if mode in ("none", "no_privacy", "no-privacy"):
        return (
            "No privacy protection",
            [
                "This run was asked to protect nothing. A query that a single person typed can be in these files, word "
                "for word, and queries can name people, places and illnesses. Treat the files like the log itself and "
                "do not pass them on.",
                _NO_IDS,
            ],
        )
    return (
        "Privacy: see privacy.json",
        ["This page has no plain words for the way this run was protected. privacy.json says what was done.", _NO_IDS],
    )


def _dp(privacy: Mapping[str, Any]) -> tuple[str, list[str]]:
    whose = "session" if privacy.get("sessions_stand_for_users") else "user id"
    return (
        f"Differential privacy: epsilon {privacy.get('epsilon')}, delta {privacy.get('delta')}, for one {whose}",
        [
            f"Whether any one {whose} is in the log or not hardly changes what can be in these files. "
            f"{_chosen(privacy)}, and clicks counted, under random noise; everything here follows from those noisy "
            "figures.",
            _NO_IDS,
            f"What this does not cover: a person with several {whose}s, {_declared(privacy)}and other releases of the "
            "same log that are not in the ledger. The proof of this program has had no outside review.",
        ],
    )


def _is_public(privacy: Mapping[str, Any], what: str) -> bool:
    return bool(dict(privacy.get(what) or {}).get("class"))


def _chosen(privacy: Mapping[str, Any]) -> str:
    names = (("queries", "Queries"), ("candidates", "documents"))
    parts = [word for what, word in names if not _is_public(privacy, what)]
    return f"{' and '.join(parts).capitalize()} were chosen" if parts else "Queries and documents were given"


def _declared(privacy: Mapping[str, Any]) -> str:
    names = (("queries", "the queries"), ("candidates", "the documents that each query is judged on"))
    parts = [words for what, words in names if _is_public(privacy, what)]
    return f"{' and '.join(parts)}, which were declared public, " if parts else ""


def _no_claim(privacy: Mapping[str, Any]) -> tuple[str, list[str]]:
    claim = str(privacy.get("claim", ""))
    return (
        "No differential privacy claim",
        [
            "Clicks were counted under random noise, and what was not declared public was chosen under it. But whoever "
            "ran this overrode a refusal: other releases of the same data are not differentially private, and together "
            "with them these files are not, either.",
            f"{claim[:1].upper()}{claim[1:]}.",
            _NO_IDS,
        ],
    )


def _k_users(k: int | None, *, sessions: bool) -> tuple[str, list[str]]:
    number = "K" if k is None else f"{k:,}"
    # The log did not know people, only sessions, and one person has many.
    whose = "sessions" if sessions else "people"
    caution = (
        ["The log knows no people: sessions stand for users, so one person may be a whole threshold."]
        if sessions
        else []
    )
    return (
        f"Only queries and results of at least {number} {whose}",
        [
            *caution,
            f"A query is named only if at least {number} different users searched for it. A document appears with a "
            f"query only if at least {number} users were shown it there, and counts as wanted only if at least "
            f"{number} users clicked it there. Counts are rounded down to multiples of {number}.",
            _NO_IDS,
            "What this does not do: it is a threshold, not differential privacy. Somebody who holds two runs over "
            "nearly the same log can compare them and learn about the few users in between. Somebody who makes "
            f"{number} accounts and searches the same words from each can bring those words in. Whether a "
            "document is missing among the negatives can hang on one click. And a query that many people typed may "
            "still be about a person.",
        ],
    )

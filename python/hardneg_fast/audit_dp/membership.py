"""Membership: how well an attacker who has a user's whole history tells from a release whether it was in the log."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np


def membership_attack(
    released: Mapping[str, float], members: Sequence[Collection[str]], non_members: Sequence[Collection[str]]
) -> dict[str, float]:
    """Scores each history by the sum of its items' values in the release, and compares members with others.

    Args:
        released: of each item that left, how much it speaks for a user who has it: log(released share / share that is
            known from elsewhere), or 1 where nothing else is known.
        members: histories that were in the log.
        non_members: histories from the same source that were not.

    Returns:
        `auc` (0.5 is guessing; ties count half: Mann & Whitney 1947), and `tpr_at_1pct_fpr` (0.01 is guessing; the rate
        that Carlini et al. 2022, S&P, ask for), ties at the cut being shared out.
    """
    scores = [
        np.array([sum(released.get(item, 0.0) for item in set(history)) for history in group], dtype=np.float64)
        for group in (members, non_members)
    ]
    inside, outside = scores
    ordered = np.sort(outside)
    below = np.searchsorted(ordered, inside, side="left")
    tied = np.searchsorted(ordered, inside, side="right") - below
    auc = float((below + tied / 2).sum() / (len(inside) * len(outside)))
    allowed = 0.01 * len(outside)
    found = 0.0
    for score in np.unique(np.concatenate(scores))[::-1]:
        others, own = int((outside == score).sum()), int((inside == score).sum())
        share = min(1.0, allowed / others) if others else 1.0
        found += own * share
        allowed -= others * share
        if share < 1:
            break
    return {"auc": auc, "tpr_at_1pct_fpr": found / len(inside)}

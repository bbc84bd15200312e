"""Private selection in obvious lines: bounding, weighted Gaussian, and the pooled adaptive Gaussian.

The noise comes from a generator that is seeded, so this is for tests alone.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import random
from collections.abc import Mapping, Sequence

from hardneg_fast.audit_dp import Outcome
from hardneg_fast.calibration import BIAS_ONE, BIAS_STEPS, bias_tables, selection_thresholds, split

Users = Mapping[str, Sequence[str]]


def vector(weights: Mapping[str, int]) -> dict[str, int]:
    """Weights (0..2^15) scaled to length 2^20, rounded down: ⌊w 2^40 / ⌈√(s 2^40)⌉⌋, s the sum of squares."""
    s = sum(w * w for w in weights.values())
    if s == 0:
        return dict.fromkeys(weights, 0)
    r = math.isqrt(s << 40)
    r += r * r < s << 40
    return {item: (w << 40) // r for item, w in weights.items()}


class Selection:
    """The mechanism with its constants for one claim; fresh keys and noise from `rng`."""

    def __init__(
        self, *, epsilon: float, delta: float, max_items: int, rounds: int = 1, share: float = 0.999, seed: int = 0
    ) -> None:
        budget = split(epsilon, delta, share)
        made = selection_thresholds(budget.mu_selection, budget.delta_t_selection, max_items, rounds)
        self.epsilon, self.delta, self.delta_t = epsilon, delta, budget.delta_t_selection
        self.max_items, self.rounds = max_items, rounds
        self.sigma: int = made.sigma
        self.thresholds: Sequence[int] = made.values
        self.rng = random.Random(seed)
        self.key = self.rng.randbytes(32)

    def bounded(self, users: Users) -> dict[str, list[str]]:
        """Each user's first `max_items` different items in the order of a keyed hash of user and item."""

        def place(user: str, item: str) -> bytes:
            return hmac.digest(self.key, f"{len(user)} {user} {item}".encode(), hashlib.sha256)

        return {
            user: sorted(sorted(set(items)), key=lambda item: place(user, item))[: self.max_items]
            for user, items in users.items()
        }

    def contributions(self, users: Users, weights: Mapping[str, int]) -> dict[str, dict[str, int]]:
        return {
            user: vector({item: weights.get(item, BIAS_ONE) for item in items})
            for user, items in self.bounded(users).items()
        }

    def noise(self, n: int) -> list[int]:
        return [math.floor(self.rng.gauss(0, self.sigma) + 0.5) for _ in range(n)]

    def run(self, users: Users) -> Outcome:
        support = sorted({item for items in self.bounded(users).values() for item in items})
        scores = dict.fromkeys(support, 0)
        weights: dict[str, int] = {}
        released: dict[str, float] = {}
        for k, threshold in enumerate(self.thresholds):
            for added in self.contributions(users, weights).values():
                for item, value in added.items():
                    scores[item] += value
            for item, noise in zip(support, self.noise(len(support)), strict=True):
                scores[item] += noise
            deviation = max(1, math.isqrt((k + 1) * self.sigma**2))
            for item in support:
                if item in released:
                    continue
                if scores[item] >= threshold:
                    released[item] = scores[item]
                    weights[item] = 0
                else:
                    table = bias_tables(self.rounds)[k]
                    step = scores[item] * BIAS_STEPS // deviation if scores[item] > 0 else 0
                    weights[item] = table[min(step, len(table) - 1)]
        return Outcome(released)


class Pairs(Selection):
    """The same with (query, document)s for items, written "query|document"; of released queries only."""

    released: frozenset[str] | None = None
    """None for all."""

    def bounded(self, users: Users) -> dict[str, list[str]]:
        def may(item: str) -> bool:
            return self.released is None or item.split("|")[0] in self.released

        return super().bounded({user: [item for item in items if may(item)] for user, items in users.items()})

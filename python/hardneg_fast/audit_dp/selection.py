"""All audits of a mechanism that chooses items: thresholds, sensitivity, noise, and many runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from .findings import Report
from .mechanism import Outcome, audit_mechanism, canary_pairs
from .noise import audit_noise, rounded_gaussian_tail
from .sensitivity import Users, Vectors, audit_sensitivity
from .thresholds import audit_thresholds


class Selection(Protocol):
    """A mechanism, laid open."""

    epsilon: float
    delta: float
    delta_t: float
    max_items: int
    sigma: int
    thresholds: Sequence[int]

    def contributions(self, users: Users, weights: Mapping[str, int]) -> Vectors:
        """What each user adds in a round."""

    def noise(self, n: int) -> Sequence[int]:
        """So many samples of a round's noise."""

    def run(self, users: Users) -> Outcome:
        """Everything that leaves."""


def audit_selection(mechanism: Selection, *, near: int, runs: int = 1000, alpha: float = 1e-3) -> Report:
    """Audits a mechanism against its own claim; one that keeps it fails with probability at most about `alpha`.

    Args:
        mechanism: what is audited, with a large delta (0.01 to 0.1): many runs see little of a small one.
        near: about how many users of one item take it to the threshold.
        runs: on each log.
        alpha: false-alarm rate of the runs; that of the noise is 1e-6.
    """
    return Report(
        (
            audit_thresholds(
                sigma=mechanism.sigma,
                thresholds=mechanism.thresholds,
                delta_t=mechanism.delta_t,
                max_items=mechanism.max_items,
            ),
            audit_sensitivity(mechanism.contributions, max_items=mechanism.max_items),
            audit_noise(mechanism.noise, rounded_gaussian_tail(mechanism.sigma), scale=mechanism.sigma),
            audit_mechanism(
                mechanism.run,
                canary_pairs(near=near, max_items=mechanism.max_items),
                epsilon=mechanism.epsilon,
                delta=mechanism.delta,
                runs=runs,
                alpha=alpha,
            ),
        )
    )

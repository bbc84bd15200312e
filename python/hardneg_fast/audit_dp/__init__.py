"""Audits of a mechanism that claims differential privacy: what can be computed, what can be tried, and what cannot.

Everything is a function of callables, so that the same code audits the real mechanism, its naive twin, and copies of it
with bugs planted. A user is a name with a list of items; a log of users is a mapping of these.

    thresholds   exact tails for each number of items that only one user has
    noise        goodness of fit, independence, and streams that come twice
    sensitivity  a random search for a user who changes what another contributes, or contributes too much
    sums         the same where only sums can be seen
    mechanism    many runs on two neighbouring logs, and the largest epsilon that they prove
    one_run      the same from one run with many canaries (for runs that are thrown away)
    selection    all of these on a mechanism that chooses items
    membership   how well an attacker who has a user's history tells whether it was in the log
"""

from .findings import Finding, Report
from .mechanism import Outcome, Pair, audit_mechanism, canary_pairs
from .membership import membership_attack
from .noise import audit_noise, discrete_laplace_tail, rounded_gaussian_tail
from .one_run import audit_one_run
from .selection import Selection, audit_selection
from .sensitivity import audit_sensitivity, audit_sums
from .thresholds import audit_thresholds

__all__ = [
    "Finding",
    "Outcome",
    "Pair",
    "Report",
    "Selection",
    "audit_mechanism",
    "audit_noise",
    "audit_one_run",
    "audit_selection",
    "audit_sensitivity",
    "audit_sums",
    "audit_thresholds",
    "canary_pairs",
    "discrete_laplace_tail",
    "membership_attack",
    "rounded_gaussian_tail",
]

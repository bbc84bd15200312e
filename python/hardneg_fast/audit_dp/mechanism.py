"""The whole mechanism: many runs on two neighbouring logs, and the largest epsilon that they prove.

If a mechanism is (epsilon, delta)-differentially private, P(T) <= e^epsilon Q(T) + delta for every event T, both ways.
So ln((p - delta) / q), p a lower bound of P(T) and q an upper one of Q(T), is a lower bound of epsilon. Events are
looked for in one half of the runs and tested on the other (Ding et al. 2018, CCS, "Detecting violations of differential
privacy"; Bichsel et al. 2021, S&P, "DP-Sniper"). A bound above the claim refutes it; one below proves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .findings import Finding
from .sensitivity import Users
from .statistics import Floats, clopper_pearson


@dataclass(frozen=True)
class Outcome:
    """All that one run lets out.

    Attributes:
        released: items, each with its noisy score.
        figures: anything else, by name.
    """

    released: Mapping[str, float]
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Pair:
    """Two logs, the second with one user more."""

    name: str
    without: Users
    with_: Users
    user: str


def canary_pairs(*, near: int, max_items: int) -> tuple[Pair, ...]:
    """Logs that a wrong mechanism would give itself away on.

    Args:
        near: about how many users of one item take it to the threshold.
        max_items: most items of a user.
    """
    crowd = {f"crowd{i}": ["common", f"pair{i % 2}"] for i in range(near)}
    edge = {**crowd, **{f"edge{i}": ["edge"] for i in range(near)}}
    histories = {
        "one item of their own": ["novel"],
        "all items of their own": [f"novel{i}" for i in range(max_items)],
        "an item at the threshold": ["edge"],
        "their own items and one at the threshold": ["edge", *(f"novel{i}" for i in range(max_items // 2))],
        "far too many items": ["edge", *(f"novel{i}" for i in range(10 * max_items))],
        "one item, over and over": ["novel", "edge"] * 30,
    }
    return tuple(Pair(name, edge, {**edge, "canary": items}, "canary") for name, items in histories.items())


def audit_mechanism(
    run: Callable[[Users], Outcome],
    pairs: Sequence[Pair],
    *,
    epsilon: float,
    delta: float,
    runs: int,
    alpha: float = 1e-3,
    events: int = 8,
) -> Finding:
    """Runs the mechanism `runs` times on each log of each pair.

    Events: each of the user's items, and any item that only they have, being released; the number of released items,
    the sum of the scores of the user's items, and each figure, being at least, or less than, values that were seen.

    Args:
        run: the mechanism, with fresh noise.
        pairs: neighbouring logs.
        epsilon: the claim.
        delta: the claim.
        runs: of each log.
        alpha: a mechanism that keeps its claim fails with at most this probability, over all pairs and events.
        events: tested for each pair and direction; the most promising ones of the first half.
    """
    level = alpha / (2 * len(pairs) * events) / 2
    best, where, released = 0.0, "", {}
    for pair in pairs:
        features = [_features([run(users) for _ in range(runs)], pair) for users in (pair.without, pair.with_)]
        half = runs // 2
        for way in (0, 1):
            p, q = features[way], features[1 - way]
            for name, cut, above in _promising(p, q, half, delta, events):
                bound = _bound(_event(p[name][half:], cut, above), _event(q[name][half:], cut, above), delta, level)
                if bound > best:
                    best, where = bound, f"{pair.name}: {name} {'>=' if above else '<'} {cut:g}"
        released[pair.name] = [round(float(f["released"].mean()), 3) for f in features]
    said = f"{2 * runs * len(pairs):,} runs on {len(pairs)} pairs of logs prove epsilon >= {best:.3f}" + (
        f" ({where})" if where else ""
    )
    figures = {"lower_bound": best, "epsilon": epsilon, "delta": delta, "runs": runs, "alpha": alpha}
    return Finding(
        "mechanism",
        "tested",
        best <= epsilon,
        f"{said}; claimed {epsilon:g} at delta {delta:g}; false-alarm rate {alpha:g}",
        {**figures, "mean_released": released},
    )


def _features(outcomes: Sequence[Outcome], pair: Pair) -> dict[str, Floats]:
    own = sorted(set(pair.with_[pair.user]))
    others = {item for user, items in pair.without.items() for item in items if user != pair.user}
    novel = [item for item in own if item not in others]
    features: dict[str, list[float]] = {
        "released": [len(o.released) for o in outcomes],
        "own score": [sum(o.released.get(item, 0.0) for item in own) for o in outcomes],
        "any novel": [any(item in o.released for item in novel) for o in outcomes],
        **{f"item {i}": [item in o.released for o in outcomes] for i, item in enumerate(own[:4])},
    }
    for name in sorted({name for o in outcomes for name in o.figures}):
        features[f"figure {name}"] = [o.figures.get(name, math.nan) for o in outcomes]
    return {name: np.asarray(values, dtype=np.float64) for name, values in features.items()}


def _event(values: Floats, cut: float, above: bool) -> tuple[int, int]:
    return int((values >= cut).sum() if above else (values < cut).sum()), len(values)


def _promising(
    p: dict[str, Floats], q: dict[str, Floats], half: int, delta: float, most: int
) -> list[tuple[str, float, bool]]:
    """The events of the first half with the largest bounds at a lenient level, one of each feature and side first."""
    found = []
    for name in p.keys() & q.keys():
        a, b = p[name][:half], q[name][:half]
        seen = np.unique(np.concatenate([a, b]))
        cuts = np.unique(np.quantile(seen, np.linspace(0, 1, 24), method="nearest"))
        for above in (True, False):
            scored = []
            for cut in cuts:
                (i, n), (j, m) = _event(a, cut, above), _event(b, cut, above)
                # Smoothed shares and one standard error, so that events of two runs do not lead.
                share, other = (i + 0.5) / (n + 1), (j + 0.5) / (m + 1)
                low = share - math.sqrt(share * (1 - share) / n) - delta
                high = other + math.sqrt(other * (1 - other) / m)
                scored.append((math.log(low / high) if low > 0 else -math.inf, name, float(cut), above))
            found += [max(scored)]
    return [(name, cut, above) for _, name, cut, above in sorted(found, reverse=True)[:most]]


def _bound(p: tuple[int, int], q: tuple[int, int], delta: float, level: float) -> float:
    low, high = clopper_pearson(*p, level)[0], clopper_pearson(*q, level)[1]
    return math.log((low - delta) / high) if low > delta else 0.0

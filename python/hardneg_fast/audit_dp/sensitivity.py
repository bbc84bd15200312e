"""Sensitivity: a random search for a user who changes what another contributes, or contributes too much."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence

from ..calibration import BIAS_ONE, GRID
from .findings import Finding

SLACK = 16
"""Samples of a standard normal, and their differences, are beyond this with a probability of 1e-29."""

Users = Mapping[str, Sequence[str]]
Vectors = Mapping[str, Mapping[str, int]]


def audit_sensitivity(
    contributions: Callable[[Users, Mapping[str, int]], Vectors],
    *,
    max_items: int,
    trials: int = 300,
    grid: int = GRID,
    seed: int = 0,
) -> Finding:
    """Adds a user to random logs, and looks at what everybody contributes before noise.

    In each trial: other users' vectors must be the same, number for number; the new one's must have a norm of at most
    `grid` and at most `max_items` items; and where all weights are equal, items of one user get at most
    grid / sqrt(number of items) each, which is what thresholds rest on.

    Args:
        contributions: of users and the weights of items (0 to `BIAS_ONE`; one that is not named has `BIAS_ONE`): what
            each adds to each item in one round.
        max_items: most items of a user.
        trials: how many logs.
        grid: what one is on the grid.
        seed: of the search, not of the mechanism.
    """
    rng = random.Random(seed)  # noqa: S311 a search is no secret
    found: dict[str, int] = {}
    longest = 0
    for trial in range(trials):
        before, name, items, weights = _neighbours(rng, max_items, flat=trial % 3 == 0)
        without = contributions(before, weights)
        # In front of, among or after the others: nothing may follow from order.
        names = [*before, name]
        rng.shuffle(names)
        with_ = contributions({user: items if user == name else before[user] for user in names}, weights)
        own = {item: value for item, value in with_.get(name, {}).items() if value}
        squares = sum(value * value for value in own.values())
        longest = max(longest, squares)
        for fault, there in (
            ("another user's contribution changed", any(with_.get(user) != without.get(user) for user in before)),
            ("a contribution is longer than one", squares > grid * grid),
            ("a user has more items than allowed", len(own) > max_items),
            ("a contribution is negative", any(value < 0 for value in own.values())),
            ("an item gets more than its share", _too_much(own, weights, grid)),
        ):
            found[fault] = found.get(fault, 0) + there
    faults = {fault: n for fault, n in found.items() if n}
    said = f"{trials:,} random logs, a user added to each: longest contribution {math.sqrt(longest) / grid:.9f}"
    more = [f"{fault} ({n:,} times)" for fault, n in faults.items()]
    return Finding("sensitivity", "tested", not faults, "; ".join([*more, said]), {"trials": trials, "faults": faults})


def audit_sums(
    sums: Callable[[Users], Mapping[tuple[str, ...], int]],
    *,
    max_items: int,
    most: int | None = None,
    trials: int = 100,
    grid: int = GRID,
    seed: int = 0,
) -> Finding:
    """Adds a user to random logs, and looks at how far the sums move: for a mechanism that shows nothing else.

    Others have at most `max_items` items, so that which of them count hangs on no key. In each trial no sum of an item
    that the new user does not have may move, at most `most` of the others, and all together by a norm of at most
    `grid`; but for `SLACK`
    for each item, which is what samples of the least noise can hide.

    Args:
        sums: by cell, an item first, what all users of a log add together, with noise of standard deviation 1 at most.
        max_items: most items of each of the others.
        most: most cells of a user; `max_items` by default.
        trials: how many logs.
        grid: what one is on the grid.
        seed: of the search, not of the mechanism.
    """
    rng = random.Random(seed)  # noqa: S311 a search is no secret
    far = strange = many = 0
    longest = 0.0
    for _ in range(trials):
        before, name, items, _ = _neighbours(rng, max_items, flat=True)
        before = {user: list(dict.fromkeys(own))[:max_items] for user, own in before.items()}
        without = sums(before) if before else {}
        with_ = sums({**before, name: items})
        own = set(items)
        moved = {cell: with_.get(cell, 0) - without.get(cell, 0) for cell in {*with_, *without}}
        strange += any(abs(value) > SLACK for cell, value in moved.items() if cell[0] not in own)
        norm = math.sqrt(sum(value * value for value in moved.values()))
        longest = max(longest, norm)
        far += norm > grid + SLACK * math.sqrt(len(moved))
        many += sum(abs(value) > SLACK for value in moved.values()) > (max_items if most is None else most)
    seen = (("sums move too far", far), ("sums of others' items move", strange), ("too many sums move", many))
    faults = {fault: n for fault, n in seen if n}
    said = f"{trials:,} random logs, a user added to each: sums moved by at most {longest / grid:.6f}"
    more = [f"{fault} ({n:,} times)" for fault, n in faults.items()]
    return Finding("sensitivity", "tested", not faults, "; ".join([*more, said]), {"trials": trials, "faults": faults})


def _too_much(own: Mapping[str, int], weights: Mapping[str, int], grid: int) -> bool:
    return not weights and any(value * value * len(own) > grid * grid for value in own.values())


def _neighbours(
    rng: random.Random, max_items: int, *, flat: bool
) -> tuple[dict[str, list[str]], str, list[str], dict[str, int]]:
    """A log, a user who is not in it with their items, and weights; small, so that everybody meets."""
    universe = [f"item{i}" for i in range(rng.choice([2, 5, 12, 40]))]

    def history() -> list[str]:
        # Some have far more than they may contribute, some the same thing over and over.
        return rng.choices(universe, k=rng.choice([1, 2, 3, max_items, 3 * max_items]))

    users = {f"user{i}": history() for i in range(rng.randint(0, 8))}
    items = history()
    if rng.random() < 0.5:
        items = [item if rng.random() < 0.5 else f"own{i}" for i, item in enumerate(items)]
    weights = {} if flat else {item: rng.choice([0, 1, 7, BIAS_ONE, rng.randint(0, BIAS_ONE)]) for item in universe}
    name = rng.choice([f"{rng.randint(0, 99)}", "aaa", "zzz"])
    return users, name, items, weights

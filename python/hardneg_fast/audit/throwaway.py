"""The mechanism itself, on made-up logs and at the parameters of a release: what thousands of runs give away.

Nothing here reads a log: the runs are thrown away, and charged to nobody.
"""

from __future__ import annotations

import json
import math
import random
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from .. import _hardneg, audit_dp, options
from ..audit_dp import Finding, Outcome
from ..audit_dp.sensitivity import Users
from ..audit_dp.statistics import clopper_pearson
from ..calibration import BIAS_ONE, GRID, Budget, bias_tables, laplace_scale, sigma_on_grid
from ..config import Config, Privacy
from ..contribute import Contributions, contribute_stream
from ..exceptions import DataError, UsageError
from ..release_private import budget_of, release_private, thresholds_of
from .output import Output

TEST_DELTA = 0.05
"""Where the threshold is reached often enough to be tried."""

SAMPLES = 10_000
"""Of noise, twice."""

CLIP = 8_192
"""What a user's weights are clipped to where sums of clicks are looked at; its unit is public, and any will do."""

MEMORY = 256 << 20
MANY = 1 << 30
"""No bound: of clicks all cells together are clipped, and not their number."""

ROWS = 400_000
"""Rows of a made-up log at most."""


@dataclass(frozen=True)
class Mechanism:
    """A release's mechanism, with its claim and constants."""

    privacy: Privacy
    config: Config

    def at_delta(self, delta: float) -> Mechanism:
        """The same at another delta."""
        return replace(self, privacy=replace(self.privacy, delta=delta))

    @property
    def depth(self) -> int:
        """Documents of a page: enough that one click on each is no robot's."""
        return max(5, self.config.count.min_page_length)

    @property
    def budget(self) -> Budget:
        """How its claim is divided."""
        return budget_of(self.privacy, self.config.release)

    @property
    def chooses(self) -> bool:
        """Whether queries are chosen, and not public."""
        return self.budget.mu_selection > 0

    def choosing(self) -> Choosing:
        """Its first half."""
        return Choosing(self)

    def crowd(self) -> int:
        """So many users of one query that it is released, but for one time in 30,000."""
        return self.choosing().crowd() if self.chooses else 1

    def released(self, contributions: Contributions, candidates: pa.Table) -> pa.Table:
        """Noisy counts on candidates."""
        queries = None if self.chooses else sorted(set(candidates["query"].to_pylist()))
        config = self.config.release
        return release_private(contributions, candidates, queries, privacy=self.privacy, config=config, threads=1).table

    def contributions(self, users: Users, *, clicked: Mapping[str, str] | None = None) -> Contributions:
        """What the core keeps of a log in which each user asks each item, and is shown a page of documents.

        Args:
            users: what each asks, in order.
            clicked: the document of each user's click; the first one's for those not named.
        """
        depth = self.depth
        pages = [(user, item) for user, items in users.items() for item in items]
        documents = [f"d{i}" for i in range(depth)]
        log = pa.table(
            {
                "user_id": pa.array([user for user, _ in pages for _ in documents], pa.string()),
                "search_id": pa.array([f"s{i}" for i in range(len(pages)) for _ in documents], pa.string()),
                "query": pa.array([item for _, item in pages for _ in documents], pa.string()),
                "doc_id": pa.array(documents * len(pages), pa.string()),
                "position": pa.array([*range(1, depth + 1)] * len(pages), pa.int32()),
                "clicked": [doc == (clicked or {}).get(user, "d0") for user, _ in pages for doc in documents],
            }
        )
        return contribute_stream(
            log.to_reader(),
            config=self.config.count,
            window=(None, None),
            scrub=('{"action": "off", "kinds": []}', None),
            threads=1,
            memory=MEMORY,
            spill_dir="",
            position_base=1,
            has_pages=True,
        )


class Choosing:
    """Choosing queries, as `audit_dp` wants a mechanism: its constants, its noise, and runs of it."""

    def __init__(self, mechanism: Mechanism) -> None:
        budget = mechanism.budget
        made = thresholds_of(budget, mechanism.config.release)
        if made is None:
            raise DataError("queries were public, so none are chosen")
        self.mechanism = mechanism
        self.epsilon, self.delta = float(mechanism.privacy.epsilon or 0), float(mechanism.privacy.delta or 0)
        self.delta_t, self.max_items = budget.delta_t_selection, mechanism.config.release.max_queries_per_user
        self.sigma: int = made.sigma
        self.thresholds: Sequence[int] = made.values
        self._read: dict[str, Contributions] = {}

    def noise(self, n: int) -> Sequence[int]:
        """So many samples of a round's noise, as it comes out: what is above the one unit that a user gave."""
        users = {f"user{i}": [f"item {i}"] for i in range(n)}
        keys = self._select(self._of(users, "noise"), [-(self.sigma << 6)])
        return [score - GRID for score in keys.scores]

    def run(self, users: Users) -> Outcome:
        """Everything that leaves; a log is read once, and chosen from many times."""
        keys = self._select(self._of(users, json.dumps({user: list(items) for user, items in users.items()})))
        return Outcome(dict(zip(keys.queries, map(float, keys.scores), strict=True)))

    def _of(self, users: Users, name: str) -> Contributions:
        if name not in self._read:
            self._read[name] = self.mechanism.contributions(users)
        return self._read[name]

    def _select(self, contributions: Contributions, thresholds: Sequence[int] = ()) -> _hardneg.Keys:
        thresholds = thresholds or self.thresholds
        return contributions._core.select(
            max_items=self.max_items,
            sigma=self.sigma,
            thresholds=list(thresholds),
            biases=[list(table) for table in bias_tables(len(thresholds))],
            threads=1,
        )

    def crowd(self) -> int:
        """So many users of one item that it is released, but for one time in 30,000."""
        rounds = len(self.thresholds)
        reach = (self.thresholds[-1] + 4 * self.sigma * math.sqrt(rounds)) / rounds
        return math.ceil(reach / GRID) + 1

    def sums(self, users: Users) -> dict[tuple[str, ...], int]:
        """What all users add together, next to without noise."""
        keys = self._all(self.mechanism.contributions(users))
        return {(query,): score for query, score in zip(keys.queries, keys.scores, strict=True)}

    def click_sums(self, users: Users) -> dict[tuple[str, ...], int]:
        """What all users add to impressions and clicks of all documents, next to without noise.

        Weights are from a hundredth of what one user may add to all of it, so that most users have to be clipped.
        """
        contributions = self.mechanism.contributions(users)
        keys, depth = self._all(contributions), self.mechanism.depth
        rows = [row for row in range(len(keys.queries)) for _ in range(depth)]
        docs = [f"d{j}" for _ in keys.queries for j in range(depth)]
        impressions, clicks, _ = contributions._core.clicks(
            keys,
            # By name, not by place: a new user's queries move the places of others'.
            shown=[CLIP * (1 + len(query) % 3) // 100 for query in keys.queries],
            rows=rows,
            docs=docs,
            positions=[1] * len(rows),
            exposures=[0] * len(rows),
            weights=[CLIP * (1 + len(keys.queries[row]) % 5) // 2 for row in rows],
            length=CLIP,
            noise="gaussian",
            scale=1,
            examined=[],
            most=1,
            threads=1,
        )
        cells = {(query,): value for query, value in zip(keys.queries, impressions, strict=True)}
        return cells | {(keys.queries[row], doc): n for row, doc, n in zip(rows, docs, clicks, strict=True)}

    def _all(self, contributions: Contributions) -> _hardneg.Keys:
        """All queries, whatever their scores, next to without noise."""
        return contributions._core.select(
            max_items=self.max_items, sigma=1, thresholds=[-(GRID << 20)], biases=[[BIAS_ONE]], threads=1
        )


class Counting:
    """The noise of the second half, as it comes out: released clicks on documents that nobody clicked."""

    def __init__(self, mechanism: Mechanism) -> None:
        pure = mechanism.budget.pure
        self.scale = laplace_scale(pure, GRID) if pure else sigma_on_grid(mechanism.budget.mu_counts)
        self.mechanism = mechanism
        law = audit_dp.discrete_laplace_tail if pure else audit_dp.rounded_gaussian_tail
        self.tail = law(self.scale)
        # Of the law, where scale is its own parameter.
        self.deviation = self.scale * (math.sqrt(2) if pure else 1)
        queries = 20
        crowd = mechanism.crowd()
        self.contributions = mechanism.contributions(
            {f"user{i}-{j}": [f"query {i}"] for i in range(queries) for j in range(crowd)}
        )
        each = 2 * SAMPLES // queries
        self.candidates = pa.table(
            {
                "query": [f"query {i}" for i in range(queries) for _ in range(each)],
                "doc_id": [f"unseen{j}" for _ in range(queries) for j in range(each)],
                "position": pa.array([*range(1, each + 1)] * queries, pa.int32()),
            }
        )

    def noise(self, n: int) -> Sequence[int]:
        """So many samples.

        Raises:
            DataError: fewer than half of the queries were released, which next to never happens by chance.
        """
        table = self.mechanism.released(self.contributions, self.candidates)
        if table.num_rows < n:
            raise DataError("made-up queries of many users were not released; the constants of the release do not fit")
        units = table["clicks"].to_numpy()[:n] / np.sqrt(table["clicks_variance"].to_numpy()[:n]) * self.deviation
        return [round(value) for value in units.tolist()]


def of_release(output: Output) -> Mechanism:
    """The mechanism of an output, with the constants of its own report.

    Raises:
        DataError: the output does not say them.
    """
    said = output.statement
    try:
        tree = {name: dict(output.report["config"][name]) for name in ("count", "release")}
        config = options.from_mapping(tree)
        public = {what: said[what]["class"] for what in ("candidates", "queries")}
        privacy = Privacy.dp(
            epsilon=said["epsilon"],
            delta=0 if said["pure_epsilon"] else said["delta"],
            lineage="thrown away",
            ledger="none",
            # What stands for them here is made up.
            candidates=public["candidates"] and (),
            candidates_class=public["candidates"],
            public_queries=public["queries"] and (),
            public_queries_class=public["queries"],
        )
    except (KeyError, TypeError, UsageError):
        raise DataError("the output does not say the constants that runs of its mechanism need") from None
    # Windows and the like are about real rows; made-up ones have no times.
    count = replace(config.count, since=None, until=None, surfaces=(), half_life_days=None)
    return Mechanism(privacy, Config(count=count, release=config.release))


def findings(mechanism: Mechanism, *, runs: int | None = None, trials: int = 100) -> audit_dp.Report:
    """All audits of a mechanism; minutes.

    Args:
        mechanism: what is audited.
        runs: of each made-up log; as many as can refute epsilon, from 400 to 4,000, by default.
        trials: pairs of random logs of the search for too large a contribution.
    """
    if runs is None:
        # Half of the runs test; none of n bounds a probability by 12 / n at the level that is left of alpha.
        runs = min(4_000, max(400, math.ceil(32 * math.exp(min(20.0, float(mechanism.privacy.epsilon or 0))))))
    counting = Counting(mechanism)
    noise = audit_dp.audit_noise(counting.noise, counting.tail, scale=counting.scale, n=SAMPLES)
    counted = (replace(noise, name="noise of counting"), one_run(mechanism))
    if not mechanism.chooses:
        return audit_dp.Report(counted)
    own, test = mechanism.choosing(), mechanism.at_delta(TEST_DELTA).choosing()
    noise = audit_dp.audit_noise(own.noise, audit_dp.rounded_gaussian_tail(own.sigma), scale=own.sigma, n=SAMPLES)
    return audit_dp.Report(
        (
            audit_dp.audit_sums(own.sums, max_items=own.max_items, trials=trials),
            replace(
                audit_dp.audit_sums(own.click_sums, max_items=own.max_items, most=MANY, trials=trials),
                name="sensitivity of counting",
            ),
            replace(noise, name="noise of choosing"),
            counted[0],
            told_apart(own, runs=runs),
            replace(told_apart(test, runs=runs), name="mechanism at a large delta"),
            counted[1],
            membership(own),
        )
    )


def told_apart(choosing: Choosing, *, runs: int) -> Finding:
    """Many releases of logs with and without one user."""
    rounds = len(choosing.thresholds)
    near = max(2, min(2_000, math.ceil(choosing.thresholds[-1] / rounds / GRID)))
    return audit_dp.audit_mechanism(
        choosing.run,
        audit_dp.canary_pairs(near=near, max_items=choosing.max_items),
        epsilon=choosing.epsilon,
        delta=choosing.delta,
        runs=runs,
    )


def one_run(mechanism: Mechanism, *, seed: int = 0) -> Finding:
    """Two hundred planted users, or as many as fit, each in or out by the toss of a coin, with a click of their own.

    Each has a query that a crowd asks, too, so that it is released; whether the planted user clicked its last document
    is read from the noisy clicks.
    """
    depth, crowd = mechanism.depth, mechanism.crowd()
    m = max(20, min(200, ROWS // (depth * crowd)))
    rng = random.Random(seed)  # noqa: S311 coins of made-up users
    included = [rng.random() < 0.5 for _ in range(m)]
    users = {f"crowd{i}-{j}": [f"query {i}"] for i in range(m) for j in range(crowd)}
    users |= {f"planted{i}": [f"query {i}"] for i in range(m) if included[i]}
    last = f"d{depth - 1}"
    contributions = mechanism.contributions(users, clicked={f"planted{i}": last for i in range(m)})
    candidates = pa.table(
        {
            "query": [f"query {i}" for i in range(m) for _ in range(depth)],
            "doc_id": [f"d{j}" for _ in range(m) for j in range(depth)],
            "position": pa.array([*range(1, depth + 1)] * m, pa.int32()),
        }
    )
    released = mechanism.released(contributions, candidates)
    scores = {
        row["query"]: row["clicks"]
        for row in released.select(["query", "doc_id", "clicks"]).to_pylist()
        if row["doc_id"] == last
    }
    return audit_dp.audit_one_run(
        [scores.get(f"query {i}", 0.0) for i in range(m)],
        included,
        epsilon=float(mechanism.privacy.epsilon or 0),
        delta=float(mechanism.privacy.delta or 0),
        guesses=m // 2,
    )


def membership(choosing: Choosing, *, people: int = 200, alpha: float = 1e-3, seed: int = 0) -> Finding:
    """How well whole histories tell from the released queries who was in the log.

    Under (epsilon, delta)-differential privacy the rate of members found is at most e^epsilon times that of others
    taken for members, and delta (Kairouz, Oh & Viswanath 2015, ICML).
    """
    rng = random.Random(seed)  # noqa: S311 histories of made-up users
    letters = string.ascii_lowercase

    def history() -> list[str]:
        asked = {f"item {letters[int(rng.paretovariate(0.4)) % 26]}{int(rng.paretovariate(0.4)) % 10_000}"}
        return sorted(asked | {f"item {int(rng.paretovariate(0.4)) % 10**6}" for _ in range(5)})

    members, others = ([history() for _ in range(people)] for _ in range(2))
    released = choosing.run({f"user{i}": items for i, items in enumerate(members)}).released
    found = audit_dp.membership_attack(dict.fromkeys(released, 1.0), members, others)
    tpr = found["tpr_at_1pct_fpr"]
    lower = clopper_pearson(round(tpr * people), people, alpha)[0]
    upper = clopper_pearson(math.ceil(0.01 * people), people, alpha)[1]
    allowed = min(1.0, math.exp(choosing.epsilon) * upper + choosing.delta)
    return Finding(
        "membership",
        "tested",
        lower <= allowed,
        f"AUC {found['auc']:.3f} (guessing is 0.5), {tpr:.1%} of members found where 1 % of others are taken for such; "
        f"false-alarm rate {alpha:g}",
        {**found, "people": people, "released": len(released)},
    )

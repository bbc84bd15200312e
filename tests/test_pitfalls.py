"""Known ways to get a private release of a log wrong, each by name: the naive version fails, ours holds.

1 to 15 are pitfalls of such releases, 16 to 18 counterexamples to versions of this one. Statistical tests state their
false-alarm rate.
"""

from __future__ import annotations

import functools
import json
import math
import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
from hardneg_fast import _hardneg
from hardneg_fast.audit_dp import audit_thresholds, discrete_laplace_tail
from hardneg_fast.audit_dp.statistics import clopper_pearson
from hardneg_fast.calibration import (
    BIAS_ONE,
    GRID,
    compose,
    epsilon_at,
    gaussian_delta,
    selection_thresholds,
    split,
    within,
)
from hardneg_fast.ledger import Ledger
from hardneg_fast.release_weights import examined
from private_logs import Users, contributions, distance, keys, sums
from reference.selection_dp import Selection, vector

# --- a log, its neighbour, and the real job ---

DOCS = ("a", "b", "c", "d")
CANDIDATES = pa.table(
    {
        "query": [q for q in ("shoes", "boots", "only mine") for _ in DOCS],
        "doc_id": [*DOCS] * 3,
        "position": [*range(1, 5)] * 3,
    }
)
ALWAYS = ("shoes", "boots")
"""Queries whose 400 users stand some hundred standard deviations above the threshold."""


def row(user: str, query: str, doc: str, position: int, clicked: bool, search: str = "") -> dict[str, Any]:
    search = search or f"{user} {query}"
    return {
        "user_id": user, "search_id": search, "query": query, "doc_id": doc, "position": position, "clicked": clicked
    }  # fmt: skip


def page(user: str, query: str, clicks: str = "b", docs: tuple[str, ...] = DOCS, search: str = "") -> list[Any]:
    return [row(user, query, d, p, d == clicks, search) for p, d in enumerate(docs, start=1)]


def crowd() -> list[dict[str, Any]]:
    return [row for i in range(400) for row in page(f"u{i}", ALWAYS[i % 2])]


def odd_one() -> list[dict[str, Any]]:
    """A user with a query and a document of their own, and rows that cannot be read."""
    own = page("v", "only mine", "secret", ("secret", *DOCS)) + page("v", "shoes", "secret", ("secret", *DOCS))
    return [
        *own,
        {**row("v", "shoes", "a", 1, False, "s9"), "position": -7},
        {**row("v", "x", "a", 1, False), "doc_id": None},
    ]


def mined(rows: list[dict[str, Any]], folder: Path, privacy: hn.Privacy | None = None, **config: Any) -> hn.Result:
    """The real job on these rows; `folder` / "out" has what it wrote."""
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "log.parquet")
    if privacy is None:
        Ledger.create(folder / "ledger", epsilon=20, delta=1e-3)
        privacy = hn.Privacy.dp(
            epsilon=20,
            delta=1e-6,
            lineage="web",
            ledger=folder / "ledger",
            candidates=CANDIDATES,
            candidates_class="function_of_public_corpus",
        )
    tree = hn.Config(read=hn.ReadConfig(position_base="1"), **config)
    return hn.mine(folder / "log.parquet", folder / "out", privacy=privacy, config=tree)


def pairs(result: hn.Result) -> set[tuple[str, str, str]]:
    return set(zip(*(result.negatives[c].to_pylist() for c in ("query", "pos_id", "neg_id")), strict=True))


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of two runs, the second with one user more."""
    folder = tmp_path_factory.mktemp("neighbours")
    mined(crowd(), folder / "without")
    mined(crowd() + odd_one(), folder / "with")
    return folder / "without", folder / "with"


def report_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "out" / "report.json").read_text()))


# --- the fifteen ---


def test_pitfall_01_what_equals_a_threshold_is_released_so_its_probability_counts() -> None:
    # Naive: P(noise > 4) is declared where a count of 1 is released from 5 on; OpenDP 0.16 declares 0.00493 here.
    n = 40_000
    tail = discrete_laplace_tail(1)
    naive, exact = tail(5), tail(4)
    hits = sum(1 + noise >= 5 for noise in _hardneg.discrete_laplace(1, n))
    low, high = clopper_pearson(hits, n, 5e-7)  # false alarm: 1e-6
    assert naive < low <= exact <= high
    # Ours: the exact tail at the threshold, atom included, for every number of items of one's own.
    for rounds in (1, 4):
        made = selection_thresholds(0.5, 0.01, 20, rounds)
        found = audit_thresholds(sigma=made.sigma, thresholds=made.values, delta_t=0.01, max_items=20)
        assert found.passed
        lowered = [value - made.sigma // 10 for value in made.values]
        assert not audit_thresholds(sigma=made.sigma, thresholds=lowered, delta_t=0.01, max_items=20).passed


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 4.0])
@pytest.mark.parametrize("p", [1e-6, 0.01, 0.3])
def test_pitfall_02_removing_a_user_costs_delta_as_adding_does(epsilon: float, p: float) -> None:
    # The worst pair: the one log gives N(0, 1), the other N(mu, 1) but with probability p gives itself away.
    mu = 0.5
    added = p + (1 - p) * gaussian_delta(epsilon, mu)
    # Removing: the most of P(O) - e^epsilon (1 - p) P'(O), the Gaussian curve at epsilon + ln(1 - p).
    shifted = epsilon + math.log1p(-p)
    removed = (
        gaussian_delta(shifted, mu)
        if shifted >= 0
        else 1 - math.exp(shifted) + math.exp(shifted) * gaussian_delta(-shifted, mu)
    )
    # Naive: "without the user nothing new can leave", so delta_G alone is declared for removing.
    assert removed > gaussian_delta(epsilon, mu)
    # Ours: one delta for both ways, at the same epsilon.
    assert removed <= added * (1 + 1e-12)
    budget = split(epsilon, added, 0.5, delta_t_share=p / added)
    assert within(budget.mu, budget.delta_t, epsilon, added)


def test_pitfall_03_noise_of_floats_shows_in_its_low_bits() -> None:
    # Naive: a count plus noise in doubles. Near zero 1 + noise is a multiple of 2^-54, as noise alone rarely is.
    rng = random.Random(1)

    def coarse(value: float) -> bool:
        return (value * 2**54).is_integer()

    noise = [rng.gauss(0, 1) for _ in range(2_000)]
    without = [0 + x for x in noise if abs(x) < 0.001]
    with_ = [1 + x for x in (rng.gauss(0, 1) for _ in range(20_000)) if abs(1 + x) < 0.001]
    assert with_
    assert all(map(coarse, with_))
    assert not any(map(coarse, without))
    # Ours: whole numbers, all of them possible under both logs, at odds that keep the claim: summed over all outputs.
    assert all(type(x) is int for x in _hardneg.rounded_gaussian(1 << 20, 1_000))
    sigma, shift, epsilon = 40, 20, 0.3

    def law(j: int, mean: int) -> float:
        above, below = ((j - mean + s) / sigma / math.sqrt(2) for s in (-0.5, 0.5))
        return (math.erf(below) - math.erf(above)) / 2

    excess = sum(max(0.0, law(j, shift) - math.exp(epsilon) * law(j, 0)) for j in range(-400, 420))
    assert 0 < excess <= gaussian_delta(epsilon, shift / sigma)


def test_pitfall_04_a_seed_makes_noise_that_can_be_taken_off() -> None:
    # Naive: what a seeded run gives twice, subtracted, is the exact difference of the logs.
    users = {f"u{i}": ["x"] for i in range(30)}
    runs = [Selection(epsilon=1, delta=0.01, max_items=3, seed=1) for _ in range(2)]
    for run in runs:
        run.thresholds = [-(10**12)]
    scores = [run.run(log).released["x"] for run, log in zip(runs, (users, {**users, "v": ["x"]}), strict=True)]
    assert scores[1] - scores[0] == GRID
    # Ours: there is no seed to give, and nothing comes twice. Chance of two equal draws: about 1e-12.
    core = contributions(users)
    first, second = (keys(core, sigma=1 << 39).scores for _ in range(2))
    assert first != second
    assert _hardneg.rounded_gaussian(1 << 39, 2) != _hardneg.rounded_gaussian(1 << 39, 2)
    for call in (_hardneg.contribute, _hardneg.Contributions.select, _hardneg.Contributions.clicks):
        assert "seed" not in (call.__text_signature__ or "seed")


def others(users: Users) -> dict[str, list[str]]:
    return {user: list(items) for user, items in users.items()}


SOME = {f"u{i}": [f"q{j}" for j in range(i % 7 + 1)] for i in range(20)}
HEAVY = {**SOME, "v": [f"q{j}" for j in range(40)]}


def test_pitfall_05_caps_read_off_the_data_move_everybody() -> None:
    # Naive: at most as many items as the 95th percentile of users has, taken from the log itself.
    def capped(users: Users) -> dict[str, float]:
        most = sorted(map(len, users.values()))[-2]
        total: Counter[str] = Counter()
        for items in users.values():
            total.update(dict.fromkeys(sorted(items)[:most], 1 / math.sqrt(min(len(items), most))))
        return dict(total)

    skewed = {"a": ["q0", "q1"], "b": [f"q{j}" for j in range(9)], "c": [f"q{j}" for j in range(9)]}
    less = {user: items for user, items in skewed.items() if user != "c"}
    assert distance(capped(skewed), capped(less)) > 1.2
    # Ours: caps are constants; one user moves the sums by one at most.
    for log in (SOME, less):
        assert distance(sums(log), sums({**log, "v": HEAVY["v"]})) <= 1 + 1e-4


def test_pitfall_06_propensities_fitted_to_the_log_are_a_release(neighbours: tuple[Path, Path]) -> None:
    # Naive: click rates by position of the log itself: one user more, and every figure that was divided by them moves.
    def fitted(rows: list[dict[str, Any]]) -> list[float]:
        at = [[r["clicked"] for r in rows if r["position"] == p] for p in (1, 2, 3, 4)]
        return [sum(clicks) / len(clicks) for clicks in at]

    assert fitted(crowd()) != fitted(crowd() + odd_one())
    # Ours: a power law whose exponent is a public constant, and the same constants printed for both logs.
    assert list(examined([1, 2, 4], 1.0)) == [1, 0.5, 0.25]
    said = [json.loads((f / "out" / "privacy.json").read_text())["constants"] for f in neighbours]
    assert said[0] == said[1]
    assert said[0]["examination_exponent"] == hn.ReleaseConfig().examination_exponent


def test_pitfall_07_counts_of_rows_and_users_are_exact_statistics(
    neighbours: tuple[Path, Path], tmp_path: Path
) -> None:
    # Naive: a report that says what was read; without privacy ours does.
    plain = []
    for name, rows in (("without", crowd()), ("with", crowd() + odd_one())):
        mined(rows, tmp_path / name, hn.Privacy.none())
        plain.append(report_of(tmp_path / name))
    assert plain[0]["input"] != plain[1]["input"]
    assert plain[0]["quarantine"] != plain[1]["quarantine"]
    # Ours: sections about the log are empty or constant; exact figures are in a folder of the owner's.
    private = [report_of(folder) for folder in neighbours]
    for section in ("input", "quarantine", "scrubbed", "cleaning", "counts", "ctr_by_position", "config"):
        assert private[0][section] == private[1][section], section
    exact = [json.loads((f / "out.private" / "exact.json").read_text()) for f in neighbours]
    assert exact[0]["users"] + 1 == exact[1]["users"]
    for folder in neighbours:
        assert not {p.name for p in (folder / "out").rglob("*")} & {"exact.json"}


def test_pitfall_08_no_line_of_one_user_leaves_pseudonym_or_not(neighbours: tuple[Path, Path], tmp_path: Path) -> None:
    # Naive: an anonymized log has a line for each row, users told apart by pseudonyms.
    pq.write_table(pa.Table.from_pylist(crowd() + odd_one()), tmp_path / "log.parquet")
    hn.anonymize(tmp_path / "log.parquet", tmp_path / "rows.parquet")
    named = pq.read_table(tmp_path / "rows.parquet")
    assert "user_id" in named.column_names
    assert named.num_rows > 1_000
    # Ours: no such column, and no more rows than public candidates.
    for path in (neighbours[1] / "out").rglob("*.parquet"):
        table = pq.read_table(path)
        assert not {"user_id", "session_id", "search_id", "timestamp"} & set(table.column_names), path
        assert table.num_rows <= CANDIDATES.num_rows


def test_pitfall_09_which_queries_of_a_user_count_hangs_on_nobody_else() -> None:
    # Naive: one stream of random numbers for all users, so a new user shifts what is drawn for those after.
    users = {f"u{i}": [f"q{j}" for j in range(9)] for i in range(9)}

    def drawn(log: Users) -> dict[str, list[str]]:
        rng = random.Random(5)
        return {user: rng.sample(sorted(log[user]), 3) for user in sorted(log)}

    after = drawn({**users, "a": users["u0"]})
    assert sum(drawn(users)[user] != after[user] for user in users) > 5
    # Ours, in the twin, where the key can be held: a keyed hash of (user, query).
    made = Selection(epsilon=1, delta=0.01, max_items=3)
    held = made.bounded({**users, "a": users["u0"]})
    assert all(held[user] == items for user, items in made.bounded(users).items())
    # And in the core: of one contribution the same sample is taken however often it is asked.
    core = contributions(users)
    one, two = (dict(zip(k.queries, k.scores, strict=True)) for k in (keys(core, max_items=3), keys(core, max_items=3)))
    assert max(abs(one[q] - two[q]) for q in one.keys() | two.keys()) < 40


def test_pitfall_10_clicks_of_related_queries_come_from_the_log(neighbours: tuple[Path, Path]) -> None:
    # Naive: "only mine" led to the document that "shoes" led to, so it is related; and only one user asked it.
    related = hn.related_queries(pa.Table.from_pylist(crowd() + odd_one()))
    assert "only mine" in pa.table(related.related)["query"].to_pylist()
    # Ours: what leaves is made of released queries and their public candidates.
    allowed = set(zip(CANDIDATES["query"].to_pylist(), CANDIDATES["doc_id"].to_pylist(), strict=True))
    negatives = pq.read_table(next((neighbours[1] / "out" / "negatives").glob("*.parquet"))).to_pylist()
    assert negatives
    for n in negatives:
        assert n["query"] in ALWAYS
        assert {(n["query"], n["neg_id"]), (n["query"], n["pos_id"])} <= allowed


def test_pitfall_11_a_query_is_normalised_by_a_fixed_function() -> None:
    # Naive: a spelling becomes the most frequent one that looks like it: two votes, and everybody's query is another.
    def fitted(texts: list[str]) -> list[str]:
        best: dict[str, str] = {}
        for text, _ in Counter(texts).most_common():
            best.setdefault("".join(sorted(text)), text)
        return [best["".join(sorted(text))] for text in texts]

    assert fitted(["abc", "cab"])[0] == "abc"
    assert fitted(["abc", "cab", "cab"])[0] == "cab"
    # Ours: what becomes of a text does not depend on the texts beside it.
    texts = ["ABC  d", "\uff26\uff55\uff4c\uff4c", "a@b.example", "straße", "SHOES", "4111 1111 1111 1111", "", "İx"]
    together = hn.normalize(pa.array(texts * 3)).to_pylist()
    assert together == [hn.normalize(pa.array([text])).to_pylist()[0] for text in texts] * 3


def test_pitfall_12_robots_are_told_by_their_own_rows() -> None:
    # Naive: who has more than three times the mean is a robot; a user with very many rows moves the mean.
    def human(users: Users) -> set[str]:
        mean = sum(map(len, users.values())) / len(users)
        return {user for user, items in users.items() if len(items) <= 3 * mean}

    users = {**{f"u{i}": ["q0"] for i in range(9)}, "w": [f"q{i}" for i in range(9)]}
    robot = {"v": [f"q{i}" for i in range(300)]}
    assert human(users) < human({**users, **robot})
    # Ours: whether or not the new user is a robot, nobody else becomes one, or stops being one.
    for items in (robot["v"], ["q0"] * 300):
        assert distance(sums(users), sums({**users, "v": items})) <= 1 + 1e-4


def test_pitfall_13_the_unit_is_an_id_and_a_person_may_have_many(neighbours: tuple[Path, Path]) -> None:
    # Naive: "protects each person". Someone with three ids moves a sum by three.
    assert distance(sums(SOME), sums({**SOME, "v1": ["z"], "v2": ["z"], "v3": ["z"]})) > 2.9
    # Ours: says so.
    said = json.loads((neighbours[0] / "out" / "privacy.json").read_text())
    assert said["unit"].startswith("one user id")
    assert "many ids" in said["not"]


def test_pitfall_14_releases_of_one_log_add_up(tmp_path: Path) -> None:
    # Naive: each of five releases is at (1, 1e-6), so that is what is claimed of them.
    budget = split(1.0, 1e-6, 0.6)
    total = compose([budget.mu] * 5, [budget.delta_t] * 5)
    assert epsilon_at(*total, 1e-5) > 1.9
    # Ours: the ledger adds up, windows too, and stops.
    ledger = Ledger.create(tmp_path / "ledger", epsilon=2, delta=1e-5)
    spend = functools.partial(
        ledger.reserve, "web", mu=budget.mu, delta_t=budget.delta_t, what="mine", config_hash="0" * 64
    )
    months = 0
    while ledger.claim("web")["epsilon"] + 0.4 < 2:
        spend(window=f"month {months}")
        months += 1
    assert 1 < months < 8
    with pytest.raises(hn.PrivacyError, match="has spent"):
        spend(window="one month more")
    assert 1 < ledger.claim("web")["epsilon"] <= 2


def test_pitfall_15_order_tells_nothing_of_the_log() -> None:
    # Naive: queries as they were met first, or by how many asked them.
    log = [("u1", "b"), ("u2", "a"), ("u3", "a"), ("u1", "c")]
    assert list(dict.fromkeys(q for _, q in log)) != list(dict.fromkeys(q for _, q in [("v", "c"), *log]))

    # Ours: by a hash of the text, whoever is in the log and in whatever order.
    def order(log: list[tuple[str, str]]) -> list[str]:
        users: dict[str, list[str]] = {}
        for user, query in log:
            users.setdefault(user, []).append(query)
        return keys(contributions(users)).queries

    assert order(log) == order(log[::-1]) == order([("v", "c"), *log])
    assert [q for q in order([("v", "d"), *log]) if q != "d"] == order(log)


# --- three counterexamples ---


def test_counterexample_1_relabelling_moves_a_third_users_floats() -> None:
    weights = [0.05, 1.0, 0.4, 0.25, 0.75, 0.55, 0.4]
    rng = random.Random(0)
    orders = [rng.sample(range(7), 7) for _ in range(300)]

    # Naive: a norm added up in the order of codes, which a new user changes.
    def floats(order: list[int]) -> tuple[int, ...]:
        norm = 0.0
        for i in order:
            norm += weights[i] * weights[i]
        return tuple(math.floor(w / math.sqrt(norm) * GRID) for w in weights)

    assert len({floats(order) for order in orders}) > 1

    # Ours: whole numbers, which add up to the same in any order.
    def whole(order: list[int]) -> tuple[int, ...]:
        found = vector({str(i): round(weights[i] * BIAS_ONE) for i in order})
        return tuple(found[str(i)] for i in range(7))

    assert len({whole(order) for order in orders}) == 1
    # In the core: names that hash to other codes, and the same sums. (The Rust tests permute weights as well.)
    found = [
        sorted(sums({f"u{i}": [f"{name}{j}" for j in range(i % 7 + 1)] for i in range(20)}).values()) for name in "xyz"
    ]
    for other in found[1:]:
        assert max(abs(a - b) for a, b in zip(found[0], other, strict=True)) < 1e-4


def test_counterexample_2_bounding_from_one_seeded_stream() -> None:
    # Naive: with the fixed seed, adding one user changes the sample of every later one: sums move by far more than one.
    users = {f"u{i:02}": [f"q{i} {j}" for j in range(30)] for i in range(40)}

    def bounded(log: Users) -> dict[str, float]:
        rng = random.Random(1)
        total: Counter[str] = Counter()
        for user in sorted(log):
            total.update(rng.sample(sorted(log[user]), 2))
        return {item: n / math.sqrt(2) for item, n in total.items()}

    assert distance(bounded(users), bounded({**users, "a": users["u00"]})) > 4

    # Ours: a key drawn for each run; which query a user keeps has one law, whoever else is there. False alarm: 1e-6.
    runs = 150
    six = {"u": [f"q{j}" for j in range(6)]}
    for log in (six, {"a": ["a1", "a2"], **six, "z": ["z1"]}):
        kept = Counter(q for _ in range(runs) for q in keys(contributions(log), max_items=1).queries if q[0] == "q")
        assert sum(kept.values()) == runs
        for query in six["u"]:
            low, high = clopper_pearson(kept[query], runs, 1e-6 / 24)
            assert low < 1 / 6 < high


@pytest.mark.parametrize(("k", "least"), [(2, 1.7), (5, 3.9), (20, 15)])
def test_counterexample_3_an_exact_prefilter_before_selection(k: int, least: float) -> None:
    users = {f"u{i}": [*"abcdefghijklmnop", "z"] for i in range(k - 1)} | {f"w{i}": ["z"] for i in range(k)}
    neighbour = {**users, "v": list("abcdefghijklmnop")}

    # Naive: items of fewer than k users go first, exactly; then each user's vector is scaled.
    def filtered(log: Mapping[str, Any]) -> dict[str, float]:
        having = Counter(item for items in log.values() for item in items)
        total: Counter[str] = Counter()
        for items in log.values():
            kept = [item for item in items if having[item] >= k]
            total.update(dict.fromkeys(kept, 1 / math.sqrt(len(kept))) if kept else {})
        return dict(total)

    moved = distance(filtered(users), filtered(neighbour))
    assert moved > least
    # Ours, on the same logs: no support is asked for before noise.
    assert distance(sums(users), sums(neighbour)) <= 1 + 1e-4

"""Keys that five ways of private partition selection may name, side by side: `selection_arms.py --world DIR`.

Ours (weighted Gaussian, PAG) run in the core with exact noise, as in a release. The others are here only to be compared
with: a few lines of NumPy each, with an ordinary generator. They are no releases.

- MAD (Chen, Cohen-Addad, Epasto & Kapralov 2025, arXiv 2502.08878), with a sufficient alpha of our own: the paper's
  could not be read, so the published one may be better.
- DP-SIPS (Swanberg, Desfontaines & Haney 2023, arXiv 2301.01998): two rounds of weighted Gaussian, 3 and 97 % of mu^2.
- greedy (Carvalho, Wang & Gondara 2022): users in turn fill their own keys up to a threshold, in one shared order.

All at add-or-remove-one-user (epsilon, delta), delta half for the threshold. Settings are one per arm for every cell.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from hardneg_fast.calibration import bias_tables, gaussian_mu, selection_thresholds, upper_quantile
from hardneg_fast.config import CountConfig
from hardneg_fast.contribute import contribute_stream

pc: Any = pyarrow.compute
Keys = tuple[Any, Any]
"""Users and their distinct keys, as numbers, in user order."""


def queries(world: Path) -> Keys:
    """Distinct (user, query)."""
    return _distinct(pq.read_table(world / "log.parquet", columns=["user_id", "query"]), ["query"])


def clickpairs(world: Path) -> Keys:
    """Distinct (user, query and clicked document)."""
    log = pq.read_table(world / "log.parquet", columns=["user_id", "query", "doc_id"], filters=[("clicked", "=", True)])
    return _distinct(log, ["query", "doc_id"])


def _distinct(log: pa.Table, key: list[str]) -> Keys:
    table = log.group_by(["user_id", *key], use_threads=False).aggregate([])
    user = table["user_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    # A document of these worlds belongs to one query.
    item = table[key[-1]].combine_chunks().dictionary_encode().indices.to_numpy()
    order = np.argsort(user, kind="stable")
    return user[order].astype(np.int64), item[order].astype(np.int64)


def bounded(keys: Keys, most: int, rng: Any) -> Keys:
    """At most so many keys a user, at random."""
    user, item = keys
    order = np.lexsort((rng.random(len(user)), user))
    user, item = user[order], item[order]
    place = np.arange(len(user)) - np.searchsorted(user, user)
    return user[place < most], item[place < most]


def weighted(keys: Keys, alive: Any) -> Any:
    """Sum by key of one over the root of the number of its user's keys that are still alive."""
    user, item = keys
    kept = alive[item]
    size = np.bincount(user[kept], minlength=user.max() + 1)
    return np.bincount(item[kept], weights=1 / np.sqrt(size[user[kept]]), minlength=len(alive))


def root_threshold(sigma: float, delta: float, most: int) -> float:
    """What t new keys of one user, each of weight one over root t, all stay below but for delta."""
    return max(1 / np.sqrt(t) + sigma * upper_quantile(delta, t) for t in range(1, most + 1))


def sips(keys: Keys, epsilon: float, delta: float, rng: Any) -> int:
    """Two rounds; what the first named is out of the second."""
    most, shares = 50, (0.03, 0.97)
    mu = gaussian_mu(epsilon, delta / 2 / (1 - delta / 2))
    keys = bounded(keys, most, rng)
    alive = np.ones(keys[1].max() + 1, bool)
    named = np.zeros_like(alive)
    for share in shares:
        sigma = 1 / (mu * np.sqrt(share))
        score = weighted(keys, alive) + rng.normal(0, sigma, len(alive))
        named |= alive & (score >= root_threshold(sigma, share * delta / 2, most))
        alive &= ~named
    return int(named.sum())


def mad(keys: Keys, epsilon: float, delta: float, rng: Any) -> int:
    """Weight beyond what a key needs goes back to its users, who give it to their other keys."""
    most, beta, d_max, alpha = 100, 0.5, 50, 0.393
    sigma = 1 / gaussian_mu(epsilon, delta / 2 / (1 - delta / 2))
    user, item = bounded(keys, most, rng)
    n = item.max() + 1
    rho = root_threshold(sigma, delta / 2, most)
    tau = rho + beta * sigma
    d = np.bincount(user)[user].astype(float)
    adaptive = d <= d_max
    first = np.where(adaptive, 1 / d, 0)
    weight = np.bincount(item, weights=first, minlength=n)
    excess = np.maximum(0, 1 - tau / np.maximum(weight, 1e-12))
    share = np.bincount(user, weights=np.where(adaptive, excess[item] / d, 0))[user]
    second = np.where(adaptive, alpha * share / d + 1 / np.sqrt(d) - 1 / d, 1 / np.sqrt(d))
    total = np.minimum(weight, tau) + np.bincount(item, weights=second, minlength=n)
    return int((total + rng.normal(0, sigma, n) >= rho).sum())


def greedy(keys: Keys, epsilon: float, delta: float, rng: Any) -> int:
    """Each user fills own keys to a threshold plus a margin, L1 norm 1, in one order of keys that all share."""
    most, beta = 100, 3.0
    scale = 1 / epsilon
    rho = 1 - scale * np.log(2 * delta)
    full = rho + beta * scale
    user, item = bounded(keys, most, rng)
    n = item.max() + 1
    order = np.lexsort((rng.permutation(n)[item], user))
    user, item = user[order], item[order].tolist()
    ends = np.r_[np.flatnonzero(np.diff(user)) + 1, len(user)]
    starts = np.r_[0, ends[:-1]]
    score = [0.0] * n
    for u in rng.permutation(len(ends)).tolist():
        left = 1.0
        for key in item[starts[u] : ends[u]]:
            if (gap := full - score[key]) > 0:
                step = min(left, gap)
                score[key] += step
                left -= step
                if left <= 0:
                    break
    return int((np.asarray(score) + rng.laplace(0, scale, n) >= rho).sum())


def contributions(keys: Keys) -> Any:
    """Keys as a log of queries, each clicked once, for the core."""
    user, item = keys
    texts = [
        pc.binary_join_element_wise(head, pa.array(column.astype(str)), "")
        for head, column in (("u", user), ("k", item))
    ]
    n = len(user)
    table = pa.table(
        {
            "user_id": texts[0],
            "search_id": pa.array(np.arange(n)),
            "query": texts[1],
            "doc_id": pa.array(["d"] * n),
            "position": pa.array(np.ones(n, np.int16)),
            "clicked": pa.array(np.ones(n, bool)),
        }
    )
    return contribute_stream(
        table.to_reader(),
        config=CountConfig(min_page_length=1, robots="keep"),
        window=(None, None),
        scrub=(json.dumps({"action": "off", "kinds": []}), None),
        threads=0,
        memory=4 << 30,
        spill_dir="",
        position_base=1,
        has_pages=False,
    )


def ours(users: Any, epsilon: float, delta: float, mechanism: str) -> int:
    """Weighted Gaussian or PAG in the core, all of the budget for choosing."""
    most, rounds = (50, 16) if mechanism == "pag" else (100, 1)
    delta_t = delta / 2
    made = selection_thresholds(gaussian_mu(epsilon, delta_t / (1 - delta_t)), delta_t, most, rounds)
    tables = [list(table) for table in bias_tables(rounds)]
    chosen = users._core.select(
        max_items=most, sigma=made.sigma, thresholds=list(made.values), biases=tables, threads=0
    )
    return len(chosen.queries)


def main() -> None:
    """Prints a row for each cell: mean and standard deviation over runs of fresh noise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--epsilons", type=float, nargs="+", default=[0.5, 1, 2, 4])
    parser.add_argument("--delta", type=float, default=1e-6)
    args = parser.parse_args()
    arms: dict[str, Any] = {"MAD": mad, "SIPS": sips, "greedy": greedy}
    print("| keys | epsilon | WG | MAD | SIPS | greedy | PAG |\n|---|---|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    for name, load in (("queries", queries), ("clicked pairs", clickpairs)):
        keys = load(args.world)
        users = contributions(keys)
        for epsilon in args.epsilons:
            cells = {}
            for arm in ("WG", "MAD", "SIPS", "greedy", "PAG"):
                start = time.perf_counter()
                if arm in arms:
                    got = [arms[arm](keys, epsilon, args.delta, rng) for _ in range(args.runs)]
                else:
                    mechanism = "pag" if arm == "PAG" else "weighted_gaussian"
                    got = [ours(users, epsilon, args.delta, mechanism) for _ in range(args.runs)]
                seconds = (time.perf_counter() - start) / args.runs
                cells[arm] = f"{np.mean(got):,.0f} ± {np.std(got, ddof=1):.0f} ({seconds:.1f} s)"
            print("|", name, "|", epsilon, "|", " | ".join(cells.values()), "|", flush=True)


if __name__ == "__main__":
    main()

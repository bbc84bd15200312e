"""The quality bench: `python -m benches.quality.run --world base --impressions 1M --seeds 1,2,3`.

Makes the worlds that are not there yet, runs ours and the reference miners on each, judges them, and prints a table in
Markdown. Seeds 1 to 99 are for tuning. Seeds 100 to 199 are for judging: they need --judging, and every such run is
recorded in judged.jsonl with a hash of the settings before its result is seen, so that all that was tried is on record.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from . import ours
from .intervals import Share, ratio
from .judge import Judgment, Truth, judge
from .miners import MINERS, Bench, frontier
from .scenarios import SCENARIOS
from .seen import Seen
from .simulator import VERSION, collection_of, simulate

ROOT = Path(__file__).resolve().parents[2]
WORLDS = ROOT / ".cache" / "benches" / "quality"
JUDGED = Path(__file__).with_name("judged.jsonl")
TUNING, JUDGING = range(1, 100), range(100, 200)
NAIVE = "c_naive"


def number(text: str) -> int:
    """'1M' → 1_000_000."""
    scale = {"k": 10**3, "M": 10**6}.get(text[-1:], 1)
    try:
        return int(float(text[:-1] if scale > 1 else text) * scale)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number such as 500k or 1M") from None


def seeds_of(text: str) -> list[int]:
    """'1,2,5-7' → [1, 2, 5, 6, 7]."""
    found = []
    for part in text.split(","):
        low, _, high = part.partition("-")
        found += range(int(low), int(high or low) + 1)
    return found


def refused(seeds: list[int], judging: bool) -> str:
    """Why these seeds may not be used, or nothing."""
    if outside := [s for s in seeds if s not in TUNING and s not in JUDGING]:
        return f"seed {outside[0]} is neither for tuning (1-99) nor for judging (100-199)"
    judged = [s for s in seeds if s in JUDGING]
    if judged and not judging:
        return f"seed {judged[0]} is for judging: tune on 1-99; a run that judges says --judging, and is recorded"
    if judging and len(judged) < len(seeds):
        return "a judging run takes seeds 100-199 only"
    return ""


def record(path: Path, entry: dict[str, object]) -> int:
    """Appends a judging run; returns how many distinct settings have been judged, this one included."""
    before = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    tried = {old["settings"] for old in before} | {entry["settings"]}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry | {"settings_judged": len(tried)}, sort_keys=True) + "\n")
    return len(tried)


def world(collection: str, scenario: str, impressions: int, seed: int) -> Path:
    """The world's folder, made where it is not there."""
    folder = WORLDS / f"v{VERSION}" / f"{collection}_{scenario}_{impressions}_{seed}"
    if not (folder / "manifest.json").exists():
        begun = time.perf_counter()
        texts = collection_of(collection, seed)
        simulate(folder, collection=texts, scenario=scenario, impressions=impressions, seed=seed)
        print(f"{folder.name} made in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    return folder


@dataclass
class Found:
    """What one miner came to, world by world."""

    judgments: list[Judgment] = field(default_factory=list)
    lessons: list[object] = field(default_factory=list)

    def pooled(self, what) -> Share:  # any function from a judgment to a share
        """Of all worlds."""
        return Share.pooled([what(j) for j in self.judgments])

    def mean(self, what: str) -> float:
        """Of all worlds."""
        return float(np.mean([getattr(j, what) for j in self.judgments]))


def named(bench: Bench, pairs: pl.DataFrame, column: str) -> pl.DataFrame:
    """Codes as names."""
    queries, docs = np.array(bench.seen.queries, dtype=object), np.array(bench.seen.docs, dtype=object)
    return pl.DataFrame(
        {"query": queries[pairs["q"].to_numpy()], column: docs[pairs["doc"].to_numpy()], "kind": pairs["kind"]},
        schema={"query": pl.String, column: pl.String, "kind": pl.String},
    )


Output = tuple[pl.DataFrame, pl.DataFrame]
"""Negatives and positives."""


def outputs(folder: Path, truth: Truth, args: argparse.Namespace, configs: dict) -> dict[str, Output]:
    """Negatives and positives of every miner asked for."""
    bench = Bench(Seen.of(folder))
    query, doc = ({name: i for i, name in enumerate(names)} for names in (bench.seen.queries, bench.seen.docs))
    bench.truth = {query[q] * len(doc) + doc[d] for q, d in truth.keys if q in query}
    positives = named(bench, bench.positives, "pos_id")
    made = {}
    for name in args.miners:
        begun = time.perf_counter()
        if name in configs:
            made[name] = ours.mined(folder, name.removeprefix("ours_"), configs[name])
        else:
            made[name] = named(bench, (MINERS.get(name) or frontier(name))(bench, args.k), "neg_id"), positives
        spent = time.perf_counter() - begun
        print(f"{folder.name} {name}: {made[name][0].height:,} rows, {spent:.1f} s", file=sys.stderr)
    return made


def figures(found: dict[str, Found]) -> dict[str, dict[str, object]]:
    """Everything in numbers, for --json."""
    naive = found.get(NAIVE)
    out: dict[str, dict[str, object]] = {}
    for name, of in found.items():
        fnr, hard, right = (of.pooled(lambda j, w=w: getattr(j, w)) for w in ("fnr", "fnr_hard", "positives"))
        out[name] = {
            "fnr": fnr.value, "fnr_interval": fnr.interval(),
            "fnr_hard": hard.value, "fnr_hard_interval": hard.interval(),
            "fnr_to_naive": ratio(fnr, naive.pooled(lambda j: j.fnr)) if naive else None,
            "negatives": int(fnr.of.sum()), "negatives_hard": int(hard.of.sum()),
            **{f"cov{n}": of.pooled(lambda j, n=n: j.coverage(n)).value for n in (1, 4, 8)},
            **{f"cov{n}_traffic": of.pooled(lambda j, n=n: j.coverage(n, traffic=True)).value for n in (1, 4, 8)},
            **{f"cov{n}_any_kind": of.pooled(lambda j, n=n: j.coverage(n, hard=False)).value for n in (1, 4, 8)},
            "with_positive": of.pooled(lambda j: Share(1.0 * (j.positives.of > 0), np.ones(len(j.traffic)))).value,
            "cov8_any_kind_of_those": of.pooled(lambda j: j.covered_positives(8)).value,
            "cov4_of_those": of.pooled(lambda j: j.covered_positives(4, hard=True)).value,
            "positives": int(right.of.sum()), "positives_precision": right.value,
            "positives_precision_interval": right.interval(),
            **{what: of.mean(what) for what in ("bm25_rank", "top50", "distinct", "hubs")},
            "hard4_where_fv25_has": _beside(of, found["fv25"]).value if "fv25" in found else None,
            "deciles": [j.deciles for j in of.judgments],
            "rules": [j.rules for j in of.judgments],
        }  # fmt: skip
        if of.lessons:
            for model in of.lessons[0].ndcg:
                difference = Share.pooled([x.difference[model] for x in of.lessons])
                out[name][model] = {
                    "ndcg": Share.pooled([x.ndcg[model] for x in of.lessons]).value,
                    "difference": difference.value, "interval": difference.interval(),
                    "by_world": [x.difference[model].value for x in of.lessons],
                }  # fmt: skip
    return out


def _beside(of: Found, other: Found) -> Share:
    """Queries with at least four hard negatives, of those for which the other has four."""
    both = [((b.hard >= 4) * 1.0, (a.hard >= 4) * 1.0) for a, b in zip(of.judgments, other.judgments, strict=True)]
    return Share.pooled([Share(have * there, there) for there, have in both])


def table(all_figures: dict[str, dict]) -> str:
    """The figures in Markdown."""
    head = ["miner", "FNR", "hard only", "of naive's", "cov≥1", "≥4", "≥8", "≥4 by traffic", "≥8 any kind"]
    head += ["≥4 where fv25", "BM25 rank"]
    head += ["top 50", "distinct", "hubs", "positives", "precision"]
    models = [m for m in ("reranker", "retriever") if any(m in f for f in all_figures.values())]
    head += [part for m in models for part in (f"{m} nDCG@10", "to naive")]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]

    def span(interval, signed: bool = False) -> str:
        return "[{:+.4f}, {:+.4f}]".format(*interval) if signed else "[{:.3f}, {:.3f}]".format(*interval)

    for name, f in all_figures.items():
        to_naive = "" if f["fnr_to_naive"] is None else f"{f['fnr_to_naive'][0]:.2f} {span(f['fnr_to_naive'][1:])}"
        beside = f["hard4_where_fv25_has"]
        cells = [
            name,
            f"{f['fnr']:.3f} {span(f['fnr_interval'])}",
            f"{f['fnr_hard']:.3f} {span(f['fnr_hard_interval'])}" if f["negatives_hard"] else "",
            to_naive,
            *(f"{f[c]:.3f}" for c in ("cov1", "cov4", "cov8", "cov4_traffic", "cov8_any_kind")),
            "" if beside is None else f"{beside:.3f}",
            f"{f['bm25_rank']:.0f}",
            *(f"{f[c]:.2f}" for c in ("top50", "distinct", "hubs")),
            f"{f['positives']:,}",
            f"{f['positives_precision']:.3f}",
        ]
        for model in models:
            of = f.get(model)
            cells += [f"{of['ndcg']:.4f}", f"{of['difference']:+.4f} {span(of['interval'], True)}"] if of else ["", ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def details(all_figures: dict[str, dict]) -> str:
    """p_false_negative by decile, and rules, of miners that give them."""
    lines = []
    for name, f in all_figures.items():
        totals: dict[str, list[int]] = {}
        for world_rules in f["rules"]:
            for rule, counts in world_rules.items():
                totals[rule] = [a + b for a, b in zip(totals.get(rule, [0, 0]), counts, strict=True)]
        if totals:
            lines.append(f"\n{name}, by rule: negatives, share relevant")
            lines += [f"- {rule}: {n:,}, {hits / n:.4f}" for rule, (n, hits) in totals.items()]
        for kind in ("hard", "all"):
            worlds = [deciles[kind] for deciles in f["deciles"] if deciles.get(kind)]
            if worlds:
                lines.append(f"\n{name}, {kind} negatives by decile of p_false_negative: mean p, share relevant")
            for group in zip(*worlds, strict=False):
                n = sum(g[0] for g in group)
                p, hits = (sum(g[0] * g[i] for g in group) / n for i in (1, 2))
                lines.append(f"- {n:,}: {p:.4f}, {hits:.4f}")
    return "\n".join(lines)


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="base", help=f"scenarios, out of {', '.join(SCENARIOS)}; or all")
    parser.add_argument("--collection", default="generated", choices=("generated", "vaswani"))
    parser.add_argument("--impressions", type=number, default="1M")
    parser.add_argument("--seeds", type=seeds_of, default="1", help="such as 1,2,3 or 1-3")
    parser.add_argument("--k", type=int, default=8, help="negatives per query")
    parser.add_argument(
        "--miners",
        default="",
        help="only these; ours are ours_PRESET; fv@.25/.8 is a point of the frontier; default all",
    )
    what = "on top of our presets"
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.OPTION=VALUE", help=what)
    parser.add_argument("--train", action="store_true", help="also train the two models on every miner's rows")
    parser.add_argument("--judging", action="store_true", help="seeds 100-199; recorded in judged.jsonl")
    parser.add_argument("--out", type=Path, help="also write the tables here")
    parser.add_argument("--json", type=Path, help="and all figures here")
    return parser


def main() -> None:
    """The command line."""
    parser = arguments()
    args = parser.parse_args()
    if why := refused(args.seeds, args.judging):
        parser.error(why)
    scenarios = list(SCENARIOS) if args.world == "all" else args.world.split(",")
    if wrong := [s for s in scenarios if s not in SCENARIOS]:
        parser.error(f"no world {wrong[0]!r}; there are {', '.join(SCENARIOS)}")
    own = {f"ours_{name}": name for name in ours.PRESETS}
    args.miners = args.miners.split(",") if args.miners else [*MINERS, *own]
    if wrong := [m for m in args.miners if m not in MINERS and m not in own and not frontier(m)]:
        parser.error(f"no miner {wrong[0]!r}; there are {', '.join([*MINERS, *own])}")
    if args.train and NAIVE not in args.miners:
        parser.error(f"--train compares with {NAIVE}: name it among --miners")
    changes = dict(change.split("=", 1) for change in args.set)
    configs = {m: ours.configured(own[m], args.k, changes) for m in args.miners if m in own}
    if args.judging:
        entry = {name: getattr(args, name) for name in ("collection", "impressions", "seeds", "k")}
        entry |= {
            "settings": ours.settings_hash(configs),
            "presets": sorted(configs),
            "set": changes,
            "worlds": scenarios,
        }
        print(f"{record(JUDGED, entry)} settings judged so far, with these", file=sys.stderr)
    said, numbers = [], {}
    for scenario in scenarios:
        found = {name: Found() for name in args.miners}
        for seed in args.seeds:
            folder = world(args.collection, scenario, args.impressions, seed)
            truth = Truth.of(folder)
            made = outputs(folder, truth, args, configs)
            for name, (negatives, positives) in made.items():
                found[name].judgments.append(judge(truth, negatives, positives, args.k))
            if args.train:
                from . import train

                rows = {name: train.Rows(pos.rename({"pos_id": "doc_id"}), neg.rename({"neg_id": "doc_id"}))
                        for name, (neg, pos) in made.items() if neg.height}  # fmt: skip
                for name, lesson in train.lessons(folder, seed, rows, NAIVE).items():
                    found[name].lessons.append(lesson)
        numbers[scenario] = figures(found)
        seeds = ", ".join(map(str, args.seeds))
        title = f"\n{scenario}, {args.collection}, {args.impressions:,} impressions, k = {args.k}, seeds {seeds}\n\n"
        said.append(title + table(numbers[scenario]) + "\n" + details(numbers[scenario]))
        print(said[-1], flush=True)
    if args.out:
        args.out.write_text("\n".join(said) + "\n", encoding="utf-8")
    if args.json:
        args.json.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

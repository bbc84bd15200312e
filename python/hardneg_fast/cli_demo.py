"""`hardneg-fast demo` and `simulate`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from . import cli_audit, cli_mine
from . import cli_shared as shared
from .config import Config, ContrastConfig, Privacy, ReadConfig


def _demo(command: argparse.ArgumentParser) -> None:
    command.add_argument("-o", "--out", type=Path, default=Path("demo"), help="directory for log and output [demo]")
    command.add_argument("--impressions", type=int, default=2_000_000, help="size of the simulated log [2000000]")


def run_demo(args: argparse.Namespace) -> None:
    """The main job on a simulated log, under a k-user threshold and under differential privacy."""
    from .simulate import simulate

    log = args.out / "log"
    made = simulate(log, impressions=args.impressions, seed=1)
    print(f"simulated {made.impressions:,} impressions by {made.users:,} users -> {log}")
    print("\nunder a k-user threshold (what fewer than 10 users stand behind is not named):")
    _explained(_demo_mined(log, args.out / "negatives", Privacy.k_users(10)), log)
    print("\nunder differential privacy (epsilon 2 for each user; documents listed by a ranker from before the log):")
    _explained(_demo_mined(log, args.out / "dp", _demo_dp(args.out, log)), log)
    for name in ("negatives", "dp"):
        cli_audit.short(args.out / name, log / "log.parquet")
    print("\nboth were made of one log, which is for show: it is simulated, and nobody's. Of a real one, what leaves")
    print("under a threshold ends the promise of what leaves under differential privacy; the ledger refuses the second")


def _demo_dp(out: Path, log: Path) -> Privacy:
    from .ledger import Ledger

    # A simulated log is nobody's, so its ledger begins anew with it. A real one is never begun anew.
    for name in ("ledger", "ledger.head"):
        (out / name).unlink(missing_ok=True)
    Ledger.create(out / "ledger", epsilon=2, delta=1e-8)
    return Privacy.dp(
        epsilon=2,
        lineage="demo",
        ledger=out / "ledger",
        candidates=log / "candidates.parquet",
        candidates_class="frozen_before_window",
    )


def _demo_mined(log: Path, out: Path, privacy: Privacy) -> dict[str, Any]:
    from .pipeline import mine
    from .progress import Progress

    # For differential privacy: what positions begin with is said and not found, and two standard deviations.
    config = Config(read=ReadConfig(position_base="1"), contrast=ContrastConfig(confidence=2.0))
    with Progress() as progress:
        result = mine(
            log / "log.parquet",
            out,
            privacy=privacy,
            config=config,
            documents=log / "documents.parquet",
            overwrite=True,
            progress=progress,
        )
    cli_mine.print_result(result.report, out)
    return result.report


def _explained(report: dict[str, Any], log: Path) -> None:
    examples = report["examples"]
    texts = _texts(log / "documents.parquet", [e[side] for e in examples for side in ("positive", "negative")])
    print(f"\n{len(examples)} negatives, explained:")
    for example in examples:
        print(f"\n  query     {example['query']}")
        print(f"  positive  {texts.get(example['positive'], example['positive'])}")
        print(f"  negative  {texts.get(example['negative'], example['negative'])}")
        print(f"  why       {example['rule']}: {example['why']}")


def _texts(documents: Path, wanted: list[str]) -> dict[str, str]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    chosen = pc.field("doc_id").isin(pa.array(wanted, pa.string()))
    table = pq.read_table(documents, columns=["doc_id", "text"], filters=chosen)
    return dict(zip(table["doc_id"].to_pylist(), table["text"].to_pylist(), strict=True))


def _simulate(command: argparse.ArgumentParser) -> None:
    command.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")
    command.add_argument("--impressions", type=int, required=True, metavar="N")
    command.add_argument("--seed", type=int, required=True, metavar="S")
    models = ["pbm", "dbn", "mixed", "trust"]
    command.add_argument("--model", choices=models, default="mixed", help="how users examine [mixed]")


def run_simulate(args: argparse.Namespace) -> None:
    """Writes a simulated log."""
    from .simulate import simulate

    made = simulate(args.out, impressions=args.impressions, seed=args.seed, model=args.model)
    print(
        f"{made.impressions:,} impressions, {made.clicks:,} clicks, {made.users:,} users, {made.queries:,} queries "
        f"-> {args.out}"
    )


DEMO = shared.Command(
    name="demo",
    about="simulate a log, mine it under a threshold and under differential privacy, explain and audit both",
    examples=("hardneg-fast demo", "hardneg-fast demo -o try --impressions 500000"),
    options=_demo,
    run=run_demo,
)


SIMULATE = shared.Command(
    name="simulate",
    about="write a click log with known relevance",
    examples=("hardneg-fast simulate -o sim --impressions 1000000 --seed 7",),
    options=_simulate,
    run=run_simulate,
)

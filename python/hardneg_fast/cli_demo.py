"""`hardneg-fast demo` and `simulate`."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import cli_audit, cli_mine
from . import cli_shared as shared
from .config import Config, ContrastConfig, Privacy, ReadConfig

if TYPE_CHECKING:
    from .result import Result


def _demo(command: argparse.ArgumentParser) -> None:
    command.add_argument("-o", "--out", type=Path, default=Path("demo"), help="directory for log and output [demo]")
    command.add_argument("--impressions", type=int, default=2_000_000, help="size of the simulated log [2000000]")
    shared.format_option(command)


def run_demo(args: argparse.Namespace) -> None:
    """The main job on a simulated log, under a k-user threshold and under differential privacy."""
    from .simulate import FILES, simulate

    log = args.out / "log"
    # An earlier demo's, and nobody's own log of that name.
    again = all((log / name).exists() for name in FILES)
    made = simulate(log, impressions=args.impressions, seed=1, overwrite=again)
    outputs = {"negatives": args.out / "negatives", "dp": args.out / "dp"}
    if args.print_as == "json":
        found: dict[str, Any] = {"simulated": dataclasses.asdict(made)}
        for name, privacy in (("negatives", Privacy.k_users(10)), ("dp", _demo_dp(args.out, log))):
            result = _demo_mined(log, outputs[name], privacy)
            found[name] = {"out": outputs[name], "report": result.report, "privacy": result.privacy}
        audits = {name: cli_audit.of_log(out, log / "log.parquet") for name, out in outputs.items()}
        shared.as_json(args, found | {"audits": {name: audit.to_dict() for name, audit in audits.items()}})
        cli_audit.gate(audits.values())
        return
    print(f"simulated {made.impressions:,} impressions by {made.users:,} users -> {log}")
    print("\nunder a k-user threshold (what fewer than 10 users stand behind is not named):")
    _explained(log, outputs["negatives"], Privacy.k_users(10))
    print("\nunder differential privacy (epsilon 2 for each user; documents listed by a ranker from before the log):")
    _explained(log, outputs["dp"], _demo_dp(args.out, log))
    for out in outputs.values():
        cli_audit.short(out, log / "log.parquet")
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


def _demo_mined(log: Path, out: Path, privacy: Privacy) -> Result:
    from .pipeline.mine import mine
    from .progress import Progress

    # For differential privacy: what positions begin with is said and not found, and two standard deviations.
    config = Config(read=ReadConfig(position_base="1"), contrast=ContrastConfig(confidence=2.0))
    with Progress() as progress:
        return mine(
            log / "log.parquet",
            out,
            privacy=privacy,
            config=config,
            documents=log / "documents.parquet",
            overwrite=True,
            progress=progress,
        )


def _explained(log: Path, out: Path, privacy: Privacy) -> None:
    report = _demo_mined(log, out, privacy).report
    cli_mine.print_result(report, out)
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
    command.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="directory to write")
    command.add_argument("--impressions", type=int, required=True, metavar="N")
    command.add_argument("--seed", type=int, required=True, metavar="S")
    models = ["pbm", "dbn", "mixed", "trust"]
    command.add_argument("--model", choices=models, default="mixed", help="how users examine [mixed]")
    command.add_argument("--overwrite", action="store_true", help="replace the simulation that stands at DIR")
    shared.format_option(command)


def run_simulate(args: argparse.Namespace) -> None:
    """Writes a simulated log."""
    from .simulate import simulate

    made = simulate(args.out, impressions=args.impressions, seed=args.seed, model=args.model, overwrite=args.overwrite)
    if shared.as_json(args, dataclasses.asdict(made)):
        return
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

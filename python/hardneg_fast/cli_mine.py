"""`hardneg-fast mine`: its options, and how a result is told."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import cli_shared as shared
from .cli_config import as_dict, effective, toml, whence
from .config import CANDIDATES_CLASSES, Config, Privacy
from .exceptions import PrivacyError, UsageError

PRIVACY = """say how the output is to be protected, with exactly one of:
  --k-users K      name only what at least K users stand behind; K = 10 is a common choice
  --epsilon E      user-level differential privacy; also needs --lineage and --ledger
  --no-privacy     everything may leave; for logs that are nobody's secret"""


def _mine(command: argparse.ArgumentParser) -> None:
    sections = ("read", "scrub", "count", "release", "evidence", "select", "contrast")
    shared.log_options(command, sections, "; or one file that count wrote")
    command.add_argument("-o", "--out", type=Path, required=True, metavar="OUT", help="dataset directory to write")
    command.add_argument("--k-users", type=int, metavar="K", help="name only what at least K users stand behind")
    command.add_argument("--epsilon", type=float, metavar="E", help="user-level differential privacy")
    text = "well below one over the number of users; never read off the data; 0 where all is public [1e-8]"
    command.add_argument("--delta", type=float, default=1e-8, metavar="D", help=text)
    shared.lineage_options(command)
    text = "public: Parquet with query, doc_id, position: the documents each query may be judged on"
    command.add_argument("--candidates", type=Path, metavar="FILE", help=text)
    text = "public: Parquet with query: the queries to release, all of them, asked or not"
    command.add_argument("--public-queries", type=Path, metavar="FILE", help=text)
    command.add_argument("--public-queries-class", metavar="WHY", help="why they are public, as --candidates-class")
    command.add_argument(
        "--candidates-class",
        metavar="WHY",
        help=f"why they are public: {', '.join(CANDIDATES_CLASSES)}",
    )
    command.add_argument("--no-privacy", action="store_true", help="everything may leave")
    command.add_argument(
        "--documents", type=Path, metavar="FILE", help="Parquet with doc_id, text: triplets then hold text"
    )
    shared.beside_options(command)
    text = "Parquet with position, propensity: how likely a result is to be looked at, used as it is"
    command.add_argument("--propensities", type=Path, metavar="FILE", help=text)
    command.add_argument("--key", metavar="FILE", help="key file for identifiers, or env:NAME; a fresh key otherwise")
    command.add_argument("--overwrite", action="store_true", help="replace what stands at OUT")
    text = "say what would be read, released, charged and written, and do none of it"
    command.add_argument("--dry-run", action="store_true", help=text)
    shared.format_option(command)


def run_mine(args: argparse.Namespace) -> None:
    """Mines a log."""
    config = shared.config(args)
    privacy = _privacy(args, config.read.position_base)
    if args.dry_run:
        _dry(args, privacy, config)
        return
    key = shared.key(args.key)
    from .pipeline.mine import mine
    from .progress import Progress

    with Progress() as progress:
        result = mine(
            shared.log(args),
            args.out,
            privacy=privacy,
            config=config,
            documents=args.documents,
            **shared.beside(args),
            scorer=args.scorer,
            propensities=args.propensities,
            key=key,
            overwrite=args.overwrite,
            progress=progress,
        )
    used = {} if key is None else {"key_id": key.id}
    if shared.as_json(args, {"out": str(args.out), "report": result.report, "privacy": result.privacy} | used):
        return
    print_result(result.report, args.out)
    if key is not None:
        print(f"key {key.id}")
    print(f"privacy: {result.privacy['claim']}")


def _dry(args: argparse.Namespace, privacy: Privacy, config: Config) -> None:
    from .dry_run import dry_run

    would = dry_run(
        shared.log(args),
        args.out,
        privacy=privacy,
        config=config,
        documents=args.documents,
        beside=shared.beside(args),
        scorer=args.scorer,
        propensities=args.propensities,
        key=shared.key(args.key),
        overwrite=args.overwrite,
    )
    settings = effective(args)
    if shared.as_json(args, would.to_dict() | {"config": as_dict(settings)}):
        return
    print("\n".join(would.lines()))
    chosen = [setting for setting in settings if setting.origin != "default"]
    for setting in chosen:
        print(f"option      {setting.name} = {toml(setting.value)} ({whence(setting)})")
    print(f"all {'other ' if chosen else ''}options have their defaults: hardneg-fast config show")


def _privacy(args: argparse.Namespace, base: str) -> Privacy:
    """What may leave; `base` is what is said of positions, which a private release has to be told."""
    chosen = [args.k_users is not None, args.epsilon is not None, args.no_privacy]
    if sum(chosen) != 1:
        raise PrivacyError(PRIVACY if not any(chosen) else f"these exclude each other; {PRIVACY}")
    entered = {"lineage": args.lineage, "ledger": args.ledger, "override_dp_claim": args.override_dp_claim}
    if args.no_privacy:
        return Privacy.none(**entered)
    if args.k_users is not None:
        return Privacy.k_users(args.k_users, **entered)
    lacking = [
        what
        for lacks, what in (
            (not args.lineage, "--lineage NAME, one name for all logs that may hold the same users"),
            (not args.ledger, "--ledger FILE, begun with: hardneg-fast ledger FILE --create --epsilon E --delta D"),
            (base == "auto", "--read.position-base 1, or 0: what the log calls the top position"),
        )
        if lacks
    ]
    if len(lacking) > 1:
        raise UsageError("\n  ".join(["with --epsilon say, too:", *lacking]))
    return Privacy.dp(
        epsilon=args.epsilon,
        delta=args.delta,
        lineage=args.lineage or "",
        ledger=args.ledger or "",
        candidates=args.candidates,
        candidates_class=args.candidates_class,
        public_queries=args.public_queries,
        public_queries_class=args.public_queries_class,
        override_dp_claim=args.override_dp_claim,
    )


def print_result(report: dict[str, Any], out: Path) -> None:
    """What became of the log, where the output is, and what to try where there is little of it."""
    k = report["release"]["k"]
    print("what became of the log" + (f" (rounded down to multiples of {k})" if k else ""))
    lines = [(step["stage"], step["count"]) for step in report["funnel"]]
    for title, section in (
        ("set aside", report["quarantine"]),
        ("personal data", report["scrubbed"]),
        ("left out", report["cleaning"]),
        ("guards", report["select"]["guards"]),
        ("caps", report["select"]["caps"]),
    ):
        lines += [(f"{title}: {reason}", n) for reason, n in sorted(section.items())]
    lines += _rows_left_out(report)
    widest = max(len(name) for name, _ in lines)
    for name, n in lines:
        print(f"  {name:<{widest}}  {n:>14,}")
    for rule, reason in sorted(report["rules_off"].items()):
        print(f"  rule off: {rule}: {reason}")
    for note in report["input"]["notes"]:
        print(f"  note: {note}")
    if limit := _limit_found(report):
        print(f"  {limit}")
    if report["written"]["triplets"]:
        print(f"-> {out} (report.html, README.md; datasets.load_dataset opens it)")
    else:
        print(f"-> {out} (report.html says where the rest went; too few training rows to show, or none)")
    print_advice(report)


def _rows_left_out(report: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Training rows that were not written, by why."""
    if short := report["select"].get("short_rows"):
        yield f"left out: rows with fewer than {report['config']['select']['num_negatives']} negatives", short
    if without := report.get("without_text"):
        lacking = report["documents_without_text"]
        every = lacking + report["written"]["documents"]
        yield f"left out: rows without a text ({lacking:,} of {every:,} documents have none)", without


def _limit_found(report: dict[str, Any]) -> str | None:
    """The limit that `select.target_fnr` led to."""
    select, limit = report["config"]["select"], (report.get("yield") or {}).get("limit")
    if not select["target_fnr"] or limit is None:
        return None
    held = ", held by max_p_false_negative" if limit >= select["max_p_false_negative"] else ""
    return f"limit of P(relevant): {limit:g} (target_fnr {select['target_fnr']:g}{held})"


ADVICE = {
    "own_positive": "somebody who asked this clicked them and stayed, so they are positives, or may be",
    "same_intent": "they satisfied somebody who asked for the same in other words; --select.same-intent-words 0.6 "
    "takes fewer queries for the same",
    "attractiveness": "they were looked at too little to tell; more log helps, or a higher --select.max-attractiveness",
    "p_false_negative": "they may be relevant; more log helps, and the yield curve in report.html shows what other "
    "limits give (--select.max-p-false-negative)",
    "min_examinations": "they were looked at too little; more log helps, or a lower --select.min-examinations",
    "zero_click_significance": "they were seen too little to tell; more log helps, or --select.alpha 1",
    "coec": "they get the clicks of their positions; --select.negative-coec 2 is looser",
    "abandoned": "they stood on pages without any click; --select.abandoned keep lets these count",
}
"""Guard that took most → what it means and the option that moves it."""


def print_advice(report: dict[str, Any]) -> None:
    """What took most, and what to try."""
    released = report["release"]
    if released["k"] and released["pairs_out"] * 10 < released["pairs_in"]:
        print(
            f"  hint: most pairs have fewer than {released['k']} users; a longer log helps, or a smaller K if that is "
            "private enough"
        )
    if not report["written"]["triplets"] and (why := _nothing_written(report)):
        print(f"  hint: {why}")
        return
    guards = report["select"]["guards"]
    if guards:
        worst = max(sorted(guards), key=lambda guard: guards[guard])
        if worst in ADVICE:
            print(f"  hint: of all guards {worst} took most: {ADVICE[worst]}")


def _nothing_written(report: dict[str, Any]) -> str | None:
    """Why there is no training row, where that is no guard's doing."""
    if report.get("without_text"):
        return "no training row has a text of each document; are the doc_id of --documents those of the log?"
    if report["select"].get("short_rows"):
        n = report["config"]["select"]["num_negatives"]
        return (
            f"no query has {n} negatives for a row; fewer in a row (--select.num-negatives), or --select.refill repeat "
            "or random, which fill rows up"
        )
    return None


MINE = shared.Command(
    name="mine",
    about="turn a click log into a dataset of hard negatives",
    examples=(
        "hardneg-fast mine clicks.parquet -o negatives --k-users 10",
        "hardneg-fast mine clicks.parquet -o negatives --k-users 10 --columns user_id=uid,position=rank --dry-run",
        "hardneg-fast mine 'logs/*.parquet' -o out --no-privacy --documents docs.parquet --select.num-negatives 4",
        "hardneg-fast mine all.counts -o negatives --k-users 10",
        "hardneg-fast mine clicks.parquet -o private --epsilon 2 --lineage web --ledger budget.ledger "
        "--read.position-base 1",
    ),
    options=_mine,
    run=run_mine,
    needs="(--k-users K | --epsilon E | --no-privacy)",
)

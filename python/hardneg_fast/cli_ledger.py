"""`hardneg-fast ledger`."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import cli_shared as shared
from .exceptions import UsageError


def _ledger(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", type=Path, metavar="FILE")
    command.add_argument("--create", action="store_true", help="begin it, with a limit for every lineage")
    command.add_argument("--epsilon", type=float, metavar="E", help="the limit, at --delta")
    command.add_argument("--delta", type=float, metavar="D", help="the limit; above the sum of those of all releases")
    command.add_argument("--lineage", metavar="NAME", help="give this lineage the limit; without a limit: show only it")
    text = "let the limit be higher than the one that was charged under; stays on record"
    command.add_argument("--raise-limit", action="store_true", help=text)
    shared.format_option(command)
    text = "the same as --format json"
    command.add_argument("--json", action="store_const", const="json", dest="print_as", help=text)


def run_ledger(args: argparse.Namespace) -> None:
    """Shows a ledger, after it was begun or a limit was set."""
    from .ledger import Ledger

    limits = {"epsilon": args.epsilon, "delta": args.delta}
    limited = all(value is not None for value in limits.values())
    if any(value is not None for value in limits.values()) != limited:
        raise UsageError("a limit has both: --epsilon and --delta")
    if args.create and (not limited or args.lineage is not None):
        raise UsageError("--create needs --epsilon and --delta, the limit of every lineage, and no --lineage")
    if not args.create and limited and args.lineage is None:
        raise UsageError("say whose limit it is: --lineage NAME; or --create a ledger")
    if args.raise_limit and (args.create or not limited):
        raise UsageError("--raise-limit goes with --lineage, --epsilon and --delta")
    ledger = Ledger.create(args.file, **limits) if args.create else Ledger(args.file)
    if limited and not args.create:
        ledger.limit(args.lineage, **limits, raise_it=args.raise_limit)
    claims = ledger.claims() if args.lineage is None else [ledger.claim(args.lineage)]
    if shared.as_json(args, claims):
        return
    if not claims:
        print("nothing was charged yet")
    for claim in claims:
        print(f"{claim['lineage']}: {claim['sentence']}")
        head = ("window", "epsilon", "of", "delta", "mu", "delta_t", "charges", "unfinished")
        rows = [*claim["windows"], {**claim, "window": "total", "of": f"{claim['limit_epsilon']:g}"}]
        table = [head, *(tuple(_figure(row.get(name, "")) for name in head) for row in rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        for row in table:
            print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if claims:
        print("lineages are not summed: one name for all logs that may hold the same users")


def _figure(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


LEDGER = shared.Command(
    name="ledger",
    about="show what differentially private releases of each lineage have cost so far; begin a ledger, or set limits",
    examples=(
        "hardneg-fast ledger budget.ledger --create --epsilon 8 --delta 1e-6",
        "hardneg-fast ledger budget.ledger",
        "hardneg-fast ledger budget.ledger --lineage web --epsilon 4 --delta 1e-6",
    ),
    options=_ledger,
    run=run_ledger,
)

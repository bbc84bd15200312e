"""`hardneg-fast audit`: its arguments, and how findings are printed."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from . import cli_shared as shared
from . import options
from .exceptions import GateError

if TYPE_CHECKING:
    from .audit import Audit

__all__ = ["AUDIT", "gate", "of_log", "short"]


def _audit(command: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    text = "what mine or anonymize wrote: a dataset directory, or a log (its manifest beside it, or in its directory)"
    command.add_argument("out", type=Path, metavar="OUT", help=text)
    text = "the log it was made of: its ids and rare queries are looked for in every byte, users are counted anew"
    command.add_argument("--log", nargs="+", metavar="LOG", help=text)
    text = "schema of the log, as for mine; by default as OUT's report says"
    command.add_argument("--preset", help=text)
    command.add_argument("--columns", metavar="NAME=THEIRS,…", help="which column of the log is which, likewise")
    command.add_argument("--config", type=Path, metavar="FILE", help="TOML file; its [read] says how to read the log")
    command.add_argument("--other", type=Path, metavar="OUT2", help="another output: can the two be joined?")
    command.add_argument("--key", metavar="FILE", help="key file, or env:NAME: is the key in OUT, or in messages?")
    text = "what runs printed or logged, or exports of OUT: searched like OUT; may be given more than once"
    command.add_argument("--messages", type=Path, action="append", default=[], metavar="FILE", help=text)
    command.add_argument("--ledger", type=Path, metavar="FILE", help="of a release under differential privacy")
    text = "also run the mechanism of a private release, thousands of times on made-up logs; minutes"
    command.add_argument("--mechanism", action="store_true", help=text)
    shared.format_option(command)


def run_audit(args: argparse.Namespace) -> None:
    """Prints what an audit found.

    Raises:
        GateError: a check failed.
    """
    from .audit import audit

    given = {"read.preset": args.preset, "read.columns": args.columns}
    overrides = {name: value for name, value in given.items() if value is not None}
    log = args.log[0] if args.log and len(args.log) == 1 else args.log
    found = audit(
        args.out,
        log=log,
        other=args.other,
        key=shared.key(args.key),
        messages=args.messages,
        ledger=args.ledger,
        config=options.load(args.config, overrides) if args.config or overrides else None,
        mechanism=args.mechanism,
    )
    if not shared.as_json(args, found.to_dict()):
        print("\n".join(found.lines()))
    gate([found])


def short(out: Path, log: Path) -> None:
    """Audits an output against its log, in a few lines.

    Raises:
        GateError: a check failed.
    """
    found = of_log(out, log)
    print(f"\naudit of {found.subject} (all of it: hardneg-fast audit {out} --log {log})")
    for check in found.checks:
        if check.verdict != "not checked":
            print(f"  {check.verdict:<4}  {check.name}: {check.said}")
    gate([found])


def of_log(out: Path, log: Path) -> Audit:
    """What an audit of an output against its log finds."""
    from .audit import audit

    return audit(out, log=log)


def gate(audits: Iterable[Audit]) -> None:
    """Refuses what an audit has found to fail.

    Raises:
        GateError: a check failed.
    """
    failed = dict.fromkeys(name for audit in audits for name in audit.failed)
    if failed:
        raise GateError(f"audit failed: {', '.join(failed)}; do not pass this output on")


AUDIT = shared.Command(
    name="audit",
    about="check that an output keeps what it says of itself, and nothing of the log is in it that must not be",
    examples=(
        "hardneg-fast audit negatives --log clicks.parquet",
        "hardneg-fast audit safe.parquet --log clicks.parquet --key ~/.hardneg.key",
        "hardneg-fast audit negatives --other safe.parquet --format json",
    ),
    options=_audit,
    run=run_audit,
)

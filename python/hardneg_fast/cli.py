"""The command line: what commands there are, and what a run of one ends with."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from . import cli_shared as shared
from .cli_anonymize import ANONYMIZE
from .cli_audit import AUDIT
from .cli_completion import COMPLETION
from .cli_config import CONFIG
from .cli_count import COUNT
from .cli_demo import DEMO, SIMULATE
from .cli_explain import EXPLAIN
from .cli_export import EXPORT
from .cli_inspect import INSPECT
from .cli_keys import KEYGEN, REVEAL, SHRED
from .cli_ledger import LEDGER
from .cli_mine import MINE
from .cli_shared import Help, Parser, add
from .exceptions import HardnegError

COMMANDS = (
    DEMO, SIMULATE, INSPECT, KEYGEN, SHRED, LEDGER, ANONYMIZE, REVEAL, COUNT, MINE, EXPLAIN, AUDIT, EXPORT, CONFIG,
    COMPLETION,
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Returns:
        0 ok, 1 internal error, 2 usage, 3 bad data, 4 privacy refused, 5 gate failed, 130 interrupted.
    """
    if argv is None:
        shared.no_core_dumps()
        sys.unraisablehook = shared.passed_over
    with shared.harmless():
        return _run(argv)


PYTHON = re.compile(r" \([a-z_]+=(?:True|…|\"\w+\")\)")
"""What messages say in brackets for callers in Python, after the option: `--overwrite (overwrite=True)`."""


def _run(argv: Sequence[str] | None) -> int:
    args, unknown = parser().parse_known_args(argv)
    if unknown:
        # Of options beginning with two dashes the parser has said so itself.
        args.parser.error(f"no option or argument {unknown[0].partition('=')[0]!r} here")
    try:
        args.run(args)
    except HardnegError as e:
        print(f"hardneg-fast: {PYTHON.sub('', str(e))}", file=sys.stderr)
        return e.exit_code
    except KeyboardInterrupt:
        print("hardneg-fast: interrupted; nothing was written", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    except SystemExit:
        raise
    except MemoryError:
        print(
            "hardneg-fast: memory ran out: give less --memory and fewer --threads, or raise the limit "
            "(ulimit -v, the control group)",
            file=sys.stderr,
        )
        return 1
    except ImportError as e:
        print(
            f"hardneg-fast: {e.name or 'a library'} cannot be loaded: install hardneg_fast anew, or raise the "
            "limit on memory (ulimit -v)",
            file=sys.stderr,
        )
        return 1
    except BaseException as e:  # a panic of the core is no Exception
        # A message could hold data of the log, so only the kind and the place are said.
        trace = e.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = "" if trace is None else f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        print(
            f"hardneg-fast: internal error: {type(e).__name__}{place}; this is a bug, please report it", file=sys.stderr
        )
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = Parser(
        prog="hardneg-fast",
        description="Raw click logs in, privacy-safe hard negatives out.",
        epilog="start with: hardneg-fast inspect LOG, or hardneg-fast demo",
        formatter_class=Help,
        allow_abbrev=False,
    )
    from . import __version__

    top.add_argument("--version", action="version", version=f"hardneg-fast {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=Parser)
    top.set_defaults(top=top)
    for command in COMMANDS:
        add(commands, command)
    return top

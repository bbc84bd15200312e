"""`hardneg-fast inspect`."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import cli_shared as shared
from .exceptions import ColumnError


def _inspect(command: argparse.ArgumentParser) -> None:
    shared.log_options(command, ("read",))
    text = "write how the log is read as a mapping file, to edit and give to --preset"
    command.add_argument("--write-mapping", type=Path, metavar="FILE", help=text)
    shared.format_option(command)


def run_inspect(args: argparse.Namespace) -> None:
    """Prints what a log is."""
    from .inspection import inspect

    found = inspect(shared.log(args), config=shared.config(args).read)
    if args.write_mapping is not None:
        from .writers.atomic import whole_file

        if not found.mapping:
            raise ColumnError(found.problem or "the log cannot be read as it is; say which column is which")
        with whole_file(args.write_mapping) as partial:
            partial.write_text(found.mapping, encoding="utf-8")
    if not shared.as_json(args, found.to_dict()):
        print("\n".join(found.lines()))


INSPECT = shared.Command(
    name="inspect",
    about="say what a log is, what is wrong with it, and which command to run next",
    examples=(
        "hardneg-fast inspect clicks.parquet",
        "hardneg-fast inspect events.ndjson --preset ubi --format json",
        "hardneg-fast inspect clicks.parquet --write-mapping mine.toml",
    ),
    options=_inspect,
    run=run_inspect,
)

"""`hardneg-fast count`: a log counted into a file, and such files summed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal

from . import cli_shared as shared
from .exceptions import UsageError


def _count(command: argparse.ArgumentParser) -> None:
    shared.log_options(command, ("read", "scrub", "count"))
    command.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="file to write: NAME.counts")
    command.add_argument("--tables", metavar="NAME,…", help="tables to count; all but bounded and pages otherwise")
    command.add_argument("--key", metavar="FILE", help="key file for identifiers, or env:NAME; a fresh key otherwise")
    command.add_argument("--merge", action="store_true", help="LOG are files that this command wrote: sum them")
    command.add_argument(
        "--users",
        choices=["disjoint", "unknown"],
        help="with --merge, disjoint: no user is in two of the files, or the sum cannot be released under --k-users "
        "[unknown]",
    )
    command.add_argument("--overwrite", action="store_true", help="replace the output file")
    shared.format_option(command)


def run_count(args: argparse.Namespace) -> None:
    """Writes the counts of a log, or of files of counts."""
    if args.merge:
        _merge(args)
        return
    if args.users is not None:
        raise UsageError("--users goes with --merge: within one log a user is always counted once")
    from .count import TABLES
    from .pipeline.count import count_to_file
    from .progress import Progress

    tables = TABLES[:-2] if args.tables is None else tuple(name for name in args.tables.split(",") if name)
    with Progress() as progress:
        done = count_to_file(
            shared.log(args),
            args.out,
            config=shared.config(args),
            tables=tables,
            key=shared.key(args.key),
            overwrite=args.overwrite,
            progress=progress,
        )
    if shared.as_json(args, done | {"out": args.out}):
        return
    print(f"{done['rows']:,} rows -> {args.out}: {_sizes(done['sizes'])}")
    for title, reasons in (
        ("set aside", done["quarantine"]),
        ("personal data", done["scrubbed"]),
        ("left out", done["dropped"]),
    ):
        for reason, n in sorted(reasons.items()):
            print(f"  {title}: {reason} {n:,}")
    for note in done["notes"]:
        print(f"  note: {note}")
    if done["key_id"]:
        print(f"key {done['key_id']}")
    print(EXACT)
    if done["users"]:
        print("to be merged with counts of other users; a user of two files would be counted twice")


EXACT = "exact and private: release before anything leaves"


def _sizes(sizes: dict[str, int]) -> str:
    return ", ".join(f"{sizes[name]:,} {name}" for name in ("queries", "pairs", "users"))


def _merge(args: argparse.Namespace) -> None:
    """Sums files of counts."""
    from .count import load_counts, merge
    from .writers.atomic import check_file

    given = [k.partition(":")[2] for k, v in vars(args).items() if k.startswith("option:") and v is not None]
    given += [name for name in ("preset", "columns", "tables", "key", "seed") if getattr(args, name) is not None]
    if given:
        raise UsageError(f"--merge reads no log and takes no option of reading or counting: leave out {given}")
    if len(args.log) < 2:
        raise UsageError("--merge needs at least two files of counts")
    if len({path.resolve() for path in map(Path, args.log)}) < len(args.log):
        raise UsageError("--merge names a file twice; its users would be counted twice")
    check_file(args.out, overwrite=args.overwrite, private=True)
    config = shared.config(args)
    users: Literal["disjoint", "unknown"] = args.users or "unknown"
    merged = load_counts(args.log[0], config=config)
    for path in args.log[1:]:
        merged = merge(merged, load_counts(path, config=config), users=users)
    merged.save(args.out, overwrite=args.overwrite)
    found = {"out": args.out, "rows": merged.rows, "sizes": merged.sizes, "users_disjoint": merged.users_disjoint}
    if shared.as_json(args, found):
        return
    print(f"{merged.rows:,} rows -> {args.out}: {_sizes(merged.sizes)}")
    print(EXACT)
    if not merged.users_disjoint:
        print(
            "a user of two files is counted twice, so --k-users is refused for this; if no user is in two, say --users "
            "disjoint"
        )


COUNT = shared.Command(
    name="count",
    about="count a log and keep the counts in a file, exact and private; or merge such files",
    examples=(
        "hardneg-fast count monday.parquet -o monday.counts",
        "hardneg-fast count --merge north.counts south.counts -o all.counts --users disjoint",
    ),
    options=_count,
    run=run_count,
)

"""`hardneg-fast anonymize`."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import cli_shared as shared


def _anonymize(command: argparse.ArgumentParser) -> None:
    shared.log_options(command, ("read", "scrub"))
    command.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="Parquet file to write")
    command.add_argument(
        "--key", metavar="FILE", help="key file, or env:NAME; without one the key is forgotten with the run"
    )
    text = "leave out queries that fewer than K users issued; the log is read twice"
    command.add_argument("--k-users", type=int, metavar="K", help=text)
    text = "identifiers that become tokens which the holder of --key can read back with reveal, instead of pseudonyms"
    command.add_argument("--reversible", metavar="FIELD,…", help=text)
    shared.lineage_options(command)
    text = "JSON file that says what was done to each column"
    command.add_argument("--manifest", type=Path, metavar="FILE", help=text)
    command.add_argument("--epoch", default="", help="period the pseudonyms hold for; other epochs cannot be joined")
    command.add_argument("--dataset", default="", help="dataset they hold for")
    command.add_argument(
        "--time", choices=["day", "keep"], default="day", help="timestamps to the day, or as they are [day]"
    )
    command.add_argument(
        "--query-text",
        choices=["normalise", "keep"],
        default="normalise",
        help="queries normalised, or as they are [normalise]; with --time keep too, Parquet is copied page by page",
    )
    command.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="NAME,…",
        help="further columns to take along as they are; all others are dropped",
    )
    command.add_argument("--threads", metavar="N", help="threads that copy pages; HARDNEG_THREADS; all cores otherwise")
    command.add_argument("--overwrite", action="store_true", help="replace the output file")
    shared.format_option(command)


def run_anonymize(args: argparse.Namespace) -> None:
    """Writes a pseudonymised copy of a log."""
    from .pipeline.anonymize import anonymize

    key = shared.key(args.key)
    done = anonymize(
        shared.log(args),
        args.out,
        key=key,
        config=shared.config(args),
        epoch=args.epoch,
        dataset=args.dataset,
        time=args.time,
        query_text=args.query_text,
        keep=tuple(name for names in args.keep for name in names.split(",") if name),
        k_users=args.k_users,
        reversible=tuple(name for name in (args.reversible or "").split(",") if name),
        lineage=args.lineage,
        ledger=args.ledger,
        override_dp_claim=args.override_dp_claim,
        manifest=args.manifest,
        overwrite=args.overwrite,
    )
    if shared.as_json(args, done | {"out": args.out}):
        return
    print(f"{done['rows']:,} rows -> {args.out}: {', '.join(done['columns'])}")
    for what in ("how", "written"):
        for how in dict.fromkeys(done[what].values()):
            names = [name for name, said in done[what].items() if said == how]
            all_of_them = what == "written" and len(names) == len(done[what])
            print(f"  {how}: all columns" if all_of_them else f"  {', '.join(names)}: {how}")
    for title, reasons in (("set aside", done["quarantine"]), ("personal data", done["scrubbed"])):
        for reason, n in sorted(reasons.items()):
            print(f"  {title}: {reason} {n:,}")
    if args.k_users:
        print(f"  left out: {done['suppressed']:,} rows of queries with fewer than {args.k_users} users")
        print(f"  counts but those of rows written are rounded down to multiples of {args.k_users}")
    for note in done["notes"]:
        print(f"  note: {note}")
    print(
        f"key {done['key_id']}"
        if done["key_id"]
        else "no --key was given: these pseudonyms can be joined with nothing else"
    )
    if "search_id" not in done["columns"] and args.time == "day":
        print(
            "no search_id: with days for times, pages of one user, query and day are one; map search_id or --time keep"
        )
    left_in = done["left_in"]
    if left_in:
        print(f"left in as they are, what is in them was not looked at: {', '.join(left_in)}")
    if args.reversible:
        print(f"reversible: whoever has key {done['key_id']} can read {args.reversible} back (hardneg-fast reveal)")
    if args.lineage:
        print(f"lineage {args.lineage!r}: with this log, no release of it is differentially private")
    print("pseudonymised, not anonymous: query text can identify")


ANONYMIZE = shared.Command(
    name="anonymize",
    about="copy a log with pseudonyms for identifiers, normalised queries, and days instead of times",
    examples=(
        "hardneg-fast anonymize clicks.parquet -o safe.parquet --key ~/.hardneg.key",
        "hardneg-fast anonymize clicks.parquet -o safe.parquet --k-users 10 --time keep --manifest safe.json",
        "hardneg-fast anonymize clicks.parquet -o safe.parquet --key ~/.hardneg.key --reversible user_id",
    ),
    options=_anonymize,
    run=run_anonymize,
)

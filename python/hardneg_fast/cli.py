"""The command line: demo, simulate, inspect, keygen, shred, ledger, anonymize, reveal, count, mine, audit, export."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from . import cli_audit, cli_export, options
from .config import CANDIDATES_CLASSES, Config, ContrastConfig, Privacy, ReadConfig
from .exceptions import ColumnError, FileError, HardnegError, PrivacyError, UsageError

if TYPE_CHECKING:
    from .keys import Key

PRIVACY = """say how the output is to be protected, with exactly one of:
  --k-users K      name only what at least K users stand behind; K = 10 is a common choice
  --epsilon E      user-level differential privacy; also needs --lineage and --ledger
  --no-privacy     everything may leave; for logs that are nobody's secret"""


class Parser(argparse.ArgumentParser):
    """Ends with the exit code of a usage error, and says which command to ask for help."""

    def error(self, message: str) -> NoReturn:
        """Prints what is wrong, and where to read more."""
        self.exit(UsageError.exit_code, f"hardneg-fast: {message}\nsee: {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Returns:
        0 ok, 1 internal error, 2 usage, 3 bad data, 4 privacy refused, 5 gate failed, 130 interrupted.
    """
    top = parser()
    args, unknown = top.parse_known_args(argv)
    if unknown:
        args.parser.error(_unknown(args.parser, unknown[0]))
    try:
        args.run(args)
    except HardnegError as e:
        print(f"hardneg-fast: {e}", file=sys.stderr)
        return e.exit_code
    except KeyboardInterrupt:
        print("hardneg-fast: interrupted; nothing was written", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    except SystemExit:
        raise
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
    )
    from . import __version__

    top.add_argument("--version", action="version", version=f"hardneg-fast {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=Parser)
    _demo(commands)
    _simulate(commands)
    _inspect(commands)
    _keygen(commands)
    _shred(commands)
    _ledger(commands)
    _anonymize(commands)
    _reveal(commands)
    _count(commands)
    _mine(commands)
    _audit(commands)
    exporting = _command(commands, "export", cli_export.run, cli_export.ABOUT, cli_export.EXAMPLE)
    cli_export.add_options(exporting)
    return top


def _command(commands: Any, name: str, run: Any, about: str, example: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        help=about,
        description=about,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.set_defaults(run=run, parser=made)
    return made


def _unknown(command: argparse.ArgumentParser, word: str) -> str:
    """What to say of an argument that nothing takes."""
    known = [option for action in command._actions for option in action.option_strings]
    name = word.partition("=")[0]
    close = difflib.get_close_matches(name, known, n=1) if name.startswith("-") else []
    return f"no option or argument {name!r} here" + (f"; did you mean {close[0]!r}?" if close else "")


def _log_options(command: argparse.ArgumentParser, sections: tuple[str, ...]) -> None:
    command.add_argument(
        "log", nargs="+", metavar="LOG", help="files, folders or globs; Parquet, Arrow, CSV, TSV, NDJSON"
    )
    command.add_argument("--preset", help="a known schema, or a mapping file NAME.toml: docs/SOURCES.md")
    command.add_argument("--columns", metavar="NAME=THEIRS,…", help="which column is which: user_id=uid,position=rank")
    command.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML file with [read], [scrub], [count], [evidence], [select]"
    )
    if "count" in sections:
        command.add_argument("--threads", metavar="N", help="worker threads; HARDNEG_THREADS; all cores otherwise")
        command.add_argument("--seed", metavar="N", help="of all sampling (default 0)")
        text = "budget for counting, such as 512MB; a quarter of RAM otherwise"
        command.add_argument("--memory", metavar="SIZE", help=text)
        command.add_argument("--spill-dir", metavar="DIR", help="where encrypted spill goes; TMPDIR otherwise")
    group = command.add_argument_group("configuration, also in --config (defaults in brackets)")
    for dotted, words, default, about in options.fields():
        if dotted.partition(".")[0] in sections and dotted not in ("read.preset", "read.columns"):
            shown = ",".join(default) if isinstance(default, tuple) else default
            text = f"{about} [{'none' if shown in ('', None) or shown == {} else shown}]".replace("%", "%%")
            group.add_argument(f"--{dotted.replace('_', '-')}", dest=f"option:{dotted}", metavar=words, help=text)


def _lineage_options(command: argparse.ArgumentParser) -> None:
    text = "which data this is a release of; enters it in --ledger"
    command.add_argument("--lineage", metavar="NAME", help=text)
    text = "what was released of each lineage so far; begun with: hardneg-fast ledger FILE --create"
    command.add_argument("--ledger", type=Path, metavar="FILE", help=text)
    text = "go on where releases of the lineage with and without differential privacy meet: none is private then"
    command.add_argument("--override-dp-claim", action="store_true", help=text)


def _config(args: argparse.Namespace) -> Config:
    import os

    overrides = {k.partition(":")[2]: v for k, v in vars(args).items() if k.startswith("option:") and v is not None}
    named = {
        "read.preset": args.preset,
        "read.columns": args.columns,
        "seed": getattr(args, "seed", None),
        "memory": getattr(args, "memory", None),
        "spill_dir": getattr(args, "spill_dir", None),
        "threads": getattr(args, "threads", None) or (os.environ.get("HARDNEG_THREADS") or None),
    }
    return options.load(args.config, {**overrides, **{k: v for k, v in named.items() if v is not None}})


def _log(args: argparse.Namespace) -> Any:
    return args.log[0] if len(args.log) == 1 else list(args.log)


def _demo(commands: Any) -> None:
    about = "simulate a log, mine it under a threshold and under differential privacy, explain and audit both"
    command = _command(commands, "demo", run_demo, about, "hardneg-fast demo")
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
    _print_result(result.report, out)
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


def _simulate(commands: Any) -> None:
    example = "hardneg-fast simulate -o sim --impressions 1000000 --seed 7"
    command = _command(commands, "simulate", run_simulate, "write a click log with known relevance", example)
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


def _inspect(commands: Any) -> None:
    about = "say what a log is, what is wrong with it, and which command to run next"
    command = _command(commands, "inspect", run_inspect, about, "hardneg-fast inspect clicks.parquet")
    _log_options(command, ("read",))
    text = "write how the log is read as a mapping file, to edit and give to --preset"
    command.add_argument("--write-mapping", type=Path, metavar="FILE", help=text)
    command.add_argument(
        "--format", choices=["text", "json"], default="text", dest="print_as", help="how to print [text]"
    )


def run_inspect(args: argparse.Namespace) -> None:
    """Prints what a log is."""
    from .inspection import inspect

    found = inspect(_log(args), config=_config(args).read)
    if args.write_mapping is not None:
        from .writers.atomic import whole_file

        if not found.mapping:
            raise ColumnError(found.problem or "the log cannot be read as it is; say which column is which")
        with whole_file(args.write_mapping) as partial:
            partial.write_text(found.mapping, encoding="utf-8")
    if args.print_as == "json":
        import json

        print(json.dumps(found.to_dict(), indent=2, sort_keys=True, default=str))
    else:
        print("\n".join(found.lines()))


def _keygen(commands: Any) -> None:
    about = "make a key for pseudonyms, in a file only you can read"
    command = _command(commands, "keygen", run_keygen, about, "hardneg-fast keygen ~/.hardneg.key --passphrase")
    command.add_argument("file", type=Path, metavar="FILE")
    text = "seal the key under a passphrase: HARDNEG_PASSPHRASE, or what you type"
    command.add_argument("--passphrase", action="store_true", help=text)


def run_keygen(args: argparse.Namespace) -> None:
    """Writes a fresh key."""
    from .keys import Key

    key = Key.ephemeral()
    key.save(args.file, _passphrase(twice=True) if args.passphrase else None)
    print(f"key {key.id} -> {args.file}{', sealed' if args.passphrase else ''}")
    print("whoever has this file can link pseudonyms to people; whoever loses it can no longer join them")


def _passphrase(*, twice: bool = False) -> str:
    """Of a sealed key: from the environment, or typed."""
    import getpass
    import os

    if given := os.environ.get("HARDNEG_PASSPHRASE"):
        return given
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to type a passphrase at; set HARDNEG_PASSPHRASE")
    typed = getpass.getpass("passphrase: ")
    if twice and getpass.getpass("once more: ") != typed:
        raise UsageError("the two differ; nothing was written")
    return typed


def _key(given: str | None) -> Key | None:
    """The key that `--key` names; its passphrase is asked for where it is sealed."""
    from .keys import Key, SealedError

    if not given:
        return None
    variable = given.removeprefix("env:") if given.startswith("env:") else None

    def read(passphrase: str | None) -> Key:
        return Key.load(given, passphrase) if variable is None else Key.from_env(variable, passphrase)

    try:
        return read(None)
    except SealedError:
        return read(_passphrase())


def _shred(commands: Any) -> None:
    about = "destroy a key file, so that pseudonyms under it can be joined with nothing new"
    command = _command(commands, "shred", run_shred, about, "hardneg-fast shred ~/.hardneg-2026-11.key")
    command.add_argument("file", type=Path, metavar="FILE")


def run_shred(args: argparse.Namespace) -> None:
    """Destroys a key file."""
    from .keys import shred

    name = shred(args.file)
    print(f"key {name + ' ' if name else ''}destroyed: {args.file}")
    print("copies of it (backups, snapshots, blocks that the disk keeps) are not")
    print("pseudonyms under it are no more anonymous than before")


def _ledger(commands: Any) -> None:
    about = "show what differentially private releases of each lineage have cost so far; begin a ledger, or set limits"
    command = _command(
        commands, "ledger", run_ledger, about, "hardneg-fast ledger budget.ledger --create --epsilon 8 --delta 1e-6"
    )
    command.add_argument("file", type=Path, metavar="FILE")
    command.add_argument("--create", action="store_true", help="begin it, with a limit for every lineage")
    command.add_argument("--epsilon", type=float, metavar="E", help="the limit, at --delta")
    command.add_argument("--delta", type=float, metavar="D", help="the limit; above the sum of those of all releases")
    command.add_argument("--lineage", metavar="NAME", help="give this lineage the limit; without a limit: show only it")
    text = "let the limit be higher than the one that was charged under; stays on record"
    command.add_argument("--raise-limit", action="store_true", help=text)
    command.add_argument("--json", action="store_true", help="as JSON")


def run_ledger(args: argparse.Namespace) -> None:
    """Shows a ledger, after it was begun or a limit was set."""
    import json

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
    if args.json:
        print(json.dumps(claims, indent=2, sort_keys=True))
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


def _figure(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _anonymize(commands: Any) -> None:
    about = "copy a log with pseudonyms for identifiers, normalised queries, and days instead of times"
    example = "hardneg-fast anonymize clicks.parquet -o safe.parquet --key ~/.hardneg.key"
    command = _command(commands, "anonymize", run_anonymize, about, example)
    _log_options(command, ("read", "scrub"))
    command.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="Parquet file to write")
    command.add_argument(
        "--key", metavar="FILE", help="key file, or env:NAME; without one the key is forgotten with the run"
    )
    text = "leave out queries that fewer than K users issued; the log is read twice"
    command.add_argument("--k-users", type=int, metavar="K", help=text)
    text = "identifiers that become tokens which the holder of --key can read back with reveal, instead of pseudonyms"
    command.add_argument("--reversible", metavar="FIELD,…", help=text)
    _lineage_options(command)
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


def run_anonymize(args: argparse.Namespace) -> None:
    """Writes a pseudonymised copy of a log."""
    from .pipeline import anonymize

    key = _key(args.key)
    done = anonymize(
        _log(args),
        args.out,
        key=key,
        config=_config(args),
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
    print(f"{done['rows']:,} rows -> {args.out}: {', '.join(done['columns'])}")
    for how in dict.fromkeys(done["how"].values()):
        names = [name for name, said in done["how"].items() if said == how]
        print(f"  {how}: {'all columns' if len(names) == len(done['how']) else ', '.join(names)}")
    for title, reasons in (("set aside", done["quarantine"]), ("personal data", done["scrubbed"])):
        for reason, n in sorted(reasons.items()):
            print(f"  {title}: {reason} {n:,}")
    if args.k_users:
        print(f"  left out: {done['suppressed']:,} rows of queries with fewer than {args.k_users} users")
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


def _reveal(commands: Any) -> None:
    about = "read back the ids behind tokens of anonymize --reversible: raw identifiers of people"
    example = "hardneg-fast reveal hfr1_… --key ~/.hardneg.key\n  hardneg-fast reveal --key ~/.hardneg.key < tokens.txt"
    command = _command(commands, "reveal", run_reveal, about, example)
    text = "tokens; without any, one a line from standard input"
    command.add_argument("tokens", nargs="*", metavar="TOKEN", help=text)
    command.add_argument("--key", metavar="FILE", help="the key file they were made under, or env:NAME")
    command.add_argument("--file", type=Path, metavar="FILE", help="text with a token a line, or Parquet with --column")
    command.add_argument("--column", metavar="NAME", help="column of --file, a Parquet file, that has the tokens")
    command.add_argument("--field", default="user_id", help="identifier they stand for [user_id]")
    command.add_argument("--epoch", default="", help="as anonymize was told")
    command.add_argument("--dataset", default="", help="as anonymize was told")


def run_reveal(args: argparse.Namespace) -> None:
    """Prints each token and its id."""
    key = _key(args.key)
    if key is None:
        raise UsageError("tokens are read back with the key that made them: --key FILE")
    if args.tokens and args.file:
        raise UsageError("give tokens or --file, not both")
    if args.column and not args.file:
        raise UsageError("--column is one of a Parquet file: --file FILE")
    import pyarrow as pa

    from .reversible import reveal

    tokens = _tokens(args)
    ids = reveal(tokens, key=key, field=args.field, epoch=args.epoch, dataset=args.dataset)
    for token, found in zip(tokens.cast(pa.string()).to_pylist(), ids.to_pylist(), strict=True):
        if token is not None:
            sys.stdout.write(f"{token}\t{found.decode(errors='backslashreplace')}\n")


def _tokens(args: argparse.Namespace) -> Any:
    """Tokens as an Arrow array: given, of a file, or of standard input."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if args.tokens:
        return pa.array(args.tokens, pa.string())
    if not args.column:
        try:
            with args.file.open(encoding="ascii") if args.file else contextlib.nullcontext(sys.stdin) as lines:
                return pa.array([line.strip() for line in lines if line.strip()], pa.string())
        except (OSError, UnicodeDecodeError):
            raise FileError("the tokens cannot be read: text with one a line is expected") from None
    try:
        found = pq.read_table(args.file, columns=[args.column]).columns
    except (OSError, pa.ArrowException, ValueError):
        found = []
    if not found:
        raise FileError(f"{args.file.name!r} cannot be read, or is no Parquet file with a column {args.column!r}")
    return found[0].combine_chunks()


def _count(commands: Any) -> None:
    about = "count a log and keep the counts in a file, exact and private; or merge such files"
    example = (
        "hardneg-fast count monday.parquet -o monday.counts\n"
        "  hardneg-fast count --merge north.counts south.counts -o all.counts --users disjoint"
    )
    command = _command(commands, "count", run_count, about, example)
    _log_options(command, ("read", "scrub", "count"))
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


def run_count(args: argparse.Namespace) -> None:
    """Writes the counts of a log, or of files of counts."""
    if args.merge:
        _merge(args)
        return
    if args.users is not None:
        raise UsageError("--users goes with --merge: within one log a user is always counted once")
    from .count import TABLES
    from .pipeline import count_to_file
    from .progress import Progress

    tables = TABLES[:-2] if args.tables is None else tuple(name for name in args.tables.split(",") if name)
    with Progress() as progress:
        done = count_to_file(
            _log(args),
            args.out,
            config=_config(args),
            tables=tables,
            key=_key(args.key),
            overwrite=args.overwrite,
            progress=progress,
        )
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
    check_file(args.out, overwrite=args.overwrite)
    config = _config(args)
    users: Literal["disjoint", "unknown"] = args.users or "unknown"
    merged = load_counts(args.log[0], config=config)
    for path in args.log[1:]:
        merged = merge(merged, load_counts(path, config=config), users=users)
    merged.save(args.out, overwrite=args.overwrite)
    print(f"{merged.rows:,} rows -> {args.out}: {_sizes(merged.sizes)}")
    print(EXACT)
    if not merged.users_disjoint:
        print(
            "a user of two files is counted twice, so --k-users is refused for this; if no user is in two, say --users "
            "disjoint"
        )


def _mine(commands: Any) -> None:
    about = "turn a click log into a dataset of hard negatives"
    example = "hardneg-fast mine clicks.parquet -o negatives --k-users 10"
    command = _command(commands, "mine", run_mine, about, example)
    _log_options(command, ("read", "scrub", "count", "release", "evidence", "select", "contrast"))
    command.add_argument("-o", "--out", type=Path, required=True, metavar="OUT", help="dataset directory to write")
    command.add_argument("--k-users", type=int, metavar="K", help="name only what at least K users stand behind")
    command.add_argument("--epsilon", type=float, metavar="E", help="user-level differential privacy")
    text = "well below one over the number of users; never read off the data; 0 where all is public [1e-8]"
    command.add_argument("--delta", type=float, default=1e-8, metavar="D", help=text)
    _lineage_options(command)
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
    command.add_argument("--key", metavar="FILE", help="key file for identifiers, or env:NAME; a fresh key otherwise")
    command.add_argument("--overwrite", action="store_true", help="replace what stands at OUT")


def run_mine(args: argparse.Namespace) -> None:
    """Mines a log."""
    privacy = _privacy(args)
    config = _config(args)
    from .pipeline import mine
    from .progress import Progress

    with Progress() as progress:
        result = mine(
            _log(args),
            args.out,
            privacy=privacy,
            config=config,
            documents=args.documents,
            key=_key(args.key),
            overwrite=args.overwrite,
            progress=progress,
        )
    _print_result(result.report, args.out)
    print(f"privacy: {result.privacy['claim']}")


def _audit(commands: Any) -> None:
    about = "check that an output keeps what it says of itself, and nothing of the log is in it that must not be"
    example = "hardneg-fast audit negatives --log clicks.parquet"
    command = _command(commands, "audit", lambda args: cli_audit.run(args, _key(args.key)), about, example)
    cli_audit.arguments(command)


def _privacy(args: argparse.Namespace) -> Privacy:
    chosen = [args.k_users is not None, args.epsilon is not None, args.no_privacy]
    if sum(chosen) != 1:
        raise PrivacyError(PRIVACY if not any(chosen) else f"these exclude each other; {PRIVACY}")
    entered = {"lineage": args.lineage, "ledger": args.ledger, "override_dp_claim": args.override_dp_claim}
    if args.no_privacy:
        return Privacy.none(**entered)
    if args.k_users is not None:
        return Privacy.k_users(args.k_users, **entered)
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


def _print_result(report: dict[str, Any], out: Path) -> None:
    k = report["release"]["k"]
    print("what became of the log" + (f" (rounded down to multiples of {k})" if k else ""))
    widest = max(len(step["stage"]) for step in report["funnel"])
    for step in report["funnel"]:
        print(f"  {step['stage']:<{widest}}  {step['count']:>14,}")
    for title, section in (
        ("set aside", report["quarantine"]),
        ("personal data", report["scrubbed"]),
        ("left out", report["cleaning"]),
        ("guards", report["select"]["guards"]),
    ):
        for reason, n in sorted(section.items()):
            print(f"  {title}: {reason} {n:,}")
    for rule, reason in sorted(report["rules_off"].items()):
        print(f"  rule off: {rule}: {reason}")
    for note in report["input"]["notes"]:
        print(f"  note: {note}")
    if report["select"].get("triplets", 0) or (not report["release"]["k"] and report["funnel"][-1]["count"]):
        print(f"-> {out} (report.html, README.md; datasets.load_dataset opens it)")
    else:
        print(f"-> {out} (report.html says where the rest went; too few training rows to show, or none)")
    _print_advice(report)


ADVICE = {
    "zero_click_significance": "most candidates were seen too little to tell: more log helps, or --select.alpha 0.2",
    "own_positive": "most candidates were clicked by somebody: --select.own-positive users lets single clicks pass",
    "coec": "most candidates get nearly the clicks of their positions: --select.negative-coec 0.5 is looser",
    "abandoned": "most candidates stood on pages without any click: --select.abandoned keep lets these count",
}
"""Guard that took most → what it means and the option that moves it."""


def _print_advice(report: dict[str, Any]) -> None:
    """What took most, and what to try."""
    released = report["release"]
    if released["k"] and released["pairs_out"] * 10 < released["pairs_in"]:
        print(
            f"  hint: most pairs have fewer than {released['k']} users; a longer log helps, or a smaller K if that is "
            "private enough"
        )
    guards = report["select"]["guards"]
    if guards:
        worst = max(sorted(guards), key=lambda guard: guards[guard])
        if worst in ADVICE:
            print(f"  hint: {ADVICE[worst]}")

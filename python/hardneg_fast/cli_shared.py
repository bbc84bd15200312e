"""What the commands share: their parser, options of reading, keys, how they print."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from . import options
from .config import Config
from .exceptions import UsageError

if TYPE_CHECKING:
    from .keys import Key


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command: what its help says, what fills its parser, what runs it."""

    name: str
    about: str
    examples: tuple[str, ...]
    options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]
    needs: str = ""
    """What must be given besides what the parser knows to be required, for the usage."""


class Help(argparse.RawDescriptionHelpFormatter):
    """Names of options at the left, what they are beside them."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26)

    def add_argument(self, action: argparse.Action) -> None:
        """As of argparse, which forgets that commands are indented, and breaks the line after the longest."""
        super().add_argument(action)
        for command in self._iter_indented_subactions(action):
            named = self._current_indent + len(self._format_action_invocation(command))
            self._action_max_length = max(self._action_max_length, named)


class Parser(argparse.ArgumentParser):
    """Answers what is mistyped with what is near, and ends with the exit code of a usage error.

    The options of a command are made when the command is asked for: hundreds of them take a third of a second.
    """

    fill: Callable[[argparse.ArgumentParser], None] | None = None
    needs = ""

    def format_help(self) -> str:
        """As of argparse; the usage names what must be given, not a hundred options that may be."""
        if self.usage is None and self._subparsers is None:
            self.usage = " ".join(filter(None, ["%(prog)s", *self._must(), self.needs, "[options]"]))
        return super().format_help()

    def _must(self) -> Iterator[str]:
        for action in sorted(self._actions, key=lambda action: bool(action.option_strings)):
            named = str(action.metavar or action.dest)
            if not action.option_strings:
                many = f"{named} [{named} ...]" if action.nargs in ("+", "*") else named
                yield many if action.required else f"[{many}]"
            elif action.required:
                yield f"{action.option_strings[0]} {named}"

    def filled(self) -> Parser:
        """This parser, with its options."""
        fill, self.fill = self.fill, None
        if fill is not None:
            fill(self)
        return self

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As of argparse; an option that does not exist is named before what lacks because of it."""
        self.filled()
        words = list(sys.argv[1:] if args is None else args)
        self._refuse_unknown(words)
        return super().parse_known_args(words, namespace)

    def _refuse_unknown(self, words: Sequence[str]) -> None:
        known = list(self._option_string_actions)
        for word in words:
            if word == "--" or (self._subparsers is not None and not word.startswith("-")):
                return
            name = word.partition("=")[0]
            if name.startswith("--") and " " not in name and name not in known:
                self.error(f"no option or argument {name!r} here{options.nearest(name, known)}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuses a command or a word that is none of the choices."""
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            is_command = isinstance(action, argparse._SubParsersAction)
            what = f"no command is called {value!r}" if is_command else f"{value!r} is no choice"
            near = options.nearest(str(value), known)
            raise argparse.ArgumentError(None if is_command else action, f"{what}{near}; there are: {', '.join(known)}")

    def error(self, message: str) -> NoReturn:
        """Prints what is wrong, and where to read more."""
        self.exit(UsageError.exit_code, f"hardneg-fast: {message}\nsee: {self.prog} --help\n")


def add(commands: Any, command: Command) -> None:
    """Adds a command, whose options wait until it is asked for."""
    made = commands.add_parser(
        command.name,
        help=command.about,
        description=command.about,
        epilog="\n  ".join([f"example{'s' * (len(command.examples) > 1)}:", *command.examples]),
        formatter_class=Help,
        allow_abbrev=False,
    )
    made.set_defaults(run=command.run, parser=made)
    made.needs = command.needs
    made.fill = command.options


def log_options(command: argparse.ArgumentParser, sections: tuple[str, ...], besides: str = "") -> None:
    """LOG, what it may be besides, and the configuration of these sections."""
    text = f"files, folders or globs; Parquet, Arrow, CSV, TSV, NDJSON{besides}"
    command.add_argument("log", nargs="+", metavar="LOG", help=text)
    config_options(command, sections)


def config_options(command: argparse.ArgumentParser, sections: tuple[str, ...]) -> None:
    """The configuration of these sections."""
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
    for dotted, words, default, about in options.fields(sections):
        if dotted not in ("read.preset", "read.columns"):
            shown = ",".join(default) if isinstance(default, tuple) else default
            text = f"{about} [{'none' if shown in ('', None) or shown == {} else shown}]".replace("%", "%%")
            group.add_argument(f"--{dotted.replace('_', '-')}", dest=f"option:{dotted}", metavar=words, help=text)


def lineage_options(command: argparse.ArgumentParser) -> None:
    """Options of a release that is entered in a ledger."""
    text = "which data this is a release of; enters it in --ledger"
    command.add_argument("--lineage", metavar="NAME", help=text)
    text = "what was released of each lineage so far; begun with: hardneg-fast ledger FILE --create"
    command.add_argument("--ledger", type=Path, metavar="FILE", help=text)
    text = "go on where releases of the lineage with and without differential privacy meet: none is private then"
    command.add_argument("--override-dp-claim", action="store_true", help=text)


BESIDE = {
    "positives": "query, doc_id: documents that satisfy a query, best first, before those of the log",
    "known_relevant": "query, doc_id: documents that are no negatives of a query",
    "extra_negatives": "query, doc_id: negatives of a query, as they are",
    "retrieved": "query, doc_id, rank (without rank, rows best first): what a search engine returns "
    "(--select.semi-negatives, --select.fill)",
    "scores": "query, doc_id, score: what a model says (--select.max-score and what follows it)",
    "query_vectors": "query, vector: scores are then by vectors (--select.similarity) …",
    "document_vectors": "doc_id, vector: … with these",
}
"""Tables beside the log."""


def beside_options(command: argparse.ArgumentParser) -> None:
    """Tables beside the log."""
    for name, about in BESIDE.items():
        flag = f"--{name.replace('_', '-')}"
        command.add_argument(flag, type=Path, metavar="FILE", help=f"Parquet with {about}")
    text = "gets a list of (query, text of a document), returns their scores; with --documents"
    command.add_argument("--scorer", metavar="MODULE:FUNCTION", help=text)


def beside(args: argparse.Namespace) -> dict[str, Any]:
    """Those of them that are given, by name."""
    return {name: getattr(args, name) for name in BESIDE if getattr(args, name) is not None}


def format_option(command: argparse.ArgumentParser) -> None:
    """`--format`, of every command that prints."""
    command.add_argument(
        "--format", choices=["text", "json"], default="text", dest="print_as", help="how to print [text]"
    )


def as_json(args: argparse.Namespace, found: Any) -> bool:
    """Prints `found` as JSON if that was asked for, and says whether it was."""
    if args.print_as == "json":
        import json

        sys.stdout.write(json.dumps(found, indent=2, sort_keys=True, default=str) + "\n")
    return bool(args.print_as == "json")


def given(args: argparse.Namespace) -> dict[str, tuple[Any, str]]:
    """Option → its value and the flag or environment variable that gives it."""
    import os

    words = vars(args)
    found = {}
    for name, value in words.items():
        if name.startswith("option:") and value is not None:
            dotted = name.partition(":")[2]
            found[dotted] = (value, f"--{dotted.replace('_', '-')}")
    if threads := os.environ.get("HARDNEG_THREADS"):
        found["threads"] = (threads, "HARDNEG_THREADS")
    for dotted in ("read.preset", "read.columns", "seed", "memory", "spill_dir", "threads"):
        if words.get(name := dotted.rpartition(".")[2]) is not None:
            found[dotted] = (words[name], f"--{name.replace('_', '-')}")
    return found


def config(args: argparse.Namespace) -> Config:
    """The configuration: defaults, file, environment, flags, each over those before it."""
    return options.load(args.config, {dotted: value for dotted, (value, _) in given(args).items()})


def log(args: argparse.Namespace) -> Any:
    """LOG as the stages take it."""
    return args.log[0] if len(args.log) == 1 else list(args.log)


class _Harmless:
    """Text on its way to a terminal: what would steer it, or turn the direction of writing, is shown as an escape."""

    def __init__(self, to: Any) -> None:
        self._to = to

    def __getattr__(self, name: str) -> Any:
        return getattr(self._to, name)

    def write(self, text: str) -> int:
        """Writes `text`; line ends, tabs and returns to the beginning of a line are ours."""
        if not text.replace("\n", "").isprintable():
            text = "".join(c if c.isprintable() or c in "\n\t\r" else ascii(c)[1:-1] for c in text)
        return int(self._to.write(text))


@contextlib.contextmanager
def harmless() -> Iterator[None]:
    """Within it, what is printed cannot steer a terminal: names of files and columns are as strangers gave them."""
    with contextlib.redirect_stdout(_Harmless(sys.stdout)), contextlib.redirect_stderr(_Harmless(sys.stderr)):
        yield


def no_core_dumps() -> None:
    """Forbids the system to write this process's memory, which holds logs and keys, to a disk when it dies."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if sys.platform == "linux":
        import ctypes

        # PR_SET_DUMPABLE: the limit does not hold where a program collects dumps.
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)


def passed_over(said: sys.UnraisableHookArgs) -> None:
    """Says the kind of an error that a library could not hand on; its message, and what it is of, can quote the log."""
    print(f"hardneg-fast: a library passed over {said.exc_type.__name__}", file=sys.stderr)


def _refuse_key(given: str) -> None:
    """Refuses a key where the name of its file is expected, without repeating it."""
    import base64
    import binascii

    from .keys import HEADER, SEALED

    material = b""
    for decode in (bytes.fromhex, lambda text: base64.b64decode(text, validate=True)):
        with contextlib.suppress(ValueError, binascii.Error):
            material = material or decode(given.strip())
    if len(material) == 32 or given.startswith((HEADER, SEALED)):
        raise UsageError(
            "--key is given a key itself; everybody on this machine can read command lines, and shells keep them: make "
            "a new key with keygen, and give its file, or env:NAME"
        )


def key(given: str | None) -> Key | None:
    """The key that `--key` names; its passphrase is asked for where it is sealed."""
    from .keys import Key, SealedError

    if not given:
        return None
    _refuse_key(given)
    variable = given.removeprefix("env:") if given.startswith("env:") else None

    def read(passphrase: str | None) -> Key:
        return Key.load(given, passphrase) if variable is None else Key.from_env(variable, passphrase)

    try:
        return read(None)
    except SealedError:
        return read(passphrase())


def passphrase(*, twice: bool = False) -> str:
    """Of a sealed key: from the environment, or typed."""
    import getpass
    import os

    if given := os.environ.get("HARDNEG_PASSPHRASE"):
        return given
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to type a passphrase at; set HARDNEG_PASSPHRASE")
    typed = getpass.getpass("passphrase: ")
    try:
        if twice and getpass.getpass("once more: ") != typed:
            raise UsageError("the two differ; nothing was written")
        return typed
    finally:
        del typed

"""`hardneg-fast completion`: what a shell needs to complete commands, options and their choices.

Printed from the parser itself, so it knows all that the parser knows, and nothing runs when a key is pressed.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import cli_shared as shared
from .cli_export import FORMATS

PROGRAM = "hardneg-fast"
FUNCTION = "_hardneg_fast"


@dataclass(frozen=True)
class Option:
    """An option of a command."""

    names: tuple[str, ...]
    about: str
    takes: str | None
    """What its value is, in a word; None if it has no value."""
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Words:
    """A command, or a group of commands."""

    path: tuple[str, ...]
    about: str
    options: tuple[Option, ...]
    below: dict[str, str]
    """Command → what it does, for a group."""


def words(parser: argparse.ArgumentParser, path: tuple[str, ...] = (), about: str = "") -> Iterator[Words]:
    """What may stand after each command, from the top down."""
    if isinstance(parser, shared.Parser):
        parser.filled()
    options, below = [], {}
    under: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            under = action.choices
            below = {made.dest: made.help or "" for made in action._choices_actions}
        elif action.option_strings:
            takes = None if action.nargs == 0 else str(action.metavar or action.dest)
            # The help of argparse has its percent signs doubled.
            said = (action.help or "").replace("%%", "%")
            options.append(Option(tuple(action.option_strings), said, takes, _choices(action)))
    yield Words(path, about, tuple(options), below)
    for name, each in under.items():
        yield from words(each, (*path, name), below[name])


def _choices(action: argparse.Action) -> tuple[str, ...]:
    if action.choices is not None:
        return tuple(map(str, action.choices))
    if action.option_strings[-1] == "--preset":
        return tuple(sorted(file.stem for file in (Path(__file__).parent / "sources" / "presets").glob("*.toml")))
    if action.option_strings[-1] == "--to":
        return FORMATS
    words = str(action.metavar or "")
    return tuple(words.split("|")) if "|" in words and "," not in words else ()


def bash(top: argparse.ArgumentParser) -> Iterator[str]:
    """A script for bash, of 3.2 or newer."""
    commands = list(words(top))
    yield f"{FUNCTION}() {{"
    yield '    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command="" word words=""'
    yield "    COMPREPLY=()"
    yield '    if [[ $cur == "=" ]]; then cur=""; elif [[ $prev == "=" ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi'
    yield '    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do'
    yield '        case "$command/$word" in'
    for each in commands[1:]:
        above = "/".join(each.path[:-1])
        yield f'            "{above}/{each.path[-1]}") command="{"/".join(each.path)}" ;;'
    yield "        esac"
    yield "    done"
    yield '    case "$command $prev" in'
    for each in commands:
        for option in each.options:
            if option.takes is not None:
                patterns = "|".join(f'"{"/".join(each.path)} {name}"' for name in option.names)
                found = f'COMPREPLY=($(compgen -W "{" ".join(option.choices)}" -- "$cur"))'
                yield f"        {patterns}) {f'{found}; ' if option.choices else ''}return ;;"
    yield "    esac"
    yield '    case "$command" in'
    for each in commands:
        names = [name for option in each.options for name in option.names]
        if each.below:
            yield f'        "{"/".join(each.path)}") words="{" ".join([*each.below, *names])}" ;;'
        else:
            yield f'        "{"/".join(each.path)}") [[ $cur == -* ]] && words="{" ".join(names)}" ;;'
    yield "    esac"
    yield '    COMPREPLY=($(compgen -W "$words" -- "$cur"))'
    yield "}"
    # Where nothing is found, names of files are.
    yield f"complete -o default -F {FUNCTION} {PROGRAM}"


def zsh(top: argparse.ArgumentParser) -> Iterator[str]:
    """A script for zsh."""
    yield f"#compdef {PROGRAM}"
    for each in words(top):
        yield f"{'_'.join([FUNCTION, *each.path])}() {{"
        yield "    local context state state_descr line"
        yield "    typeset -A opt_args"
        specs = [shlex.quote(spec) for option in each.options for spec in _specs(option)]
        specs += ["'1:command:->command'", "'*::argument:->rest'"] if each.below else ["'*:file:_files'"]
        yield f"    _arguments -C {' '.join(specs)}" if each.below else f"    _arguments {' '.join(specs)}"
        if each.below:
            described = " ".join(shlex.quote(f"{name}:{about}") for name, about in each.below.items())
            yield "    case $state in"
            yield f"        command) local -a commands=({described}); _describe command commands ;;"
            yield f"        rest) (( $+functions[{'_'.join([FUNCTION, *each.path])}_$line[1]] )) && "
            yield f"            {'_'.join([FUNCTION, *each.path])}_$line[1] ;;"
            yield "    esac"
        yield "}"
    yield f"compdef {FUNCTION} {PROGRAM}"


def _specs(option: Option) -> Iterator[str]:
    def plain(text: str) -> str:
        return "".join(f"\\{char}" if char in "[]:\\" else char for char in text)

    for name in option.names:
        spec = f"*{name}[{plain(option.about)}]"
        if option.takes is not None:
            spec += f":{plain(option.takes)}:" + (f"({' '.join(option.choices)})" if option.choices else "_files")
        yield spec


def fish(top: argparse.ArgumentParser) -> Iterator[str]:
    """A script for fish."""
    for each in words(top):
        here = "; and ".join(f"__fish_seen_subcommand_from {name}" for name in each.path) or "__fish_use_subcommand"
        if each.below and each.path:
            here += f"; and not __fish_seen_subcommand_from {' '.join(each.below)}"
        where = f"complete -c {PROGRAM} -n {_fish(here)}"
        for name, about in each.below.items():
            yield f"{where} -f -a {name} -d {_fish(about)}"
        for option in each.options:
            names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
            value = f" -x -a {_fish(' '.join(option.choices))}" if option.choices else " -r"
            yield f"{where} {names}{value if option.takes is not None else ''} -d {_fish(option.about)}"


def _fish(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}


def _completion(command: argparse.ArgumentParser) -> None:
    command.add_argument("shell", choices=[*SHELLS], metavar="SHELL", help=f"one of {', '.join(SHELLS)}")


def run_completion(args: argparse.Namespace) -> None:
    """Prints the script."""
    print("\n".join(SHELLS[args.shell](args.top)))


COMPLETION = shared.Command(
    name="completion",
    about="print what bash, zsh or fish needs to complete commands and options",
    examples=(
        "source <(hardneg-fast completion bash)",
        "source <(hardneg-fast completion zsh)",
        "hardneg-fast completion fish > ~/.config/fish/completions/hardneg-fast.fish",
    ),
    options=_completion,
    run=run_completion,
)

"""Options from text: TOML files and `--section.option value`, brought to the configuration tree with named errors."""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import functools
import itertools
import math
import re
import tomllib
import types
import typing
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from .config import Config, SelectConfig
from .detector import Detector
from .exceptions import FileError, UsageError
from .purposes import PURPOSES

LEAST_MEMORY = 64 * 10**6
SECTIONS = ("read", "scrub", "count", "release", "evidence", "select", "contrast", "related", "click_model")
LEAST = {
    "read.batch_rows": 1,
    "select.num_negatives": 1,
    "release.max_queries_per_user": 1,
    "release.rounds": 2,
    "click_model.max_iterations": 1,
    "click_model.max_position": 1,
}
MOST = {"seed": 2**64 - 1, "threads": 4_096, "read.batch_rows": 2**31 - 1, "select.num_negatives": 1_000}
MOST |= {"click_model.max_iterations": 100_000, "click_model.max_position": 1_000}
"""Bounds beyond which the core, or the machine, would give up without saying why."""
SIGNED = ("select.max_score", "select.min_score", "select.ambiguous_b")
"""Options that may be negative."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """An option as it stands in the end."""

    name: str
    """With its section: `select.alpha`."""
    value: Any
    """As JSON can hold it."""
    origin: str = "default"
    """`default`, `file`, `environment`, `flag`; `preset` where the preset of a log says it."""
    place: str = ""
    """The file, variable, flag or preset; nothing for a default."""


def load(path: Path | None, overrides: Mapping[str, Any]) -> Config:
    """The configuration of a TOML file, with `section.option` overrides on top.

    Args:
        path: a TOML file, or None for the defaults.
        overrides: dotted option → text, or a value of the option's own type.

    Raises:
        FileError: the file cannot be read.
        UsageError: it is no TOML, or an option does not exist or cannot have the value.
    """
    tree = {} if path is None else _file(path)
    for dotted, value in overrides.items():
        section, _, option = dotted.rpartition(".")
        if section and not isinstance(tree.get(section, {}), dict):
            raise UsageError(f"[{section}] must be a table of options")
        (tree.setdefault(section, {}) if section else tree)[option] = value
    return from_mapping(tree)


def _file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileError(f"configuration {path.name!r}: no such file") from None
    except (OSError, UnicodeDecodeError) as e:
        raise FileError(f"configuration {path.name!r} cannot be read: {type(e).__name__}") from None
    except tomllib.TOMLDecodeError as e:
        raise UsageError(f"configuration {path.name!r} is not TOML: {e}") from None


def settings(path: Path | None, given: Mapping[str, tuple[Any, str]]) -> list[Setting]:
    """Every option with its value, and where that is from.

    Args:
        path: as for `load`.
        given: dotted option → its value, and the flag or environment variable that gives it.

    Raises:
        FileError, UsageError: as `load`.
    """
    tree = {} if path is None else _file(path)
    purpose = given.get("select.preset", (tree.get("select", {}).get("preset", ""), ""))[0]
    found = []
    for name, value in as_plain(load(path, {dotted: value for dotted, (value, _) in given.items()})).items():
        for option, each in value.items() if name in SECTIONS else [("", value)]:
            dotted, stands = (f"{name}.{option}", tree.get(name, {})) if option else (name, tree)
            if dotted == "select.preset":
                each = purpose
            if dotted in given:
                found.append(
                    Setting(
                        dotted, each, "flag" if given[dotted][1].startswith("-") else "environment", given[dotted][1]
                    )
                )
            elif (option or name) in stands:
                found.append(Setting(dotted, each, "file", str(path)))
            elif purpose and name == "select" and option in PURPOSES[purpose]:
                found.append(Setting(dotted, each, "preset", purpose))
            else:
                found.append(Setting(dotted, each))
    return found


def from_mapping(tree: Mapping[str, Any]) -> Config:
    """The configuration of nested mappings.

    Raises:
        UsageError: an option does not exist or cannot have the value.
    """
    built: dict[str, Any] = {}
    hints = typing.get_type_hints(Config)
    for name, value in tree.items():
        if name in SECTIONS:
            if not isinstance(value, Mapping):
                raise UsageError(f"[{name}] must be a table of options")
            built[name] = _section(hints[name], name, value)
        elif name in hints:
            built[name] = _value(hints[name], name, value)
        else:
            raise UsageError(_unknown(name, [*hints]))
    return Config(**built)


def checked(config: Config) -> Config:
    """The same tree, every option of it checked like one from a file.

    Raises:
        UsageError: an option cannot have the value.
    """
    if not isinstance(config, Config):
        raise UsageError(f"config must be a Config, not {type(config).__name__}")
    tree = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    return from_mapping(tree | {name: _as_mapping(name, tree[name]) for name in SECTIONS})


def checked_section(section: str, options: Any) -> Any:
    """One section, checked likewise.

    Raises:
        UsageError: an option cannot have the value.
    """
    return _section(typing.get_type_hints(Config)[section], section, _as_mapping(section, options))


def _as_mapping(section: str, options: Any) -> dict[str, Any]:
    kind = typing.get_type_hints(Config)[section]
    if not isinstance(options, kind):
        raise UsageError(f"the options of {section} must be a {kind.__name__}, not {type(options).__name__}")
    return {f.name: getattr(options, f.name) for f in dataclasses.fields(options)}


def fields(sections: Collection[str] = SECTIONS) -> list[tuple[str, str, Any, str]]:
    """(dotted name, type in words, default, help) of every option of these sections, for the command line."""
    hints = typing.get_type_hints(Config)
    out = []
    for section in (name for name in SECTIONS if name in sections):
        section_hints = typing.get_type_hints(hints[section])
        docs = _docs(hints[section])
        for f in dataclasses.fields(hints[section]):
            default = f.default if f.default is not dataclasses.MISSING else {}
            words = "NAME=VALUE,…" if f.name == "constants" else _words(section_hints[f.name])
            out.append((f"{section}.{f.name}", words, default, docs.get(f.name, "")))
    return out


def as_plain(config: Config) -> dict[str, Any]:
    """The tree as JSON can hold it."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            # Not `asdict`, which would copy a detector with all it holds.
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        if isinstance(value, Detector):
            return value.name
        if isinstance(value, Mapping):
            return {k: plain(v) for k, v in value.items()}
        if isinstance(value, tuple | list):
            return [plain(v) for v in value]
        return value.isoformat() if isinstance(value, datetime.datetime) else value

    tree: dict[str, Any] = plain(config)
    return tree


def _section(kind: Any, section: str, values: Mapping[str, Any]) -> Any:
    hints = typing.get_type_hints(kind)
    built = {}
    if section == "select" and values.get("preset"):
        values = _for_purpose(hints["preset"], values)
    for name, value in values.items():
        if name not in hints:
            raise UsageError(_unknown(f"{section}.{name}", [f"{section}.{h}" for h in hints]))
        built[name] = _value(hints[name], f"{section}.{name}", value)
    return kind(**built)


def _for_purpose(kind: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values with those of their preset, which then has said what it has to say."""
    chosen = PURPOSES[_value(kind, "select.preset", values["preset"])]
    defaults = {f.name: f.default for f in dataclasses.fields(SelectConfig)}
    # What stands at its default in a whole section was not chosen; in a file or a flag, whatever stands there was.
    whole = len(values) == len(defaults)
    own = {name: v for name, v in values.items() if name != "preset" and not (whole and v == defaults[name])}
    return {**chosen, **own}


def nearest(name: str, known: Collection[str]) -> str:
    """`; did you mean …?` for a name that does not exist, or nothing.

    What is called so in another section comes first: `alpha`, `read.alpha` and `--alpha` are `select.alpha`.
    """
    last = name.lstrip("-").rpartition(".")[2].replace("_", "-")
    elsewhere = [k for k in known if "." in k and k.rpartition(".")[2].replace("_", "-") == last]
    close = elsewhere or difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""


def _unknown(name: str, known: list[str]) -> str:
    """What to say of an option that does not exist; one of another section is found there."""
    everywhere = dict.fromkeys([*known, *typing.get_type_hints(Config), *(dotted for dotted, *_ in fields())])
    return f"no option is called {name!r}" + (nearest(name, everywhere) or f"; there are: {known}")


def _value(kind: Any, name: str, value: Any) -> Any:
    """`value` as the type `kind`; text is read, other types must fit."""
    if name == "memory":
        return _bytes(name, value)
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None or value in ("", "none"):
            return None
        return _value(next(a for a in args if a is not type(None)), name, value)
    if origin is typing.Literal:
        # TOML may say 0 where the choice is "0".
        if isinstance(value, bool) or str(value) not in args:
            raise UsageError(f"{name} is {value!r}; choose one of {', '.join(filter(None, args))}")
        return str(value)
    if origin is tuple:
        items = [v for v in value.split(",") if v] if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            raise UsageError(f"{name} must be a list")
        found = tuple(_value(args[0], name, v.strip() if isinstance(v, str) else v) for v in items)
        if typing.get_origin(args[0]) is typing.Literal and (twice := [v for v in found if found.count(v) > 1]):
            raise UsageError(f"{name} names {twice[0]} twice")
        return found
    if kind is Detector:
        return _detector(name, value)
    if kind == Mapping[str, str]:
        return _pairs(name, value)
    if kind is datetime.datetime:
        return _time(name, value)
    if kind in (int, float):
        return _number(kind, name, value)
    if not isinstance(value, str):
        raise UsageError(f"{name} must be text")
    return value


def _pairs(name: str, value: Any) -> dict[str, str]:
    if isinstance(value, str):
        parts = [p.partition("=") for p in value.split(",") if p]
        if any(not sep for _, sep, _ in parts):
            value = "query=homepage,surface=web" if name == "read.constants" else "canonical=theirs,canonical=theirs"
            raise UsageError(f"{name} must look like {value}")
        return {k.strip(): v.strip() for k, _, v in parts}
    if not isinstance(value, Mapping):
        raise UsageError(f"{name} must be a table of names")
    return {str(k): str(v) for k, v in value.items()}


def _detector(name: str, value: Any) -> Detector:
    if isinstance(value, str):
        return Detector.load(value)
    if not isinstance(value, Detector):
        raise UsageError(f"{name} must be a Detector, not {type(value).__name__}")
    return value


def _time(name: str, value: Any) -> datetime.datetime:
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value)
        except ValueError:
            raise UsageError(f"{name} must be a date or time like 2026-01-31 or 2026-01-31T12:00:00Z") from None
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime.datetime):
        raise UsageError(f"{name} must be a date or time")
    return value if value.tzinfo else value.replace(tzinfo=datetime.UTC)


UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "K": 10**3, "M": 10**6, "G": 10**9}
UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def _bytes(name: str, value: Any) -> int:
    """A number of bytes, or text such as 512MB; 0 leaves the choice."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(value))
    if isinstance(value, bool) or not isinstance(value, int | str) or not match or match[2].upper() not in UNITS:
        raise UsageError(f"{name} is {value!r}; give bytes, or a size such as 512MB or 2GB")
    size = int(float(match[1]) * UNITS[match[2].upper()])
    if size and not LEAST_MEMORY <= size < 2**60:
        raise UsageError(f"{name} is {value!r}; at least {LEAST_MEMORY // 10**6}MB, or 0 for a quarter of the memory")
    return size


def _number(kind: type[int] | type[float], name: str, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError(f"{name} must be a number")
    try:
        number = kind(value)
        fits = number == (value if isinstance(value, int) else float(value))
    except (ValueError, OverflowError):
        fits = False
    if not fits:  # not a number is not equal to itself either
        raise UsageError(f"{name} is {value!r}, which is no {'whole ' if kind is int else ''}number")
    if number < 0 and name not in SIGNED:
        raise UsageError(f"{name} is {value!r}; it cannot be negative")
    if not (least := LEAST.get(name, -math.inf)) <= number <= (most := MOST.get(name, number)):
        raise UsageError(f"{name} is {value!r}; " + (f"at least {least}" if number < least else f"at most {most:,}"))
    return number


def _words(kind: Any) -> str:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _words(next(a for a in args if a is not type(None)))
    if origin is typing.Literal:
        return "|".join(filter(None, args))
    if origin is tuple:
        return f"{_words(args[0])},…"
    words = {int: "N", float: "X", str: "TEXT", datetime.datetime: "TIME", Detector: "MODULE:FUNCTION"}
    return words.get(kind, "NAME=NAME,…")


@functools.cache
def _docs(kind: Any) -> dict[str, str]:
    """The strings under the fields of a section, which Python itself does not keep."""
    import ast
    import inspect
    import textwrap

    body = typing.cast("ast.ClassDef", ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]).body
    docs = {}
    for node, after in itertools.pairwise(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(after, ast.Expr):
            docs[node.target.id] = ast.literal_eval(after.value)
    return docs

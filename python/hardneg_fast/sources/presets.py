"""Known log schemas as mapping files: canonical name → the log's columns, and what names alone cannot say.

The files are TOML, `presets/NAME.toml`; docs/SOURCES.md says what can stand in one. A user's own is named by its path.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from ..exceptions import FileError, UsageError

FOLDER = Path(__file__).with_name("presets")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a column is made of the log's columns.

    The first that has a value, or all put together; then, in this order, split to a list, a part of each text cut out,
    replaced, joined to one text, and read as a time or a number.
    """

    columns: tuple[str, ...]
    concat: bool = False
    nulls: tuple[str, ...] = ()
    """Words that stand for no value."""
    split: str = ""
    """Pattern between the items of a list."""
    extract: str = ""
    """Pattern; its group `value`, or all of it, is what stays. Text that it is not in becomes null."""
    replace: Mapping[str, str] = field(default_factory=dict)
    """Pattern → replacement."""
    join: str | None = None
    """What stands between the items of a list that becomes one text."""
    format: str = ""
    """Notation of a time, as strptime has it; UTC."""
    times: float = 1
    """Factor for a number."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A mapping with what the mapping alone cannot say."""

    name: str
    shape: str
    columns: dict[str, tuple[str, ...]]
    recipes: dict[str, Recipe] = field(default_factory=dict)
    """Names of columns that are made, which `columns` refers to."""
    about: str = ""
    format: str = "auto"
    encoding: str = ""
    header: tuple[str, ...] = ()
    """Column names of text files without a header line."""
    lines: tuple[str, ...] = ()
    """Patterns of lines (format "lines")."""
    fill: tuple[str, ...] = ()
    """Groups of those patterns that fill the lines after theirs."""
    fill_within: str = ""
    """The group that ends the filling when it changes."""
    codes: dict[str, str] = field(default_factory=dict)
    """Column whose numbers stand for names → file beside the log with the dictionary name → number."""
    constants: dict[str, str] = field(default_factory=dict, repr=False)
    impression_actions: tuple[str, ...] = ()
    click_actions: tuple[str, ...] = ()
    position_base: str = "auto"
    searches: str = ""
    """Events: records without this column are searches, which say what was asked and returned."""
    place: bool = False
    """Events: the position is the place in the list of documents."""
    carry: tuple[str, ...] = ()
    """Events: a missing query is that of the nearest event with equal values of these columns."""
    join: tuple[str, ...] = ("user_id", "query", "doc_id")
    """Events without search ids: what a click shares with its impression; the session where there is no user_id."""
    relative_time: bool = False
    """Events: times count from the start of a session, in seconds."""
    dwell_to_next: bool = False
    """Events: the dwell time of a click is the time to the next event of its session."""
    clicks_only: bool = False
    """Whether nothing is known of what was shown and not clicked."""
    notes: tuple[str, ...] = ()
    detect: tuple[str, ...] = ()
    """Columns that only such a log has, all of them."""
    detect_any: tuple[str, ...] = ()
    """Columns of which such a log has at least one besides."""
    detect_line: str = ""
    """Pattern of the first line of text files without header."""

    def inputs(self, path: str) -> tuple[str, ...]:
        """The log's own columns behind a column."""
        return self.recipes[path].columns if path in self.recipes else (path,)


_KINDS: dict[str, object] = {"join": "", "times": 1.0}
"""Of which kind options of recipes are, where their defaults do not tell."""
TABLES = {"source", "columns", "constants", "codes", "detect"}
DETECT = {"columns": "detect", "any": "detect_any", "line": "detect_line"}


def names() -> list[str]:
    """Presets that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str, within: tuple[str, ...] = ()) -> Preset:
    """A preset by name, or a mapping file by path; `within` are those that it is the base of.

    Raises:
        UsageError: no such preset, or a mapping file that cannot be.
        FileError: the file cannot be read.
    """
    if name in names():
        return _read(FOLDER / f"{name}.toml")
    if name in within:
        raise UsageError(f"mapping {Path(name).name!r} is its own base, or the base of one: name another")
    if not name.endswith(".toml"):
        raise UsageError(f"no preset {name[:60]!r}; there are {names()}, or give the path of a mapping file, NAME.toml")
    return _read(Path(name), (*within, name))


def text(name: str) -> str:
    """The mapping file of a preset, or the one at a path, as it is written."""
    path = FOLDER / f"{name}.toml" if name in names() else Path(name)
    return path.read_text(encoding="utf-8")


def to_toml(tree: Mapping[str, Mapping[str, str]]) -> str:
    """A mapping file of tables of text."""

    def quoted(value: str) -> str:
        # JSON's escapes are TOML's, but for the one character that JSON leaves as it is.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

    lines = []
    for table, values in tree.items():
        if values:
            lines += [f"[{table}]", *(f"{key} = {quoted(value)}" for key, value in values.items()), ""]
    return "\n".join(lines)


@cache
def every() -> tuple[Preset, ...]:
    """All presets that come with the package."""
    return tuple(load(name) for name in names())


def _read(path: Path, within: tuple[str, ...] = ()) -> Preset:
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileError(f"mapping {path.name!r}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"mapping {path.name!r} cannot be read: {type(error).__name__}") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"mapping {path.name!r} is not TOML: {error}") from None
    return of_tree(path.stem, tree, within)


def of_tree(name: str, tree: Mapping[str, Any], within: tuple[str, ...] = ()) -> Preset:
    """A preset of the content of a mapping file.

    Raises:
        UsageError: what is not known, or of a wrong kind.
    """
    where = f"mapping {name!r}"
    _known(where, tree, TABLES)
    for table in tree:
        if not isinstance(tree[table], dict):
            raise UsageError(f"{where}: {table} must be a table, [{table}]")
    source = dict(tree.get("source", {}))
    base = Preset(name=name, shape="auto", columns={})
    if "base" in source:
        base = load(_like(f"{where}: base", "", source.pop("base")), within)
    plain = {f.name: f for f in fields(Preset) if f.name not in ("name", "columns", "recipes", "constants", "codes")}
    plain = {k: f for k, f in plain.items() if not k.startswith("detect")}
    _known(f"{where}, [source]", source, plain)
    given = {key: _like(f"{where}: {key}", getattr(base, key), value) for key, value in source.items()}
    if given.get("shape", base.shape) not in ("rows", "pages", "events"):
        raise UsageError(f"{where}: shape must be rows, pages or events")
    if given.get("encoding") and not _is_encoding(given["encoding"]):
        raise UsageError(f"{where}: encoding is none that Python knows for text, such as latin-1 or gb18030")
    columns, recipes = dict(base.columns), dict(base.recipes)
    for column, value in tree.get("columns", {}).items():
        simple = value if isinstance(value, list) else [value]
        if all(isinstance(path, str) for path in simple):
            columns[column] = tuple(simple)
            continue
        recipes[f"={column}"] = _recipe(f"{where}: {column}", value)
        columns[column] = (f"={column}",)
    _refuse_circles(where, recipes)
    detect = tree.get("detect", {})
    _known(f"{where}, [detect]", detect, DETECT)
    given |= {DETECT[key]: _like(f"{where}: detect.{key}", getattr(base, DETECT[key]), v) for key, v in detect.items()}
    for key in ("constants", "codes"):
        given[key] = {**getattr(base, key), **{k: str(v) for k, v in tree.get(key, {}).items()}}
    for column, file in given["codes"].items():
        if file in ("", ".", "..") or "/" in file or "\0" in file:
            raise UsageError(f"{where}: codes.{column} must be the name of a file beside the log, without folders")
    return replace(base, name=name, columns=columns, recipes=recipes, **given)


def _refuse_circles(where: str, recipes: Mapping[str, Recipe]) -> None:
    for name in recipes:
        seen: set[str] = set()
        ahead = [name]
        while ahead:
            behind = {path for path in recipes[ahead.pop()].columns if path in recipes} - seen
            if name in behind:
                raise UsageError(f"{where}: {name.removeprefix('=')} would be made of itself")
            seen |= behind
            ahead += behind


def _is_encoding(name: str) -> bool:
    try:
        "a".encode(name)
    except (LookupError, ValueError):
        return False
    return True


def _recipe(where: str, value: Any) -> Recipe:
    if not isinstance(value, dict):
        raise UsageError(f"{where}: a column, a list of columns, or a table with column = … expected")
    value = dict(value)
    empty = Recipe(columns=())
    named = [key for key in ("column", "concat") if key in value]
    if len(named) != 1:
        raise UsageError(f"{where}: either column = … or concat = […] expected")
    found = value.pop(named[0])
    paths = [found] if isinstance(found, str) else found
    if not isinstance(paths, list) or not paths or not all(isinstance(path, str) for path in paths):
        raise UsageError(f"{where}: {named[0]} must be the name of a column, or a list of names")
    options = {f.name for f in fields(Recipe)} - {"columns", "concat"}
    _known(where, value, options)
    rest = {key: _like(f"{where}: {key}", _KINDS.get(key, getattr(empty, key)), value[key]) for key in value}
    if not all(isinstance(other, str) for other in rest.get("replace", {}).values()):
        raise UsageError(f"{where}: replace must be a table of texts, pattern = replacement")
    return Recipe(columns=tuple(paths), concat=named[0] == "concat", **rest)


def _known(where: str, tree: Mapping[str, Any], known: Any) -> None:
    unknown = sorted(tree.keys() - set(known))
    if unknown:
        raise UsageError(f"{where}: not known: {unknown}; there are: {sorted(known)}")


def _like(where: str, default: Any, value: Any) -> Any:
    """A value of the kind that the default has; lists as tuples."""
    if isinstance(default, tuple) and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if isinstance(default, float) and type(value) is int:
        return value
    if type(value) is not type(default):
        kinds = {tuple: "a list of text", str: "text", float: "a number", dict: "a table"}
        kind = kinds.get(type(default), type(default).__name__)
        raise UsageError(f"{where} must be {kind}")
    return value

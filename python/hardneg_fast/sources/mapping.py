"""Which of the log's columns stand for which canonical columns: preset, then identity, then what the user says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ..config import ReadConfig
from ..exceptions import ColumnError, UsageError
from . import guess, presets, types
from .base import Source
from .presets import Preset

CANONICAL = (
    "user_id", "session_id", "search_id", "query", "doc_id", "position", "clicked", "dwell_ms", "click_ms", "timestamp",
    "n_clicks", "visible", "propensity", "action", "surface",
)  # fmt: skip
PAGE = (
    "user_id", "session_id", "search_id", "query", "timestamp", "surface", "documents", "clicks", "clicked_documents",
    "dwell_ms",
)  # fmt: skip
"""Columns of a page row."""
EVENT = tuple(name for name in CANONICAL if name not in ("clicked", "click_ms", "n_clicks"))
"""Columns of an event; whether and when an impression was clicked follows from the click events."""
NAMES = {"rows": CANONICAL, "pages": PAGE, "events": EVENT}
NEEDED: dict[str, tuple[str, ...]] = {
    "rows": ("query", "doc_id", "clicked"),
    "pages": ("query", "documents"),
    "events": ("query", "doc_id", "action"),
}


@dataclass(frozen=True)
class Mapping:
    """The log's existing columns for each canonical one, and constant columns."""

    shape: str
    columns: dict[str, tuple[str, ...]]
    constants: dict[str, str]
    preset: Preset = field(default_factory=lambda: Preset(name="", shape="", columns={}))
    """What else the preset says."""

    def __contains__(self, name: str) -> bool:
        return name in self.columns or name in self.constants


def preset_of(config: ReadConfig) -> Preset | None:
    """The preset that the configuration names."""
    if config.preset is None:
        return None
    return presets.load(config.preset)


def effective(config: ReadConfig) -> ReadConfig:
    """The configuration with what its preset says where it says nothing itself."""
    preset = preset_of(config)
    if preset is None:
        return config
    usual = ReadConfig()
    new: dict[str, Any] = {}
    for name in ("impression_actions", "click_actions", "position_base"):
        said = getattr(preset, name)
        if said and getattr(config, name) == getattr(usual, name):
            new[name] = said
    constants = {name: value for name, value in preset.constants.items() if name not in config.columns}
    return replace(config, constants={**constants, **config.constants}, **new)


def resolve(source: Source, config: ReadConfig) -> Mapping:
    """Settles shape and columns, and checks that they exist and have readable types.

    Raises:
        UsageError: a canonical name that does not exist, or that is mapped and constant at once.
        ColumnError: columns are missing, doubled or of a wrong type.
    """
    preset = preset_of(config)
    _check_names(config)
    shape = config.shape if config.shape != "auto" else preset.shape if preset else _shape(source, config)
    # A mapping that names no columns, but those of a file without a header line, has them as they are called here.
    own = not preset or not preset.columns
    wanted: dict[str, tuple[str, ...]] = {name: (name,) for name in NAMES[shape]} if own else {}
    helpers = {*NAMES[shape], "index", "hits", "page"}
    wanted |= {name: paths for name, paths in preset.columns.items() if name in helpers} if preset else {}
    if wanted.get("clicks") == (config.columns.get("clicked_documents"),):
        # The list of clicked documents is called clicks: it is not a list of flags as well.
        del wanted["clicks"]
    wanted |= {name: (path,) for name, path in config.columns.items()}
    wanted = {name: paths for name, paths in wanted.items() if name not in config.constants}
    found = source.find({path for paths in wanted.values() for path in paths if path})
    # An empty name is how a column is left aside.
    absent = sorted({path for path in config.columns.values() if path and path not in found})
    if absent:
        raise missing(source, absent)
    columns = {name: tuple(path for path in paths if path in found) for name, paths in wanted.items()}
    mapping = Mapping(shape, {name: paths for name, paths in columns.items() if paths}, dict(config.constants))
    mapping = replace(mapping, preset=preset) if preset else mapping
    lacking = [name for name in NEEDED[shape] if name not in mapping]
    if shape == "pages" and "clicks" not in mapping and "clicked_documents" not in mapping:
        lacking.append("clicks")
    if lacking:
        paths = [path for name in lacking for path in wanted.get(name, (name,))]
        raise missing(
            source, [inner for path in paths for inner in (preset.inputs(path) if preset else (path,))], preset
        )
    _check_types(source, shape, mapping.columns)
    return mapping


def _check_names(config: ReadConfig) -> None:
    allowed = {*CANONICAL, *PAGE}
    unknown = sorted({*config.columns, *config.constants} - allowed)
    if unknown:
        raise UsageError(f"no such canonical columns: {unknown}; there are {[*CANONICAL, *sorted(types.LISTS)]}")
    both = sorted(config.columns.keys() & config.constants.keys())
    if both:
        raise UsageError(f"columns mapped and constant at once: {both}; choose one")
    lists = sorted(config.constants.keys() & types.LISTS)
    if lists:
        raise UsageError(f"columns of lists cannot be constants: {lists}")


def _shape(source: Source, config: ReadConfig) -> str:
    """Lists of documents make pages; actions without clicks make events; else rows."""
    has = source.find({"documents", "action", "clicked"}) | config.columns.keys() | config.constants.keys()
    if "documents" in has:
        return "pages"
    return "events" if "action" in has and "clicked" not in has else "rows"


LISTED = ("doc_id", "position", "surface")
"""Columns of events that may hold lists: one event then says it of several documents."""


def _check_types(source: Source, shape: str, columns: dict[str, tuple[str, ...]]) -> None:
    found = source.types({path for paths in columns.values() for path in paths})
    for name, paths in columns.items():
        for path in paths:
            listed = name == "hits" or (shape == "events" and name in LISTED and types.is_list(found[path]))
            types.check("documents" if listed else name, path, found[path])


PARTED = {";": "';'", "|": "'|'", "\t": "tabs"}
"""What parts the cells of files that are called CSV and are none."""


def missing(source: Source, names: Iterable[str], preset: Preset | None = None) -> ColumnError:
    """The error for columns that the log lacks: names only, never values."""
    available, names = source.columns(), list(names)
    if preset and (unsaid := [name for name in names if name in available]):
        said = ", ".join(f'{name} = "{name}"' for name in unsaid)
        return ColumnError(
            f"mapping {preset.name!r}: it does not say which columns {unsaid} are; its [columns] want {said}"
        )
    advice = (
        "say which is which with --columns user_id=…,query=…,doc_id=…,clicked=…, or name a --preset; "
        "`hardneg-fast inspect LOG` suggests both"
    )
    if source.format in ("csv", "tsv") and not guess.named(available):
        # Without a header the first line is somebody's row.
        said = f"columns not found: {names}; the first line of the file does not look like a header (none of its "
        said += f"{len(available)} cells is a name known from logs)"
        for mark, word in PARTED.items():
            if len(available) == 1 and mark in available[0]:
                way = "name it .tsv" if mark == "\t" else "convert it (CSV is parted by commas, TSV by tabs)"
                return ColumnError(f"{said}: it looks as if parted by {word}; {way}")
        return ColumnError(
            f'{said}; put names there, or in a mapping file: header = ["user_id", "query", …] in its [source], with '
            f"--preset FILE.toml (docs/SOURCES.md); or, if it is a header, {advice}"
        )
    shown = available[:60] + ["…"] * (len(available) > 60)
    return ColumnError(f"columns not found: {names}; available: {shown}; {advice}")

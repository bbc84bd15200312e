"""What a log seems to be, by the names of its columns: a preset, or which column stands for what."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from . import presets
from .files import is_path, resolve
from .presets import Preset

SYNONYMS = {
    "user_id": "userid uid user clientid visitorid customerid anonid memberid accountid cookieid",
    "session_id": "sessionid session sid visitid",
    "search_id": "searchid requestid serpid impressionid reqid pageid",
    "query": "query q userquery searchterm searchquery searchphrase querytext keywords keyword term phrase queryid",
    "doc_id": "docid documentid itemid productid objectid articleid listingid asin sku url doc document item product",
    "position": "position pos rank ordinal slot place",
    "clicked": "clicked click isclick isclicked wasclicked clickflag",
    "timestamp": "timestamp ts time datetime tsms eventtime createdat date",
    "dwell_ms": "dwellms dwelltimems",
    "propensity": "propensity propensityscore pscore actionprob",
    "surface": "surface application placement",
    "action": "action actionname eventtype eventname event",
    "documents": "documents docs results shown articleidsinview",
    "clicks": "clicks",
    "clicked_documents": "clickeddocuments clickeddocs clickedids articleidsclicked",
}
"""Canonical name → names seen in logs, most certain first, in lower case without separators."""
LINES = 50
"""Lines of a text file that a preset is recognised by."""
LEAST = 0.4
"""Confidence below which a preset is not taken."""


@dataclass(frozen=True)
class Found:
    """A preset that a log seems to be of."""

    preset: str
    confidence: float
    """Share of the preset's columns that are there, or of the first lines that have its layout."""
    why: str


def named(columns: Collection[str]) -> bool:
    """Whether any of the columns has a name that logs are known to use."""
    known = {synonym for names in SYNONYMS.values() for synonym in names.split()}
    return any(part in known for name in columns for part in _plain(name))


def by_columns(columns: Collection[str]) -> list[Found]:
    """Presets that fit a log's columns, the most certain first."""
    return _best(_by_columns(preset, columns) for preset in presets.every())


def by_lines(log: object, given: str) -> list[Found]:
    """Presets that fit the first lines of a log in text files, the most certain first."""
    paths = log if isinstance(log, list | tuple) else [log]
    if not paths or not all(is_path(path) for path in paths):
        return []
    # The format is not asked for: some of these have none of ours.
    files = resolve(log, "lines" if given == "auto" else given)
    head = files[0].head(1 << 16)
    return [] if b"\0" in head else _best(_by_lines(preset, head) for preset in presets.every())


def _best(found: Iterable[Found | None]) -> list[Found]:
    certain = [f for f in found if f and f.confidence >= LEAST]
    return sorted(certain, key=lambda f: (-f.confidence, f.preset))


def _by_columns(preset: Preset, columns: Collection[str]) -> Found | None:
    have = {part for name in columns for part in (name, *_above(name))}
    if not preset.detect or not {*preset.detect} <= have or (preset.detect_any and not have & {*preset.detect_any}):
        return None
    inputs = [_own(preset, paths) for paths in preset.columns.values()]
    known = [any(path.partition("[")[0] in have for path in own) for own in inputs if own]
    share = sum(known) / len(known)
    return Found(preset.name, share, f"{sum(known)} of its {len(known)} columns, {', '.join(preset.detect)} among them")


def _own(preset: Preset, paths: tuple[str, ...]) -> list[str]:
    """The log's own columns behind a canonical one, without virtual ones."""
    deep = [_own(preset, preset.inputs(path)) if path in preset.recipes else [path] for path in paths]
    return [path for some in deep for path in some if not path.startswith("_")]


def _above(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:i]) for i in range(1, len(parts)))


def _by_lines(preset: Preset, head: bytes) -> Found | None:
    if not preset.detect_line:
        return None
    first, *rest = head.split(b"\n")[: LINES + 1]
    encoding = preset.encoding or "utf-8"
    if not re.fullmatch(preset.detect_line, first.decode(encoding, "replace").rstrip("\r")):
        return None
    patterns = preset.lines or (preset.detect_line,)
    # The last piece may be half a line.
    lines = [line.decode(encoding, "replace").rstrip("\r") for line in [first, *rest[:-1]] if line.strip()]
    fit = sum(any(re.fullmatch(pattern, line) for pattern in patterns) for line in lines)
    return Found(preset.name, fit / len(lines), f"{fit} of its first {len(lines)} lines have that layout")


def mapping(columns: Collection[str], taken: Collection[str]) -> dict[str, str]:
    """Canonical name → column that seems to be it, for canonical names not in `taken` that the log lacks."""
    free = {name: _plain(name) for name in columns if name not in SYNONYMS}
    found: dict[str, str] = {}
    for canonical, names in SYNONYMS.items():
        if canonical in columns or canonical in taken:
            continue
        for synonym in names.split():
            match = next((c for c, plain in free.items() if synonym in plain and c not in found.values()), None)
            if match:
                found[canonical] = match
                break
    return found


def _plain(name: str) -> tuple[str, str]:
    """A column's name, and the last part of a nested one, in lower case without separators."""
    return tuple(re.sub("[^a-z0-9]", "", part.lower()) for part in (name, name.rpartition(".")[2]))  # type: ignore[return-value]

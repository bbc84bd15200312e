"""`hardneg-fast inspect LOG`: what a log is, what is wrong with it, and the command to run next.

Counts and names of columns only: no identifiers, no queries. (The values of `surface`, which are slots and
applications, name the position bases.)
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from . import _hardneg
from .anonymize import normalize, scrub
from .config import CountConfig, ReadConfig
from .exceptions import ColumnError, DataError
from .read import RawLog, bring
from .result import quarantined
from .sources import guess, mapping, open_source, presets
from .sources.base import Source
from .sources.files import DataFile

SAMPLE = 1_000_000
"""Rows read at most."""
SECONDS = 300
"""A median dwell below this many milliseconds is no reading time; as seconds it would be."""
K = 10
"""The threshold of users that is recommended."""
POSITIONS = 10
"""Click rates are shown for so many positions from the top."""

MEANINGS = {
    "broken_line": "lines or rows that are not of the format, or not UTF-8; look at how the log was cut or exported",
    "null_user_id": "rows without a user; map another column, or leave user_id out for all",
    "null_search_id": "rows without a search id; map another column",
    "null_query": "rows without query text; browsing pages have none, nothing to do if these are such",
    "null_doc_id": "rows without a document; check the mapping of doc_id",
    "invalid_utf8": "queries or documents that are not UTF-8; convert the log to UTF-8",
    "query_too_long": "queries of more than 1,024 characters; pasted texts or attacks, nothing to do",
    "null_clicked": "rows that do not say whether there was a click; check the mapping of clicked",
    "clicked_impossible": "clicked is neither true/false nor 0/1; check the mapping of clicked, or turn words into "
    """these in a mapping file: clicked = {column = "…", replace = {"^yes$" = "1", "^no$" = "0"}}""",
    "position_impossible": "positions that cannot be; check the mapping, or set --read.position-base",
    "null_timestamp": "rows without a time; check the mapping of timestamp",
    "timestamp_unreadable": "times in a notation that is not known; write ISO 8601 or epoch numbers",
    "timestamp_impossible": "times outside 1990 to 2100; check the unit",
    "dwell_impossible": "negative or unreadable dwell times, taken as unknown; the rows stay",
    "propensity_impossible": "propensities that are not above 0 and at most 1, not used; the rows stay",
    "click_ms_impossible": "negative or unreadable click delays, taken as unknown; the rows stay",
    "click_without_impression": "clicks on what no impression shows; if many, impressions are logged incompletely",
    "event_without_object": "impressions or clicks that name no document; check the mapping of doc_id",
    "event_without_search": "impressions or clicks that name no search; check the mapping of search_id",
    "other_action": "events that are neither impressions nor clicks; nothing to do if that is what they are",
    "page_without_documents": "pages that show nothing; searches without results, nothing to do",
    "click_outside_page": "clicks on documents that their page does not list; check what documents holds",
    "list_length_mismatch": "pages with more or fewer clicks than documents; map clicked_documents if clicks holds ids",
    "unknown_code": "numbers that the dictionary beside the log lacks; check that it belongs to the log",
}
"""Quarantine reason → what it means and what to do."""

LACKING = {
    "user_id": "no user_id: each page counts as a user of its own; robots, votes per user and --k-users are off",
    "search_id": "no search_id: pages are told apart by session, query and time",
    "position": "no position: skip rules and top_shown_never_clicked are off; expected clicks ignore the position",
    "timestamp": "no timestamp: sessions are taken as given; successions, --since, --until and half-life are off",
    "dwell_ms": "no dwell_ms: every click counts as satisfied",
}
"""Canonical column → what its absence switches off."""


@dataclass
class Inspection:
    """What `inspect` found. `sampled` says that figures are for the first rows only."""

    files: int = 0
    format: str = ""
    shape: str = ""
    preset: str | None = None
    confidence: float | None = None
    """How certain the preset is, where it was guessed: 1 for all its columns, or all of the first lines."""
    mapping: str = field(default="", repr=False)
    """How the log is read, as a mapping file (TOML)."""
    reasons: list[str] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    """The log's columns that stand for nothing, where no preset says what they are."""
    problem: str | None = None
    rows_in: int = 0
    rows: int = 0
    sampled: bool = False
    distinct: dict[str, int] = field(default_factory=dict)
    position_bases: dict[str, int] = field(default_factory=dict)
    timestamp_notations: dict[str, int] = field(default_factory=dict)
    clicks_by_position: dict[int, tuple[int, int]] = field(default_factory=dict)
    quarantine: dict[str, int] = field(default_factory=dict)
    lacking: list[str] = field(default_factory=list)
    longest_page: int | None = None
    """Results of the longest page, where the log has search ids and was read whole."""
    notes: list[str] = field(default_factory=list)
    click_actions: list[str] = field(default_factory=list)
    """Of events: the actions that are clicks."""
    other_actions: dict[str, int] = field(default_factory=dict)
    """Of events: the most frequent actions that are neither, with records."""
    command: str = ""
    """What to run next; nothing where it would have to fail, which `no_command` explains."""
    no_command: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Text for people."""
        return list(_lines(self))


def inspect(log: object, *, config: ReadConfig | None = None, sample: int = SAMPLE) -> Inspection:
    """Looks at a log; a one-shot stream is used up by it.

    Args:
        log: as `read.open_log` takes it.
        config: what is known already; the rest is guessed.
        sample: rows read at most.

    Raises:
        FileError, DataError: there is nothing that can be looked at. Missing columns are no error here.
    """
    source, files, config, found = _guess(log, config or ReadConfig())
    found.files, found.format = len(files), source.format
    found.preset, found.columns = config.preset, dict(config.columns)
    raw = None
    try:
        raw = bring(source, files, config)
    except ColumnError as error:
        found.problem = str(error)
        if source.format in ("csv", "tsv") and not guess.named(source.columns()):
            found.no_command = "the first line names no column that is known; see the problem"
    else:
        _measure(raw, found, sample)
        source_names = [*source.find(mapping.NAMES[raw.report.shape])]
        found.mapping = _mapping_file(config, found.shape, sorted(source_names))
        if config.preset is None:
            known = {*source_names, *config.columns.values()}
            found.unread = [column for column in source.columns() if column not in known]
    if not found.no_command:
        users = "user_id" in raw.schema.names if raw is not None else _has_users(source, config)
        found.command = _command(log, config, found, users=users)
        if not found.problem and users and found.distinct.get("users", K) < K and not found.sampled:
            found.notes = [*found.notes, f"fewer than {K} users: --k-users {K} would name nothing; a longer log helps"]
    return found


def _has_users(source: Source, config: ReadConfig) -> bool:
    """Whether a log that cannot be read as it is has users."""
    preset = mapping.preset_of(config)
    named = preset.columns.get("user_id", ()) if preset else ("user_id",)
    if "user_id" in config.columns:
        named = (config.columns["user_id"],)
    return bool(source.find({path for path in named if isinstance(path, str) and path}))


def _mapping_file(config: ReadConfig, shape: str, names: list[str]) -> str:
    """A mapping file that reads a log as it was just read, to be edited."""
    own = {**config.columns, **config.constants}
    if config.preset is not None and not own:
        return presets.text(config.preset)
    if config.preset is not None:
        return presets.to_toml({"source": {"base": config.preset}, "columns": config.columns,
                                "constants": config.constants})  # fmt: skip
    columns = {**{name: name for name in names if name not in own}, **config.columns}
    source = {"about": "a log of one's own", "shape": shape}
    return presets.to_toml({"source": source, "columns": columns, "constants": config.constants})


def _guess(log: object, config: ReadConfig) -> tuple[Source, list[DataFile], ReadConfig, Inspection]:
    """Opens the log and fills in what the configuration leaves open."""
    found = Inspection()
    candidates: list[guess.Found] = []
    if config.preset is None and config.shape == "auto":
        # By its lines before it is opened: what is in another encoding cannot be opened without a preset.
        candidates = guess.by_lines(log, config.format)
    if not candidates:
        source, files = open_source(log, config)
        if config.preset is None and config.shape == "auto":
            candidates = guess.by_columns(source.columns())
    if candidates:
        best, *others = candidates
        found.confidence = round(best.confidence, 2)
        found.reasons.append(f"preset {best.preset} (confidence {best.confidence:.0%}): {best.why}")
        found.reasons += [f"or preset {other.preset} ({other.confidence:.0%})" for other in others]
        config = replace(config, preset=best.preset)
        source, files = open_source(log, config)
    elif config.preset is None and config.shape == "auto":
        guessed = guess.mapping(source.columns(), {*config.columns, *config.constants})
        found.reasons += [f"{canonical} is {column!r}, by its name" for canonical, column in guessed.items()]
        config = replace(config, columns={**guessed, **config.columns})
    return source, files, config, found


def _canonical(reader: pa.RecordBatchReader, base: int) -> tuple[pa.RecordBatchReader, Callable[[], _hardneg.Stats]]:
    """Canonical rows, and their statistics once they are exhausted."""
    stream = _hardneg.canonicalize(reader, position_base=base)
    return pa.RecordBatchReader.from_stream(stream), stream.stats


def _measure(raw: RawLog, found: Inspection, sample: int) -> None:
    limited = _Limited(raw.reader(), sample)
    reader, stats = _canonical(limited.reader(), raw.position_base)
    try:
        rows = reader.read_all()
    except (pa.ArrowException, OSError):  # their text may quote cells
        broke = DataError("the log breaks off while it is read; check that its files are whole")
        raise raw.error or broke from None
    counted, report = stats(), raw.report
    found.shape, found.position_bases, found.notes = report.shape, report.position_bases, report.notes
    found.rows_in, found.rows, found.sampled = report.rows_in, rows.num_rows, limited.cut
    found.timestamp_notations = report.timestamp_notations or counted["timestamp_notations"]
    found.quarantine = quarantined(report.quarantine, counted["quarantine"])
    # They belong to the log; the next stage sets them aside.
    blank = pc.sum(pc.is_null(normalize(rows["query"]))).as_py() or 0
    if blank:
        found.quarantine["null_query"] = blank
    found.distinct = _distinct(rows)
    found.clicks_by_position = _by_position(rows)
    found.lacking = [what for name, what in LACKING.items() if name not in raw.schema.names]
    if not {"user_id", "search_id"} & set(raw.schema.names):
        found.lacking[1] = "no search_id either: each row is a page of its own, and page rules are off"
    if "dwell_ms" in rows.schema.names:
        dwell = pc.quantile(rows["dwell_ms"].filter(rows["clicked"]), 0.5)[0].as_py()
        if dwell is not None and dwell < SECONDS:
            found.notes = [*found.notes, f"half of the dwell times are below {SECONDS} ms: are they seconds?"]
    found.click_actions = list(report.click_actions)
    # Values of cells: what looks personal is masked.
    masked = scrub(pa.array([*report.other_actions], pa.string())).to_pylist()
    found.other_actions = dict(zip(masked, report.other_actions.values(), strict=True))
    found.no_command = _hopeless(rows, found)
    if "search_id" in rows.schema.names and not found.sampled:
        found.longest_page = _longest_page(rows)
    if rows.num_rows and pc.all(rows["clicked"]).as_py():
        found.lacking.append("no impressions without a click: there is nothing to call a negative, and no rule can run")


def _hopeless(rows: pa.Table, found: Inspection) -> str:
    """Why no command can find anything in a log; nothing if one may."""
    if not rows.num_rows:
        if not found.rows_in:
            return "the log has no records"
        return "no record can be used: see what was set aside, and say with --columns which column is which"
    if found.quarantine.get("null_query", 0) == rows.num_rows:
        return "no row has a query: map it with --columns query=THEIRS"
    if _page_keys(rows) and _longest_page(rows) == 1:
        what = "search_id" if "search_id" in rows.schema.names else "user, query and time"
        return (
            f"each row has a {what} of its own, so nothing is known to have been shown beside a click: map search_id "
            "to what numbers result pages"
        )
    if found.sampled or pc.min_max(rows["clicked"])["min"].as_py() != pc.min_max(rows["clicked"])["max"].as_py():
        return ""
    if rows["clicked"][0].as_py():
        return "the log holds clicks only: impressions that were not clicked are what negatives are found among"
    return "no row is clicked, so nothing is known to be relevant: check the mapping of clicked"


def _page_keys(rows: pa.Table) -> list[str]:
    keys = ["search_id"] if "search_id" in rows.schema.names else ["user_id", "session_id", "query", "timestamp"]
    return [key for key in keys if key in rows.schema.names] if keys[0] in rows.schema.names else []


def _longest_page(rows: pa.Table) -> int:
    keys = _page_keys(rows)
    return int(pc.max(rows.select(keys).group_by(keys).aggregate([([], "count_all")])["count_all"]).as_py() or 0)


class _Limited:
    """The first rows of a stream, ended in good order."""

    def __init__(self, source: pa.RecordBatchReader, rows: int) -> None:
        self.source, self.left, self.cut = source, rows, False

    def reader(self) -> pa.RecordBatchReader:
        def batches() -> Iterator[pa.RecordBatch]:
            for batch in self.source:
                self.cut = batch.num_rows > self.left
                yield batch.slice(0, self.left)
                self.left -= min(self.left, batch.num_rows)
                if self.cut:
                    return

        return pa.RecordBatchReader.from_batches(self.source.schema, batches())


def _distinct(rows: pa.Table) -> dict[str, int]:
    names = {"users": "user_id", "sessions": "session_id", "queries": "query", "documents": "doc_id"}
    out = {what: pc.count_distinct(rows[name]).as_py() for what, name in names.items() if name in rows.schema.names}
    if keys := _page_keys(rows):
        out["pages"] = rows.select(keys).group_by(keys).aggregate([]).num_rows
    return out


def _by_position(rows: pa.Table) -> dict[int, tuple[int, int]]:
    if "position" not in rows.schema.names:
        return {}
    top = rows.select(["position", "clicked"]).filter(pc.less_equal(rows["position"], POSITIONS))
    counts = top.group_by("position").aggregate([("clicked", "count"), ("clicked", "sum")]).sort_by("position")
    columns = (counts[name].to_pylist() for name in ("position", "clicked_count", "clicked_sum"))
    return {position: (n, clicks) for position, n, clicks in zip(*columns, strict=True)}


def _command(log: object, config: ReadConfig, found: Inspection, *, users: bool) -> str:
    many = log if isinstance(log, (list, tuple)) else [log]
    paths = [shlex.quote(os.fspath(p)) if isinstance(p, (str, os.PathLike)) else "LOG" for p in many]
    options = [f"--preset {config.preset}"] if config.preset else []
    if config.shape != "auto":
        options.append(f"--read.shape {config.shape}")
    columns = {**config.columns, **({} if not found.problem else _placeholders(config))}
    if columns:
        options.append("--columns " + shlex.quote(",".join(f"{name}={column}" for name, column in columns.items())))
    if config.constants:
        options.append("--read.constants " + shlex.quote(",".join(f"{k}={v}" for k, v in config.constants.items())))
    for name in ("format", "position_base", "impression_actions", "click_actions", "join_minutes"):
        if (value := getattr(config, name)) != getattr(ReadConfig(), name):
            said = ",".join(value) if isinstance(value, tuple) else str(value)
            options.append(f"--read.{name.replace('_', '-')} {shlex.quote(said)}")
    if found.longest_page is not None and found.longest_page < CountConfig().min_page_length:
        options.append(f"--count.min-page-length {found.longest_page}")
    private = f"--k-users {K}" if users else "--no-privacy"
    return " ".join(["hardneg-fast mine", *paths, "-o OUT", private, *options])


def _placeholders(config: ReadConfig) -> dict[str, str]:
    """What a row log still needs, to be filled in."""
    if config.preset or config.shape not in ("auto", "rows"):
        return {}
    return {name: "…" for name in ("query", "doc_id", "clicked") if name not in {*config.columns, *config.constants}}


def _lines(found: Inspection) -> Iterator[str]:
    files = f"{found.files:,} file{'s' * (found.files != 1)}, " if found.files else ""
    yield f"log         {files}{found.format}" + (f", shape {found.shape}" if found.shape else "")
    yield from (f"            {reason}" for reason in found.reasons)
    if found.unread:
        yield f"not read    {', '.join(found.unread)}: --columns NAME=THEIRS takes one in"
    if found.problem:
        yield f"problem     {found.problem}"
        said = (
            f"name what is missing, then: {found.command}"
            if found.command
            else f"nothing to run yet: {found.no_command}"
        )
        yield f"next        {said}"
        return
    first = f" (the first {found.rows:,} only were read; all figures are for these)" if found.sampled else ""
    yield f"records     {found.rows_in:,}"
    yield f"impressions {found.rows:,}{first}"
    yield "distinct    " + ", ".join(f"{what} {n:,}" for what, n in found.distinct.items())
    for surface, base in found.position_bases.items():
        yield f"positions   start at {base}" + (f" in {surface}" if surface else "")
    for notation, n in found.timestamp_notations.items():
        yield f"timestamps  {n:,} as {NOTATIONS.get(notation, notation)}"
    for position, (n, clicks) in found.clicks_by_position.items():
        yield f"click rate  {clicks / n:7.2%} at position {position:2} ({clicks:,} of {n:,})"
    for reason, n in sorted(found.quarantine.items()):
        yield f"set aside   {n:,} {reason}: {MEANINGS.get(reason, 'see the documentation')}"
        if reason == "other_action" and found.other_actions:
            some = ", ".join(f"{action} {n:,}" for action, n in found.other_actions.items())
            yield f"            most often {some}"
        if reason == "other_action":
            now = ",".join(found.click_actions)
            yield f"            if one is a click: --read.click-actions {now},ACTION (replaces the list, now: {now})"
    yield from (f"off         {what}" for what in found.lacking)
    yield from (f"note        {note}" for note in found.notes)
    yield f"next        {found.command or 'nothing to run yet: ' + found.no_command}"


NOTATIONS = {
    "timestamp": "timestamps by type",
    "iso8601": "ISO 8601 text",
    "epoch_s": "epoch seconds",
    "epoch_ms": "epoch milliseconds",
    "epoch_us": "epoch microseconds",
    "epoch_ns": "epoch nanoseconds",
    "unreadable": "something that cannot be read",
}
"""Notation → words."""

"""count: a log to sums that belong to nobody; cleaned, bounded per user, on all cores."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from . import _hardneg, options
from .blocks import Header, blocks_of, config_hash, metadata_of, opened
from .config import Config, CountConfig
from .detector import Detector
from .exceptions import UsageError
from .keys import Key
from .writers.atomic import whole_file

__all__ = ["TABLES", "Counts", "count_stream", "load_counts", "merge", "part_config", "split_counts"]

TABLES = ("queries", "cells", "pairs", "preferences", "successions", "succession_clicks", "bounded", "pages")

Progress = Callable[[str, int, float | None], object]
"""Called with the stage, rows read so far, and how much of the stage is done (0 to 1; None where nobody knows)."""


class Counts:
    """The counts of a log; tables and columns as in docs/ARCHITECTURE.md, count.

    They are exact and private: release them before anything leaves.
    """

    def __init__(self, core: _hardneg.Counts) -> None:
        self._core = core

    def table(self, name: str, *, columns: Sequence[str] = ()) -> _hardneg.Table:
        """One of `TABLES`, as an object that any Arrow consumer takes; its batches are made while they are read.

        Args:
            name: which table.
            columns: only these; all by default.

        Of parts its schema says `hardneg_fast.stage`, `users` and `queries` (of how many parts, and their numbers, as
        JSON), `config` and `key_id`.

        Raises:
            UsageError: it does not exist, or was not asked for; a column that it has not.
        """
        table = self._core.table(name, columns=list(columns))
        said = self.parts
        if said is None:
            return table
        numbers = {which: json.dumps(said[which]) for which in ("users", "queries")}
        return table.with_metadata(metadata_of(stage="counts", config=said["config"], key_id=said["key_id"], **numbers))

    @property
    def queries(self) -> _hardneg.Table:
        """Query → users, searches, searches_clicked."""
        return self.table("queries")

    @property
    def cells(self) -> _hardneg.Table:
        """query, doc_id, position, previous_click, fold → impressions, clicks, satisfied_clicks."""
        return self.table("cells")

    @property
    def pairs(self) -> _hardneg.Table:
        """query, doc_id → users, impressions, clicks and the sums that one-pass models need."""
        return self.table("pairs")

    @property
    def preferences(self) -> _hardneg.Table:
        """query, preferred, skipped, rule → users and sums of positions."""
        return self.table("preferences")

    @property
    def successions(self) -> _hardneg.Table:
        """query, next_query → users, users_clicked_after."""
        return self.table("successions")

    @property
    def bounded(self) -> _hardneg.Table:
        """query, doc_id → users_shown, users_clicked, of each user at most `max_pairs_per_user` pairs."""
        return self.table("bounded")

    @property
    def rows(self) -> int:
        """Rows read."""
        return self._core.stats()["rows"]

    @property
    def quarantine(self) -> dict[str, int]:
        """Reason → rows that could not be read."""
        return self._core.stats()["quarantine"]

    @property
    def timestamp_notations(self) -> dict[str, int]:
        """Notation → rows."""
        return self._core.stats()["timestamp_notations"]

    @property
    def scrubbed(self) -> dict[str, int]:
        """Kind of personal data → rows whose query held some."""
        return self._core.stats()["scrubbed"]

    @property
    def dropped(self) -> dict[str, int]:
        """Reason → rows left out by cleaning and bounding."""
        return self._core.dropped

    @property
    def sizes(self) -> dict[str, int]:
        """Rows of the tables, and users (or pages, in a log without users)."""
        return self._core.sizes

    @property
    def has(self) -> dict[str, bool]:
        """What the log had: users, pages, positions, times, unclicked."""
        return self._core.has

    @property
    def tables(self) -> list[str]:
        """Names of the tables that were counted."""
        return self._core.tables

    @property
    def options(self) -> dict[str, Any]:
        """Options of the section `count` that these were counted with, by name; not `since` and `until`."""
        own = ("scrub", "users", "seed")
        return {name: json.loads(value) for name, value in self._core.options.items() if name not in own}

    @property
    def scrubbing(self) -> str:
        """How personal data in queries was scrubbed: action, kinds, detector."""
        return self._core.options["scrub"]

    @property
    def seed(self) -> int | None:
        """By what votes were drawn into folds and samples; None where counts of an older version do not tell."""
        said = self._core.options.get("seed")
        return None if said is None else int(said)

    @property
    def sessions_stand_for_users(self) -> bool:
        """Whether user_id and session_id were one column: a threshold of users is then one of sessions."""
        return "users" in self._core.options

    @property
    def users_disjoint(self) -> bool:
        """Whether nobody is counted twice; no k-user threshold can be judged otherwise."""
        return self._core.disjoint

    def save(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Writes the counts to a file, whole or not at all, that only its owner may read: it is exact and private.

        Args:
            path: where; by custom it ends in `.counts`.
            overwrite: replace the file that stands there.

        Raises:
            UsageError: a file stands there, and is not to be replaced.
            FileError: it cannot be written.
        """
        with whole_file(Path(path), overwrite=overwrite, private=True) as partial:
            self._core.save(partial, called=path)

    @property
    def parts(self) -> _hardneg.Parts | None:
        """Of which parts of a log these are: users and queries, each (of how many, numbers); config, key_id.

        None for a whole log.
        """
        return self._core.parts

    def __repr__(self) -> str:
        return f"<Counts of {self.rows} rows: {self.sizes['queries']} queries, {self.sizes['pairs']} pairs>"


def count_stream(
    log: pa.RecordBatchReader | _hardneg.ParquetLog,
    *,
    config: CountConfig,
    scrub: tuple[str, Detector | None],
    key: Key,
    seed: int,
    threads: int,
    memory: int,
    spill_dir: str,
    position_base: int,
    has_pages: bool,
    tables: tuple[str, ...],
    sessions_stand_for_users: bool = False,
    part: tuple[int, int] | None = None,
    progress: Progress | None = None,
) -> Counts:
    """Counts a stream of rows with canonical names; those of `part`, a number and of how many, if these are a part.

    Raises:
        ColumnError, DataError: rows that cannot be read.
        UsageError: options that do not fit the log; a table that does not exist.
    """
    unknown = [name for name in tables if name not in TABLES]
    if "bounded" in tables and not config.max_pairs_per_user:
        raise UsageError("table bounded needs count.max_pairs_per_user above 0")
    if unknown:
        raise UsageError(f"no counts tables are called {unknown}; give a tuple of names out of {TABLES}")
    options = _options(config)
    common = part_config(config, scrub, seed=seed, position_base=position_base, has_pages=has_pages)
    options |= {
        "page_counts": config.page_counts == "on" or "pages" in tables,
        "preferences": bool({"preferences", "successions", "succession_clicks"} & {*tables}),
        "cell_detail": "cells" in tables,
        "max_pairs_per_user": config.max_pairs_per_user if "bounded" in tables else 0,
    }
    core = _hardneg.count(
        log,
        options=json.dumps(options),
        scrub=scrub,
        key=key.material(),
        seed=seed,
        position_base=position_base,
        has_pages=has_pages,
        sessions_stand_for_users=sessions_stand_for_users,
        threads=threads,
        memory=memory or default_memory(),
        spill=spill_dir or tempfile.gettempdir(),
        part=part and (*part, common, key.id),
        progress=progress,
    )
    return Counts(core)


def _options(config: CountConfig) -> dict[str, Any]:
    options = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    return options | {"since": micros(config.since), "until": micros(config.until)}


def part_config(
    config: CountConfig, scrub: tuple[str, Detector | None], *, seed: int, position_base: int, has_pages: bool
) -> str:
    """Hash of what all parts of a log have to be counted with."""
    facts = {"seed": seed, "position_base": position_base, "has_pages": has_pages, "scrub": scrub[0]}
    detector = scrub[1].name if scrub[1] else None
    return config_hash({**_options(config), **facts, "detector": detector})


def split_counts(counts: Counts, parts: int, key: Key) -> pa.RecordBatchReader:
    """The parts of the queries of counts as sealed blocks, one a part."""
    said = counts.parts
    if said is None:
        raise UsageError("counts of a whole log are not split: count it with part=(0, 1)")
    if said["key_id"] != key.id:
        raise UsageError(f"these counts were counted under key {said['key_id']}, not {key.id}; give that key")
    header = Header(stage="counts", part=0, of=parts, config=said["config"], key=key.id)
    return blocks_of(enumerate(counts._core.split(parts)), header, key)


def default_memory() -> int:
    """A quarter of the memory of the machine, or of the control group that holds this process."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no such group, or one without a limit
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return max(total // 4, 64_000_000)


def load_counts(path: Path | str | bytes, /, *, config: Config | None = None, key: Key | None = None) -> Counts:
    """Counts that `Counts.save` wrote, or `split` sealed: the same tables, to be released or merged.

    Checksums find a file that was cut or changed by accident. Load only files that jobs of your own wrote.

    Args:
        path: the file, or the bytes of a block of counts.
        key: of a block: the master key that it was sealed under.
        config: `memory` and `spill_dir` count: tables that do not fit go, encrypted, to the spill.

    Raises:
        FileError: it cannot be read.
        UsageError: a block without its key; tables that are released already.
        DataError: it holds no counts, those of another version of the format, or is cut short or damaged.
    """
    config = options.checked(config or Config())
    memory, spill = int(config.memory) or default_memory(), config.spill_dir or tempfile.gettempdir()
    if isinstance(path, bytes):
        if not isinstance(key, Key):
            raise UsageError("a block of counts opens with the key that it was sealed under: load_counts(block, key=…)")
        _, content = opened(path, key, stage="counts")
        return Counts(_hardneg.unpack(content.to_pybytes(), memory=memory, spill=spill))
    return Counts(_hardneg.load(Path(path), memory=memory, spill=spill))


def merge(first: Counts, /, *others: Counts, users: Literal["disjoint", "unknown"] = "unknown") -> Counts:
    """The sum of counts; exact when no user is in two of them (daily counts of the same users are not).

    Parts that were counted with `part` share no user, and are merged in any order, each once: those of the same
    queries, and then those of all queries of the same users.

    Args:
        first: counts of one part of a log.
        others: counts of other parts, with the same columns and options.
        users: `disjoint` if you know that no user is in two. Otherwise the sum cannot be released under k-users,
            because one person of two parts would pass for two.

    Raises:
        UsageError: they were counted from different columns, with different tables, or with different options (other
            than `since` and `until`); a part comes twice, or is of another split, key or log.
    """
    if users not in ("disjoint", "unknown"):
        raise UsageError(f"users is {users!r}; choose disjoint or unknown")
    cores = [first._core, *(other._core for other in others)]
    while len(cores) > 1:
        # By twos: a row is copied as often as the counts can be halved.
        pairs = [cores[i : i + 2] for i in range(0, len(cores), 2)]
        cores = [_hardneg.merge(*two, disjoint=users == "disjoint") if len(two) == 2 else two[0] for two in pairs]
    return Counts(cores[0])


def micros(time: datetime.datetime | None) -> int | None:
    """Microseconds since 1970, as the core counts them."""
    if time is None:
        return None
    since = (time if time.tzinfo else time.replace(tzinfo=datetime.UTC)) - datetime.datetime(
        1970, 1, 1, tzinfo=datetime.UTC
    )
    return since // datetime.timedelta(microseconds=1)

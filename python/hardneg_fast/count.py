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
from typing import Literal

import pyarrow as pa

from . import _hardneg, options
from .config import Config, CountConfig
from .detector import Detector
from .exceptions import UsageError
from .keys import Key
from .writers.atomic import whole_file

__all__ = ["TABLES", "Counts", "count_stream", "load_counts", "merge"]

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

        Raises:
            UsageError: it does not exist, or was not asked for; a column that it has not.
        """
        return self._core.table(name, columns=list(columns))

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
    progress: Progress | None = None,
) -> Counts:
    """Counts a stream of rows with canonical names.

    Raises:
        ColumnError, DataError: rows that cannot be read.
        UsageError: options that do not fit the log; a table that does not exist.
    """
    unknown = [name for name in tables if name not in TABLES]
    if "bounded" in tables and not config.max_pairs_per_user:
        raise UsageError("table bounded needs count.max_pairs_per_user above 0")
    if unknown:
        raise UsageError(f"no counts tables are called {unknown}; give a tuple of names out of {TABLES}")
    options = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    options |= {
        "since": micros(config.since),
        "until": micros(config.until),
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
        threads=threads,
        memory=memory or default_memory(),
        spill=spill_dir or tempfile.gettempdir(),
        progress=progress,
    )
    return Counts(core)


def default_memory() -> int:
    """A quarter of the memory of the machine, or of the control group that holds this process."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no such group, or one without a limit
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return max(total // 4, 64_000_000)


def load_counts(path: Path | str, /, *, config: Config | None = None) -> Counts:
    """Counts that `Counts.save` wrote: the same tables, to be released or merged.

    Checksums find a file that was cut or changed by accident. Load only files that jobs of your own wrote.

    Args:
        path: the file.
        config: `memory` and `spill_dir` count: tables that do not fit go, encrypted, to the spill.

    Raises:
        FileError: it cannot be read.
        DataError: it holds no counts, those of another version of the format, or is cut short or damaged.
    """
    config = options.checked(config or Config())
    memory, spill = int(config.memory) or default_memory(), config.spill_dir or tempfile.gettempdir()
    return Counts(_hardneg.load(Path(path), memory=memory, spill=spill))


def merge(first: Counts, second: Counts, /, *, users: Literal["disjoint", "unknown"] = "unknown") -> Counts:
    """The sum of two counts; exact when no user is in both (daily counts of the same users are not).

    Args:
        first: counts of one part of a log.
        second: counts of another part, with the same columns and options.
        users: `disjoint` if you know that no user is in both. Otherwise the sum cannot be released under k-users,
            because one person of two parts would pass for two.

    Raises:
        UsageError: they were counted from different columns, with different tables, or with different options (other
            than `since` and `until`).
    """
    if users not in ("disjoint", "unknown"):
        raise UsageError(f"users is {users!r}; choose disjoint or unknown")
    return Counts(_hardneg.merge(first._core, second._core, disjoint=users == "disjoint"))


def micros(time: datetime.datetime | None) -> int | None:
    """Microseconds since 1970, as the core counts them."""
    if time is None:
        return None
    since = (time if time.tzinfo else time.replace(tzinfo=datetime.UTC)) - datetime.datetime(
        1970, 1, 1, tzinfo=datetime.UTC
    )
    return since // datetime.timedelta(microseconds=1)

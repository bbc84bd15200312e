"""Counting a log: of files or Arrow objects, of one part of the users, into a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import keys, options
from ..anonymize import scrubbing
from ..blocks import is_blocks, rows_of
from ..config import Config
from ..count import TABLES, Counts, Progress, count_stream
from ..exceptions import DataError, UsageError
from ..keys import Key
from ..read import RawLog, open_log
from ..result import quarantined
from ..writers.atomic import check_file
from .admission import refuse_nothing
from .broken import named_errors
from .split import checked_part, common_config

__all__ = ["MINED_TABLES", "count", "count_to_file", "counted"]

MINED_TABLES = ("queries", "cells", "pairs", "preferences")
"""Tables that the stages after counting use today, successions with preferences; the others are counted when asked
for."""


def count(
    log: object,
    *,
    config: Config | None = None,
    tables: tuple[str, ...] = TABLES[:-2],
    key: Key | None = None,
    part: tuple[int, int] | None = None,
    progress: Progress | None = None,
) -> Counts:
    """Counts a log: cleaned, bounded per user, on all cores.

    Args:
        log: as for `mine`; or, with `part`, a table of the blocks that `split` made of one part.
        config: options; their defaults otherwise.
        tables: names out of `count.TABLES`; fewer are faster.
        key: as for `mine`.
        part: (i, n) if this is part i, from 0, of n that `split` makes of a log; the counts then know it, and `merge`
            and `release` which parts are missing. Needs `key`, by whose hashes users have their parts.
        progress: as for `mine`.

    Raises:
        DataError: the log cannot be read; it has a user of another part.
        UsageError: options that cannot be; blocks of another part, key or configuration.
    """
    config = options.checked(config or Config())
    if part is None:
        return counted(open_log(log, config.read), config, key, tables, progress)
    part = checked_part(part)
    if not isinstance(key, Key):
        raise UsageError("parts are made by keyed hashes of users: count a part with the key that it was split by")
    if not is_blocks(log):
        return counted(open_log(log, config.read), config, key, tables, progress, part)
    rows = rows_of(log, key)
    if rows is None:
        raise DataError(f"there is no block of part {part[0]} of {part[1]}; split makes at least one of each part")
    header = rows.header
    if (header.part, header.of) != part:
        raise UsageError(f"the blocks are of part {header.part} of {header.of}, not of part {part[0]} of {part[1]}")
    if header.config != common_config(config, header.position_base, has_pages=header.has_pages):
        raise UsageError("the log was split with another configuration; split and count with the same")
    try:
        return count_stream(
            rows.reader,
            config=config.count,
            scrub=scrubbing(config.scrub),
            key=key,
            seed=config.seed,
            threads=config.threads,
            memory=int(config.memory),
            spill_dir=config.spill_dir,
            position_base=header.position_base,
            has_pages=header.has_pages,
            tables=tables,
            part=part,
            progress=progress,
        )
    except DataError:
        if rows.error is not None:
            raise rows.error from None
        raise


def count_to_file(
    log: object,
    out: Path | str,
    *,
    config: Config | None = None,
    tables: tuple[str, ...] = TABLES[:-2],
    key: Key | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Counts a log as `count` does, and saves the counts as `Counts.save` does.

    Args:
        log: as for `mine`.
        out: file to write, whole or not at all.
        config: options; their defaults otherwise.
        tables: as for `count`.
        key: as for `mine`.
        overwrite: replace the file that stands at `out`.
        progress: as for `mine`.

    Returns:
        rows read, quarantine and dropped by reason, sizes of tables, whether users could be told apart, notes, key id
        (None for a key that is forgotten now).

    Raises:
        DataError: the log cannot be read, or has no row that can be used.
        FileError: `out` cannot be written.
        UsageError: options that cannot be.
    """
    config = options.checked(config or Config())
    check_file(Path(out), overwrite=overwrite, private=True)
    raw = open_log(log, config.read)
    counts = counted(raw, config, key, tables, progress)
    refuse_nothing(raw, counts)
    counts.save(out, overwrite=overwrite)
    return {
        "rows": raw.report.rows_in or counts.rows,
        "quarantine": quarantined(raw.report.quarantine, counts.quarantine),
        "dropped": counts.dropped,
        "scrubbed": counts.scrubbed,
        "sizes": counts.sizes,
        "users": counts.has["users"],
        "notes": raw.report.notes,
        "key_id": None if key is None else key.id,
    }


def counted(
    raw: RawLog,
    config: Config,
    key: Key | None,
    tables: tuple[str, ...],
    progress: Progress | None,
    part: tuple[int, int] | None = None,
) -> Counts:
    """Counts a log that is open.

    Raises:
        DataError: it cannot be read; it has a user of another part.
        UsageError: options that do not fit the log; a key that is none.
    """
    with named_errors(raw):
        return count_stream(
            raw.direct(),
            config=config.count,
            scrub=scrubbing(config.scrub),
            key=keys.or_fresh(key),
            seed=config.seed,
            threads=config.threads,
            memory=int(config.memory),
            spill_dir=config.spill_dir,
            position_base=raw.position_base,
            has_pages=raw.has_pages,
            tables=tables,
            sessions_stand_for_users=raw.report.sessions_stand_for_users,
            part=part,
            progress=progress,
        )

"""Counts in the place of a log: what `mine` is told of them, and what it is not to be asked."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from .. import _hardneg
from ..anonymize import scrubbing
from ..config import Config, CountConfig, ReadConfig
from ..count import Counts, load_counts
from ..exceptions import DataError, UsageError
from ..read import SESSIONS
from ..sources.files import COUNTS
from ..sources.report import ReadReport

__all__ = ["in_place_of_a_log", "is_saved"]

NOTE = (
    "mined from counts: what the reader of the log set aside before it was counted, and the times that counting was "
    "limited to (count.since, count.until), are not told here"
)
SEEDLESS = "these counts are of a version that did not keep the seed: they may have been counted with another"
OVERLAPPING = (
    "these counts were merged without the word that their users are disjoint: who is in several counts as several"
)


def is_saved(log: object) -> bool:
    """Whether this is one file that `Counts.save` wrote."""
    if not isinstance(log, str | os.PathLike):
        return False
    try:
        with Path(log).open("rb") as file:
            return file.read(len(COUNTS)) == COUNTS
    except (OSError, ValueError):
        # Whoever reads logs says what is wrong with it.
        return False


def in_place_of_a_log(log: Any, config: Config) -> tuple[Any, Counts, Config]:
    """What stands for the log that was read, the counts, and the configuration with what they were counted with.

    Args:
        log: counts, or the file of them.
        config: what is asked for.

    Raises:
        FileError, DataError: the file holds no counts that can be loaded; they are of no row.
        UsageError: options of reading, or others of counting and scrubbing, or another seed, than the counts have.
    """
    counts = log if isinstance(log, Counts) else load_counts(log, config=config)
    config = _as_counted(counts, config)
    if not counts.sizes["pairs"]:
        raise DataError("nothing was counted: these counts hold no (query, document)")
    report = ReadReport(files=int(counts is not log), format="counts", shape="counts", rows_in=counts.rows)
    report.sessions_stand_for_users = counts.sessions_stand_for_users
    said = (
        (SESSIONS, counts.sessions_stand_for_users),
        (OVERLAPPING, not counts.users_disjoint),
        (SEEDLESS, counts.seed is None),
    )
    report.notes = [NOTE, *(note for note, holds in said if holds)]
    return SimpleNamespace(report=report), counts, config


def _as_counted(counts: Counts, config: Config) -> Config:
    if asked := _stated(config.read, ReadConfig()):
        raise UsageError(f"counts were read long ago: leave out {', '.join(f'read.{name}' for name in asked)}")
    said: dict[str, Any] = counts.options
    for name in _stated(config.count, CountConfig()):
        value = getattr(config.count, name)
        if name not in said:
            raise UsageError(f"counts do not tell count.{name} any more; leave it out: it acted when they were counted")
        if (list(value) if isinstance(value, tuple) else value) != said[name]:
            raise UsageError(
                f"these counts were counted with another count.{name}; leave it out, or count the log again"
            )
    if _hardneg.scrub_words(scrubbing(config.scrub)) != counts.scrubbing:
        raise UsageError(
            "the queries of these counts were scrubbed otherwise than [scrub] says; give the options that they were "
            "counted with, which the privacy statement repeats"
        )
    names = {field.name for field in dataclasses.fields(CountConfig)}
    known: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in said.items() if n in names}
    if counts.seed not in (None, config.seed) and config.seed != Config().seed:
        raise UsageError("these counts were counted with another seed; leave it out, or count the log again")
    seed = config.seed if counts.seed is None else counts.seed
    return dataclasses.replace(config, seed=seed, count=dataclasses.replace(config.count, **known))


def _stated(section: Any, default: Any) -> list[str]:
    """Options that are not left at their default."""
    names = (field.name for field in dataclasses.fields(section))
    return [name for name in names if getattr(section, name) != getattr(default, name)]

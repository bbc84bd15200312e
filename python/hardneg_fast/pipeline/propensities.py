"""Propensities: of a log, or of those of its rows whose positions were drawn at random."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pyarrow as pa

from .. import options
from ..click_model import ClickLog
from ..config import Config, ReadConfig
from ..count import Counts, Progress
from ..exceptions import ColumnError, UsageError
from ..propensities import DEFINITIONS, METHODS, Propensities, estimate
from ..read import bring
from ..sources import open_source
from ..sources.arrow import is_arrow
from .broken import unbroken
from .click_model import click_log

__all__ = ["estimate_propensities"]


def estimate_propensities(
    log: object,
    /,
    *,
    method: Literal["all_pairs", "adjacent_chain", "pivot", "click_rates"] = "all_pairs",
    definition: Literal["standard", "agarwal"] = "standard",
    randomized: str | None = None,
    bootstrap: int = 200,
    config: Config | None = None,
    progress: Progress | None = None,
) -> Propensities:
    """How likely results are to be examined at each position, relative to the top.

    From documents that were shown for one query at several positions (intervention harvesting, Agarwal et al. 2019), or
    from traffic in which positions were drawn at random.

    Args:
        log: what `click_log` made, or whatever it takes.
        method: `all_pairs` by maximum likelihood; `pivot` by comparison with the top, `adjacent_chain` position by
            position; `click_rates` relative to the top's, which are propensities in randomised traffic only.
        definition: what a pair weighs that was shown N times, n of them at one position and m at the other: `standard`
            n m / N, `agarwal` 1, as in the paper; no matter to `click_rates`.
        randomized: column of flags that says which rows of a log had their positions drawn at random: they alone are
            used, with `click_rates`.
        bootstrap: samples for the intervals, 0 for none.
        config: as for `click_log`.
        progress: as for `mine`.

    Raises:
        DataError: the log has no positions; no document was seen at two of them.
        UsageError: options that cannot be.
    """
    tree = options.checked(config or Config())
    if method not in METHODS:
        raise UsageError(f"method is {method!r}; choose one of {', '.join(METHODS)}")
    if definition not in DEFINITIONS:
        raise UsageError(f"definition is {definition!r}; choose one of {', '.join(DEFINITIONS)}")
    if not isinstance(bootstrap, int) or not 0 <= bootstrap <= 100_000:
        raise UsageError("bootstrap is a number of samples, 0 to 100,000")
    if randomized is not None:
        if isinstance(log, ClickLog | Counts):
            raise UsageError("which rows were randomised is a column of a log: pass the log itself")
        log, method = _flagged(log, randomized, tree), "click_rates"
    if not isinstance(log, ClickLog):
        log = click_log(log, config=tree, progress=progress)
    return estimate(
        log,
        method=method,
        definition=definition,
        replicates=bootstrap,
        seed=tree.seed,
        threads=tree.threads,
        progress=progress,
    )


def _flagged(log: object, flag: str, tree: Config) -> ClickLog:
    """The rows of a log whose column `flag` is true."""
    source, files = open_source(log, tree.read)
    raw = bring(source, files, tree.read, (flag,))
    reader = raw.reader()
    if not pa.types.is_boolean(reader.schema.field(flag).type):
        raise ColumnError(
            f"column {flag!r} has type {reader.schema.field(flag).type}, expected booleans; cast it first"
        )
    kept = (batch.filter(batch[flag]) for batch in unbroken(reader, raw))
    chosen = pa.RecordBatchReader.from_batches(reader.schema, kept)
    plain = replace(tree, read=ReadConfig(position_base="0" if raw.position_base == 0 else "1"))
    return click_log(chosen, config=plain, queries="given" if is_arrow(log) else "normalize")

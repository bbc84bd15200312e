"""An order from easy to hard over the negatives of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

__all__ = ["steps_of", "steps_together", "with_curriculum"]

pc: Any = pyarrow.compute

KINDS = ("easy", "semi", "hard")


def with_curriculum(negatives: pa.Table, steps: pa.Table | None = None) -> pa.Table:
    """The table with a column `curriculum`: the share of its rows that are easier.

    A trainer that takes, when a share t of the training is over, the rows with curriculum <= t begins with the easiest
    and ends with all (Bengio et al. 2009). Documents drawn at random are easy, retrieved ones harder, those of the log
    hardest; among them a higher score is harder where there are scores, else a position nearer the top. Made of columns
    that are shown, and of nothing else.

    Args:
        negatives: all of a run, or some.
        steps: of all, where these are some.
    """
    steps = steps_of(negatives) if steps is None else steps
    kinds, levels, rows = (steps[name].to_numpy() for name in ("kind", "level", "rows"))
    easier = np.cumsum(rows) - rows
    share = np.empty(negatives.num_rows)
    kind, level = _steps(negatives)
    for k in np.unique(kind):
        first, end = np.searchsorted(kinds, [k, k + 1])
        own = kind == k
        share[own] = easier[first + np.searchsorted(levels[first:end], level[own])] / max(int(rows.sum()), 1)
    return negatives.append_column("curriculum", pa.array(share))


def steps_of(negatives: pa.Table) -> pa.Table:
    """Rows by how hard they are, the easiest first: kind (its place in `KINDS`), level in it, rows."""
    kind, level = _steps(negatives)
    return steps_together(pa.table({"kind": kind, "level": level, "rows": np.ones(len(kind), np.int64)}))


def steps_together(every: pa.Table) -> pa.Table:
    """Those of all parts, one after another, as those of all rows."""
    kind, level, rows = (every[name].to_numpy() for name in ("kind", "level", "rows"))
    order = np.lexsort((level, kind))
    kind, level, rows = kind[order], level[order], rows[order]
    first = np.flatnonzero(np.r_[True, (kind[1:] != kind[:-1]) | (level[1:] != level[:-1])]) if len(kind) else order
    sums = np.add.reduceat(rows, first) if len(kind) else rows
    return pa.table({"kind": kind[first], "level": level[first], "rows": sums})


def _steps(negatives: pa.Table) -> tuple[Any, Any]:
    """Kind and level of each row."""
    kind = pc.index_in(negatives["kind"], value_set=pa.array(KINDS)).to_numpy()
    by = negatives["score"] if "score" in negatives.column_names else pc.negate(negatives["position_neg"])
    # What has neither is the easiest of its kind.
    return kind, np.asarray(pc.fill_null(by.cast(pa.float64()), -np.inf).to_numpy(), dtype=np.float64)

"""An order from easy to hard over the negatives of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

__all__ = ["with_curriculum"]

pc: Any = pyarrow.compute

KINDS = ("easy", "semi", "hard")


def with_curriculum(negatives: pa.Table) -> pa.Table:
    """The table with a column `curriculum`: the share of its rows that are easier.

    A trainer that takes, when a share t of the training is over, the rows with curriculum <= t begins with the easiest
    and ends with all (Bengio et al. 2009). Documents drawn at random are easy, retrieved ones harder, those of the log
    hardest; among them a higher score is harder where there are scores, else a position nearer the top. Made of columns
    that are shown, and of nothing else.
    """
    n = negatives.num_rows
    kind = pc.index_in(negatives["kind"], value_set=pa.array(KINDS)).to_numpy()
    by = negatives["score"] if "score" in negatives.column_names else pc.negate(negatives["position_neg"])
    # What has neither is the easiest of its kind.
    hardness = np.asarray(pc.fill_null(by.cast(pa.float64()), -np.inf).to_numpy(), dtype=np.float64)
    order = np.lexsort((hardness, kind))
    kind, hardness = kind[order], hardness[order]
    first = np.flatnonzero(np.r_[True, (kind[1:] != kind[:-1]) | (hardness[1:] != hardness[:-1])]) if n else order
    easier = np.repeat(first, np.diff(np.r_[first, n]))
    share = np.empty(n)
    share[order] = easier / max(n, 1)
    return negatives.append_column("curriculum", pa.array(share))

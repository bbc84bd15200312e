"""propensities: how likely a result is to be examined at its position, and weights that make up for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from . import _hardneg
from .exceptions import ColumnError, DataError, UsageError
from .writers.given import given_table

__all__ = ["DEFINITIONS", "METHODS", "Propensities", "Weights", "estimate", "of_table"]

DEFINITIONS = ("standard", "agarwal")
METHODS = ("all_pairs", "adjacent_chain", "pivot", "click_rates")

Progress = Callable[[str, int, float | None], object]
Floats = npt.NDArray[np.float64]


class HasClickLog(Protocol):
    """A ClickLog, seen from here."""

    @property
    def _core(self) -> _hardneg.ClickLog: ...


class HasExamination(Protocol):
    """A fitted PBM or TPBM, seen from here."""

    model: str

    @property
    def examination(self) -> _hardneg.Table: ...


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights of clicks, and what they are worth."""

    values: Floats = field(repr=False)
    """One for each click."""
    clipped: int
    """Clicks whose propensity was below the clip."""

    @property
    def effective_sample_size(self) -> float:
        """(Σ w)² / Σ w²: as many clicks of equal weight would say as much (Kish 1965)."""
        squares = float((self.values**2).sum())
        return float(self.values.sum()) ** 2 / squares if squares else 0.0


class Propensities:
    """Propensity of each position relative to the top's, estimated, assumed or given."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], method: str) -> None:
        self._rows = [dict(row) for row in rows]
        self.method = method
        """`all_pairs`, `adjacent_chain`, `pivot`, `click_rates`, `power_law`, `given`, `pbm` or `tpbm`."""
        self._trust = np.zeros(0)
        known = {row["position"]: row["propensity"] for row in self._rows if row["propensity"] is not None}
        self._values = np.full(max(known, default=0) + 1, np.nan)
        for position, value in known.items():
            self._values[position] = value

    @classmethod
    def given(cls, propensities: Mapping[int, float]) -> Propensities:
        """Propensities that are known from elsewhere, by position from 1.

        Raises:
            UsageError: positions below 1, values that are not above 0.
        """
        for position, value in propensities.items():
            if not isinstance(position, int) or position < 1 or not 0 < value < float("inf"):
                raise UsageError("propensities are numbers above 0, by position from 1")
        return cls([_row(p, float(v)) for p, v in sorted(propensities.items())], "given")

    @classmethod
    def power_law(cls, eta: float, *, depth: int) -> Propensities:
        """(1 / position)^eta: an assumption, where nothing can be estimated (Joachims et al. 2017).

        Args:
            eta: 0 for no position bias; 1 is common.
            depth: lowest position.

        Raises:
            UsageError: a negative eta, a depth below 1.
        """
        if not 0 <= eta < float("inf") or depth < 1:
            raise UsageError("eta is 0 or more, depth 1 or more")
        return cls([_row(p, p**-eta) for p in range(1, depth + 1)], "power_law")

    @classmethod
    def of(cls, model: HasExamination) -> Propensities:
        """Those of a click model: examination of pbm; of tpbm what being wanted adds to the chance of a click.

        Args:
            model: what `fit_click_model` made.

        Raises:
            UsageError: a model that does not split clicks by position alone.
        """
        if model.model not in ("pbm", "tpbm"):
            raise UsageError(f"{model.model} has no propensities by position; fit pbm or tpbm")
        rows = pa.table(model.examination).to_pylist()
        trust = [row["examination"] * row.get("trust", 0.0) for row in rows]
        made = cls(
            [
                _row(row["position"], max(row["examination"] - t, 0.0)) | {"impressions": int(row["trials"])}
                for row, t in zip(rows, trust, strict=True)
            ],
            model.model,
        )
        made._trust = np.zeros(len(made._values))
        for row, t in zip(rows, trust, strict=True):
            made._trust[row["position"]] = t
        return made

    @property
    def table(self) -> pa.Table:
        """position, propensity, its 95 % bootstrap interval (lower, upper), impressions, clicks.

        propensity is null where nothing connects a position to the top; lower and upper where there is no interval.
        """
        kinds = (pa.int32(), pa.float64(), pa.float64(), pa.float64(), pa.int64(), pa.int64())
        names = ("position", "propensity", "lower", "upper", "impressions", "clicks")
        return pa.Table.from_pylist(self._rows, pa.schema(zip(names, kinds, strict=True)))

    def by_position(self) -> tuple[float, ...]:
        """Propensities from the top down, without gaps: `EvidenceConfig.propensities`.

        Raises:
            DataError: a position between the top and the lowest has none.
        """
        if lacking := [p for p in range(1, len(self._values)) if np.isnan(self._values[p])]:
            raise DataError(f"no propensity is known for positions {lacking[:20]}; say one for each, from the top down")
        return tuple(float(p) for p in self._values[1:])

    def weights(
        self,
        positions: npt.ArrayLike,
        *,
        clip: float = 0.05,
        estimator: Literal["ips", "snips"] = "ips",
    ) -> Weights:
        """Inverse propensity weights of clicks.

        `ips`: 1 / max(propensity, clip) (Joachims et al. 2017). `snips`: the same, divided by their mean, which takes a
        common factor out (Swaminathan & Joachims 2015).

        Args:
            positions: position of each click, from 1.
            clip: smaller propensities count as this one: less variance for some bias; 0 clips nothing.
            estimator: see above.

        Raises:
            DataError: a position has no propensity.
            UsageError: options that cannot be.
        """
        if estimator not in ("ips", "snips"):
            raise UsageError(f"estimator is {estimator!r}; choose ips or snips")
        if not 0 <= clip <= 1:
            raise UsageError("clip is between 0 and 1")
        found, _ = self._known(positions)
        values = 1.0 / np.maximum(found, clip)
        if estimator == "snips" and len(values):
            values = values / values.mean()
        return Weights(values=values, clipped=int((found < clip).sum()))

    def corrected(self, positions: npt.ArrayLike, clicked: npt.ArrayLike, *, clip: float = 0.05) -> Floats:
        """What each impression says of being wanted: (clicked - v) / max(u - v, clip); v is 0 but for tpbm.

        Its mean over a document's impressions has no position bias and, with tpbm, no trust bias, which no weights of
        clicks alone can take out (Vardasbi et al. 2020). Without trust it is clicked times the IPS weight.

        Args:
            positions: position of each impression, from 1.
            clicked: whether it was clicked.
            clip: as for `weights`.

        Raises:
            DataError: a position has no propensity.
            UsageError: options that cannot be.
        """
        if not 0 <= clip <= 1:
            raise UsageError("clip is between 0 and 1")
        found, at = self._known(positions)
        clicks = np.asarray(clicked, bool)
        if clicks.shape != at.shape:
            raise UsageError(f"{len(at)} positions and {clicks.size} clicks; give one of each for each impression")
        trust = self._trust[at] if len(self._trust) else 0.0
        made: Floats = (clicks - trust) / np.maximum(found, clip)
        return made

    def _known(self, positions: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Propensity of each position, and the position."""
        at = np.asarray(positions)
        if at.ndim != 1 or not (np.issubdtype(at.dtype, np.integer) or at.size == 0):
            raise UsageError("positions are a list of whole numbers")
        at = at.astype(np.int64)
        inside = (at >= 1) & (at < len(self._values))
        found = np.where(inside, self._values[np.where(inside, at, 0)], np.nan)
        if np.isnan(found).any():
            lacking = sorted({int(p) for p in at[np.isnan(found)]})
            raise DataError(f"no propensity is known for positions {lacking[:20]}; leave their clicks out")
        return found, at

    def sensitivity(
        self, etas: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0), *, clip: float = 0.05
    ) -> pa.Table:
        """What would follow for the clicks of this table if propensities were (1 / position)^eta.

        Returns:
            eta, effective_sample_size, clipped (clicks), largest_weight, share_below_top (of all weight, that of clicks
            below the top position): where a conclusion hangs on eta, measure propensities instead of assuming them.

        Raises:
            UsageError: as `power_law` and `weights`.
        """
        positions = np.repeat([row["position"] for row in self._rows], [row["clicks"] or 0 for row in self._rows])
        rows = []
        for eta in etas:
            law = Propensities.power_law(eta, depth=max((row["position"] for row in self._rows), default=1))
            made = law.weights(positions.astype(np.int64), clip=clip)
            below = float(made.values[positions > 1].sum())
            rows.append(
                {
                    "eta": float(eta),
                    "effective_sample_size": made.effective_sample_size,
                    "clipped": made.clipped,
                    "largest_weight": float(made.values.max(initial=0.0)),
                    "share_below_top": below / float(made.values.sum()) if len(positions) else 0.0,
                }
            )
        return pa.Table.from_pylist(rows)

    def __repr__(self) -> str:
        return f"<Propensities of {len(self._rows)} positions, {self.method}>"


def of_table(given: object) -> Propensities:
    """Propensities that a table or Parquet file holds: position, propensity.

    Raises:
        FileError, ColumnError, UsageError: it is no such table.
        DataError: a position comes twice, or is none.
    """
    table = given_table(given, "propensities", ["position", "propensity"])
    position, value = table["position"], table["propensity"]
    if not pa.types.is_integer(position.type) or not pa.types.is_floating(value.type):
        raise ColumnError(
            f"propensities: position is {position.type} and propensity {value.type}; whole numbers and floats expected"
        )
    positions = position.to_pylist()
    if not positions or len({*positions}) < len(positions) or None in positions:
        raise DataError("propensities: each position once is expected, from the top down")
    return Propensities.given({p: v for p, v in zip(positions, value.to_pylist(), strict=True) if v is not None})


def _row(position: int, propensity: float) -> dict[str, Any]:
    return {"position": position, "propensity": propensity} | dict.fromkeys(("lower", "upper", "impressions", "clicks"))


def estimate(
    log: HasClickLog,
    *,
    method: str,
    definition: str,
    replicates: int,
    seed: int,
    threads: int,
    progress: Progress | None = None,
) -> Propensities:
    """Propensities of a grouped log.

    Raises:
        DataError: the log has no positions; nothing that the method could go by.
    """
    rows = _hardneg.estimate_propensities(
        log._core,
        method=json.dumps(method),
        definition=json.dumps(definition),
        replicates=replicates,
        seed=seed,
        threads=threads,
        progress=progress,
    )
    return Propensities(rows, method)

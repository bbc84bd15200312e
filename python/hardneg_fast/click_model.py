"""click_model: what made users click, of which being looked at is one thing and being wanted another."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from . import _hardneg
from .config import ClickModelConfig
from .detector import Detector
from .exceptions import UsageError
from .keys import Key

__all__ = ["MODELS", "Choice", "ClickLog", "ClickModel", "Regressor", "choose", "fit", "of_counts", "of_log"]

MODELS = ("gctr", "rctr", "dctr", "cm", "dcm", "sdbn", "dbn", "pbm", "tpbm", "ubm")

Progress = Callable[[str, int, float | None], object]


class HasCounts(Protocol):
    """Counts, seen from here."""

    @property
    def _core(self) -> _hardneg.Counts: ...


class Regressor(Protocol):
    """What scikit-learn, LightGBM and XGBoost call a regressor."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:  # noqa: N803  # their word
        """Learns shares y of rows X, each of a weight."""

    def predict(self, X: Any) -> Any:  # noqa: N803
        """A share for each row."""


class ClickLog:
    """A log grouped for click models: equal pages once, with their number; or cells. Exact and private, like counts."""

    def __init__(self, core: _hardneg.ClickLog) -> None:
        self._core = core

    @property
    def sizes(self) -> dict[str, int]:
        """Of queries, pairs, pages, impressions, clicks, unpositioned (without a position), depth (the lowest one)."""
        return self._core.sizes

    @property
    def has(self) -> dict[str, bool]:
        """What models can be fitted by: positions, pages, previous_clicks, folds."""
        return self._core.has

    @property
    def pairs(self) -> _hardneg.Table:
        """Query and doc_id of each pair, in canonical order: that of every table, and of a regressor's features."""
        return self._core.pairs()

    @property
    def rows(self) -> int:
        """Rows read; 0 for counts."""
        return self._core.stats()["rows"]

    @property
    def quarantine(self) -> dict[str, int]:
        """Reason → rows set aside."""
        return self._core.stats()["quarantine"]

    def __repr__(self) -> str:
        sizes = self.sizes
        return f"<ClickLog of {sizes['pages']} pages: {sizes['queries']} queries, {sizes['pairs']} pairs>"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """Which of the models was chosen, and why."""

    table: pa.Table
    """A row for each model, simplest first.

    model, parameters, held_out (mean log-likelihood of a result of fold 9), behind (the best), standard_error (of
    behind), passes, verdict: null figures where the log does not support the model, with the reason as the verdict."""
    reason: str
    """In a sentence."""

    def __repr__(self) -> str:
        rows = [
            f"{'model':6} {'parameters':>10} {'held out':>10} {'behind':>10} {'± s.e.':>9} {'passes':>6}  verdict",
        ]
        for row in self.table.to_pylist():
            held, behind, error = (
                "" if row[name] is None else f"{row[name]:.6f}" for name in ("held_out", "behind", "standard_error")
            )
            passes = "" if row["passes"] is None else row["passes"]
            figures = f"{row['parameters']:>10} {held:>10} {behind:>10} {error:>9} {passes:>6}"
            rows.append(f"{row['model']:6} {figures}  {row['verdict']}")
        return "\n".join([*rows, self.reason])


class ClickModel:
    """A click model, fitted; docs/CLICK_MODELS.md says what each figure is. As private as the log."""

    def __init__(self, core: _hardneg.ClickModel, log: ClickLog, threads: int, choice: Choice | None = None) -> None:
        self._core = core
        self.model = core.model
        self.choice = choice
        """For `auto`, what was compared and why this model was chosen."""
        self._log = log
        self._threads = threads

    @property
    def assumes(self) -> list[str]:
        """What no log can tell, and this model therefore takes for granted; in sentences."""
        said = []
        if self.model in ("pbm", "tpbm", "ubm"):
            said.append("the top position is always examined: attractiveness and examination are relative to that")
        if self.model == "tpbm":
            said.append(
                "nobody clicks out of trust alone at the lowest position that has a tenth of the top's impressions: "
                "more trust everywhere, and less attractiveness, would explain the log as well"
            )
            said.append(
                "what is wanted and examined is clicked: examination and that chance show only as their product"
            )
        if self.model in ("cm", "dcm", "sdbn", "dbn"):
            said.append("results are looked at from the top, none is skipped unseen")
        if apart := self._core.apart:
            said.append(
                f"no document connects positions {apart} to the top: their examination is what the model began with"
            )
        return said

    @property
    def attractiveness(self) -> _hardneg.Table:
        """By query and doc_id, in canonical order.

        attractiveness, its 95 % credible interval (lower, upper; null for a regressor's), clicks, impressions,
        examinations (expected; for tpbm as many as would leave attractiveness as uncertain); sdbn and dbn also
        satisfaction and its interval.

        Raises:
            UsageError: gctr and rctr have none.
        """
        return self._core.attractiveness()

    @property
    def examination(self) -> _hardneg.Table:
        """By position.

        examination (pbm, tpbm; ubm by previous_click, too), ctr (gctr, rctr), or continuation (dcm: after a click; dbn:
        gamma); trust (tpbm: how likely what is examined and not wanted is clicked, relative to what is wanted); and the
        trials it was learnt from.

        Raises:
            UsageError: dctr, cm and sdbn have none.
        """
        return self._core.places()

    @property
    def gamma(self) -> float | None:
        """dbn: probability that who is not satisfied goes on, where it is one for all positions."""
        return self._core.gamma

    @property
    def priors(self) -> dict[str, tuple[float, float]]:
        """Of attractiveness and satisfaction: the Beta prior, as hits and misses."""
        found = {"attractiveness": self._core.attraction_prior, "satisfaction": self._core.satisfaction_prior}
        return {name: prior for name, prior in found.items() if prior is not None}

    @property
    def iterations(self) -> int:
        """Passes over the data."""
        return self._core.iterations

    @property
    def converged(self) -> bool:
        """Whether passes ended because more explained the held-out fold no better, not because there were too many."""
        return self._core.converged

    @property
    def held_out(self) -> float | None:
        """Mean log-likelihood of an impression of fold 9 under what the other folds teach; None without folds."""
        return self._core.held_out

    @property
    def history(self) -> list[float]:
        """The same after each pass; without folds, that of the whole log."""
        return self._core.history

    def metrics(
        self, log: ClickLog | None = None, *, definition: Literal["clax", "pyclick"] = "clax"
    ) -> dict[str, Any]:
        """How well the model explains a log: log-likelihood, perplexities, in all and by position.

        Args:
            log: what `click_log` made of pages that the model has not seen; None for those it was fitted to.
            definition: `clax` pools results; `pyclick` averages over pages of known queries, and over ten positions.

        Returns:
            log_likelihood (of a result, given the clicks above), perplexity (of a click, not knowing those above),
            conditional_perplexity, click_perplexity and skip_perplexity (the last, of clicked results and of others),
            impressions, clicks, pages; positions: the same for each.

        Raises:
            DataError: the log has no pages or no positions.
        """
        if definition not in ("clax", "pyclick"):
            raise UsageError(f"definition is {definition!r}; choose clax or pyclick")
        of = (log or self._log)._core
        all_, positions, pages = self._core.metrics(of, definition=json.dumps(definition), threads=self._threads)
        return {**all_, "pages": pages, "positions": positions}

    def predict(self, log: ClickLog | None = None) -> _hardneg.Table:
        """One row for each result of each page, in canonical order.

        query, doc_id, page, weight (how many equal pages), position, clicked, click_probability, click_given_above,
        examined_given_above, attractiveness.

        Args:
            log: what `click_log` made; None for the log the model was fitted to.

        Raises:
            DataError: the log has no pages or no positions.
        """
        return self._core.predict((log or self._log)._core, threads=self._threads)

    def __repr__(self) -> str:
        said = f"<ClickModel {self.model}: {self.iterations} passes over {self._log.sizes['pairs']} pairs>"
        return f"{said}\n{self.choice!r}" if self.choice else said


def of_log(
    log: pa.RecordBatchReader | _hardneg.ParquetLog,
    *,
    normalize: bool,
    scrub: tuple[str, Detector | None],
    key: Key,
    seed: int,
    position_base: int,
    max_position: int,
    threads: int,
    progress: Progress | None = None,
) -> ClickLog:
    """A stream of rows or cells, grouped.

    Raises:
        ColumnError, DataError: rows that cannot be read.
    """
    core = _hardneg.click_log(
        log,
        normalize=normalize,
        scrub=scrub,
        key=key.material(),
        seed=seed,
        position_base=position_base,
        max_position=max_position,
        threads=threads,
        progress=progress,
    )
    return ClickLog(core)


def of_counts(counts: HasCounts, *, seed: int) -> ClickLog:
    """Counts, grouped."""
    return ClickLog(_hardneg.click_log_counted(counts._core, seed=seed))


def fit(
    log: ClickLog,
    *,
    model: str,
    config: ClickModelConfig,
    threads: int,
    regressor: Regressor | None = None,
    features: object = None,
    progress: Progress | None = None,
) -> ClickModel:
    """Fits `model`; `regressor` learns attractiveness from `features`, of which there is a row for each pair.

    Raises:
        DataError: the log lacks what the model needs.
        UsageError: no such model; options that cannot be.
    """
    if model not in MODELS:
        raise UsageError(f"no click model is called {model!r}; there are {', '.join(MODELS)}, and auto")
    core = _hardneg.fit_click_model(
        log._core,
        model=model,
        options=_options(config),
        threads=threads,
        m_step=None if regressor is None else _m_step(regressor, features, log.sizes["pairs"]),
        progress=progress,
    )
    return ClickModel(core, log, threads)


def choose(log: ClickLog, *, config: ClickModelConfig, threads: int, progress: Progress | None = None) -> ClickModel:
    """Fits the simplest model that explains held-out results as well as the best of those that the log supports.

    Raises:
        DataError: the log has no folds to hold out, or supports no model.
        UsageError: options that cannot be.
    """
    core, rows, reason = _hardneg.choose_click_model(
        log._core, options=_options(config), threads=threads, progress=progress
    )
    kinds = {"model": pa.string(), "parameters": pa.int64(), "passes": pa.int64(), "verdict": pa.string()}
    names = ("model", "parameters", "held_out", "behind", "standard_error", "passes", "verdict")
    schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in names])
    return ClickModel(core, log, threads, Choice(table=pa.Table.from_pylist(rows, schema), reason=reason))


def _options(config: ClickModelConfig) -> str:
    options = dataclasses.asdict(config)
    del options["max_position"]
    return json.dumps(options)


def _m_step(regressor: Regressor, features: Any, pairs: int) -> Callable[[bytes, bytes], bytes]:
    """From expected hits and trials of each pair to what the regressor predicts after learning their ratio."""
    rows = features.shape[0] if hasattr(features, "shape") else -1
    if rows != pairs:
        raise UsageError(
            f"features has {rows if rows >= 0 else 'no'} rows; give an array or a frame with one for each of the "
            f"{pairs} pairs of click_log(…).pairs, in that order"
        )

    def step(hits: bytes, trials: bytes) -> bytes:
        h, n = (np.frombuffer(x, np.float64) for x in (hits, trials))
        seen = np.flatnonzero(n > 0)
        of = features.iloc[seen] if hasattr(features, "iloc") else features[seen]
        regressor.fit(of, h[seen] / n[seen], sample_weight=n[seen])
        made: npt.NDArray[np.float64] = np.asarray(regressor.predict(features), np.float64)
        return made.ravel().tobytes()

    return step

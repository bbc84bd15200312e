"""click_model: what made users click, of which being looked at is one thing and being wanted another."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any, Literal, Protocol

import pyarrow as pa

from . import _hardneg
from .config import ClickModelConfig
from .detector import Detector
from .exceptions import UsageError
from .keys import Key

__all__ = ["MODELS", "ClickLog", "ClickModel", "fit", "of_counts", "of_log"]

MODELS = ("gctr", "rctr", "dctr", "cm", "dcm", "sdbn", "dbn", "pbm", "ubm")

Progress = Callable[[str, int, float | None], object]


class HasCounts(Protocol):
    """Counts, seen from here."""

    @property
    def _core(self) -> _hardneg.Counts: ...


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


class ClickModel:
    """A click model, fitted; docs/CLICK_MODELS.md says what each figure is. As private as the log."""

    def __init__(self, core: _hardneg.ClickModel, model: str, log: ClickLog, threads: int) -> None:
        self._core = core
        self.model = model
        self._log = log
        self._threads = threads

    @property
    def attractiveness(self) -> _hardneg.Table:
        """By query and doc_id, in canonical order.

        attractiveness, its 95 % credible interval (lower, upper), clicks, impressions, examinations (expected); sdbn
        and dbn also satisfaction and its interval.

        Raises:
            UsageError: gctr and rctr have none.
        """
        return self._core.attractiveness()

    @property
    def examination(self) -> _hardneg.Table:
        """By position.

        examination (pbm; ubm by previous_click, too), ctr (gctr, rctr), or continuation (dcm: after a click; dbn:
        gamma); and the trials it was learnt from.

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
        return f"<ClickModel {self.model}: {self.iterations} passes over {self._log.sizes['pairs']} pairs>"


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
    log: ClickLog, *, model: str, config: ClickModelConfig, threads: int, progress: Progress | None = None
) -> ClickModel:
    """Fits `model`.

    Raises:
        DataError: the log lacks what the model needs.
        UsageError: no such model; options that cannot be.
    """
    if model not in MODELS:
        raise UsageError(f"no click model is called {model!r}; there are {', '.join(MODELS)}")
    options = dataclasses.asdict(config)
    del options["max_position"]
    core = _hardneg.fit_click_model(
        log._core, model=model, options=json.dumps(options), threads=threads, progress=progress
    )
    return ClickModel(core, model, log, threads)

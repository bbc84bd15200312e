"""Click models: a log, cells or counts grouped for them, and one of them fitted or chosen."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

from .. import options
from ..anonymize import normalizing, scrubbing
from ..click_model import ClickLog, ClickModel, Regressor, choose, fit, of_counts, of_log
from ..config import ClickModelConfig, Config
from ..count import Counts, Progress
from ..exceptions import UsageError
from ..keys import Key
from ..read import open_pages
from ..release import Released
from ..release_private import PrivateReleased
from .broken import named_errors

__all__ = ["click_log", "fit_click_model"]


def click_log(
    log: object,
    /,
    *,
    config: Config | None = None,
    queries: Literal["auto", "given", "normalize"] = "auto",
    progress: Progress | None = None,
) -> ClickLog:
    """A log grouped for click models: once, for any number of fits. Nothing is cleaned, and nothing held back.

    Args:
        log: a log (as for `mine`: files, or any Arrow object), of which query, doc_id, clicked, position and search_id
            are read, rows of one search_id and query being a page; or cells, likewise, with columns query, doc_id,
            impressions, clicks, and where there are, position, previous_click (0 for none) and fold (0 to 9); or
            `Counts`, whose cells are taken, and pages where they were counted; or what `release` let pass of them,
            whose pairs have no positions.
        config: `read`, `scrub`, `seed` and `threads` count, and `click_model.max_position`.
        queries: as for `related_queries`.
        progress: as for `mine`.

    Raises:
        DataError: the log cannot be read.
        PrivacyError: a release under differential privacy, of which nothing here can be fitted.
        UsageError: options that cannot be.
    """
    tree = options.checked(config or Config())
    if isinstance(log, PrivateReleased):
        log = log.table
    elif isinstance(log, Released):
        log = pa.table(log.table()).select(["query", "doc_id", "position", "clicks", "impressions"])
    normalize = normalizing(queries, log)
    if isinstance(log, Counts):
        return of_counts(log, seed=tree.seed)
    raw = open_pages(log, tree.read)
    with named_errors(raw):
        return of_log(
            raw.direct(),
            normalize=normalize,
            scrub=scrubbing(tree.scrub),
            key=Key.ephemeral(),
            seed=tree.seed,
            position_base=raw.position_base,
            max_position=tree.click_model.max_position,
            threads=tree.threads,
            progress=progress,
        )


def fit_click_model(
    log: object,
    /,
    *,
    model: str = "pbm",
    regressor: Regressor | None = None,
    features: object = None,
    config: Config | ClickModelConfig | None = None,
    queries: Literal["auto", "given", "normalize"] = "auto",
    progress: Progress | None = None,
) -> ClickModel:
    """Fits a click model: how likely results are to be examined, and to attract who examines them.

    The same log gives the same fit, bit for bit, whatever its order and the number of threads. Models and estimates:
    docs/CLICK_MODELS.md.

    Args:
        log: what `click_log` made, or whatever it takes.
        model: gctr, rctr, dctr (click rates of everything, positions, documents); cm, dcm, sdbn (one pass over pages);
            pbm, ubm, tpbm (EM over cells; tpbm with trust in positions); dbn (exact EM over pages). `auto` takes the
            simplest that explains a fold held out as well as the best of those that the log supports: `.choice`.
        regressor: learns attractiveness from `features` in each pass, in the place of shares estimated pair by pair
            (regression-EM, Wang et al. 2018): anything with `fit(X, y, sample_weight)` and `predict(X)`. For pbm, ubm,
            dbn.
        features: an array or a frame with a row for each pair of `click_log(…).pairs`, in that order.
        config: the options of the section `click_model`, or the whole tree.
        queries: as for `related_queries`.
        progress: as for `mine`.

    Raises:
        DataError: the log cannot be read, or lacks what the model needs: positions, pages, previous clicks, documents
            that change position.
        UsageError: options that cannot be.
    """
    if (regressor is None) != (features is None) or (regressor is not None and model == "auto"):
        raise UsageError("regressor and features go together, with a model that is named")
    tree = config if isinstance(config, Config) else Config(click_model=config or ClickModelConfig())
    tree = options.checked(tree)
    if not isinstance(log, ClickLog):
        log = click_log(log, config=tree, queries=queries, progress=progress)
    if model == "auto":
        return choose(log, config=tree.click_model, threads=tree.threads, progress=progress)
    return fit(
        log,
        model=model,
        config=tree.click_model,
        threads=tree.threads,
        regressor=regressor,
        features=features,
        progress=progress,
    )

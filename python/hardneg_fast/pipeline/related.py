"""Related queries: of a log, of click counts, of a release."""

from __future__ import annotations

from typing import Literal

from .. import options
from ..anonymize import normalizing, scrubbing
from ..config import Config, RelatedConfig
from ..count import Progress
from ..keys import Key
from ..read import open_clicks
from ..related import RelatedQueries, of_clicks, of_released
from ..release import Released
from .broken import named_errors

__all__ = ["related_queries"]


def related_queries(
    clicks: object,
    /,
    *,
    config: Config | RelatedConfig | None = None,
    queries: Literal["auto", "given", "normalize"] = "auto",
    progress: Progress | None = None,
) -> RelatedQueries:
    """Queries whose users clicked the same documents, and what was clicked there and not here.

    Made from a release, the result says no more than the release shows. Made from anything else nothing is held back:
    it is as private as the log.

    Args:
        clicks: what `release` let pass; or a log (as for `mine`: files, or any Arrow object), of which only query,
            doc_id and clicked are read; or click counts, likewise, with columns query, doc_id and clicks.
        config: the options of the section `related`, or the whole tree, of which `related`, `read` and `threads`
            count.
        queries: whether query texts are normalised (`normalize`) or compared as they are (`given`); auto normalises
            what comes from files and takes Arrow objects as they are. Released queries are normalised.
        progress: as for `mine`.

    Raises:
        DataError: the clicks cannot be read.
        UsageError: options that cannot be.
    """
    tree = config if isinstance(config, Config) else Config(related=config or RelatedConfig())
    tree = options.checked(tree)
    normalize = normalizing(queries, clicks)
    if isinstance(clicks, Released):
        return of_released(clicks, config=tree.related, threads=tree.threads, progress=progress)
    raw = open_clicks(clicks, tree.read)
    with named_errors(raw):
        return of_clicks(
            raw.direct(),
            normalize=normalize,
            scrub=scrubbing(tree.scrub),
            key=Key.ephemeral(),
            config=tree.related,
            threads=tree.threads,
            progress=progress,
        )

"""Tables beside the log: queries and documents, scores, vectors and propensities that a caller has already."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from ..anonymize import normalize
from ..config import Config, Privacy, ScrubConfig
from ..exceptions import UsageError
from ..keys import Key
from ..propensities import Propensities, of_table
from ..retrieve import check as check_retriever
from ..scores import check as check_scores
from ..scores import scores_table
from ..writers.given import given_table
from ..writers.ranks import RANKS, by_rank

__all__ = ["BESIDE", "check_beside", "names_beside", "tables_beside", "with_propensities"]


BESIDE = {
    "positives": ("query", "doc_id"),
    "known_relevant": ("query", "doc_id"),
    "extra_negatives": ("query", "doc_id"),
    "retrieved": ("query", "doc_id"),
    "scores": ("query", "doc_id", "score"),
    "query_vectors": ("query", "vector"),
    "document_vectors": ("doc_id", "vector"),
}
"""Tables beside the log → their columns."""


def check_beside(
    privacy: Privacy, config: Config, beside: Mapping[str, object], *, scorer: bool, documents: bool
) -> None:
    """Refuses, before the log is read, what is given beside it and nothing takes, and what is asked for and not given.

    Raises:
        UsageError: a release under differential privacy; a source of documents or scores that could not work.
    """
    given = {**beside, **({"scorer": True} if scorer else {})}
    if privacy.mode == "dp" and given:
        raise UsageError(
            f"with --epsilon nothing is given beside the log but --candidates; leave out {', '.join(given)}"
        )
    check_retriever(config.select, documents=documents, retrieved="retrieved" in given)
    check_scores(config.select, given, documents=documents)


def names_beside(beside: Collection[str], scorer: object) -> list[str]:
    """What was given beside the log, as reports name it."""
    return sorted([*beside, *([] if scorer is None else ["scorer"])])


def tables_beside(config: Config, key: Key | None, **tables: object) -> dict[str, pa.Table]:
    """Those tables that are given, by name.

    Raises:
        FileError, ColumnError, DataError, UsageError: one of them is no such table.
    """
    return {name: _beside(name, table, config.scrub, key) for name, table in tables.items() if table is not None}


def _beside(name: str, given: object, scrub: ScrubConfig, key: Key | None) -> pa.Table:
    """A table of `BESIDE`, its queries brought to the form of those of the log.

    Raises:
        FileError, ColumnError, DataError, UsageError: it is no such table.
    """
    table = given_table(given, name, BESIDE[name], RANKS if name == "retrieved" else ())
    table = by_rank(table, name) if name == "retrieved" else table
    table = scores_table(table) if name == "scores" else table
    if table.num_rows == 0 or "query" not in table.column_names:
        return table
    place = table.column_names.index("query")
    table = table.set_column(place, "query", normalize(table["query"], scrub=scrub, key=key))
    # A query that is nothing once it is normalised was never asked.
    return table.filter(pc.is_valid(table["query"]))


def with_propensities(config: Config, given: object) -> Config:
    """The configuration with propensities by position for `evidence`.

    Raises:
        FileError, ColumnError, DataError, UsageError: they are none; the configuration asks for another examination.
    """
    if config.evidence.propensities or config.evidence.debias not in ("auto", "propensities"):
        raise UsageError(
            "propensities are given, and the configuration says something else: leave out evidence.debias and "
            "evidence.propensities"
        )
    made = given if isinstance(given, Propensities) else of_table(given)
    evidence = replace(config.evidence, debias="propensities", propensities=made.by_position())
    return replace(config, evidence=evidence)

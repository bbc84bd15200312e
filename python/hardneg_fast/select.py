"""select: positives, and negatives by rule, guarded against being relevant after all."""

from __future__ import annotations

from typing import Protocol

import pyarrow as pa

from . import _hardneg
from .blocks import Header, sealed
from .config import SelectConfig
from .core_options import select_hash, select_json
from .exceptions import UsageError
from .keys import Key
from .plain import plain_table
from .writers.given import of_object
from .writers.ranks import by_rank

__all__ = ["Selected", "select"]


class HasEvidence(Protocol):
    """Evidence, seen from here."""

    @property
    def _core(self) -> _hardneg.Evidence: ...

    @property
    def _header(self) -> Header | None: ...


class Selected:
    """Negatives, training rows, and where candidates went."""

    def __init__(self, core: _hardneg.Selected, header: Header | None = None) -> None:
        self._core = core
        self._header = header

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Not kept: what it holds is exact, under k-users too."""
        return type(None), ()

    @property
    def negatives(self) -> _hardneg.Table:
        """One row per (query, positive or none, negative): docs/ARCHITECTURE.md, select."""
        return self._core.negatives()

    @property
    def positives(self) -> _hardneg.Table:
        """query, doc_id, best first."""
        return self._core.positives()

    @property
    def triplets(self) -> _hardneg.Table:
        """query, positive, negative_1 … negative_n, in document ids."""
        return self._core.triplets()

    @property
    def told(self) -> _hardneg.Told:
        """The limit of P(relevant), what other limits would yield, how often alike queries agree.

        Exact, so not for showing under k-users.
        """
        return self._core.told

    def explain(self, query: str) -> list[_hardneg.Explained] | None:
        """Documents shown for a (normalised) query: what became of each, which rules propose it, what guards say.

        None where the query was not released. Under k-users counts are rounded down and guards' figures are None.
        """
        return self._core.explain(query)

    def outcome(self, *, key: Key) -> bytes:
        """Of a part: what all parts together have to know of it, sealed.

        Raises:
            UsageError: this is of all queries, which have nobody to tell.
        """
        if self._header is None:
            raise UsageError("this selection is of all queries: there is nothing to settle")
        header = Header(**{**vars(self._header), "stage": "outcome"})
        return sealed(self._core.outcome(), header, header.part, key)

    @property
    def funnel(self) -> _hardneg.Funnel:
        """Candidates, guards and caps by name; exact, so round them before showing them under k-users."""
        return self._core.funnel


def select(
    evidence: HasEvidence,
    /,
    *,
    config: SelectConfig | None = None,
    seed: int = 0,
    threads: int = 0,
    positives: object = None,
    known_relevant: object = None,
    extra_negatives: object = None,
    retrieved: object = None,
    scores: object = None,
    part: tuple[int, int] | None = None,
) -> Selected:
    """Selects negatives.

    Args:
        evidence: of `hn.evidence`.
        config: options; their defaults otherwise.
        seed: steers what is drawn.
        threads: 0 for all cores.
        positives: table with `query` (normalised) and `doc_id`, best first: documents that satisfy a query, before
            those of the log.
        known_relevant: the same: documents that are no negatives of a query.
        extra_negatives: the same: negatives of a query, taken as they are, unless the tables above say otherwise.
        retrieved: the same, with `rank` (from 1, without gaps) or else best first: what a search engine returns, for
            `select.semi_negatives` and `fill`.
        scores: table with `query` (normalised), `doc_id` and any of `score` (higher is more relevant), `word_overlap`
            and `vector_cosine` (with the nearest positive): what the guards of scores, and `order`, go by. Of a
            document that comes twice for a query the greatest figures count; null is not known.
        part: (i, n) if the evidence is of part i of n of the queries. Its `outcome` goes to `Whole.settle`, which says
            whether it is to be selected from once more.

    Raises:
        UsageError: options that cannot be, or go by scores where none are given; evidence of another part, or shares of
            another configuration.
        DataError: no rule can run on this log; a given table has null values, or ranks that cannot be.
        ColumnError: a given table lacks a column.
    """
    options, carry = select_json(config)
    header = evidence._header
    if part is not None or header is not None:
        own = None if header is None else (header.part, header.of)
        if header is None or part is None or own != tuple(part):
            raise UsageError(f"the evidence is of {_named(own)}, and part says {_named(part)}; say the part that it is")
        if header.config.partition(" ")[2] != select_hash(config, seed):
            raise UsageError("the parts were asked with other options of select, or another seed; select with the same")
    return Selected(
        _hardneg.select(
            evidence._core,
            options=options,
            carry=carry,
            seed=seed,
            threads=threads,
            positives=positives,
            known_relevant=known_relevant,
            extra_negatives=extra_negatives,
            retrieved=None if retrieved is None else _ranked(retrieved),
            scores=scores,
        ),
        header,
    )


def _ranked(given: object) -> pa.Table:
    table = of_object(given, "retrieved must be a table with query, doc_id, rank")
    names = table.column_names
    # What is no such table the core refuses by name.
    return by_rank(plain_table(table), "retrieved") if {"query", "doc_id"} <= {*names} else table


def _named(part: tuple[int, int] | None) -> str:
    return "all queries" if part is None else f"part {part[0]} of {part[1]} of the queries"

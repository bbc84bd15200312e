"""select: positives, and negatives by rule, guarded against being relevant after all."""

from __future__ import annotations

import dataclasses
import json
from typing import Protocol

from . import _hardneg
from .config import SelectConfig
from .options import checked_section

__all__ = ["Selected", "select"]


class HasEvidence(Protocol):
    """Evidence, seen from here."""

    @property
    def _core(self) -> _hardneg.Evidence: ...


class Selected:
    """Negatives, training rows, and where candidates went."""

    def __init__(self, core: _hardneg.Selected) -> None:
        self._core = core

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
        retrieved: the same, in order of rank: what a search engine returns, for `select.semi_negatives` and `fill`.
        scores: table with `query` (normalised), `doc_id` and any of `score` (higher is more relevant), `word_overlap`
            and `vector_cosine` (with the nearest positive): what the guards of scores, and `order`, go by. Of a
            document that comes twice for a query the greatest figures count; null is not known.

    Raises:
        UsageError: options that cannot be, or go by scores where none are given.
        DataError: no rule can run on this log; a given table has null values.
        ColumnError: a given table lacks a column.
    """
    options = dataclasses.asdict(checked_section("select", config or SelectConfig()))
    carry = list(options.pop("carry"))
    del options["preset"]  # checked: it has set what it sets
    for name in ("retriever", "similarity", "curriculum"):
        del options[name]  # what `mine` does before, and after
    return Selected(
        _hardneg.select(
            evidence._core,
            options=_json(options),
            carry=carry,
            seed=seed,
            threads=threads,
            positives=positives,
            known_relevant=known_relevant,
            extra_negatives=extra_negatives,
            retrieved=retrieved,
            scores=scores,
        )
    )


def _json(options: dict[str, object]) -> str:
    """JSON has no infinity; the largest double stands for it."""
    most = 1.7e308
    finite = {k: max(min(v, most), -most) if isinstance(v, float) else v for k, v in options.items()}
    return json.dumps(finite, allow_nan=False)

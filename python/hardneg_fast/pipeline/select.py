"""The selection, with what it needs of queries, or of pairs, that it alone knows: retrieved for them, or scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..config import Config, SelectConfig
from ..count import Progress
from ..retrieve import retrieve
from ..scores import Scorer, Sources, drafted, filters

__all__ = ["chosen_by", "retrieved_for"]


def chosen_by(
    of: Callable[[Mapping[str, pa.Table], SelectConfig], Any],
    config: Config,
    beside: Mapping[str, pa.Table],
    *,
    documents: pa.Table | None,
    scorer: Scorer | None = None,
    progress: Progress | None = None,
) -> Any:
    """The selection that `of` makes with tables beside the log, some of which are made for it."""
    sources = Sources(
        scores=beside.get("scores"),
        query_vectors=beside.get("query_vectors"),
        document_vectors=beside.get("document_vectors"),
        scorer=scorer,
        documents=documents,
    )
    tables = {name: table for name, table in beside.items() if not name.endswith("_vectors")}
    return _selected(of, config, tables, sources, progress)


def retrieved_for(
    positives: pa.Table, documents: pa.Table | None, config: Config, progress: Progress | None
) -> pa.Table:
    """What BM25 finds among documents for queries with a positive."""
    queries = pc.unique(positives["query"])
    top, threads = config.select.retrieved_to, config.threads
    return retrieve(queries, documents, top=top, threads=threads, progress=progress)


def _selected(
    of: Callable[[Mapping[str, pa.Table], SelectConfig], Any],
    config: Config,
    beside: dict[str, pa.Table],
    sources: Sources,
    progress: Progress | None,
) -> Any:
    """The selection. What it needs of queries, or of pairs, that it alone knows, is made for those of a draft."""
    chosen = config.select
    unscored = {name: table for name, table in beside.items() if name != "scores"}
    if chosen.retriever == "bm25":
        positives = pa.table(of(unscored, drafted(chosen)).positives)
        found = retrieved_for(positives, sources.documents, config, progress)
        unscored["retrieved"] = found.select(["query", "doc_id"])
    if not sources.makes(chosen):
        return of(beside | unscored, chosen)
    draft = of(unscored, drafted(chosen))
    positives = pa.table(draft.positives)
    made = sources.of(_pairs(pa.table(draft.negatives), positives), positives, chosen)
    selected = of(unscored | {"scores": made}, chosen)
    drawn = pa.table(selected.negatives).filter(pc.field("rule") == "random")
    if drawn.num_rows and sources.own and filters(chosen):
        # Drawn whatever their scores, so not in the draft; only the column wants them.
        none = positives.slice(0, 0)
        rest = sources.of(_pairs(drawn, none), none, SelectConfig(similarity=chosen.similarity))
        selected = of(unscored | {"scores": pa.concat_tables([made, rest])}, chosen)
    return selected


def _pairs(negatives: pa.Table, positives: pa.Table) -> pa.Table:
    """(query, document)s of two tables, each once."""
    rows = pa.concat_tables([negatives.select(["query", "neg_id"]).rename_columns(["query", "doc_id"]), positives])
    return rows.group_by(["query", "doc_id"], use_threads=False).aggregate([])

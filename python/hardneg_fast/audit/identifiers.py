"""Raw identifiers of the log, queries that may not be named, and plain hashes of both, in any byte of the output."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute

from ..anonymize import IDENTIFIERS
from .checks import Check
from .contents import columns, joined
from .log import Log, looked_up
from .output import Output
from .scan import Found
from .search import WIDTH, Needles

pc: Any = pyarrow.compute

HASHES = (hashlib.md5, hashlib.sha1, hashlib.sha256)
WORDS, LENGTH = 3, 12
"""A query of at least so many words and bytes is looked for as part of any text; shorter ones are said by chance."""


@dataclass
class Wanted:
    """What is looked for because of the log."""

    ids: list[bytes]
    queries: list[bytes]
    short_ids: int
    short_queries: int
    named: Any
    """Queries that may be named; None where any may."""
    needles: dict[str, Needles] = field(default_factory=dict)


def wanted(output: Output, log: Log) -> Wanted:
    """Needles of the log."""
    every = pc.unique(pa.chunked_array([part for values in log.ids.values() for part in _chunks(values)]))
    lengths = pc.binary_length(every)
    long = every.filter(pc.greater_equal(lengths, WIDTH)).to_pylist()
    named, texts = _rare(output, log)
    spoken = [text for text in texts if len(text.encode()) >= LENGTH and len(text.split()) >= WORDS]
    # A query_id is the hash of a query that may be named: an id that is such a query cannot be told from it.
    hashed = every.filter(pc.invert(pc.is_in(every, value_set=pc.drop_null(pc.unique(log.queries)).cast(every.type))))
    made = Wanted(
        ids=long,
        queries=[text.encode() for text in spoken],
        short_ids=len(every) - len(long),
        short_queries=len(texts) - len(spoken),
        named=named,
    )
    made.needles = {
        "ids": Needles(long, fold=True, words=True),
        "queries": Needles(made.queries, fold=True),
        "hashes of ids": Needles(_hashes(hashed.to_pylist())),
        "hashes of queries": Needles(_hashes([text.encode() for text in texts])),
    }
    return made


def _chunks(values: Any) -> list[Any]:
    return values.chunks if isinstance(values, pa.ChunkedArray) else [values]


def _hashes(values: Sequence[bytes]) -> list[bytes]:
    """The first eight bytes: hashes that were cut are found, too."""
    return [of(value).digest()[:WIDTH] for value in values for of in HASHES]


def _rare(output: Output, log: Log) -> tuple[Any, list[str]]:
    """Queries of the log that may be named, None for all; and those that may not, raw and normalised."""
    if output.k is not None:
        users = looked_up(log.codes(log.queries), *log.users_by_query())
        allowed = pa.array(users >= output.k)
    elif output.mode in ("dp", "no_dp_claim"):
        # Released queries are those of the tables: they may stand anywhere, others nowhere.
        named = pa.concat_arrays(
            [_one(output.table(table, ["query"])["query"]) for table in ("queries", "negatives", "triplets")]
        )
        allowed = pc.is_in(log.queries.cast(named.type), value_set=named)
    else:
        return None, []
    rare = pc.and_(pc.is_valid(log.queries), pc.invert(allowed))
    normalised = log.queries.filter(rare).to_pylist()
    # What scrubbing made of a text is no longer anybody's own.
    plain = [text for text in normalised if "<" not in text]
    kept = set(plain)
    raw = [text for text in log.raw_queries.filter(rare).to_pylist() if text.casefold().strip() in kept]
    return pc.drop_null(log.queries.filter(allowed)).cast(pa.large_string()), sorted({*plain, *raw})


def _one(column: Any) -> Any:
    return column.cast(pa.large_string()).combine_chunks()


def identifiers(output: Output, log: Log | None, made: Wanted | None, found: Mapping[str, Found]) -> Check:
    """Ids and their hashes."""
    if log is None or made is None:
        return Check("identifiers", "not checked", "no log was given whose ids could be looked for (--log)")
    numbers, places = found["ids"].numbers, found["ids"].said()
    # What also stands in a document's id or a query leaves with these, and says nothing about whose it is.
    texts = joined(log.documents) + b"\n" + joined(log.raw_queries)
    ordinary = Needles([made.ids[n] for n in sorted(numbers)], fold=True, words=True).find(texts)
    leaked = len(numbers) - len(ordinary)
    hashes = len({n // len(HASHES) for n in found["hashes of ids"].numbers})
    whole = _whole_cells(output, log)
    faults = []
    if leaked:
        faults.append(f"{leaked:,} ids in {places}")
    if hashes:
        faults.append(f"plain hashes of {hashes:,} ids in {found['hashes of ids'].said()}")
    faults += [f"{n:,} values of column {name!r} are ids of the log" for name, n in whole.items() if n]
    total = len(made.ids) + made.short_ids
    said = f"{total:,} ids looked for, and their MD5, SHA-1 and SHA-256"
    if made.short_ids:
        said += f"; {made.short_ids:,} of fewer than {WIDTH} bytes by their hashes and as whole values only"
    if ordinary:
        said += f"; {len(ordinary):,} that were found are parts of document ids or queries, too, and not counted"
    figures = {"ids": total, "too_short": made.short_ids, "found": leaked, "hashes": hashes, "ordinary": len(ordinary)}
    return Check("identifiers", "fail" if faults else "pass", "; ".join([*faults, said]), figures=figures)


def _whole_cells(output: Output, log: Log) -> dict[str, int]:
    """Identifier columns of the output, whose values may be no ids however short."""
    hits: dict[str, int] = {}
    for path in output.parquet:
        for column, _, values in columns(path):
            if column in IDENTIFIERS and column in log.ids:
                same = pc.sum(pc.is_in(values.cast(pa.large_binary()), value_set=log.ids[column])).as_py() or 0
                hits[column] = max(hits.get(column, 0), same)
    return hits


def rare_queries(output: Output, made: Wanted | None, found: Mapping[str, Found]) -> Check:
    """Queries that may not be named."""
    if made is None or made.named is None:
        why = "no log was given (--log)" if made is None else "any query of the log may be named in this output"
        return Check("rare queries", "not checked", why)
    numbers = found["queries"].numbers
    # Words that a document, or a query that may be named, says are said by them.
    documents = [] if output.mode == "log" else output.table("documents").columns
    own = b"\n".join(joined(pc.unique(column.cast(pa.large_string()))) for column in [*documents, made.named])
    ordinary = Needles([made.queries[n] for n in sorted(numbers)], fold=True).find(own)
    leaked, hashes = len(numbers) - len(ordinary), len({n // len(HASHES) for n in found["hashes of queries"].numbers})
    faults = []
    if leaked:
        faults.append(f"{leaked:,} queries in {found['queries'].said()}")
    if hashes:
        faults.append(f"plain hashes of {hashes:,} queries in {found['hashes of queries'].said()}")
    total = len(made.queries) + made.short_queries
    said = f"{total:,} queries looked for, and their plain hashes"
    if made.short_queries:
        said += f"; {made.short_queries:,} of fewer than {WORDS} words or {LENGTH} bytes by their hashes only"
    if ordinary:
        said += f"; {len(ordinary):,} that were found are parts of documents or of longer queries, and not counted"
    figures = {"queries": total, "too_short": made.short_queries, "found": leaked, "hashes": hashes}
    return Check("rare queries", "fail" if faults else "pass", "; ".join([*faults, said]), figures=figures)

"""The log that an output was made of, read once more: its ids, and who stands behind which query and document.

Counted in a few obvious lines, apart from the counting core; shared with it are only the reader and the normalisation
of queries. Memory: the log's distinct ids and queries, and 42 bytes for each of its rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute

from .. import _hardneg
from ..anonymize import IDENTIFIERS, normalize, pseudonymize
from ..config import ReadConfig, ScrubConfig
from ..exceptions import PrivacyError
from ..keys import Key
from ..read import open_log

pc: Any = pyarrow.compute
Array: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Log:
    """What of a log an audit needs. Raw, and for this process alone."""

    ids: Mapping[str, Any]
    """Identifier column → its distinct values, as bytes: ids may be pseudonyms of a log that was anonymized."""
    documents: Any
    """Distinct ids of documents."""
    raw_queries: Any
    queries: Any
    """Normalised, by raw query."""
    rows: Mapping[str, Array]
    """query, doc_id, user_id, search_id as codes, and clicked: of every row that has a query and a user."""
    records: int
    """What was read: lines, events, pages or rows."""
    code: Key
    """Makes the codes; forgotten with this process."""

    def codes(self, values: Any) -> Array:
        """Codes of texts."""
        return codes(values, self.code)

    def users_by_query(self) -> tuple[Array, Array]:
        """Codes of queries in ascending order, and how many users issued each."""
        query, user = self.rows["query"], self.rows["user_id"]
        return users_by([query], user)

    def __repr__(self) -> str:
        return "<Log>"


def read_log(log: object, *, read: ReadConfig, scrub: ScrubConfig, key: Key | None) -> Log:
    """Reads a log.

    Args:
        log: as for `mine`.
        read: how.
        scrub: how its queries were scrubbed for the output.
        key: of tokens, where scrubbing made such.

    Raises:
        DataError: the log cannot be read.
        PrivacyError: it has no users.
    """
    raw = open_log(log, read)
    if "user_id" not in raw.schema.names:
        raise PrivacyError("the log has no users to audit with: map a column to user_id (--columns user_id=NAME)")
    reader = pa.RecordBatchReader.from_stream(_hardneg.canonicalize(raw.direct(), position_base=raw.position_base))
    code = Key.ephemeral()
    named = [name for name in IDENTIFIERS if name in reader.schema.names]

    def kind_of(name: str) -> Any:
        return pa.large_binary() if name in named else pa.large_string()

    distinct: dict[str, list[Any]] = {name: [] for name in (*named, "doc_id", "query")}
    rows: dict[str, list[Array]] = {name: [] for name in ("query", "doc_id", "user_id", "search_id", "clicked")}
    seen = 0
    for batch in reader:
        seen += batch.num_rows
        for name, found in distinct.items():
            found.append(_distinct(batch[name]).cast(kind_of(name)))
        text = batch["query"].cast(_text(batch["query"].type)).dictionary_encode()
        query = normalize(text.dictionary, scrub=scrub, key=key).take(text.indices)
        there = pc.and_(pc.is_valid(query), pc.and_(pc.is_valid(batch["user_id"]), pc.is_valid(batch["doc_id"])))
        for name, found in rows.items():
            if name == "clicked":
                found.append(pc.fill_null(batch[name].filter(there), False).to_numpy(zero_copy_only=False))
            elif name == "query":
                found.append(codes(query.filter(there), code))
            elif name in batch.schema.names:
                found.append(codes(batch[name].filter(there), code))
    one = {name: pc.unique(pa.chunked_array(found, kind_of(name))) for name, found in distinct.items()}
    texts = pc.drop_null(one["query"])
    kinds = {"clicked": np.bool_}
    return Log(
        ids={name: pc.drop_null(one[name]) for name in named},
        documents=pc.drop_null(one["doc_id"]),
        raw_queries=texts,
        queries=normalize(texts, scrub=scrub, key=key),
        rows={
            name: np.concatenate([np.zeros(0, kinds.get(name, np.uint64)), *found])
            for name, found in rows.items()
            if found or name != "search_id"
        },
        records=raw.report.rows_in or seen,
        code=code,
    )


def _distinct(column: Any) -> Any:
    values = pc.unique(column)
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def _text(kind: Any) -> Any:
    return pa.dictionary(pa.int32(), pa.large_string()) if pa.types.is_dictionary(kind) else pa.large_string()


def codes(values: Any, key: Key) -> Array:
    """Sixty-four bits of a keyed hash of each text; 0 for none."""
    made = pc.fill_null(pseudonymize(values, key=key), bytes(16)).cast(pa.binary(16))
    flat: Array = np.frombuffer(made.buffers()[1], "<u8")[2 * made.offset : 2 * (made.offset + len(made)) : 2]
    return flat.astype(np.uint64)


def users_by(keys: list[Array], users: Array) -> tuple[Array, Array]:
    """Distinct users for each distinct key; of one key, in its ascending order, else by a mixture of the keys."""
    key = mixed(keys)
    order = np.lexsort((users, key))
    key, users = key[order], users[order]
    new = np.ones(len(key), np.bool_)
    new[1:] = (key[1:] != key[:-1]) | (users[1:] != users[:-1])
    found, counts = np.unique(key[new], return_counts=True)
    return found, counts


def mixed(keys: list[Array]) -> Array:
    """One key of several: each is 64 random bits, so two meet by chance only."""
    out = keys[0].copy()
    for key in keys[1:]:
        out = out * np.uint64(0x9E3779B97F4A7C15) + key
    return out


def looked_up(wanted: Array, found: Array, counts: Array) -> Array:
    """Counts of wanted keys, 0 where there are none."""
    if not len(found):
        return np.zeros(len(wanted), np.int64)
    at = np.minimum(np.searchsorted(found, wanted), len(found) - 1)
    return np.where(found[at] == wanted, counts[at], 0)

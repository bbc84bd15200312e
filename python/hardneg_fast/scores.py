"""What a model of the caller's says of (query, document)s: by vectors, by a function, by the words of texts.

Nothing of the log is looked at here but which pairs are asked about.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

from .config import SelectConfig
from .exceptions import ColumnError, DataError, UsageError
from .named import loaded
from .writers.texts import Texts, text_column, text_kind
from .writers.words import worded

__all__ = ["Scorer", "Sources", "check", "check_types", "drafted", "filters", "load_scorer", "scores_table"]

pc: Any = pyarrow.compute

Scorer: TypeAlias = Callable[[list[tuple[str, str]]], Sequence[float]]
"""Gets (query, text of a document) pairs and returns a score for each, higher for more relevant; `predict` of a
cross-encoder is one."""

CALL = 1 << 14
"""Pairs a call, or vectors at a time."""

SCHEMA = pa.schema(
    [
        ("query", pa.string()),
        ("doc_id", pa.string()),
        ("score", pa.float64()),
        ("word_overlap", pa.float64()),
        ("vector_cosine", pa.float64()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What there is to score with."""

    scores: pa.Table | None = None
    """Of `scores_table`."""
    query_vectors: pa.Table | None = None
    """query, vector."""
    document_vectors: pa.Table | None = None
    """doc_id, vector."""
    scorer: Scorer | None = None
    documents: pa.Table | None = None
    """doc_id, text."""

    @property
    def own(self) -> bool:
        """Whether scores are made here."""
        return self.scorer is not None or self.query_vectors is not None

    def makes(self, select: SelectConfig) -> bool:
        """Whether anything is made here."""
        return self.own or select.duplicate_words < 1 or select.duplicate_vectors < 1

    def of(self, pairs: pa.Table, positives: pa.Table, select: SelectConfig) -> pa.Table:
        """Figures of pairs, as far as there are any.

        Args:
            pairs: query, doc_id, each once, a query's together.
            positives: query, doc_id.
            select: which figures: `similarity`, `duplicate_words`, `duplicate_vectors`.

        Returns:
            query, doc_id, score, word_overlap, vector_cosine; with the rows of `scores` where they are given.

        Raises:
            DataError: the scorer fails; vectors that cannot be compared.
        """
        pairs = pairs.cast(pa.schema([SCHEMA.field("query"), SCHEMA.field("doc_id")]))
        figures: dict[str, Any] = {}
        if self.scorer is not None:
            figures["score"] = _by_model(self.scorer, pairs, self.documents)
        elif self.query_vectors is not None:
            queries, documents = _Vectors.of(self.query_vectors, "query"), _Vectors.of(self.document_vectors, "doc_id")
            places = queries.find(pairs["query"]), documents.find(pairs["doc_id"])
            figures["score"] = _products(queries, documents, *places, cosine=select.similarity == "cosine")
        if select.duplicate_words < 1:
            figures["word_overlap"] = _overlaps(pairs, _positives_of(pairs, positives), self.documents)
        if select.duplicate_vectors < 1:
            figures["vector_cosine"] = _cosines(pairs, _positives_of(pairs, positives), self.document_vectors)
        n = pairs.num_rows
        made = pa.table(
            [pairs[f.name] if f.name in pairs.column_names else _figure(figures.get(f.name), n) for f in SCHEMA],
            schema=SCHEMA,
        )
        if self.scores is None:
            return made
        return pa.concat_tables([self.scores, made], promote_options="default")


def check_types(schema: pa.Schema) -> None:
    """Raises ColumnError where a table with this schema holds no scores of documents for queries."""
    for name in ("query", "doc_id"):
        text_kind(schema.field(name).type, "scores", name)
    kind = schema.field("score").type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        raise ColumnError(f"scores: column 'score' is {kind}; give numbers")


def scores_table(table: pa.Table) -> pa.Table:
    """query, doc_id, score of a table that was given.

    Raises:
        ColumnError: as `check_types`.
        DataError: scores that are not finite; null is for what is not known.
    """
    check_types(table.schema)
    score = table["score"].cast(pa.float64(), safe=False)
    wrong = pc.index(pc.fill_null(pc.is_finite(score), True), False).as_py()
    if wrong >= 0:
        raise DataError(f"scores: row {wrong} has a figure that is not finite; leave such rows out, or cap them")
    texts = [text_column(table[name], "scores", name).cast(pa.string()) for name in ("query", "doc_id")]
    return pa.table([*texts, score], schema=pa.schema([SCHEMA.field(name) for name in ("query", "doc_id", "score")]))


def _figure(values: npt.NDArray[np.float64] | None, n: int) -> pa.Array:
    return pa.nulls(n, pa.float64()) if values is None else pa.array(values, mask=np.isnan(values))


def filters(select: SelectConfig) -> bool:
    """Whether a guard, or the order, goes by figures, so that candidates need them before any is chosen."""
    limits = (select.max_score, select.min_score, select.absolute_margin, select.relative_margin)
    return (
        any(limit is not None for limit in limits)
        or select.order in ("score", "ambiguous")
        or select.duplicate_words < 1
        or select.duplicate_vectors < 1
    )


def drafted(select: SelectConfig) -> SelectConfig:
    """Options whose selection holds every pair that those of `select` will ask figures of.

    Where no guard and no order goes by figures, that is the selection itself. Else it is all candidates that pass the
    other guards but the last, whose limit may be chosen by what figures leave, and all retrieved documents of the band.
    """
    if not filters(select):
        return select
    semi = select.semi_negatives > 0 or select.fill != "none"
    return replace(
        select,
        max_score=None,
        min_score=None,
        absolute_margin=None,
        relative_margin=None,
        duplicate_words=1.0,
        duplicate_vectors=1.0,
        order="random",
        max_p_false_negative=1.0,
        target_fnr=0.0,
        max_negatives_per_query=2**40,
        max_queries_per_document=2**40,
        semi_negatives=0,
        easy_negatives=0,
        fill="semi" if semi else "none",
        num_negatives=1,
        refill="drop",
        validation=0.0,
        carry=(),
    )


def check(select: SelectConfig, given: Mapping[str, object], *, documents: bool) -> None:
    """Refuses, before a log is read, what could not be scored, or what nothing would take.

    Args:
        select: options, their preset's among them.
        given: what is given beside the log, by name.
        documents: whether documents are.

    Raises:
        UsageError: one of the two; two sources of scores; limits that leave none.
    """
    vectors = [name for name in ("query_vectors", "document_vectors") if name in given]
    sources = [*(name for name in ("scores", "scorer") if name in given), *(["vectors"] if len(vectors) == 2 else [])]
    if len(sources) > 1:
        raise UsageError(f"scores come from one place, and {' and '.join(sources)} are given; leave out the others")
    if "query_vectors" in given and len(vectors) < 2:
        raise UsageError("query_vectors are compared with document_vectors, which are not given")
    if "scorer" in given and not documents:
        raise UsageError("the scorer gets texts of documents, and has none: --documents FILE (documents=…)")
    if select.duplicate_words < 1 and not documents:
        raise UsageError("select.duplicate_words compares texts, and has none: --documents FILE (documents=…)")
    if select.duplicate_vectors < 1 and "document_vectors" not in given:
        raise UsageError("select.duplicate_vectors compares document_vectors, which are not given")
    if vectors == ["document_vectors"] and select.duplicate_vectors >= 1:
        raise UsageError("nothing takes document_vectors: give query_vectors, too, or set select.duplicate_vectors")
    if select.min_score is not None and select.max_score is not None and select.min_score > select.max_score:
        raise UsageError("select.min_score is above select.max_score, so that no score is between them")
    scored = select.order in ("score", "ambiguous") or any(
        limit is not None
        for limit in (select.max_score, select.min_score, select.absolute_margin, select.relative_margin)
    )
    if scored and not sources:
        raise UsageError(
            "a filter or the order of select goes by scores, and none are given: scores, a scorer, or query_vectors "
            "with document_vectors"
        )


def load_scorer(given: Scorer | str | None) -> Scorer | None:
    """The function that is given, or stands at `module:attribute`, or at an attribute of it (`module:model.predict`).

    Raises:
        UsageError: there is none.
    """
    found = loaded(given, "scorer") if isinstance(given, str) else given
    if found is not None and not callable(found):
        said = (
            f"{given!r}, which is no function" if isinstance(given, str) else f"no function, but {type(found).__name__}"
        )
        raise UsageError(f"scorer is {said}")
    scorer: Scorer | None = found
    return scorer


def _by_model(scorer: Scorer, pairs: pa.Table, documents: pa.Table | None) -> npt.NDArray[np.float64]:
    """Scores of pairs; nan where the document has no text."""
    out = np.full(pairs.num_rows, np.nan)
    texts = Texts(documents, pc.unique(pairs["doc_id"]))
    places = texts.find(pairs["doc_id"])
    known = np.flatnonzero(places >= 0)
    for at in range(0, len(known), CALL):
        some = known[at : at + CALL]
        queries = pairs["query"].take(pa.array(some)).to_pylist()
        asked = [*zip(queries, texts.take(places[some]).to_pylist(), strict=True)]
        try:
            said = np.asarray(scorer(asked), dtype=np.float64)
        except Exception as e:
            # Its message, and what it came from, can quote the texts.
            raise DataError(
                f"the scorer raised {type(e).__name__}, or returned what are no numbers; call it by itself on pairs of "
                "yours to find why"
            ) from None
        if said.shape != (len(some),) or not np.isfinite(said).all():
            raise DataError(
                f"the scorer returned figures of shape {said.shape} for {len(some)} pairs, or some that are not finite;"
                " return one number for each pair"
            )
        out[some] = said
    return out


@dataclass(frozen=True)
class _Vectors:
    ids: pa.Array
    values: npt.NDArray[Any]
    """Of shape (ids, dimensions)."""
    name: str

    @classmethod
    def of(cls, table: pa.Table | None, of: str) -> _Vectors:
        """Vectors by the column `of`.

        Raises:
            ColumnError: no vectors.
            DataError: of different lengths, or with what is no number.
        """
        assert table is not None  # noqa: S101 - `check` has seen to it
        name = "query_vectors" if of == "query" else "document_vectors"
        column: Any = table["vector"].combine_chunks()
        kind = column.type
        lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        if not lists or not pa.types.is_floating(kind.value_type):
            raise ColumnError(f"{name}: column 'vector' is {kind}; give lists of floats")
        flat = column.flatten()
        width = len(flat) // max(len(column), 1)
        lengths = pc.list_value_length(column)
        if (
            column.null_count
            or flat.null_count
            or (len(column) and pc.min_max(lengths).as_py() != {"min": width, "max": width})
        ):
            raise DataError(f"{name}: every vector needs the same number of figures, none of them null")
        values = flat.to_numpy(zero_copy_only=False).reshape(len(column), width)
        if not np.isfinite(values).all():
            raise DataError(f"{name}: some figures of vectors are not finite; leave such rows out")
        return cls(_one(text_column(table[of], name, of)), values, name)

    def find(self, ids: Any) -> npt.NDArray[np.int64]:
        """Place of each one's vector, -1 for none; of an id that comes twice, the first."""
        found = pc.index_in(ids.cast(pa.large_string()), value_set=self.ids)
        places: npt.NDArray[np.int64] = pc.fill_null(found, -1).to_numpy().astype(np.int64)
        return places


def _one(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _products(
    a: _Vectors, b: _Vectors, of_a: npt.NDArray[np.int64], of_b: npt.NDArray[np.int64], *, cosine: bool
) -> npt.NDArray[np.float64]:
    """Products, or cosines, of vectors at places; nan where one is not there, and for cosines where it is zero.

    Raises:
        DataError: they have different lengths.
    """
    if a.values.size and b.values.size and a.values.shape[1] != b.values.shape[1]:
        raise DataError(
            f"{a.name} have {a.values.shape[1]} figures each, {b.name} {b.values.shape[1]}; make both with one model"
        )
    out = np.full(len(of_a), np.nan)
    known = np.flatnonzero((of_a >= 0) & (of_b >= 0))
    for at in range(0, len(known), CALL):
        some = known[at : at + CALL]
        # Row by row, in doubles: what a pair gets does not depend on the pairs beside it.
        x, y = a.values[of_a[some]].astype(np.float64), b.values[of_b[some]].astype(np.float64)
        product = (x * y).sum(axis=1)
        if cosine:
            size = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
            product = np.divide(product, size, out=np.full(len(some), np.nan), where=size > 0)
        out[some] = product
    return out


@dataclass(frozen=True)
class _Against:
    """Every (pair, positive of its query)."""

    pair: npt.NDArray[np.int64]
    """Number of the pair, ascending."""
    positive: pa.Array
    """Document."""

    def greatest(self, figures: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.float64]:
        """Of each of n pairs; nan where none is known."""
        out = np.full(n, -np.inf)
        known = ~np.isnan(figures)
        np.maximum.at(out, self.pair[known], figures[known])
        out[np.isneginf(out)] = np.nan
        return out


def _positives_of(pairs: pa.Table, positives: pa.Table) -> _Against:
    """Each pair with the positives of its query but itself."""
    positives = positives.cast(pa.schema([SCHEMA.field("query"), SCHEMA.field("doc_id")]))
    queries = pc.unique(positives["query"])
    of = pc.index_in(positives["query"], value_set=queries).to_numpy()
    order = np.argsort(of, kind="stable")
    starts = np.searchsorted(of[order], np.arange(len(queries) + 1))
    asked = pc.fill_null(pc.index_in(pairs["query"], value_set=queries), -1).to_numpy()
    counts = np.where(asked >= 0, np.diff(starts)[asked] if len(queries) else 0, 0)
    pair = np.repeat(np.arange(pairs.num_rows), counts)
    within = np.arange(len(pair)) - np.repeat(np.cumsum(counts) - counts, counts)
    docs = _one(positives["doc_id"]).take(pa.array(order[starts[asked[pair]] + within]))
    other = pc.not_equal(docs, _one(pairs["doc_id"]).take(pa.array(pair)))
    return _Against(pair[other.to_numpy(zero_copy_only=False)], docs.filter(other))


def _cosines(pairs: pa.Table, against: _Against, table: pa.Table | None) -> npt.NDArray[np.float64]:
    """The cosine of each pair's document with the nearest positive of its query."""
    vectors = _Vectors.of(table, "doc_id")
    own, other = vectors.find(pairs["doc_id"])[against.pair], vectors.find(against.positive)
    return against.greatest(_products(vectors, vectors, own, other, cosine=True), pairs.num_rows)


def _overlaps(pairs: pa.Table, against: _Against, documents: pa.Table | None) -> npt.NDArray[np.float64]:
    """The Jaccard similarity of the words of each pair's document with those of the nearest positive of its query."""
    asked = pa.chunked_array([_one(pairs["doc_id"]), against.positive]).unique()
    texts = Texts(documents, asked)
    known = asked.filter(pa.array(texts.find(asked) >= 0))
    words = _Words.of(texts.take(texts.find(known)))

    def places(ids: Any) -> npt.NDArray[np.int64]:
        found: npt.NDArray[np.int64] = pc.fill_null(pc.index_in(ids, value_set=known), -1).to_numpy().astype(np.int64)
        return found

    own, other = places(pairs["doc_id"])[against.pair], places(against.positive)
    figures = np.full(len(own), np.nan)
    rows = np.flatnonzero((own >= 0) & (other >= 0))
    for at in range(0, len(rows), CALL):
        some = rows[at : at + CALL]
        figures[some] = words.jaccard(own[some], other[some])
    return against.greatest(figures, pairs.num_rows)


@dataclass(frozen=True)
class _Words:
    """Words of texts as numbers, each text's once, end to end."""

    numbers: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, texts: Any) -> _Words:
        number: dict[str, int] = {}
        found = [np.zeros(0, np.int64)]
        lengths = [0]
        for part in worded(texts):
            coded = part.words.dictionary_encode()
            every = np.array([number.setdefault(word, len(number)) for word in coded.dictionary.to_pylist()], np.int64)
            words = every[coded.indices.to_numpy()]
            each = [np.unique(words[a:b]) for a, b in itertools.pairwise(part.starts)]
            found += each
            lengths += [len(one) for one in each]
        return cls(np.concatenate(found), np.cumsum(lengths))

    def jaccard(self, a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Of texts at places; texts without a word have none in common."""
        keys = np.concatenate([self._keys(a), self._keys(b)])
        either = np.bincount(keys >> 32, minlength=len(a))
        keys.sort()
        shared = np.bincount(keys[1:][keys[1:] == keys[:-1]] >> 32, minlength=len(a))
        either -= shared
        out = np.zeros(len(a))
        np.divide(shared, either, out=out, where=either > 0)
        return out

    def _keys(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Number of the row, and of a word of its text, in one number."""
        lengths = self.starts[places + 1] - self.starts[places]
        row = np.repeat(np.arange(len(places)), lengths)
        within = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        keys: npt.NDArray[np.int64] = (row << 32) | self.numbers[self.starts[places][row] + within]
        return keys

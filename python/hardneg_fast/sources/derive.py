"""Columns that a mapping makes out of the log's: from inside lists, put together, cut out of text, or read as times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..exceptions import UsageError
from ..plain import plain
from . import times
from .base import Source
from .frames import coalesce, int64
from .ndjson import NdjsonSource
from .paths import is_deep, pick, steps
from .presets import Recipe
from .report import ReadReport
from .types import is_list

LIST = pa.list_(pa.string())


class DerivedSource(Source):
    """A source with more columns: one for each recipe, under the recipe's name, and paths into lists."""

    def __init__(self, inner: Source, recipes: Mapping[str, Recipe]) -> None:
        self.inner = inner
        self.format, self.names, self.one_shot, self.rows = inner.format, inner.names, inner.one_shot, inner.rows
        self.recipes = recipes

    def columns(self) -> list[str]:  # noqa: D102 - as in Source
        return self.inner.columns()

    def find(self, paths: Iterable[str]) -> set[str]:  # noqa: D102 - as in Source
        paths = set(paths)
        found = {name for name in paths & self.recipes.keys() if self._inputs(name)}
        plain_paths = {path for path in paths - self.recipes.keys() if not is_deep(path)}
        deep = {path for path in paths - self.recipes.keys() if is_deep(path)}
        if isinstance(self.inner, NdjsonSource):
            return found | self.inner.find(plain_paths | deep)
        return found | self.inner.find(plain_paths) | {path for path in deep if self._deep_type(path) is not None}

    def _inputs(self, name: str) -> list[str]:
        """Those of a recipe's columns that are there; of one that puts columns together, all or none."""
        recipe = self.recipes[name]
        have = self.find(recipe.columns)
        if recipe.concat and len(have) < len(recipe.columns):
            return []
        return [path for path in recipe.columns if path in have]

    def _deep_type(self, path: str) -> pa.DataType | None:
        top, rest = _top(path)
        if not self.inner.find({top}):
            return None
        try:
            return pick(pa.nulls(0, self.inner.types({top})[top]), rest).type
        except KeyError:
            return None

    def types(self, paths: Iterable[str]) -> dict[str, pa.DataType]:  # noqa: D102 - as in Source
        return {path: self._type(path) for path in paths}

    def _type(self, path: str) -> pa.DataType:
        if path in self.recipes:
            # What a recipe gives for one row says what it gives for any; for none, Arrow looks at no pattern.
            columns = [pa.nulls(1, self._type(name)) for name in self._inputs(path)]
            try:
                return _cook(self.recipes[path], columns).type
            except pa.ArrowException:  # its text is about Arrow's own functions
                raise UsageError(
                    f"mapping: {path.removeprefix('=')} cannot be made of {self._inputs(path)}: a pattern that is "
                    "no RE2 expression, a split of lists, or a join of what is no list"
                ) from None
        if not is_deep(path):
            return self.inner.types({path})[path]
        if isinstance(self.inner, NdjsonSource):
            return LIST if "[]" in path else pa.string()
        return self._deep_type(path) or pa.null()

    def scan(  # noqa: D102 - as in Source
        self, wanted: Mapping[str, str], report: ReadReport, batch_rows: int, lists: Iterable[str] = ()
    ) -> pa.RecordBatchReader:
        by_json = isinstance(self.inner, NdjsonSource)
        inner_lists = {path for name, path in wanted.items() if name in set(lists) and path not in self.recipes}
        raw: dict[str, str] = {}
        for path in self._leaves(wanted.values()):
            raw[path] = path if by_json or not is_deep(path) else _top(path)[0]
        if by_json:
            inner_lists |= {path for path in raw if "[]" in path}
        tops = {name: name for name in dict.fromkeys(raw.values())}
        reader = self.inner.scan(tops, report, batch_rows, lists=inner_lists)
        schema = pa.schema([(name, LIST if path in inner_lists else self._type(path)) for name, path in wanted.items()])

        def column(batch: pa.RecordBatch, path: str) -> pa.Array:
            if path in self.recipes:
                return _cook(self.recipes[path], [column(batch, name) for name in self._inputs(path)])
            found = batch.column(raw[path])
            return found if by_json or not is_deep(path) else pick(found, _top(path)[1])

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in reader:
                columns = [_as(column(batch, path), f.type) for path, f in zip(wanted.values(), schema, strict=True)]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def _leaves(self, paths: Iterable[str]) -> list[str]:
        """The log's own columns behind some columns."""
        out: dict[str, None] = {}
        for path in paths:
            found = self._leaves(self._inputs(path)) if path in self.recipes else [path]
            out.update(dict.fromkeys(found))
        return list(out)


def _as(column: pa.Array, kind: pa.DataType) -> pa.Array:
    return column if column.type.equals(kind) else column.cast(kind)


def _top(path: str) -> tuple[str, list[Any]]:
    """The part of a path that no list is above, and the steps below it."""
    head = path.partition("[")[0]
    return head, steps(path[len(head) :])


def _cook(recipe: Recipe, columns: list[pa.Array]) -> pa.Array:
    """The recipe's column of the log's: text, a list of text, a number or a time."""
    texts = [_blanked(_text(column), recipe.nulls) for column in columns]
    if any(is_list(text.type) for text in texts):
        texts = [text if is_list(text.type) else _single(text) for text in texts]
        texts = [pc.if_else(pc.equal(pc.list_value_length(text), 0), None, text) for text in texts]
    # The separator stands in no identifier, so no two combinations are one.
    out = pc.binary_join_element_wise(*texts, "\x1f") if recipe.concat else coalesce(texts)
    if recipe.split:
        out = pc.split_pattern_regex(pc.utf8_trim_whitespace(out), recipe.split).cast(LIST)
    out = _each(out, lambda values: _edited(recipe, values))
    if recipe.join is not None:
        out = pc.binary_join(out, recipe.join)
    if recipe.format:
        return pc.strptime(out, format=recipe.format, unit="us", error_is_null=True).cast(pa.timestamp("us", "UTC"))
    if recipe.times != 1:
        numbers = times.numbers(pa.chunked_array([out])) * recipe.times
        return pa.array(numbers, mask=np.isnan(numbers))
    return out


def _edited(recipe: Recipe, values: pa.Array) -> pa.Array:
    if recipe.extract:
        pattern = recipe.extract if "(?P<value>" in recipe.extract else f"(?P<value>{recipe.extract})"
        values = pc.struct_field(pc.extract_regex(values, pattern), "value")
    for pattern, replacement in recipe.replace.items():
        values = pc.replace_substring_regex(values, pattern, replacement)
    return values


def _each(column: pa.Array, edit: Any) -> pa.Array:
    """Applies an edit to text, or to each item of lists of text."""
    if not is_list(column.type):
        return edit(column)
    offsets = np.concatenate([[0], np.cumsum(int64(pc.list_value_length(column)))])
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), edit(pc.list_flatten(column)), mask=pc.is_null(column)
    )


def _text(column: pa.Array) -> pa.Array:
    """Text, or lists of text."""
    column = plain(column)
    return column.cast(LIST if is_list(column.type) else pa.string())


def _single(column: pa.Array) -> pa.Array:
    """Each value as a list of one."""
    offsets = pa.array(np.arange(len(column) + 1), pa.int32())
    return pa.ListArray.from_arrays(offsets, column, mask=pc.is_null(column))


def _blanked(column: pa.Array, nulls: tuple[str, ...]) -> pa.Array:
    """Empty text, and words that stand for nothing, as null."""
    words = pa.array(["", *nulls], pa.string())
    return _each(column, lambda values: pc.if_else(pc.is_in(values, value_set=words), None, values))

"""Texts of queries and documents, and identifiers: all built by column, no Python string per row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

from .catalogue import DOCUMENTS_PER_INTENT, Catalogue
from .vocabulary import BESIDE, BRANDS, DOMAINS, FULLY, NEEDS_PER_DOMAIN, PARTLY, SERIES, words

Array = Any  # a string array; pyarrow's own types do not follow columns through compute functions
pc: Any = pyarrow.compute


def numbered(prefix: str, numbers: npt.NDArray[Any]) -> Array:
    """Identifiers: a letter and nine digits."""
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), 9, "0")
    return pc.binary_join_element_wise(prefix, digits, "")


def query_texts(world: Catalogue, queries: npt.NDArray[Any]) -> Array:
    """The wordings of some queries; no two queries of a world have the same text."""
    topic, need = _topic_and_need(world.intent_of[queries].astype(np.int64))
    feature, thing, series = topic
    name = _join(feature, series, thing)
    turned = _join(thing, feature, series)
    forms = [
        _join(name, need),
        _join(need, name),
        _join("best", name, need),
        _join(turned, need),
        _join(name, "for", need),
        _join(turned, "for", need, "reviews"),
    ]
    return pc.choose(pa.array(world.variant_of[queries].astype(np.int64)), *forms)


def document_texts(world: Catalogue, documents: npt.NDArray[Any]) -> Array:
    """A title-like sentence each: what answers the intent says so, what does not names the same words."""
    codes = documents.astype(np.int64)
    intent, slot = np.divmod(codes, DOCUMENTS_PER_INTENT)
    (feature, thing, series), need = _topic_and_need(intent)
    brand = _pick(BRANDS, (intent * 7 + slot) % len(words(BRANDS)))
    name = _join(brand, feature, series, thing)
    fully = _sentence(_join(name, "for", need), ", ", _pick(FULLY, codes * 5 % len(words(FULLY))))
    partly = _sentence(name, ", ", _join(_pick(PARTLY, codes * 3 % len(words(PARTLY))), "that will do for", need))
    kind = _pick(BESIDE, codes * 11 % len(words(BESIDE)))
    beside = _sentence(_join(kind, "for", brand, series, thing), ", fits ", _join(feature, "models for", need))
    return pc.choose(pa.array(world.document_grades[codes].astype(np.int64)), beside, partly, fully)


def _topic_and_need(intent: npt.NDArray[np.int64]) -> tuple[tuple[Array, Array, Array], Array]:
    """Words of intents: (feature, thing, series) and need. A topic's number is read in mixed radix."""
    topic, need = np.divmod(intent, NEEDS_PER_DOMAIN)
    things, features, needs = (words("|".join(column)) for column in zip(*DOMAINS, strict=True))
    n_things, n_features = len(things) // len(DOMAINS), len(features) // len(DOMAINS)
    rest, domain = np.divmod(topic, len(DOMAINS))
    rest, thing = np.divmod(rest, n_things)
    series, step = np.divmod(rest, n_features)
    # Neighbouring things get different features, so that a small world is not all "waterproof".
    feature = (step + thing * 5) % n_features
    columns = (
        _take(features, domain * n_features + feature),
        _take(things, domain * n_things + thing),
        _series(series),
    )
    return columns, _take(needs, domain * NEEDS_PER_DOMAIN + need)


def _series(number: npt.NDArray[np.int64]) -> Array:
    """Nothing for the first, then the names, then names with a number."""
    names = words(SERIES)
    lap, place = np.divmod(number - 1, len(names))
    name = _take(names, np.where(number > 0, place, 0))
    lapped = pc.binary_join_element_wise(name, pa.array(lap + 1).cast(pa.string()), " ")
    return pc.choose(pa.array(np.where(number == 0, 0, np.where(lap == 0, 1, 2))), "", name, lapped)


def _pick(entries: str, codes: npt.NDArray[np.int64]) -> Array:
    return _take(words(entries), codes)


def _take(entries: list[str], codes: npt.NDArray[np.int64]) -> Array:
    return pc.take(pa.array(entries), pa.array(codes))


def _join(*parts: Array | str) -> Array:
    """Words with a space between; empty parts leave none."""
    joined = pc.binary_join_element_wise(*parts, " ")
    return pc.utf8_trim_whitespace(pc.replace_substring(joined, "  ", " "))


def _sentence(start: Array, between: str, end: Array) -> Array:
    return pc.binary_join_element_wise(start, between, end, ".", "")

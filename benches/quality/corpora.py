"""Collections with known relevance: Vaswani/NPL from HARDNEG_DATA, and a generated one with graded relevance.

A collection is documents, intents (what people want to know), and the grade of each document for each intent. Queries
are variants of an intent's words: the simulator makes them.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

STOP = frozenset(
    re.findall(r"\w+", "a an and are as at be by for from in into is it its of on or that the their to which with")
)


@dataclass(frozen=True)
class Intent:
    """What somebody wants to know, in words."""

    slots: tuple[tuple[str, ...], ...]
    """The words of its plain query, each with the words that could stand for it; the usual one first."""
    extras: tuple[str, ...]
    """Words that people add: from documents that answer it."""


@dataclass(frozen=True)
class Collection:
    """Documents, intents, and which answers which."""

    name: str
    doc_ids: list[str]
    texts: list[str]
    intents: list[Intent]
    intent_of: np.ndarray
    """Of each judgment, sorted; with `doc_of` and `grade_of` (1 or 2) the relevance. What is not there is 0."""
    doc_of: np.ndarray
    grade_of: np.ndarray
    attraction: tuple[float, float, float]
    """P(click | examined) by grade, with a plain snippet; grade 0 is that of a document unlike the query."""
    variants: float
    """Queries per intent, in the mean."""


def words(text: str) -> list[str]:
    """Lower-case words without the most frequent ones."""
    return [word for word in re.findall(r"[a-z0-9]+", text.lower()) if word not in STOP]


def vaswani(folder: Path | None = None) -> Collection:
    """Vaswani/NPL: 11,429 abstracts on electronics, 93 queries, binary judgments.

    Raises:
        SystemExit: HARDNEG_DATA does not say where it is.
    """
    if folder is None:
        if not (data := os.environ.get("HARDNEG_DATA")):
            raise SystemExit("vaswani is read from HARDNEG_DATA/vaswani: set HARDNEG_DATA, or use generated")
        folder = Path(data) / "vaswani"
    found = re.findall(r"<DOCNO>(\S+)</DOCNO>\n(.*?)</DOC>", (folder / "doc-text.trec").read_text(), flags=re.S)
    doc_ids = [f"d{number}" for number, _ in found]
    texts = [" ".join(text.split()) for _, text in found]
    titles = re.findall(r"<num>(\d+)</num><title>\s*(.*?)\s*</title>", (folder / "query-text.trec").read_text(), re.S)
    row = {number: i for i, (number, _) in enumerate(titles)}
    at = {doc: i for i, doc in enumerate(doc_ids)}
    judged = [line.split() for line in (folder / "qrels").read_text().splitlines()]
    pairs = sorted({(row[q], at[f"d{d}"]) for q, _, d, grade in judged if int(grade) > 0})
    seen = Counter(word for text in texts for word in set(words(text)))
    answers: list[list[int]] = [[] for _ in titles]
    for i, d in pairs:
        answers[i].append(d)
    intents = []
    for (_, title), docs in zip(titles, answers, strict=True):
        asked = list(dict.fromkeys(words(title)))
        beside = Counter(word for d in docs for word in set(words(texts[d])) - set(asked) if seen[word] < 600)
        extras = sorted(beside, key=lambda word: (-beside[word] / (seen[word] + 5), word))[:12]
        intents.append(Intent(tuple((word,) for word in asked), tuple(extras)))
    intent_of, doc_of = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    grade_of = np.ones(len(pairs), dtype=np.int8)
    return Collection("vaswani", doc_ids, texts, intents, intent_of, doc_of, grade_of, (0.07, 0.55, 0.55), 12.0)


TOPIC_CONCEPTS, TOPIC_FACETS, FACET_WORDS = 14, 5, 5
SYLLABLES = re.findall(
    r"\w+", "ba ce di fo gu ha je ki lo mu na pe ri so tu va we xi yo zu bre cla dro fli gri plo ska sti tra"
)


def generated(seed: int, topics: int = 80, intents_per_topic: int = 6, background: int = 3_000) -> Collection:
    """A collection from nothing but a seed, so that fresh seeds are fresh collections.

    A topic has concepts, each with up to three synonyms, and facets (what about the concepts is told). An intent is two
    or three concepts of a topic and a facet. A document dwells on some concepts and mentions others; it answers an
    intent if it dwells on all its concepts: grade 2 with the intent's facet, else 1 in some cases. So documents that
    mention everything and answer nothing abound, and so do answers in other words.
    """
    draw = np.random.default_rng([seed, 1])
    supply = _Words(draw)
    concepts = [
        [supply.take(1 + int(draw.choice(3, p=(0.35, 0.4, 0.25)))) for _ in range(TOPIC_CONCEPTS)]
        for _ in range(topics)
    ]
    facets = [[supply.take(FACET_WORDS) for _ in range(TOPIC_FACETS)] for _ in range(topics)]
    common = supply.take(2_500)
    shares = (np.arange(len(common)) + 10.0) ** -1.0
    shares /= shares.sum()
    plans = []  # topic, concepts, facet
    liked = np.linspace(2.0, 0.5, TOPIC_CONCEPTS)
    liked /= liked.sum()
    for topic in range(topics):
        for _ in range(intents_per_topic):
            size = 2 + int(draw.random() < 0.5)
            chosen = draw.choice(TOPIC_CONCEPTS, size, replace=False, p=liked)
            plans.append((topic, tuple(int(c) for c in chosen), int(draw.integers(TOPIC_FACETS))))
    documents = [*_answers(draw, plans), *_neighbours(draw, topics, 90), *_strangers(draw, topics, background)]
    order = draw.permutation(len(documents))
    documents = [documents[i] for i in order]
    texts = [_text(draw, document, concepts, facets, common, shares) for document in documents]
    judged = _judge(plans, documents)
    intents = []
    for topic, chosen, facet in plans:
        slots = [tuple(concepts[topic][c]) for c in chosen]
        slots.append(tuple(facets[topic][facet][:3]))
        intents.append(Intent(tuple(slots), tuple(facets[topic][facet][3:]) + tuple(common[:40:4])))
    doc_ids = [f"d{i:06d}" for i in range(len(texts))]
    return Collection("generated", doc_ids, texts, intents, *judged, (0.07, 0.42, 0.68), 6.0)


@dataclass(frozen=True)
class _Document:
    topic: int
    dwells: tuple[int, ...]
    mentions: tuple[int, ...]
    facet: int


class _Words:
    """Words that nobody else has."""

    def __init__(self, draw: np.random.Generator) -> None:
        self._order = draw.permutation(len(SYLLABLES) ** 3)
        self._next = 0

    def take(self, n: int) -> list[str]:
        codes = self._order[self._next : self._next + n]
        self._next += n
        base = len(SYLLABLES)
        return [SYLLABLES[c // base**2] + SYLLABLES[c // base % base] + SYLLABLES[c % base] for c in codes]


def _others(draw: np.random.Generator, taken: tuple[int, ...], mean: float) -> tuple[int, ...]:
    free = [c for c in range(TOPIC_CONCEPTS) if c not in taken]
    return tuple(free[i] for i in draw.permutation(len(free))[: draw.poisson(mean)])


def _answers(draw: np.random.Generator, plans: list) -> list[_Document]:
    """Documents written to answer an intent, some of them beside its facet."""
    made = []
    for topic, chosen, facet in plans:
        for _ in range(int(np.clip(draw.lognormal(np.log(5.5), 0.7), 3, 50))):
            told = facet if draw.random() < 0.65 else int(draw.integers(TOPIC_FACETS))
            more = _others(draw, chosen, 0.4)
            made.append(_Document(topic, chosen + more, _others(draw, chosen + more, 2.0), told))
    return made


def _neighbours(draw: np.random.Generator, topics: int, each: int) -> list[_Document]:
    """Documents of a topic that dwell on one or two concepts and mention many: what fools lexical search."""
    made = []
    for topic in range(topics):
        for _ in range(each):
            dwells = tuple(int(c) for c in draw.choice(TOPIC_CONCEPTS, 1 + int(draw.random() < 0.4), replace=False))
            made.append(_Document(topic, dwells, _others(draw, dwells, 5.0), int(draw.integers(TOPIC_FACETS))))
    return made


def _strangers(draw: np.random.Generator, topics: int, n: int) -> list[_Document]:
    """Documents that mention a concept or two."""
    return [
        _Document(int(draw.integers(topics)), (), _others(draw, (), 1.5), int(draw.integers(TOPIC_FACETS)))
        for _ in range(n)
    ]


def _text(
    draw: np.random.Generator, document: _Document, concepts: list, facets: list, common: list[str], shares: np.ndarray
) -> str:
    made: list[str] = []
    for dwelt, chosen in ((True, document.dwells), (False, document.mentions)):
        for c in chosen:
            names = concepts[document.topic][c]
            usual = names[int(draw.integers(len(names)))]  # an author has a favourite word for a thing
            times = int(draw.integers(2, 5)) if dwelt else 1 + int(draw.random() < 0.35)
            made += [usual if draw.random() < 0.75 else names[int(draw.integers(len(names)))] for _ in range(times)]
    if document.dwells:
        told = facets[document.topic][document.facet]
        made += [told[int(i)] for i in draw.integers(len(told), size=int(draw.integers(2, 5)))]
        aside = facets[document.topic][int(draw.integers(TOPIC_FACETS))]
        made += [aside[int(i)] for i in draw.integers(len(aside), size=int(draw.integers(0, 3)))]
    filler = draw.choice(len(common), int(draw.integers(25, 60)), p=shares)
    made += [common[i] for i in filler]
    return " ".join(made[i] for i in draw.permutation(len(made)))


def _judge(plans: list, documents: list[_Document]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grades by rule, for all documents: what was written for one intent may answer its neighbour too."""
    by_topic: dict[int, list[int]] = {}
    for d, document in enumerate(documents):
        by_topic.setdefault(document.topic, []).append(d)
    rows = []
    for i, (topic, chosen, facet) in enumerate(plans):
        for d in by_topic[topic]:
            document = documents[d]
            dwelt = sum(c in document.dwells for c in chosen)
            if dwelt == len(chosen):
                rows.append((i, d, 2 if document.facet == facet else 1))
            elif (
                dwelt == 2 and document.facet == facet and all(c in document.dwells + document.mentions for c in chosen)
            ):
                rows.append((i, d, 1))
    intent_of, doc_of, grade_of = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    return intent_of, doc_of, grade_of.astype(np.int8)

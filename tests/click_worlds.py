"""Simulated pages of known click models, as tables of rows and lists of sessions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass
class World:
    """Pages (arrays of pages by positions) and what they were drawn from."""

    queries: np.ndarray
    docs: np.ndarray
    clicks: np.ndarray
    attraction: np.ndarray

    @property
    def table(self) -> pa.Table:
        pages, depth = self.docs.shape
        return pa.table(
            {
                "search_id": np.repeat(np.arange(pages), depth),
                "query": np.repeat(self.queries, depth),
                "doc_id": self.docs.ravel(),
                "position": np.tile(np.arange(1, depth + 1), pages),
                "clicked": self.clicks.ravel(),
            }
        )

    def sessions(self) -> list[tuple[str, list[str], list[bool]]]:
        rows = zip(self.queries, self.docs, self.clicks, strict=True)
        return [(str(q), [str(d) for d in docs], [bool(c) for c in clicks]) for q, docs, clicks in rows]


def pages(draw: np.random.Generator, n: int, queries: int, depth: int, spread: float) -> World:
    """Pages of queries by Zipf's law; documents ranked by attraction plus noise, which moves them between positions."""
    chance = 1 / np.arange(1, queries + 1)
    query = draw.choice(queries, n, p=chance / chance.sum())
    attraction = draw.beta(0.6, 2.0, (queries, depth + depth // 2))
    score = np.log(attraction[query] + 1e-3) + spread * draw.gumbel(size=(n, attraction.shape[1]))
    order = np.argsort(-score, axis=1)[:, :depth]
    docs = query[:, None] * 1_000 + order
    return World(query, docs, np.zeros((n, depth), bool), np.take_along_axis(attraction[query], order, 1))


def pbm(draw: np.random.Generator, n: int, *, queries: int = 300, depth: int = 10, spread: float = 1.0) -> World:
    """Examination 1 / position."""
    world = pages(draw, n, queries, depth, spread)
    world.clicks = draw.random((n, depth)) < world.attraction / np.arange(1, depth + 1)
    return world


def trust_lines(depth: int) -> tuple[np.ndarray, np.ndarray]:
    """P(click) by position of what is wanted and of what is not: examination 1 / position, trust that falls with it."""
    k = np.arange(1, depth + 1)
    return (0.99 - 0.01 * k) / k, 0.65 / k**2


def trust(draw: np.random.Generator, n: int, *, queries: int = 300, depth: int = 10) -> World:
    """PBM in which results are also clicked for their position."""
    world = pages(draw, n, queries, depth, 1.0)
    wanted, trusted = trust_lines(depth)
    world.clicks = draw.random((n, depth)) < trusted + (wanted - trusted) * world.attraction
    return world


def dbn(draw: np.random.Generator, n: int, *, gamma: float = 0.9, queries: int = 300, depth: int = 10) -> World:
    """Users go on with `gamma` until satisfied; satisfaction is drawn for each document."""
    world = pages(draw, n, queries, depth, 1.0)
    satisfaction = draw.beta(2.0, 2.0, world.docs.max() + 1)
    examined = np.ones(n, bool)
    for k in range(depth):
        click = examined & (draw.random(n) < world.attraction[:, k])
        world.clicks[:, k] = click
        satisfied = click & (draw.random(n) < satisfaction[world.docs[:, k]])
        examined = examined & ~satisfied & (draw.random(n) < gamma)
    return world

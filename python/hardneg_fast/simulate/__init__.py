"""Simulated click logs with known relevance.

A ranker with standing errors and a jitter of each search shows documents to users who examine by position (PBM) or from
the top until satisfied (DBN). Relevance is known, so the share of false negatives that a miner yields can be counted.
Users believe the truth up to noise, and nobody's real habits are in here: it tests a method, it does not prove one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from ..exceptions import UsageError
from ..writers.atomic import check_directory, whole_directory
from .catalogue import make_catalogue
from .pages import RESULTS
from .people import Model, make_people
from .tables import write_candidates, write_documents, write_log, write_queries, write_truth

__all__ = ["FILES", "Model", "Simulated", "simulate"]

FILES = ("log.parquet", "documents.parquet", "queries.parquet", "truth.parquet", "candidates.parquet")
"""What is written."""


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """What was written, by distinct values in the log."""

    directory: Path
    impressions: int
    searches: int
    sessions: int
    users: int
    queries: int
    documents: int
    clicks: int
    shown_relevant: int
    """Impressions of documents with relevance 0.5 or more."""


def simulate(
    out_dir: Path | str, *, impressions: int, seed: int, model: Model = "mixed", overwrite: bool = False
) -> Simulated:
    """Write a simulated log and its truth; the same arguments give the same bytes.

    `log.parquet` has a row per result shown, in order of time, with canonical columns. `documents.parquet` (doc_id,
    text) has every document, shown or not; `queries.parquet` (query) the queries that were asked; `truth.parquet`
    (query, doc_id, relevance: 0 no, 0.5 in part, 1 fully) every document that the ranker could have shown for them.
    `candidates.parquet` (query, doc_id, position) is the ranker's list for every query that can be asked, settled
    before the log begins: what a private release may be judged on (`frozen_before_window`).

    Args:
        out_dir: a directory that does not exist, is empty, or is to be overwritten.
        impressions: rows wanted; pages are whole, so the log has up to half a page more or less.
        seed: any integer from 0.
        model: how users examine and click: by position (`pbm`), from the top until satisfied (`dbn`), half of each
            kind (`mixed`), or by position and with much trust in it (`trust`).
        overwrite: replace the simulation that stands at `out_dir`.

    Raises:
        UsageError: fewer than 10 impressions, a negative seed, an unknown model; `out_dir` holds something and is not
            to be replaced.
        FileError: `out_dir` cannot be written.
    """
    if impressions < RESULTS:
        raise UsageError(f"impressions is {impressions}; a log has at least one page of {RESULTS}")
    if seed < 0:
        raise UsageError(f"seed is {seed}; give 0 or more")
    if model not in get_args(Model):
        raise UsageError(f"model is {model!r}; choose one of {', '.join(get_args(Model))}")
    directory, replaceable = Path(out_dir), FILES if overwrite else ()
    check_directory(directory, replaceable=replaceable)
    searches = max(1, round(impressions / RESULTS))
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0])))
    with whole_directory(directory, replaceable=replaceable) as partial:
        world = make_catalogue(impressions, rng)
        people = make_people(impressions, searches, model, rng)
        log = write_log(partial / "log.parquet", world, people, seed)
        asked = np.flatnonzero(log.asked)
        write_documents(partial / "documents.parquet", world)
        write_queries(partial / "queries.parquet", world, asked)
        write_truth(partial / "truth.parquet", world, asked)
        write_candidates(partial / "candidates.parquet", world)
    return Simulated(
        directory=directory,
        impressions=searches * RESULTS,
        searches=searches,
        sessions=len(people.session_user),
        users=len(np.unique(people.session_user)),
        queries=len(asked),
        documents=int(log.shown.sum()),
        clicks=log.clicks,
        shown_relevant=log.shown_relevant,
    )

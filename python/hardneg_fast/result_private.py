"""Result and report of a release under differential privacy: released figures and public constants, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute

from . import _hardneg
from .calibration import CODES_DELTA, exactly
from .config import Config, Privacy, SelectConfig
from .contrast import Contrasts
from .coverage import coverage_of_released
from .curriculum import with_curriculum
from .measures import examples, shown_spread, spread_of
from .release_private import PrivateReleased
from .result import QUERY_TEXT, Result, plain_config, positives_of, queries_of

__all__ = ["private_result"]

pc: Any = pyarrow.compute


def private_result(
    released: PrivateReleased,
    chosen: Contrasts,
    config: Config,
    *,
    claim: Mapping[str, Any],
    window: str,
    sessions: bool,
) -> Result:
    """The result of one run; every figure in it follows from what was released."""
    negatives = with_curriculum(chosen.negatives) if config.select.curriculum == "on" else chosen.negatives
    queries = queries_of(negatives)
    return Result(
        negatives=negatives,
        triplets=chosen.triplets,
        positives=positives_of(queries, chosen.positives),
        queries=queries,
        by_position=pa.table({name: pa.array([], pa.int64()) for name in ("position", "impressions", "clicks", "ctr")}),
        report=_report(released, chosen, queries.num_rows, config, "dp" if claim["dp"] else NO_CLAIM),
        privacy=_statement(released, config, claim, window, sessions),
    )


def _report(released: PrivateReleased, chosen: Contrasts, queries: int, config: Config, mode: str) -> dict[str, Any]:
    listed = released.table.select(["query"]).group_by("query", use_threads=False).aggregate([]).num_rows
    steps = [
        ("queries released", released.queries),
        ("of them with documents", listed),
        *([] if released.pairs is None else [("pairs released", released.pairs)]),
        ("cells counted under noise", released.table.num_rows),
        ("pairs compared", chosen.compared),
        ("negatives", chosen.negatives.num_rows),
        ("training rows", chosen.triplets.num_rows),
    ]
    return {
        "version": _hardneg.__version__,
        "input": {"notes": ["figures of the log itself are private, and stand in the folder beside this one"]},
        "quarantine": {},
        "scrubbed": {},
        "cleaning": {},
        "funnel": [{"stage": stage, "count": n} for stage, n in steps],
        "counts": {},
        "release": {"mode": mode, "k": None, "queries_out": released.queries, "pairs_out": released.table.num_rows},
        "select": {
            "candidates": {"contrast": chosen.compared},
            "negatives": {"contrast": chosen.negatives.num_rows - chosen.retrieved}
            | ({"retrieved": chosen.retrieved} if chosen.retrieved else {}),
            "guards": {},
            "caps": {"max_negatives_per_query": chosen.capped} if chosen.capped else {},
            "rows": chosen.negatives.num_rows,
            "triplets": chosen.triplets.num_rows,
            "queries_with_negative": queries,
        },
        "rules_off": _off(config.select),
        "ctr_by_position": [],
        **_measured(released, chosen),
        "examples": examples(chosen.negatives, chosen.positives, None),
        "config": plain_config(config, exact=False),
    }


SHARES = (0.0001, 0.001, 0.01, 0.05, 0.2)
"""Where the distribution of reversals is cut."""


def _measured(released: PrivateReleased, chosen: Contrasts) -> dict[str, Any]:
    """Coverage and reversals, of what was released and nothing else."""
    found: dict[str, Any] = {}
    if (reversals := shown_spread(spread_of(chosen.reversed, SHARES), SHARES, None)) is not None:
        found["reversals"] = {**reversals, "from": REVERSALS}
    if released.constants["impression_weight"] > 0:
        table = released.table
        spread = float(pc.mean(table["impressions_variance"]).as_py() or 0.0) ** 0.5
        hard = chosen.negatives.filter(pc.equal(chosen.negatives["kind"], "hard"))
        found["coverage"] = coverage_of_released(table.select(["query", "impressions"]), hard)
        found["coverage_by"] = {"what": "impressions as released", "noise": round(spread, 1), "from": IMPRESSIONS}
    return found


REVERSALS = (
    "released clicks of both documents and the size of their noise; not corrected for choosing the best of several, "
    "and nothing of what position or taste did to clicks"
)
IMPRESSIONS = "released impressions of each query, noise included: each user counts in them up to the clip"


def _off(select: SelectConfig) -> dict[str, str]:
    """What was asked for and is not there."""
    off = {}
    if select.easy_negatives or select.fill == "easy":
        off["random"] = "which documents there are, the log would tell: none are drawn at random from it"
    if (select.semi_negatives or select.fill != "none") and select.retriever != "bm25":
        off["retrieved"] = "nothing was retrieved: select.retriever bm25 finds documents of a public corpus"
    return off


NO_CLAIM = "no_dp_claim"
"""Mode of a release whose lineage also had releases that are not differentially private."""


def _unclaimed(
    privacy: Privacy, config: Config, claim: Mapping[str, Any], window: str, sessions: bool
) -> dict[str, Any]:
    """Without epsilon, delta and constants: figures of a claim that does not hold would be read as one."""
    return {
        "mode": NO_CLAIM,
        "claim": f"no differential privacy claim: {claim['without'][0]} of lineage {privacy.lineage!r} was released, "
        "and together with it nothing of the lineage is differentially private",
        "sessions_stand_for_users": sessions,
        "window": window,
        "lineage": privacy.lineage,
        "lineage_claim": {name: claim[name] for name in ("lineage", "dp", "without", "sentence")},
        "identifiers": "none in the output; hashed under a key of the run while counting",
        "query_text": QUERY_TEXT[config.scrub.action],
    }


DOCUMENTS = {
    "meaning": "negatives of kind semi are found by BM25 in documents that the caller declares public, for released "
    "queries; the claim is relative to that"
}
"""What `select.retriever` adds to the claim."""


def _of_lineage(claim: Mapping[str, Any]) -> dict[str, Any]:
    """The ledger's claim without how many runs there were and broke off: a run can break off for one user's row."""
    runs = {"charges", "unfinished"}
    windows = [{name: value for name, value in window.items() if name not in runs} for window in claim["windows"]]
    return {**{name: value for name, value in claim.items() if name not in runs}, "windows": windows}


def _public(why: str | None, chosen: str) -> dict[str, Any]:
    if why is None:
        return {"class": None, "meaning": chosen}
    return {"class": why, "meaning": "the caller declares these public; the claim is relative to that"}


def _statement(
    released: PrivateReleased, config: Config, claim: Mapping[str, Any], window: str, sessions: bool
) -> dict[str, Any]:
    unit = "session" if sessions else "user id"
    privacy, budget = released.privacy, released.budget
    new = released.constants["mechanism"] == "pag"
    if not claim["dp"]:
        return _unclaimed(privacy, config, claim, window, sessions)
    promised = f"({exactly(privacy.epsilon or 0)}, {exactly(budget.delta)})"
    return {
        "mode": "dp",
        "epsilon": privacy.epsilon,
        "delta": budget.delta,
        "unit": f"one {unit}, all of its rows in the window; neighbours differ by adding or removing one",
        "sessions_stand_for_users": sessions,
        "window": window,
        "lineage": privacy.lineage,
        "claim": f"{promised}-differential privacy for one {unit} over the log read",
        "lineage_claim": _of_lineage(claim),
        "gaussian": {
            "mu": budget.mu,
            "mu_selection": budget.mu_selection,
            "mu_pairs": budget.mu_pairs,
            "mu_counts": budget.mu_counts,
        },
        "pure_epsilon": budget.pure,
        "thresholds": {
            "delta_t": budget.delta_t,
            "delta_t_selection": budget.delta_t_selection,
            "delta_t_pairs": budget.delta_t_pairs,
        },
        "codes": {
            "users": "128 bits of HMAC-SHA256 under a key of the run, which is gone with it",
            "delta": CODES_DELTA,
            "queries_and_documents": "places in a table: no two share one",
        },
        "constants": released.constants,
        "proof": "docs/PRIVACY.md"
        + ("; the mechanism pag is new, and its proof has had no outside review" if new else ""),
        "queries": _public(privacy.public_queries_class, "chosen under noise"),
        "candidates": _public(privacy.candidates_class, "chosen under noise from what users were shown"),
        **({"documents": DOCUMENTS} if config.select.retriever == "bm25" else {}),
        "identifiers": "none in the output; hashed under a key of the run while counting",
        "query_text": QUERY_TEXT[config.scrub.action],
        "not": "protection of people with many ids, of what timing or sizes of the run show, or of releases outside "
        "the ledger",
    }

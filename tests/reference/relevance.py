"""Examination and P(relevant) of a (query, document), by the formulas of docs/ARCHITECTURE.md, and one pass of EM.

A history is a list of cells: position, previous_click, impressions, clicks, satisfied_clicks.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.optimize

EXPOSURES = 4


def known(history: list[dict], model: dict) -> list[dict]:
    """Cells that say something: those at a position, unless positions do not matter."""
    return [cell for cell in history if cell["position"] or model["debias"] == "none"]


def place(cell: dict, model: dict) -> tuple[int, int]:
    if model["debias"] == "none":
        return (0, 0)
    position = min(cell["position"], model["positions"][-1]["position"])
    return (position, min(cell["previous_click"], position - 1) if model["debias"] == "ubm" else 0)


def examined(history: list[dict], model: dict) -> tuple[float, float]:
    """Expected examinations, and P(examined at least once)."""
    theta = {(position, above): value for position, above, value in model["places"]}
    cells = known(history, model)
    prior_hits, prior_misses = model["attractiveness_prior"]
    clicks = sum(cell["clicks"] for cell in cells)
    trials = sum(c["clicks"] + (c["impressions"] - c["clicks"]) * theta[place(c, model)] for c in cells)
    never = 1.0
    for _ in range(2):
        a = (prior_hits + clicks) / (prior_hits + prior_misses + trials)
        trials, never = float(clicks), 1.0
        for cell in cells:
            t = theta[place(cell, model)]
            looked = t * (1 - a) / (1 - t * a)
            trials += (cell["impressions"] - cell["clicks"]) * looked
            never *= (1 - looked) ** (cell["impressions"] - cell["clicks"])
    return trials, 1.0 if clicks else 1 - never


def exposure(history: list[dict]) -> int:
    shown = sum(cell["impressions"] for cell in history)
    return 0 if shown < 2 else 1 if shown < 4 else 2 if shown < 8 else 3


def kinds(history: list[dict], model: dict) -> tuple[dict[tuple[int, int], float], float]:
    """(attractive, relevant) → probability; and the prior of relevance."""
    theta = {(position, above): value for position, above, value in model["places"]}
    at = {row["position"]: row for row in model["positions"]}
    cells = known(history, model)
    shown = sum(cell["impressions"] for cell in cells)
    bin_ = exposure(cells)
    prior = sum(c["impressions"] * at[place(c, model)[0]]["prior"][bin_] for c in cells) / shown
    out = {}
    for attractive in (0, 1):
        for relevant in (0, 1):
            p = prior if relevant else 1 - prior
            share = model["attractive"][relevant]
            p *= share if attractive else 1 - share
            log = 0.0
            for cell in cells:
                here = place(cell, model)
                click = theta[here] * at[here[0]]["attraction"][attractive]
                stays = model["satisfied"][relevant]
                log += cell["clicks"] * math.log(click) + (cell["impressions"] - cell["clicks"]) * math.log(1 - click)
                log += cell["satisfied_clicks"] * math.log(stays)
                log += (cell["clicks"] - cell["satisfied_clicks"]) * math.log(1 - stays)
            out[attractive, relevant] = p * math.exp(log)
    total = sum(out.values())
    return {kind: p / total for kind, p in out.items()}, prior


def p_relevant(history: list[dict], model: dict) -> float:
    chances, _ = kinds(history, model)
    return chances[0, 1] + chances[1, 1]


def fitted(relevant: dict, shown: dict) -> dict[tuple[int, int], float]:
    """Logistic regression on ln position, exposure and their product, slopes normal with variance 1, by gradient."""
    places = [(p, b) for p, b in shown]
    features = np.array([[1.0, math.log(max(p, 1)), b, math.log(max(p, 1)) * b] for p, b in places])
    yes, all_ = (np.array([of[place] for place in places]) for of in (relevant, shown))

    def loss(w: np.ndarray) -> float:
        odds = features @ w
        return float((all_ * np.logaddexp(0, odds) - yes * odds).sum() + 0.5 * (w[1:] ** 2).sum())

    # A convex function: any descent finds its bottom.
    best = scipy.optimize.minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-7, "maxiter": 1000}).x
    return dict(zip(places, 1 / (1 + np.exp(-features @ best)), strict=True))


def passed(histories: list[list[dict]], model: dict) -> dict:
    """What one pass of EM makes of the model's figures: attraction, satisfied, attractive, prior."""
    theta = {(position, above): value for position, above, value in model["places"]}
    at = {row["position"]: row for row in model["positions"]}
    clicks = {(kind, p): 0.0 for kind in (0, 1) for p in at}
    looked = dict(clicks)
    relevant = {(p, b): 0.0 for p in at for b in range(EXPOSURES)}
    shown = dict(relevant)
    good, clicked, attracts, pairs = ([0.0, 0.0] for _ in range(4))
    for history in histories:
        cells = known(history, model)
        chance, prior = kinds(history, model)
        posterior = chance[0, 1] + chance[1, 1]
        rows, b = sum(c["impressions"] for c in cells), exposure(cells)
        for cell in cells:
            here = place(cell, model)
            n, skips = cell["clicks"], cell["impressions"] - cell["clicks"]
            for kind in (0, 1):
                weight = chance[kind, 0] + chance[kind, 1]
                a = at[here[0]]["attraction"][kind]
                r = theta[here] * (1 - a) / (1 - theta[here] * a)
                clicks[kind, here[0]] += weight * n
                looked[kind, here[0]] += weight * (n + skips * r)
            share, old = (n + skips) / rows, at[here[0]]["prior"][b]
            relevant[here[0], b] += share * old / prior * posterior
            shown[here[0], b] += share * old / prior * posterior
            shown[here[0], b] += share * (1 - old) / (1 - prior) * (1 - posterior)
        for k in (0, 1):
            weight = chance[0, k] + chance[1, k]
            good[k] += weight * sum(c["satisfied_clicks"] for c in cells)
            clicked[k] += weight * sum(c["clicks"] for c in cells)
            attracts[k] += chance[1, k]
            pairs[k] += weight
    rate = [sum(clicks[k, p] for p in at) / sum(looked[k, p] for p in at) for k in (0, 1)]
    surface = fitted(relevant, shown)
    prior = {
        p: [(relevant[p, b] + 10_000 * surface[p, b]) / (shown[p, b] + 10_000) for b in range(EXPOSURES)] for p in at
    }
    return {
        "attraction": {p: [(clicks[k, p] + 50 * rate[k]) / (looked[k, p] + 50) for k in (0, 1)] for p in at},
        "satisfied": [good[k] / clicked[k] for k in (0, 1)],
        "attractive": [attracts[k] / pairs[k] for k in (0, 1)],
        "prior": prior,
    }

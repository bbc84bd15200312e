"""Measured runs as a Markdown table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from guard import Spent

TOGETHER = "W2+W3+W4"
HEAD = [
    "| workload | engine | CPU ns/row | (min to max) | wall s | peak RSS GB | spilled GB | CPU to ours | RSS to ours |",
    "|---|---|---|---|---|---|---|---|---|",
]


def median(runs: Sequence[Spent]) -> Spent:
    """Each figure's median, or the failure."""
    failed = [run for run in runs if run.failed]
    if failed:
        return failed[0]
    figures = ("cpu", "wall", "rss", "spilled")
    return Spent(*(statistics.median(getattr(run, figure) for run in runs) for figure in figures))


def best_of_each(taken: Mapping[str, Mapping[str, Sequence[Spent]]]) -> Spent | None:
    """What the best peer of each workload takes, one after another."""
    best = []
    for workload in TOGETHER.split("+"):
        peers = [median(runs) for engine, runs in taken.get(workload, {}).items() if engine != "ours"]
        done = [run for run in peers if not run.failed]
        if not done:
            return None
        best.append(min(done, key=lambda run: run.cpu))
    total = Spent(*(sum(getattr(run, figure) for run in best) for figure in ("cpu", "wall")))
    total.rss, total.spilled = max(run.rss for run in best), sum(run.spilled for run in best)
    return total


def line(workload: str, engine: str, runs: Sequence[Spent], rows: int, ours: Spent | None) -> str:
    m = median(runs)
    if m.failed:
        return (
            f"| {workload} | {engine} | failed: {m.failed} | | {m.wall:.1f} | {m.rss / 1e9:.2f} "
            f"| {m.spilled / 1e9:.2f} | | |"
        )
    cpu = [run.cpu / rows * 1e9 for run in runs]
    spread = f"{min(cpu):.0f} to {max(cpu):.0f}" if len(runs) > 1 else "one run"
    against = ["", ""]
    if ours is not None and not ours.failed:
        against = [f"{m.cpu / ours.cpu:.2f}x", f"{m.rss / ours.rss:.2f}x"]
    return (
        f"| {workload} | {engine} | {m.cpu / rows * 1e9:.0f} | {spread} | {m.wall:.2f} | {m.rss / 1e9:.2f} "
        f"| {m.spilled / 1e9:.2f} | {against[0]} | {against[1]} |"
    )


def table(taken: Mapping[str, Mapping[str, Sequence[Spent]]], rows: int) -> str:
    """By workload, then by CPU; failures last."""
    lines = list(HEAD)
    for workload, engines in taken.items():
        ours = median(engines["ours"]) if "ours" in engines else None
        together = best_of_each(taken) if workload == TOGETHER else None
        entries = dict(engines) | ({"the best peer of each": [together]} if together else {})
        ordered = sorted(entries.items(), key=lambda entry: (bool(median(entry[1]).failed), median(entry[1]).cpu))
        lines += [line(workload, engine, runs, rows, ours) for engine, runs in ordered]
    return "\n".join(lines)

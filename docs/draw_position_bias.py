"""Draw the pictures of concepts/position_bias.md from a simulated log: `python docs/draw_position_bias.py`.

The simulator's users examine position k with probability k^-η, η by user around .75; a picture shows what is learnt
from their clicks beside that.
"""

from __future__ import annotations

import html
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import hardneg_fast as hn

OUT = Path(__file__).parent / "concepts"
COLOURS = {"blue": "#2563a8", "orange": "#c2570c", "green": "#2e7d46", "grey": "#777777"}
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 640, 330, 56, 40, 24, 46
RANKS = np.arange(1, 11)


class Chart:
    """Lines over positions 1 to 10, as SVG."""

    def __init__(self, title: str, label: str, most: float, legend: int = 0) -> None:
        self.most, self.legend = most, legend
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
            f'font-size="13"><title>{html.escape(title)}</title><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
            f'<text x="{LEFT}" y="22" font-size="15">{html.escape(title)}</text>',
        ]
        for tick in np.linspace(0, most, 6):
            y = self.y(tick)
            self.parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#e5e5e5"/>')
            self.parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="#555">{tick:.2g}</text>')
        for rank in RANKS:
            self.parts.append(
                f'<text x="{self.x(rank):.1f}" y="{HEIGHT - 26}" text-anchor="middle" fill="#555">{rank}</text>'
            )
        self.parts.append(
            f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle" fill="#555">{html.escape(label)}</text>'
        )

    def x(self, rank: float) -> float:
        """Across, in pixels."""
        return LEFT + 16 + (rank - 1) / 9 * (WIDTH - LEFT - RIGHT - 32)

    def y(self, value: float) -> float:
        """Down, in pixels."""
        return HEIGHT - BOTTOM - value / self.most * (HEIGHT - TOP - BOTTOM)

    def line(self, name: str, values: np.ndarray, colour: str, *, dashed: bool = False, band: object = None) -> None:
        """A line with its name in the legend; `band` is (lower, upper)."""
        ink, points = COLOURS[colour], [(self.x(k), self.y(v)) for k, v in zip(RANKS, values, strict=True)]
        if band is not None:
            lower, upper = band
            edge = [(self.x(k), self.y(v)) for k, v in zip(RANKS, upper, strict=True)]
            edge += [(self.x(k), self.y(v)) for k, v in zip(RANKS[::-1], lower[::-1], strict=True)]
            self.parts.append(f'<polygon points="{_points(edge)}" fill="{ink}" opacity=".15"/>')
        dash = ' stroke-dasharray="6 4"' if dashed else ""
        self.parts.append(f'<polyline points="{_points(points)}" fill="none" stroke="{ink}" stroke-width="2"{dash}/>')
        if not dashed:
            self.parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{ink}"/>' for x, y in points]
        y = TOP + 12 + 19 * self.legend
        self.parts.append(f'<path d="M{WIDTH - 262} {y - 4}h24" stroke="{ink}" stroke-width="2"{dash}/>')
        self.parts.append(f'<text x="{WIDTH - 232}" y="{y}">{html.escape(name)}</text>')
        self.legend += 1

    def write(self, name: str) -> None:
        """To a file beside the page."""
        (OUT / name).write_text("\n".join([*self.parts, "</svg>"]) + "\n", encoding="utf-8")


def _points(of: list[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in of)


def column(table: pa.Table, name: str) -> np.ndarray:
    """A column as numbers."""
    return np.array(table[name].to_pylist(), float)


def main() -> None:
    """Draw all of them."""
    with tempfile.TemporaryDirectory() as folder:
        simulated = hn.simulate(Path(folder) / "sim", impressions=1_000_000, seed=1, model="pbm").directory
        rows = pq.read_table(simulated / "log.parquet", columns=["search_id", "query", "doc_id", "position", "clicked"])
        truth = pq.read_table(simulated / "truth.parquet")
    log = hn.click_log(rows)
    rows = rows.join(truth, ["query", "doc_id"])
    position, clicked = rows["position"].to_numpy().astype(int), rows["clicked"].to_numpy().astype(float)
    grade = rows["relevance"].to_numpy()
    eta = np.clip(np.random.default_rng(0).normal(0.75, 0.15, 100_000), 0.4, 1.4)
    examined = (RANKS[:, None] ** -eta).mean(1)

    def rate(of: np.ndarray) -> np.ndarray:
        shown = np.bincount(position[of], minlength=11)[1:]
        return np.bincount(position[of], clicked[of], minlength=11)[1:] / shown

    every = np.ones(len(position), bool)
    pbm, harvest = hn.fit_click_model(log, model="pbm"), hn.estimate_propensities(log).table
    chart = Chart("How likely is a result to be looked at?", "position", 1.0)
    chart.line("true examination", examined, "grey", dashed=True)
    chart.line("click rate relative to the top", rate(every) / rate(every)[0], "orange")
    chart.line("PBM", column(pa.table(pbm.examination), "examination"), "blue")
    band = (column(harvest, "lower"), column(harvest, "upper"))
    chart.line("all-pairs harvesting, 95 %", column(harvest, "propensity"), "green", band=band)
    chart.write("examination.svg")

    chart = Chart("One document's worth, ten click rates", "position", 0.6)
    for name, value, colour in (
        ("relevant", 1.0, "green"),
        ("relevant in part", 0.5, "blue"),
        ("not relevant", 0.0, "orange"),
    ):
        chart.line(name, rate(grade == value), colour)
    chart.write("click_rates.svg")

    predicted = pa.table(pbm.predict())
    p = {
        name: predicted[name].to_numpy()
        for name in ("position", "weight", "clicked", "attractiveness", "examined_given_above")
    }
    skip = ~p["clicked"].astype(bool)
    e, a = p["examined_given_above"][skip], p["attractiveness"][skip]
    weight, at = p["weight"][skip], p["position"][skip].astype(int)
    seen = e * (1 - a) / (1 - e * a)
    share = np.bincount(at, weight * seen, minlength=11)[1:] / np.bincount(at, weight, minlength=11)[1:]
    chart = Chart("Of results without a click, how many were seen?", "position", 1.0, legend=1)
    chart.line("seen and not clicked (PBM)", share, "blue")
    chart.line("taken for rejected without a model", np.ones(10), "orange", dashed=True)
    chart.write("skips_seen.svg")

    # Each document only where it was shown most often: it never changes position any more.
    keys = rows.group_by(["query", "doc_id", "position"]).aggregate([("clicked", "count")])
    keys = keys.sort_by([("clicked_count", "descending"), ("position", "ascending")])
    usual: dict[tuple[str, str], int] = {}
    for q, d, k in zip(
        keys["query"].to_pylist(), keys["doc_id"].to_pylist(), keys["position"].to_pylist(), strict=True
    ):
        usual.setdefault((q, d), k)
    pairs = zip(rows["query"].to_pylist(), rows["doc_id"].to_pylist(), strict=True)
    still = np.array([usual[pair] for pair in pairs]) == position
    fixed = rate(still)
    chart = Chart("Documents that never change position: two worlds, the same clicks", "position", 1.0, legend=1)
    chart.line("world A: all is examined", np.ones(10), "blue", dashed=True)
    chart.line("world A: attractiveness", fixed, "blue")
    chart.line("world B: examination falls", examined, "green", dashed=True)
    chart.line("world B: attractiveness", fixed / examined, "green")
    chart.write("two_worlds.svg")


if __name__ == "__main__":
    main()

"""The claim of a release under differential privacy, computed again from the constants that it states."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import audit_dp
from ..calibration import (
    CODES_DELTA,
    GRID,
    compose,
    exactly,
    laplace_scale,
    selection_thresholds,
    sigma_on_grid,
    within,
)
from ..exceptions import FileError
from ..ledger import Ledger
from .checks import Check, of_findings
from .output import Output
from .users import numbers

EMPTY = ("quarantine", "scrubbed", "cleaning", "counts")
"""Parts of a report that hold exact counts where there is no noise."""

KNOWN: tuple[str, ...] = (
    "version",
    "input",
    "funnel",
    "release",
    "select",
    "rules_off",
    "ctr_by_position",
    "examples",
    "config",
)
KNOWN += ("written", "without_text", "documents_without_text", "hardness", "coverage", "coverage_by", "reversals")
PLACES = ("position_pos", "position_neg", "curriculum")
"""Numbers that follow from public lists and the rows that are there."""
LEAST = 1_000
"""Exact figures from here on are looked for by their digits: smaller ones are met by chance."""


def statement(output: Output) -> list[Check]:
    """Noise and thresholds against the claim."""
    said = output.statement
    try:
        faults, exact = _recomputed(said)
    except (KeyError, TypeError, ValueError, IndexError):
        broken = "privacy.json lacks constants of the claim, or holds ones that cannot be"
        return [Check("privacy statement", "fail", broken, "proved"), Check("thresholds", "not checked", broken)]
    right = f"epsilon {said['epsilon']:g} at delta {said['delta']:g} follows from mu, delta_t, noise and thresholds"
    verdict = Check("privacy statement", "fail" if faults else "pass", "; ".join(faults) or right, "proved")
    if not exact:
        public = "queries and candidates were declared public: nothing was chosen, so there are no thresholds"
        return [verdict, Check("thresholds", "not checked", public)]
    return [verdict, *of_findings(audit_dp.Report(tuple(exact)))]


STAGES = (("selection", "max_queries_per_user", "choosing"), ("pairs", "max_pairs_per_user", "choosing pairs"))
"""What is chosen under noise, the bound on a user's items there, and what it is called."""


def _recomputed(said: Mapping[str, Any]) -> tuple[list[str], list[audit_dp.Finding]]:
    gaussian, constants, allowed = said["gaussian"], said["constants"], said["thresholds"]
    mus = {name: float(gaussian[f"mu_{name}"]) for name in ("selection", "pairs", "counts")}
    escapes = {name: float(allowed[f"delta_t_{name}"]) for name, *_ in STAGES}
    pure = float(said["pure_epsilon"])
    mu, escape = compose(mus.values(), [CODES_DELTA, *escapes.values()])
    judged = [
        (constants["grid"] != GRID, f"the grid is {constants['grid']!r}, not {GRID}"),
        (mu > float(gaussian["mu"]), f"the parts of mu make {mu:.6g}, more than the stated {gaussian['mu']:.6g}"),
        (escape > float(allowed["delta_t"]), f"the parts of delta_t make {escape:.6g}, more than is stated"),
        (
            not within(mu, float(allowed["delta_t"]), float(said["epsilon"]), float(said["delta"]), pure),
            f"mu {mu:.6g} and delta_t {allowed['delta_t']:.6g} do not keep epsilon {said['epsilon']:g} at delta "
            f"{said['delta']:g}",
        ),
        (
            not str(said["claim"]).startswith(f"({exactly(said['epsilon'])}, {exactly(said['delta'])})-"),
            "the sentence of the claim has other figures",
        ),
        (pure > 0 and mu > 0, "it has both a Gaussian part and one without delta"),
        _counting(constants, mus["counts"], pure),
    ]
    exact = []
    for name, most, called in STAGES:
        if mus[name] > 0 or f"{name}_sigma" in constants:
            faults, finding = _choosing(constants, name, mus[name], escapes[name], int(constants[most]), called)
            judged += faults
            exact.append(finding)
    return [fault for wrong, fault in judged if wrong], exact


def _counting(constants: Mapping[str, Any], mu: float, pure: float) -> tuple[bool, str]:
    stated = int(constants["count_scale" if pure else "count_sigma"])
    needed = laplace_scale(pure, GRID) if pure else sigma_on_grid(mu)
    wrong = stated < needed or constants["count_noise"] != ("laplace" if pure else "gaussian")
    return wrong, f"the noise of counting is {stated}, and the claim needs {needed}"


def _choosing(
    constants: Mapping[str, Any], name: str, mu: float, delta_t: float, most: int, called: str
) -> tuple[list[tuple[bool, str]], audit_dp.Finding]:
    sigma, thresholds = int(constants[f"{name}_sigma"]), [int(value) for value in constants[f"{name}_thresholds"]]
    made = selection_thresholds(mu, delta_t, most, int(constants["rounds"]))
    low = sum(1 for stated, needed in zip(thresholds, made.values, strict=True) if stated < needed)
    exact = audit_dp.audit_thresholds(sigma=sigma, thresholds=thresholds, delta_t=delta_t, max_items=most)
    judged = [
        (sigma < made.sigma, f"the noise of {called} is {sigma}, and the claim needs {made.sigma}"),
        (low > 0, f"{low} of {len(thresholds)} thresholds of {called} are lower than the claim needs"),
    ]
    return judged, exact if name == "selection" else replace(exact, name="thresholds of pairs")


def in_ledger(output: Output, ledger: Path | str | None) -> Check:
    """What the ledger says of the lineage, beside what the output says.

    Raises:
        PrivacyError: the ledger is missing or not whole.
    """
    if ledger is None:
        return Check("ledger", "not checked", "no ledger was given (--ledger)")
    said = output.statement
    claim = Ledger(ledger).claim(str(said.get("lineage")))
    figures = {
        name: claim[name] for name in ("epsilon", "delta", "mu", "delta_t", "pure", "charges", "unfinished", "dp")
    }
    windows = {window["window"]: window for window in claim["windows"]}
    own = windows.get(str(said.get("window")))
    stated, mu = said.get("lineage_claim", {}), float(said.get("gaussian", {}).get("mu", 0))
    judged = (
        (not claim["dp"], "the lineage had releases that are not differentially private: the claim has ended"),
        (own is None, "the ledger has no charge for this lineage and window"),
        (
            own is not None
            and (
                own["mu"] < mu
                or own["delta_t"] < float(said["thresholds"]["delta_t"])
                or own["pure"] < float(said["pure_epsilon"])
            ),
            "the ledger was charged less than was released",
        ),
        (
            claim["dp"]
            and own is not None
            and any(float(stated.get(name, 0)) > claim[name] for name in ("mu", "pure")),
            "the output says that more was released than the ledger knows: this is an older copy of it",
        ),
    )
    faults = [fault for wrong, fault in judged if wrong]
    return Check("ledger", "fail" if faults else "pass", "; ".join(faults) or str(claim["sentence"]), figures=figures)


def exact_figures(output: Output) -> Check:
    """Exact counts of the log in what stands beside noisy ones; against OUT.private where that is still there."""
    name = "exact figures"
    faults = [f"report.json has figures of {part!r}" for part in EMPTY if output.report.get(part)]
    if set(output.report.get("input", {})) - {"notes"}:
        faults.append("report.json has figures of the input")
    if more := set(output.report) - {*KNOWN, *EMPTY}:
        faults.append(f"report.json has parts that no private report has ({len(more)})")
    table = output.table("negatives")
    for field in table.schema:
        if str(field.type) not in ("string", "large_string") and field.name not in PLACES:
            values = table[field.name]
            if values.null_count < len(values):
                faults.append(f"column {field.name!r} of negatives holds figures, which none released")
    private = output.path.with_name(output.path.name + ".private") / "exact.json"
    said = "no part of the report or column of the tables holds counts of the log"
    if private.is_file():
        exact = _exact(private)
        public = _public(output)
        for file in output.files:
            if file.suffix in (".json", ".html", ".md"):
                digits = {int(n.replace(",", "")) for n in _NUMBER.findall(file.read_text("utf-8", errors="replace"))}
                if hit := (digits & exact) - public:
                    faults.append(f"{len(hit)} exact figures of {private.parent.name} stand in {output.name(file)}")
        said += f", nor does one of {len(exact):,} figures of {private.parent.name} stand in its texts"
    else:
        said += f"; {private.parent.name} is not here, so its figures were not looked for"
    return Check(name, "fail" if faults else "pass", "; ".join(faults) or said, figures={"faults": faults})


_NUMBER = re.compile(r"(?<![\w.,-])(?:\d{1,3}(?:,\d{3})+|\d+)(?![\w.]|,\d)")


def _exact(path: Path) -> set[int]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise FileError(f"{path.parent.name}/{path.name} cannot be read ({type(error).__name__})") from None
    return {value for _, value in numbers(found, "") if value >= LEAST}


def _public(output: Output) -> set[int]:
    """Numbers that stand in the output by right: constants, options, how many rows its tables have, and where."""
    rows = {output.table(name).num_rows for name in ("negatives", "triplets", "queries", "documents")}
    options = {value for _, value in _whole(output.report.get("config", {}))}
    constants = {value for _, value in _whole(output.statement.get("constants", {}))}
    hardness = {value for _, value in _whole(output.report.get("hardness", {}))}
    return rows | options | constants | hardness


def _whole(value: Any) -> Iterator[tuple[str, int]]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _whole(inner)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield "", value

"""What an audit found: named checks in three parts, proved, tested, not covered, in words for whoever must sign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .. import audit_dp

Verdict = Literal["pass", "fail", "not checked"]

MEANS = {
    "personal data": "No query or text of the output shows an e-mail address, a number or a key of known form.",
    "user thresholds in the output": "The output's own figures keep the threshold that it claims.",
    "user thresholds in the log": "Counted anew in the log, enough users stand behind everything that is named.",
    "identifiers": "Whoever holds a list of the log's ids finds none of them, or of their plain hashes, in the output.",
    "rare queries": "Queries that may not be named are not in the output by another way.",
    "key": "Nobody learns the key of the pseudonyms from the output, or from what runs printed.",
    "pseudonyms of the other output": "The two outputs cannot be joined by pseudonyms, or only as was asked.",
    "lineage of the other output": "What is said of one output holds beside the other.",
    "privacy statement": "The noise is as large as the claim needs; anybody can compute this again.",
    "thresholds": "What a single person alone asked stays in, but for the stated probability.",
    "thresholds of pairs": "What a single person alone was shown for a query stays in, but for the stated probability.",
    "ledger": "The release was charged, and the ledger's own sum is not above what the output says.",
    "exact figures": "No exact count of the log stands beside the noisy ones.",
    "sensitivity": "Adding a person moves nobody else's contribution, and the sum by no more than the claim says.",
    "sensitivity of counting": "The same of noisy clicks: what a person clicked moves all of them together by so much.",
    "noise": "The random numbers have the stated law, and never come twice.",
    "noise of choosing": "The random numbers have the stated law, and never come twice.",
    "noise of counting": "The random numbers have the stated law, and never come twice.",
    "mechanism": "Many releases with and without a person could not be told apart better than the claim allows.",
    "mechanism at a large delta": "The same, where the threshold is low enough for a few hundred releases to reach it.",
    "one run": "Guessing which of many planted people were in a release was not better than the claim allows.",
    "membership": "Somebody who knows a person's whole history tells no better than the claim allows if it was in.",
}
"""Check → what its passing means."""

NOT_COVERED = (
    "names, streets and illnesses in query texts: they have no form to be found by; thresholds are what meets them",
    "ids in forms of somebody's own: encrypted, hashed with a salt, cut below eight bytes, in other words",
    "people with several ids, and people whose rows stand under one id",
    "timing and memory of runs, sizes of private files, copies and backups",
    "releases that are in no ledger, and outputs that were not given to this audit",
    "documents: ids and texts of documents leave as they were given",
)

OF_RELEASES = ("lists of candidates that are not public although they were declared so",)


@dataclass(frozen=True)
class Check:
    """One result.

    Attributes:
        name: of the check.
        verdict: pass, fail, or not checked.
        said: what was found, or why it was not checked; never a value of the log.
        kind: "proved" holds for every log; "tested" found nothing, or something, where it looked.
        figures: what it rests on.
    """

    name: str
    verdict: Verdict
    said: str
    kind: Literal["proved", "tested"] = "tested"
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def means(self) -> str:
        """What its passing means, in a line."""
        return MEANS[self.name]


@dataclass(frozen=True)
class Audit:
    """All checks of an output.

    Attributes:
        subject: what was audited, in words.
        checks: results, in order.
        not_covered: what no check looks at.
    """

    subject: str
    checks: tuple[Check, ...]
    not_covered: tuple[str, ...] = NOT_COVERED

    @property
    def passed(self) -> bool:
        """Whether no check failed. Checks that were not made do not count: see `not_checked`."""
        return not self.failed

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the checks that failed."""
        return tuple(check.name for check in self.checks if check.verdict == "fail")

    @property
    def not_checked(self) -> tuple[str, ...]:
        """Names of the checks that were not made."""
        return tuple(check.name for check in self.checks if check.verdict == "not checked")

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        parts: dict[str, list[dict[str, Any]]] = {"proved": [], "tested": [], "not checked": []}
        for check in self.checks:
            part = "not checked" if check.verdict == "not checked" else check.kind
            entry = {"name": check.name, "verdict": check.verdict, "said": check.said, "means": check.means}
            parts[part].append({**entry, "figures": dict(check.figures)})
        return {
            "subject": self.subject,
            "passed": self.passed,
            "failed": list(self.failed),
            "proved": parts["proved"],
            "tested": parts["tested"],
            "not_checked": parts["not checked"],
            "not_covered": list(self.not_covered),
        }

    def lines(self) -> list[str]:
        """For people: the three parts, failures with a mark."""
        lines = [f"audit of {self.subject}: {'passed' if self.passed else 'FAILED: ' + ', '.join(self.failed)}"]
        titles: dict[str, Any] = {
            "proved, for every log there could be": lambda c: c.kind == "proved" and c.verdict != "not checked",
            "tested: this is what was looked for": lambda c: c.kind == "tested" and c.verdict != "not checked",
            "not checked this time": lambda c: c.verdict == "not checked",
        }
        for title, belongs in titles.items():
            checks = [check for check in self.checks if belongs(check)]
            lines += ["", title] if checks else []
            for check in checks:
                mark = {"pass": "pass", "fail": "FAIL", "not checked": "-"}[check.verdict]
                lines += [f"  {mark:<5} {check.name}: {check.said}"]
                lines += [] if check.verdict == "not checked" else [f"        {check.means}"]
        lines += ["", "not covered by any audit of files", *(f"  -     {entry}" for entry in self.not_covered)]
        return lines


def of_findings(report: audit_dp.Report) -> list[Check]:
    """Findings about a mechanism as checks."""
    return [
        Check(finding.name, "pass" if finding.passed else "fail", finding.said, finding.kind, finding.figures)
        for finding in report.findings
    ]

"""What an audit found, in three parts: proved, tested, not covered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

NOT_COVERED = (
    "timing, memory, and sizes of private files",
    "releases outside the ledger",
    "people with several ids, and ids that several people share",
    "lists of candidates that are not public although they were declared so",
)


@dataclass(frozen=True)
class Finding:
    """One result.

    Attributes:
        name: of the audit.
        kind: "proved" holds for every log; "tested" found nothing, or something, where it looked.
        passed: whether the claim stands.
        said: in a sentence.
        figures: what it rests on.
    """

    name: str
    kind: Literal["proved", "tested"]
    passed: bool
    said: str
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """All findings of an audit."""

    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether every claim stands."""
        return all(finding.passed for finding in self.findings)

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of audits that failed."""
        return tuple(finding.name for finding in self.findings if not finding.passed)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: `passed`, and the three parts."""
        parts: dict[str, list[dict[str, Any]]] = {"proved": [], "tested": []}
        for finding in self.findings:
            entry = {"name": finding.name, "passed": finding.passed, "said": finding.said, "figures": finding.figures}
            parts[finding.kind].append(entry)
        return {"passed": self.passed, **parts, "not_covered": list(NOT_COVERED)}

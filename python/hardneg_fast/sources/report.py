"""What the read stage found out about a log: counts and names of things; of values only surfaces and actions."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class ReadReport:
    """Plain data. `rows_in` and `quarantine` grow while the log is streamed and start again with every `reader()`."""

    files: int = 0
    """Files read; 0 for an Arrow object."""
    format: str = "arrow"
    """parquet, ipc, orc, csv, tsv, ndjson or arrow."""
    shape: str = "rows"
    """rows, pages or events."""
    preset: str | None = None
    """Name of the preset used."""
    rows_in: int = 0
    """Records seen: lines, events, pages or rows."""
    quarantine: dict[str, int] = field(default_factory=dict)
    """Reason → records set aside by the reader; the core counts its own reasons."""
    position_bases: dict[str, int] = field(default_factory=dict)
    """Surface ("" for the whole log) → what the log calls the top position, 0 or 1."""
    sessions_stand_for_users: bool = False
    """Whether user_id and session_id are one column: a threshold of users is then one of sessions."""
    thresholded: bool = False
    """Whether `anonymize` left out rare queries when it made the log."""
    held: bool = False
    """Whether lines say something for those after them, or are counted into blocks."""
    notes: list[str] = field(default_factory=list)
    """Sentences for the user."""
    timestamp_notations: dict[str, int] = field(default_factory=dict)
    """Notation → records, where the reader itself reads times (events): iso8601, epoch_s, …, unreadable."""

    click_actions: tuple[str, ...] = ()
    """Event shape: values of `action` that were taken for clicks."""
    other_actions: dict[str, int] = field(default_factory=dict, repr=False)
    """Event shape: the most frequent other values, with records; none where there are too many to be actions. For
    `inspect` alone, whose reader holds the log."""

    def count(self, reason: str, n: int = 1) -> None:
        """Adds `n` to a quarantine reason."""
        if n:
            self.quarantine[reason] = self.quarantine.get(reason, 0) + n

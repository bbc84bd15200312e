"""How far a job is, on stderr: one line rewritten where a terminal watches, a log line every few seconds otherwise."""

from __future__ import annotations

import sys
import time
from types import TracebackType

EVERY = 10.0
"""Seconds between log lines."""


class Progress:
    """Called with stage, rows and the share done; counts and speeds only, nothing of the log's content."""

    def __init__(self) -> None:
        self._watched = sys.stderr.isatty()
        self._begun = time.monotonic()
        self._said = self._begun
        self._rows = 0
        self._stage = ""
        self._stage_begun = self._begun

    def __enter__(self) -> Progress:
        return self

    def __call__(self, stage: str, rows: int, done: float | None) -> None:
        """Says how far it is, not too often."""
        now = time.monotonic()
        self._rows = max(self._rows, rows)
        if stage != self._stage:
            self._stage, self._stage_begun = stage, now
        if now - self._said < (0.2 if self._watched else EVERY):
            return
        self._said = now
        speed = self._rows / max(now - self._begun, 1e-9)
        text = f"{stage} rows={self._rows} rows_per_s={speed:.0f}"
        spent = now - self._stage_begun
        if done and spent > 1:
            # Of the stage: how long the others take is not known before they are reached.
            text += f" done={min(done, 1):.0%} eta_s={spent * (1 - min(done, 1)) / done:.0f}"
        if self._watched:
            print(f"\r{text:<70}", end="", file=sys.stderr, flush=True)
        else:
            print(f"hardneg-fast: {text}", file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watched:
            print(f"\r{'':<70}\r", end="", file=sys.stderr, flush=True)

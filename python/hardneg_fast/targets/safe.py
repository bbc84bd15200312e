"""Texts of strangers in files of other programs: JSON lines that every reader splits alike, cells that stay cells."""

from __future__ import annotations

import json
import re
from typing import Any

_BREAKS = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]+")
_SPACE = re.compile(r"[\s\x00-\x1f\x7f]")
FORMULA = ("=", "+", "-", "@")
"""Beginnings of cells that spreadsheets calculate."""


def json_line(value: Any) -> str:
    """JSON in one line, also for readers that take every Unicode line end for one."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.replace("\x85", "\\u0085").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def cell(value: Any) -> str:
    """A cell of a file without quoting.

    Tabs, line ends and control characters become one space. Text that a spreadsheet would take for a formula gets a
    space before it, which tokenizers pass over and spreadsheets show as text.
    """
    if not isinstance(value, str):
        return "" if value is None else str(value)
    text = _BREAKS.sub(" ", value)
    return f" {text}" if text.startswith(FORMULA) else text


def is_plain_id(value: str, *, own_cell: bool = False) -> bool:
    """Whether an id can stand, as it is, in a file that white space parts; or be a cell of its own there."""
    formula = own_cell and value.startswith(FORMULA)
    return bool(value) and not _SPACE.search(value) and not value.startswith('"') and not formula

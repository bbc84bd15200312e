"""The naive reference: docs/ARCHITECTURE.md in obvious lines, against which the core is tested.

Written from that page alone, in plain lists and dictionaries. Where the page leaves something open, a comment that
starts with "reading:" says how it was understood.
"""

from . import alike, bm25, scores
from .count import Counts, count, in_canonical_order
from .evidence import evidence
from .mine import Mined, mine
from .normalize import canonical_key, code, normalize, query_id
from .pseudonym import pseudonym
from .related import related
from .release import Released, release
from .seedhash import seed_hash, siphash24
from .select import Selected, select

__all__ = [
    "Counts",
    "Mined",
    "Released",
    "Selected",
    "alike",
    "bm25",
    "canonical_key",
    "code",
    "count",
    "evidence",
    "in_canonical_order",
    "mine",
    "normalize",
    "pseudonym",
    "query_id",
    "related",
    "release",
    "scores",
    "seed_hash",
    "select",
    "siphash24",
]

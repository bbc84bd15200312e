"""Known log schemas as data: canonical name → the log's columns, the first with a value counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .base import FILE, INDEX


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A mapping with what the mapping alone cannot say."""

    name: str
    shape: Literal["rows", "pages", "events"]
    columns: dict[str, tuple[str, ...]]
    header: tuple[str, ...] = ()
    """Column names of text files without a header line."""
    codes: dict[str, str] = field(default_factory=dict)
    """Column whose numbers stand for names → file beside the log with the dictionary name → number."""
    notes: tuple[str, ...] = ()


UBI = Preset(
    name="ubi",
    shape="events",
    columns={
        "action": ("action_name",),
        "search_id": ("query_id",),
        "user_id": ("client_id", "user_id"),
        "session_id": ("session_id", "event_attributes.session_id"),
        "query": ("user_query",),
        "doc_id": ("event_attributes.object.object_id",),
        "position": ("event_attributes.position.ordinal",),
        "surface": ("application", "query_attributes.application"),
        "timestamp": ("timestamp",),
        "index": (INDEX,),
        "hits": ("query_response_hit_ids", "query_response_object_ids"),
    },
    # event_attributes.dwell_time is left alone: the schema does not define it, and the published dump has it on every
    # kind of event, uniform from 0 to 56 and unrelated to the milliseconds until the next event.
    notes=("dwell times are not read: UBI does not define them (map dwell_ms if your log has them in milliseconds)",),
)
"""OpenSearch User Behavior Insights: query records and event records, in one file or several."""

OBD = Preset(
    name="obd",
    shape="rows",
    columns={
        "query": (FILE,),
        "doc_id": ("item_id",),
        "position": ("position",),
        "clicked": ("click",),
        "propensity": ("propensity_score", "action_prob"),
        "timestamp": ("timestamp",),
    },
    notes=("recommendations without queries: each file's name (its campaign) stands for the query",),
)
"""Open Bandit Dataset: recommendations with logged propensities."""

TREC_SESSION = Preset(
    name="trec-session",
    shape="pages",
    columns={
        "user_id": ("session",),
        "session_id": ("session",),
        "query": ("query",),
        "documents": ("documents",),
        "clicks": ("clicks",),
    },
    header=("session", "query", "documents", "verticals", "clicks"),
    codes={"query": "query_qid.dict", "documents": "url_uid.dict"},
    notes=("sessions stand for users",),
)
"""TREC Session Track in the layout of click-model code: session, query, documents, verticals, clicks; no header."""

PRESETS = {preset.name: preset for preset in (UBI, OBD, TREC_SESSION)}

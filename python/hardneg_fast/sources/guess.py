"""What a log seems to be, by the names of its columns: a preset, or which column stands for what."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal

from .files import DataFile

SYNONYMS = {
    "user_id": "userid uid user clientid visitorid customerid anonid memberid accountid cookieid",
    "session_id": "sessionid session sid visitid",
    "search_id": "searchid requestid serpid impressionid reqid pageid",
    "query": "query q userquery searchterm searchquery searchphrase querytext keywords keyword term phrase queryid",
    "doc_id": "docid documentid itemid productid objectid articleid listingid asin sku url doc document item product",
    "position": "position pos rank ordinal slot place",
    "clicked": "clicked click isclick isclicked wasclicked clickflag",
    "timestamp": "timestamp ts time datetime tsms eventtime createdat date",
    "dwell_ms": "dwellms dwelltimems",
    "propensity": "propensity propensityscore pscore actionprob",
    "surface": "surface application placement",
    "action": "action actionname eventtype eventname event",
    "documents": "documents docs results shown articleidsinview",
    "clicks": "clicks",
    "clicked_documents": "clickeddocuments clickeddocs clickedids articleidsclicked",
}
"""Canonical name → names seen in logs, most certain first, in lower case without separators."""
TREC_LINE = re.compile(rb"\S+\t\S+\t\[[^\t]*\]\t\[[^\t]*\]\t\[[^\t]*\]\r?$")


Preset = Literal["ubi", "obd", "trec-session"] | None


def named(columns: Collection[str]) -> bool:
    """Whether any of the columns has a name that logs are known to use."""
    known = {synonym for names in SYNONYMS.values() for synonym in names.split()}
    return any(part in known for name in columns for part in _plain(name))


def preset(columns: Collection[str]) -> tuple[Preset, str]:
    """A preset that fits the columns, and why."""
    have = set(columns)
    if "query_id" in have and have & {"action_name", "user_query"} and have & {"client_id", "user_id"}:
        return "ubi", "columns query_id and action_name or user_query, as User Behavior Insights names them"
    if {"item_id", "position", "click"} <= have and have & {"propensity_score", "action_prob"}:
        return "obd", "columns item_id, position, click and a propensity, as the Open Bandit Dataset names them"
    return None, ""


def preset_of_content(file: DataFile) -> tuple[Preset, str]:
    """A preset for a text file without header, and why."""
    if file.format == "tsv" and TREC_LINE.match(file.head(1 << 16).split(b"\n", 1)[0]):
        return "trec-session", "lines of session, query, documents, verticals and clicks, the last three as lists"
    return None, ""


def mapping(columns: Collection[str], taken: Collection[str]) -> dict[str, str]:
    """Canonical name → column that seems to be it, for canonical names not in `taken` that the log lacks."""
    free = {name: _plain(name) for name in columns if name not in SYNONYMS}
    found: dict[str, str] = {}
    for canonical, names in SYNONYMS.items():
        if canonical in columns or canonical in taken:
            continue
        for synonym in names.split():
            match = next((c for c, plain in free.items() if synonym in plain and c not in found.values()), None)
            if match:
                found[canonical] = match
                break
    return found


def _plain(name: str) -> tuple[str, str]:
    """A column's name, and the last part of a nested one, in lower case without separators."""
    return tuple(re.sub("[^a-z0-9]", "", part.lower()) for part in (name, name.rpartition(".")[2]))  # type: ignore[return-value]

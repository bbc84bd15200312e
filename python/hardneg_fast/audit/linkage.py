"""Two outputs side by side: pseudonyms in both, and what their statements say of one another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute

from ..anonymize import IDENTIFIERS
from .checks import Check
from .contents import columns
from .output import Output
from .scan import Found
from .search import WIDTH, Needles

pc: Any = pyarrow.compute


def pseudonyms(output: Output) -> list[bytes]:
    """Distinct pseudonyms of an anonymized log, of users, sessions and searches."""
    found = [
        values.cast(pa.large_binary())
        for path in output.parquet
        for column, _, values in columns(path)
        if column in IDENTIFIERS
    ]
    every = pc.unique(pa.chunked_array([chunk for part in found for chunk in _chunks(part)], pa.large_binary()))
    return [value for value in every.to_pylist() if len(value) >= WIDTH]


def _chunks(values: Any) -> list[Any]:
    return values.chunks if isinstance(values, pa.ChunkedArray) else [values]


def of_pseudonyms(values: list[bytes]) -> Needles:
    """Pseudonyms as needles."""
    return Needles(values)


def joinable(output: Output, other: Output | None, looked_for: int, found: Mapping[str, Found]) -> Check:
    """Pseudonyms of one output in the other."""
    name = "pseudonyms of the other output"
    if other is None:
        return Check(name, "not checked", "no other output was given (--other)")
    if not looked_for:
        return Check(name, "pass", "neither output holds pseudonyms", figures={"looked_for": 0, "shared": 0})
    shared = len(found["pseudonyms"].numbers)
    figures = {"looked_for": looked_for, "shared": shared}
    if not shared:
        return Check(name, "pass", f"none of {looked_for:,} pseudonyms of the one stands in the other", figures=figures)
    asked = ("key_id", "epoch", "dataset")
    said = f"{shared:,} of {looked_for:,} pseudonyms of the one stand in the other ({found['pseudonyms'].said()})"
    one, two = output.statement, other.statement
    if one.get("key_id") and all(one.get(part) == two.get(part) for part in asked):
        said += ": both have one key, epoch and dataset, so they can be joined, as was asked for"
        return Check(name, "pass", said, figures=figures)
    differ = [part for part in asked if one.get(part) != two.get(part)]
    why = f"although they differ in {', '.join(differ)}" if differ else "and no manifest says that they should"
    return Check(name, "fail", f"{said}, {why}: they can be joined", figures=figures)


def lineages(output: Output, other: Output | None) -> Check:
    """Whether the claims of two outputs stand beside each other."""
    name = "lineage of the other output"
    if other is None:
        return Check(name, "not checked", "no other output was given (--other)")
    private = [side for side in (output, other) if side.mode == "dp"]
    one, two = (side.statement.get("lineage") for side in (output, other))
    key = output.statement.get("key_id")
    if private and key and key == other.statement.get("key_id"):
        return Check(name, "fail", "a release under differential privacy shares its key with the other output")
    if one is None or two is None:
        why = "one names no lineage, so whether both are of the same people is not known to them"
        return Check(name, "not checked", why)
    if one != two:
        return Check(name, "pass", f"lineages {one!r} and {two!r}: declared to be of different data")
    if len(private) == 1:
        said = f"both are of lineage {one!r}, and one is not differentially private: together neither is"
        return Check(name, "fail", said)
    both = "their claims add up, as the ledger says" if private else "neither claims differential privacy"
    return Check(name, "pass", f"both are of lineage {one!r}: {both}")

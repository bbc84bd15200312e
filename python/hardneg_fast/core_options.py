"""Options of evidence and selection as the core takes them, and their hash, by which parts know that they agree."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from .blocks import config_hash
from .config import Config, EvidenceConfig, SelectConfig
from .options import checked_section

__all__ = ["evidence_hash", "evidence_json", "hash_of", "select_hash", "select_json"]


def evidence_json(config: EvidenceConfig | None) -> str:
    """Options of evidence.

    Raises:
        UsageError: options that cannot be.
    """
    return json.dumps(dataclasses.asdict(checked_section("evidence", config or EvidenceConfig())))


def select_json(config: SelectConfig | None) -> tuple[str, list[str]]:
    """Options of selection, and the columns that are carried along.

    Raises:
        UsageError: options that cannot be.
    """
    options: dict[str, Any] = dataclasses.asdict(checked_section("select", config or SelectConfig()))
    carry = list(options.pop("carry"))
    del options["preset"]  # checked: it has set what it sets
    for name in ("retriever", "similarity", "curriculum"):
        del options[name]  # what `mine` does before, and after
    # JSON has no infinity; the largest double stands for it.
    most = 1.7e308
    finite = {k: max(min(v, most), -most) if isinstance(v, float) else v for k, v in options.items()}
    return json.dumps(finite, allow_nan=False), carry


def evidence_hash(config: EvidenceConfig | None, seed: int) -> str:
    """Of what evidence is weighed with."""
    return config_hash({"evidence": evidence_json(config), "seed": seed})


def select_hash(config: SelectConfig | None, seed: int) -> str:
    """Of what is selected with."""
    return config_hash({"select": select_json(config), "seed": seed})


def hash_of(config: Config) -> str:
    """Both, one after the other."""
    return f"{evidence_hash(config.evidence, config.seed)} {select_hash(config.select, config.seed)}"

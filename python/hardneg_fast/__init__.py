"""Raw click logs in, privacy-safe hard negatives out."""

from __future__ import annotations

import importlib
import sys
import types
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import _hardneg, forks
from .config import (
    ClickModelConfig,
    Config,
    ContrastConfig,
    CountConfig,
    EvidenceConfig,
    Privacy,
    ReadConfig,
    RelatedConfig,
    ReleaseConfig,
    ScrubConfig,
    SelectConfig,
)
from .detector import Detector
from .exceptions import (
    ColumnError,
    DataError,
    DetectorError,
    FileError,
    GateError,
    HardnegError,
    PrivacyError,
    TokenError,
    UsageError,
)

if TYPE_CHECKING:
    from .anonymize import normalize, pseudonymize, scrub
    from .audit import Audit, Check, audit
    from .click_model import ClickLog, ClickModel
    from .count import Counts, load_counts, merge
    from .evidence import Evidence, evidence
    from .export import export
    from .inspection import Inspection, inspect
    from .keys import Key
    from .pipeline.anonymize import anonymize
    from .pipeline.click_model import click_log, fit_click_model
    from .pipeline.count import count
    from .pipeline.mine import mine
    from .pipeline.propensities import estimate_propensities
    from .pipeline.related import related_queries
    from .pipeline.split import split
    from .propensities import Propensities, Weights
    from .read import read
    from .related import RelatedQueries
    from .release import Released, gather, load_released, release
    from .result import Result
    from .retrieve import retrieve
    from .reversible import reveal
    from .select import Selected, select
    from .simulate import Simulated, simulate
    from .whole import Whole, answer
    from .write import write_table

__version__: str = _hardneg.__version__

__all__ = [
    "Audit",
    "Check",
    "ClickLog",
    "ClickModel",
    "ClickModelConfig",
    "ColumnError",
    "Config",
    "ContrastConfig",
    "CountConfig",
    "Counts",
    "DataError",
    "Detector",
    "DetectorError",
    "Evidence",
    "EvidenceConfig",
    "FileError",
    "GateError",
    "HardnegError",
    "Inspection",
    "Key",
    "Privacy",
    "PrivacyError",
    "Propensities",
    "ReadConfig",
    "RelatedConfig",
    "RelatedQueries",
    "ReleaseConfig",
    "Released",
    "Result",
    "ScrubConfig",
    "SelectConfig",
    "Selected",
    "Simulated",
    "TokenError",
    "UsageError",
    "Weights",
    "Whole",
    "anonymize",
    "answer",
    "audit",
    "click_log",
    "count",
    "estimate_propensities",
    "evidence",
    "export",
    "fit_click_model",
    "gather",
    "inspect",
    "load_counts",
    "load_released",
    "merge",
    "mine",
    "normalize",
    "pseudonymize",
    "read",
    "related_queries",
    "release",
    "retrieve",
    "reveal",
    "scrub",
    "select",
    "simulate",
    "split",
    "write_table",
]

# Where the rest lives: imported when first asked for, because Arrow takes half a second and `--help` should not.
_LAZY = {
    "Audit": "audit",
    "Check": "audit",
    "ClickLog": "click_model",
    "ClickModel": "click_model",
    "Counts": "count",
    "Evidence": "evidence",
    "Inspection": "inspection",
    "Key": "keys",
    "Propensities": "propensities",
    "RelatedQueries": "related",
    "Released": "release",
    "Result": "result",
    "Selected": "select",
    "Simulated": "simulate",
    "Weights": "propensities",
    "Whole": "whole",
    "anonymize": "pipeline.anonymize",
    "answer": "whole",
    "audit": "audit",
    "click_log": "pipeline.click_model",
    "count": "pipeline.count",
    "estimate_propensities": "pipeline.propensities",
    "evidence": "evidence",
    "export": "export",
    "fit_click_model": "pipeline.click_model",
    "gather": "release",
    "inspect": "inspection",
    "load_counts": "count",
    "load_released": "release",
    "merge": "count",
    "mine": "pipeline.mine",
    "normalize": "anonymize",
    "pseudonymize": "anonymize",
    "read": "read",
    "related_queries": "pipeline.related",
    "release": "release",
    "retrieve": "retrieve",
    "reveal": "reversible",
    "scrub": "anonymize",
    "select": "select",
    "simulate": "simulate",
    "split": "pipeline.split",
    "write_table": "write",
}

if _hardneg.DEBUG_BUILD:
    warnings.warn("this is a debug build of hardneg_fast, many times slower than a release build", stacklevel=2)

forks.watch()


class _Package(types.ModuleType):
    """This package, whose functions are called like the modules they live in."""

    def __setattr__(self, name: str, value: object) -> None:
        # The import system binds a submodule's name here when it is first imported; the function keeps the name.
        if not (name in _LAZY and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)

    def __reduce__(self) -> tuple[Callable[[str], types.ModuleType], tuple[str]]:
        # Functions that are sent to other machines name the package, and do not take it along.
        return importlib.import_module, (self.__name__,)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""What trainers read: a dataset directory in the formats of other libraries. One `Target` a format, by name."""

from __future__ import annotations

from . import beir, colbert, croissant, flag, judgments, msmarco, pylate, rankers, sentence_transformers, tevatron
from . import torcheasyrec as _torcheasyrec
from .job import Job, Target
from .mined import MinedDirectory

__all__ = ["TARGETS", "Job", "MinedDirectory", "Target"]

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        *sentence_transformers.TARGETS,
        flag.TARGET,
        tevatron.TARGET,
        pylate.TARGET,
        *msmarco.TARGETS,
        *rankers.TARGETS,
        *judgments.TARGETS,
        colbert.TARGET,
        beir.TARGET,
        _torcheasyrec.TARGET,
        croissant.TARGET,
    )
}
"""Name → format."""

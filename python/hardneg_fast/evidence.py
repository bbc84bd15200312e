"""evidence: what released counts say about a document for a query, position bias taken out."""

from __future__ import annotations

from typing import Protocol

from . import _hardneg
from .blocks import Header, metadata_of, opened
from .config import EvidenceConfig, Privacy
from .core_options import evidence_hash, evidence_json
from .exceptions import UsageError
from .keys import Key

__all__ = ["Evidence", "evidence"]


class HasReleased(Protocol):
    """Released, seen from here."""

    privacy: Privacy

    @property
    def _core(self) -> _hardneg.Released: ...


class Evidence:
    """Evidence per (query, document), and CTR by position."""

    def __init__(self, core: _hardneg.Evidence, privacy: Privacy, header: Header | None = None) -> None:
        self._core = core
        self.privacy = privacy
        self._header = header

    @property
    def part(self) -> tuple[int, int] | None:
        """(i, n) where this is part i, from 0, of n parts of the queries; None for all of them."""
        return None if self._header is None else (self._header.part, self._header.of)

    def table(self) -> _hardneg.Table:
        """query, doc_id and the figures of docs/ARCHITECTURE.md, evidence; rates are null under k-users.

        Of a part its schema says `hardneg_fast.stage`, `part`, `parts`, `config` and `key_id`.
        """
        table = self._core.table()
        if self._header is None:
            return table
        said = self._header
        return table.with_metadata(
            metadata_of(stage="evidence", part=said.part, parts=said.of, config=said.config, key_id=said.key)
        )

    @property
    def model(self) -> _hardneg.EvidenceModel:
        """What all pairs have in common: docs/ARCHITECTURE.md, evidence; under k-users to the hundredth."""
        return self._core.model

    def positions(self) -> _hardneg.Table:
        """position, impressions, clicks, ctr."""
        return self._core.positions()


def evidence(
    released: HasReleased,
    /,
    *,
    config: EvidenceConfig | None = None,
    seed: int = 0,
    threads: int = 0,
    part: tuple[int, int] | None = None,
    share: bytes | None = None,
    key: Key | None = None,
) -> Evidence:
    """Expected clicks (Zhang & Jones 2007), COEC, zero-click significance; examination, attractiveness, P(relevant).

    Args:
        released: of `release`.
        config: options; their defaults otherwise.
        seed: steers which pairs are in the sample.
        threads: 0 for all cores.
        part: (i, n) if this is part i of n of the queries; it is weighed by its share of what all parts know.
        share: of a part: what `Whole.share` gives it.
        key: of a part: the master key, which opens the share.

    Raises:
        DataError: the log lacks what the click model asked for needs: positions, or the click above.
        UsageError: options that cannot be; a part without its share, or the share of another part or configuration.
    """
    options = evidence_json(config)
    if part is None:
        if share is not None:
            raise UsageError("a share is that of a part: say which, part=(i, n)")
        return Evidence(
            _hardneg.evidence(released._core, options=options, seed=seed, threads=threads), released.privacy
        )
    if share is None or not isinstance(key, Key):
        raise UsageError(
            "a part of the queries is weighed by its share of what all know: share=whole.share(i), key=… (hn.Whole)"
        )
    header, content = opened(share, key, stage="share")
    if (header.part, header.of) != tuple(part):
        raise UsageError(f"the share is that of part {header.part} of {header.of}, not of part {part[0]} of {part[1]}")
    if header.config.partition(" ")[0] != evidence_hash(config, seed):
        raise UsageError("the parts were asked with other options of evidence, or another seed; weigh with the same")
    return Evidence(_hardneg.evidence_of_part(released._core, content.to_pybytes()), released.privacy, header)

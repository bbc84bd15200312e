"""whole: what evidence and selection need of all queries, where a release is in parts of the queries.

Parts answer questions; what all pairs have in common and which queries are alike is worked out once, and each part
gets its share of it. `evidence` and `select` of a part with its share come to the rows and floats of the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from . import _hardneg
from .blocks import Header, opened, sealed
from .config import Config, Privacy
from .core_options import evidence_json, hash_of, select_json
from .evidence import Evidence
from .exceptions import UsageError
from .keys import Key
from .options import checked

__all__ = ["Whole", "answer"]


class HasReleased(Protocol):
    """A part of a release, seen from here."""

    @property
    def _core(self) -> _hardneg.Released: ...


class Whole:
    """All queries of a release in parts. Exact and private, like what it is asked of.

    ```python
    whole = hn.Whole(n, key=key, privacy=privacy, config=config)
    while (question := whole.question) is not None:
        whole.take(hn.answer(part, question, key=key) for part in parts)
    ```

    Args:
        parts: how many parts of the queries there are.
        key: the master key, under which questions, answers and shares are sealed.
        privacy: what the parts were released with.
        config: its sections `evidence` and `select`, `seed` and `threads` count; defaults otherwise.

    Raises:
        UsageError: options that cannot be; by `take`: parts were released with another threshold of users.
    """

    def __init__(self, parts: int, /, *, key: Key, privacy: Privacy, config: Config | None = None) -> None:
        if not isinstance(key, Key):
            raise UsageError("questions to parts are sealed under a key that is kept: Key.load(FILE)")
        config = checked(config or Config())
        options = {"evidence": evidence_json(config.evidence), "select": select_json(config.select)[0]}
        self._core = _hardneg.Whole(parts, k=privacy.k, **options, seed=config.seed, threads=config.threads)
        self._privacy, self._key, self._parts = privacy, key, parts
        self._header = Header(stage="question", part=0, of=parts, config=hash_of(config), key=key.id)

    @property
    def question(self) -> bytes | None:
        """What every part is to answer next, sealed; None where all is known."""
        asked = self._core.question()
        return None if asked is None else sealed(asked, self._header, 0, self._key)

    def take(self, answers: Iterable[bytes]) -> None:
        """Takes in the answers of all parts, in any order.

        Raises:
            UsageError: an answer is missing or comes twice, or is of another question; parts were released differently.
            DataError: a block is damaged; the log lacks what a click model needs.
        """
        self._core.take([*self._in_order(answers, "answer")])

    def share(self, part: int) -> bytes:
        """What `evidence` and `select` of a part need, sealed.

        Raises:
            UsageError: parts have questions to answer first; there is no such part.
        """
        header = Header(**{**vars(self._header), "stage": "share"})
        return sealed(self._core.share(part), header, part, self._key)

    def settle(self, outcomes: Iterable[bytes]) -> list[int]:
        """Takes in what came of the selection of every part, in any order.

        Returns:
            The parts to be selected from again, with the share that they get now: all of them where
            `select.target_fnr` is asked for, then those with documents that are negatives of more than
            `select.max_queries_per_document` queries. Their outcomes are given once more, with those of the others.

        Raises:
            UsageError: an outcome is missing or comes twice.
        """
        return self._core.settle([*self._in_order(outcomes, "outcome")])

    @property
    def evidence(self) -> Evidence:
        """What all pairs have in common (`model`, `positions`); the table has no rows.

        Raises:
            UsageError: parts have questions to answer first.
        """
        return Evidence(self._core.evidence(), self._privacy)

    @property
    def told(self) -> _hardneg.Told:
        """As `Selected.told`, of all parts."""
        return self._core.told

    def _in_order(self, blocks: Iterable[bytes], stage: str) -> Iterator[bytes]:
        found: dict[int, bytes] = {}
        for block in blocks:
            header, content = opened(block, self._key, stage=stage)
            if (header.of, header.config) != (self._header.of, self._header.config):
                raise UsageError(f"this {stage} is of other parts or options; ask and select with one configuration")
            if header.part in found:
                raise UsageError(f"part {header.part} of {header.of} comes twice; each part counts once")
            found[header.part] = content.to_pybytes()
        missing = [part for part in range(self._parts) if part not in found]
        if missing:
            raise UsageError(
                f"{len(missing)} of {self._parts} parts are missing ({missing[0]} …): each gives its {stage}"
            )
        yield from (found[part] for part in range(self._parts))


def answer(released: HasReleased, question: bytes, /, *, key: Key, threads: int = 0) -> bytes:
    """What a part of a release says to a question of `Whole`, sealed.

    Args:
        released: one part of the queries, of `release`.
        question: of `Whole.question`.
        key: the master key.
        threads: 0 for all cores.

    Raises:
        UsageError: the question was sealed under another key, or asks other parts.
        DataError: the question is damaged.
    """
    header, content = opened(question, key, stage="question")
    number, of = released._core.part or (0, 1)
    if of != header.of:
        raise UsageError(f"the question is put to {header.of} parts, and this is part {number} of {of}")
    said = _hardneg.answer(released._core, content.to_pybytes(), threads=threads)
    return sealed(said, Header(**{**vars(header), "stage": "answer"}), number, key)

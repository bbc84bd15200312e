"""anonymize: keyed pseudonyms for identifiers, one public function for query text, times coarsened to the day."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

import pyarrow as pa

from . import _hardneg
from .config import ScrubConfig
from .detector import Detector
from .exceptions import UsageError
from .keys import Key, checked
from .sources.arrow import arrays_of, is_arrow
from .sources.keepable import NotByPages

__all__ = ["IDENTIFIERS", "anonymized", "copied", "normalize", "normalizing", "pseudonymize", "scrub", "scrubbing"]

Field = Literal["user_id", "session_id", "search_id"]

IDENTIFIERS: tuple[str, ...] = get_args(Field)
"""Columns that become pseudonyms."""


class ArrowArray(Protocol):
    """Anything with `__arrow_c_array__`, such as an Arrow array."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """Schema and array capsules."""
        ...


class ArrowStream(Protocol):
    """Anything with `__arrow_c_stream__`: a series of polars or pandas, a chunked array, a relation of one column."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Stream capsule."""
        ...


def pseudonymize(
    ids: ArrowArray | ArrowStream, /, *, key: Key, field: Field = "user_id", epoch: str = "", dataset: str = ""
) -> pa.Array:
    """HMAC-SHA256 pseudonyms of 16 bytes; null and empty stay null.

    One derived key per field, epoch and dataset (HKDF, RFC 5869), so pseudonyms of different epochs cannot be joined.
    A pseudonym is personal data still: whoever has the key, or the habits of a person, finds them again.

    Args:
        ids: text, binary or whole numbers, or a dictionary of those; 42 and "42" are one id.
        key: the master key.
        field: which identifier this is.
        epoch: name of the period the pseudonyms hold for.
        dataset: name of the dataset they hold for.

    Raises:
        ColumnError: floats, lists, or another type that is no identifier.
        UsageError: a key or field that is none, or values that are no Arrow data.
    """
    checked(key)
    if field not in IDENTIFIERS:
        raise UsageError(f"field is {field!r}; choose one of {', '.join(IDENTIFIERS)}")

    def made(part: pa.Array) -> pa.Array:
        return pa.array(_hardneg.pseudonymize(part, key=key.material(), field=field, epoch=epoch, dataset=dataset))

    return pa.concat_arrays([made(part) for part in arrays_of(ids)])


def normalize(
    queries: ArrowArray | ArrowStream, /, *, scrub: ScrubConfig | None = None, key: Key | None = None
) -> pa.Array:
    """The normalised form of query texts, as every stage sees them; null where nothing is left.

    NFKC, personal data scrubbed, full case folding (Unicode Standard Annex 15; Unicode Standard, 3.13), white space.

    Args:
        queries: texts.
        scrub: what becomes of personal data; masked by default, as in every stage.
        key: for tokens.

    Raises:
        ColumnError: no text.
        DetectorError: the detector of `scrub` failed.
        UsageError: no Arrow data; options that cannot be; tokens without a key.
    """
    options = scrubbing(scrub or ScrubConfig())
    made = [pa.array(_hardneg.normalize(part, scrub=options, key=_material(key))) for part in arrays_of(queries)]
    return pa.concat_arrays(made)


def scrub(
    queries: ArrowArray | ArrowStream,
    /,
    *,
    action: Literal["mask", "token", "drop"] = "mask",
    kinds: tuple[str, ...] = (),
    detector: Detector | None = None,
    key: Key | None = None,
) -> pa.Array:
    """Query texts without what is personal by its structure; texts without a match stay as they are.

    Found are e-mail addresses, telephone, card, account and national numbers, addresses of machines, URLs with
    tokens, keys, coordinates and long numbers, each by its own check. Names and postal addresses have no structure, and
    are not: a `detector` of your own can find those. A text with a match comes back in NFKC, with single spaces and
    without characters that have no width. What was scrubbed before, `<email>` or `<email:…>`, stays.

    Args:
        queries: texts, or a dictionary of texts.
        action: `mask` puts the kind in place of a match, `token` the kind and a keyed token, `drop` null in place of
            the text.
        kinds: which kinds; none named: all. A number that could be of several is of the first of these.
        detector: finds more, whatever the kinds.
        key: for tokens.

    Raises:
        ColumnError: no text.
        DetectorError: the detector failed.
        UsageError: no Arrow data; an action or kind that does not exist; tokens without a key.
    """
    config = ScrubConfig(action=action, kinds=tuple(kinds), detector=detector)
    options = scrubbing(config)
    made = [pa.array(_hardneg.scrub(part, options=options, key=_material(key))) for part in arrays_of(queries)]
    return pa.concat_arrays(made)


def scrubbing(config: ScrubConfig) -> tuple[str, Detector | None]:
    """Options of scrubbing for the core: as JSON, and what JSON cannot hold.

    Raises:
        UsageError: an action that does not exist; a detector that is none.
    """
    if config.detector is not None and not isinstance(config.detector, Detector):
        raise UsageError(f"detector must be a Detector, not {type(config.detector).__name__}")
    if config.action not in ("mask", "token", "drop", "off"):
        # Said here: a word that the core does not know must not pass for "off".
        raise UsageError(f"scrub.action is {config.action!r}; choose one of mask, token, drop, off")
    return json.dumps({"action": config.action, "kinds": list(config.kinds)}), config.detector


def normalizing(queries: str, log: object) -> bool:
    """Whether query texts of a log are to be normalised: `normalize`, or `auto` and they come from files.

    Raises:
        UsageError: no such word.
    """
    if queries not in ("auto", "given", "normalize"):
        raise UsageError(f"queries is {queries!r}; choose one of auto, given, normalize")
    return queries == "normalize" or (queries == "auto" and not is_arrow(log))


def _material(key: Key | None) -> bytes | None:
    """Of a key, to be asked for within a call of the core alone: a variable would show in tracebacks."""
    return None if key is None else checked(key).material()


def anonymized(
    reader: pa.RecordBatchReader,
    *,
    position_base: int,
    key: Key,
    epoch: str,
    dataset: str,
    time: Literal["day", "keep"],
    query_text: Literal["normalise", "keep"],
    scrub: ScrubConfig,
    keep: tuple[str, ...],
    plain: tuple[str, ...] = (),
) -> _hardneg.Stream:
    """A log as a stream of canonical rows without raw identifiers; those in `plain` stay, for the caller to replace."""
    # Rows are put out of order within a batch, so batches must not follow how the log was read.
    steady = pa.RecordBatchReader.from_batches(reader.schema, _steady(reader))
    return _hardneg.rewrite(
        steady,
        position_base=position_base,
        key=key.material(),
        epoch=epoch,
        dataset=dataset,
        day=time == "day",
        normalise=query_text == "normalise",
        scrub=scrubbing(scrub),
        keep=list(keep),
        plain=list(plain),
    )


ROWS = 65_536
"""Rows of the batches that are anonymized at once."""


def _steady(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of equal size, whatever those of the reader."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for whole in reader:
        batch = whole
        while batch.num_rows:
            held.append(batch.slice(0, ROWS - rows))
            batch = batch.slice(held[-1].num_rows)
            rows += held[-1].num_rows
            if rows == ROWS:
                yield _joined(held)
                held, rows = [], 0
    if held:
        yield _joined(held)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


@dataclass(frozen=True)
class Copied:
    """What became of a copy by pages."""

    rows: int
    how: dict[str, str]
    """Column → what was done with its pages."""


def copied(
    files: list[str],
    columns: dict[str, str],
    out: Path,
    *,
    key: Key,
    epoch: str,
    dataset: str,
    threads: int,
) -> Copied:
    """Copies Parquet files page by page, with pseudonyms in the dictionaries of identifier columns.

    Args:
        files: paths, in the order of the copy.
        columns: name in the copy → column of the files.
        out: an empty file to write.
        key: the master key.
        epoch: name of the period the pseudonyms hold for.
        dataset: name of the dataset they hold for.
        threads: 0 takes every core.

    Raises:
        NotByPages: the files have to be decoded.
        DataError: a file cannot be read, or the copy not written.
    """
    wanted = [(name, path, name in IDENTIFIERS) for name, path in columns.items()]
    done = _hardneg.copy_pages(
        files, out, columns=wanted, key=key.material(), epoch=epoch, dataset=dataset, threads=threads
    )
    if done["refused"] is not None:
        raise NotByPages(done["refused"])
    return Copied(done["rows"], {name: _words(how) for name, how in zip(columns, done["how"], strict=True)})


def _words(how: _hardneg.ColumnCopied) -> str:
    """What became of a column's row groups, for the report."""
    said = [word for word, n in (("pages copied", how["copied"]), ("dictionary rewritten", how["rewritten"])) if n]
    every = how["copied"] + how["rewritten"] + sum(how["recoded"].values())
    for reason, n in how["recoded"].items():
        said.append(f"decoded and encoded{'' if n == every else f' in {n} of {every} row groups'}: {reason}")
    return "; ".join(said) or "no rows"

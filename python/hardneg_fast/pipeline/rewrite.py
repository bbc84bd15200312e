"""rewrite: the two ways to an anonymized log, Parquet files copied by pages and rows written anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from .. import _hardneg
from ..anonymize import IDENTIFIERS, anonymized, copied
from ..config import Config, CountConfig, ReadConfig, ScrubConfig
from ..exceptions import ColumnError, PrivacyError
from ..keys import Key
from ..read import THRESHOLDED, RawLog, bring
from ..result import as_shown, note_as_shown, quarantined, query_text
from ..reversible import REVERSIBLE, Sealer
from ..sources import Source, keepable
from ..sources.files import DataFile
from ..writers.atomic import whole_file
from ..writers.parquet import open_parquet
from .broken import named_errors, unbroken
from .count import count

__all__ = ["Job", "by_pages", "by_rows"]

ROWS_STAY = "rows stay as they are: those that mine would set aside are in the copy"


@dataclass(frozen=True, kw_only=True)
class Job:
    """What was asked for, checked, and the log, opened."""

    source: Source
    files: list[DataFile]
    out: Path
    config: Config
    key: Key
    epoch: str
    dataset: str
    time: Literal["day", "keep"]
    query_text: Literal["normalise", "keep"]
    keep: tuple[str, ...]
    reversible: tuple[str, ...]
    overwrite: bool
    enter: Callable[[], None]
    """Tells the ledger."""

    def opened(self) -> tuple[RawLog, _hardneg.Stream]:
        """The log, and its rows without raw identifiers, once from the beginning."""
        raw = bring(self.source, self.files, self.config.read, self.keep)
        return raw, anonymized(
            raw.reader(),
            position_base=raw.position_base,
            key=self.key,
            epoch=self.epoch,
            dataset=self.dataset,
            time=self.time,
            query_text=self.query_text,
            scrub=self.config.scrub,
            keep=self.keep,
            plain=self.reversible,
        )

    def pseudonym(self, name: str, key_id: str | None) -> str:
        """What became of an identifier, in words."""
        key = f"key id {key_id}" if key_id else "under a key that was forgotten with the run"
        period = "".join(
            f", {what} {value!r}" for what, value in (("epoch", self.epoch), ("dataset", self.dataset)) if value
        )
        if name in self.reversible:
            return f"token by AES-SIV, {key}{period}: whoever has the key can read the id back"
        return f"HMAC-SHA256 pseudonym, 16 bytes, {key}{period}"


def _became(name: str, job: Job, key_id: str | None, masked: int, position_base: int) -> str:
    """What became of a column's values, in words: what its reader may rely on."""
    if name in IDENTIFIERS:
        return job.pseudonym(name, key_id)
    if name == "query" and job.query_text == "normalise":
        said = query_text(job.config.scrub)
        return said if job.config.scrub.action == "off" or not masked else f"{said} (personal data found: {masked:,})"
    if name == "timestamp" and job.time == "day":
        return "to the day"
    if name == "position" and position_base == 0:
        return "counted from 1, not from 0; else as it was"
    return f"as it was{_unseen(name, job)}"


def _unseen(name: str, job: Job) -> str:
    return ", what is in it was not looked at" if name == "query" or name in job.keep else ""


def by_pages(job: Job, key_id: str | None) -> dict[str, Any]:
    """Copies pages of Parquet files.

    Raises:
        NotByPages: rows have to be decoded.
    """
    pages = keepable.pages(job.source, job.files, job.config.read, job.keep)
    job.enter()
    with whole_file(job.out, overwrite=job.overwrite) as partial:
        done = copied(
            pages.files,
            pages.columns,
            partial,
            key=job.key,
            epoch=job.epoch,
            dataset=job.dataset,
            threads=job.config.threads,
        )
    return {
        "rows": done.rows,
        "rows_read": done.rows,
        "quarantine": {},
        "suppressed": 0,
        "scrubbed": {},
        "columns": [*done.how],
        "how": {
            name: job.pseudonym(name, key_id) if name in IDENTIFIERS else f"as it was{_unseen(name, job)}"
            for name in done.how
        },
        "written": done.how,
        "left_in": [name for name in done.how if name not in IDENTIFIERS],
        "key_id": key_id,
        "notes": [ROWS_STAY],
    }


def by_rows(job: Job, key_id: str | None, k_users: int | None, why: str) -> dict[str, Any]:
    """Rewrites rows; `why` says why they have to be."""
    asked = None
    if k_users is not None:
        raw, stream = job.opened()
        if "user_id" not in raw.schema.names:
            raise PrivacyError("the k-user threshold needs user ids, and the log has none: map a column to user_id")
        job.enter()
        with named_errors(raw, stream):
            asked = _asked_by(stream, job.config, k_users)
    raw, stream = job.opened()
    if lacking := sorted({*job.reversible} - {*raw.schema.names}):
        raise ColumnError(f"reversible names {lacking}, which the log does not have")
    job.enter()
    sealers = {name: Sealer(job.key, name, job.epoch, job.dataset) for name in job.reversible}
    rows = suppressed = 0
    # Tokens that can be read back are nearer to the ids than pseudonyms are.
    private = bool(job.reversible)
    with named_errors(raw), whole_file(job.out, overwrite=job.overwrite, private=private) as partial:
        reader = pa.RecordBatchReader.from_stream(stream)
        schema = pa.schema([(f.name, pa.string() if f.name in sealers else f.type) for f in reader.schema])
        with open_parquet(partial, schema) as writer:
            for batch in unbroken(reader, raw, stream):
                kept = batch if asked is None else batch.filter(pc.is_in(batch["query"], value_set=asked))
                rows += kept.num_rows
                suppressed += batch.num_rows - kept.num_rows
                columns = [
                    sealers[name].seal(column) if name in sealers else column
                    for name, column in zip(schema.names, kept.columns, strict=True)
                ]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
            if k_users is not None:
                writer.add_key_value_metadata({THRESHOLDED.decode(): str(k_users)})
            if sealers:
                writer.add_key_value_metadata({REVERSIBLE.decode(): ",".join(sorted(sealers))})
    stats = stream.stats()
    # With a threshold the rows that are not there are not to be counted by the figures of those that are.
    scrubbed = as_shown(stats["scrubbed"], k_users)
    return {
        "rows": rows,
        "rows_read": as_shown(stats["rows"], k_users),
        "quarantine": as_shown(quarantined(raw.report.quarantine, stats["quarantine"]), k_users),
        "suppressed": as_shown(suppressed, k_users),
        "scrubbed": scrubbed,
        "columns": reader.schema.names,
        "how": {name: _became(name, job, key_id, sum(scrubbed.values()), raw.position_base) for name in schema.names},
        "written": dict.fromkeys(reader.schema.names, f"decoded and encoded: {why}"),
        "left_in": [*(["query"] if job.query_text == "keep" else []), *job.keep],
        "key_id": key_id,
        "notes": [note_as_shown(note, k_users) for note in raw.report.notes],
    }


def _asked_by(stream: object, config: Config, k: int) -> pa.Array:
    """Queries that at least `k` users issued, of an anonymized log: its very texts, tokens of its epoch included."""
    everything = CountConfig(robots="keep", min_page_length=1, max_position=65_535)
    plain = Config(
        threads=config.threads,
        memory=config.memory,
        spill_dir=config.spill_dir,
        read=ReadConfig(position_base="1"),
        scrub=ScrubConfig(action="off"),
        count=everything,
    )
    counts = count(pa.RecordBatchReader.from_stream(stream), config=plain, tables=("queries",))
    table = pa.RecordBatchReader.from_stream(counts.table("queries", columns=("query", "users"))).read_all()
    return table.filter(pc.greater_equal(table["users"], k))["query"].combine_chunks()

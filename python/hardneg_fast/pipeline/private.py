"""The order of the stages under differential privacy: read ─► contribute ─► release ─► contrast ─► write.

The wall is the call that releases: what comes after it gets a released table, public constants, and nothing that could
reach the log. Exact figures go to OUT.private, which only its owner may open.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute

from .. import options
from ..anonymize import normalize, scrubbing
from ..config import Config, Privacy
from ..contrast import Contrasts, check, contrasts, filled
from ..contribute import Progress, contribute_stream
from ..count import default_memory, micros
from ..exceptions import ColumnError, DataError, PrivacyError, UsageError
from ..ledger import Ledger, Reservation
from ..read import ReadReport, open_log
from ..release_private import PrivateReleased, budget_of, release_private
from ..release_weights import examined
from ..result import Result
from ..result_private import private_result
from ..write import check_target
from ..writers.atomic import check_directory, whole_directory
from ..writers.given import given_table
from ..writers.stable_json import to_json
from ..writers.texts import Texts, check_some
from .admission import window
from .broken import named_errors
from .select import retrieved_for
from .write import write

__all__ = ["EXACT", "check_private", "mine_private", "private_folder", "public_lists", "refuse_log", "refuse_options"]

pc: Any = pyarrow.compute

EXACT = ("exact.json",)
"""What stands in OUT.private."""


def mine_private(
    log: object,
    out: Path | str | None,
    *,
    privacy: Privacy,
    config: Config,
    documents: pa.Table | None,
    overwrite: bool,
    progress: Progress | None,
) -> Result:
    """`mine` under differential privacy; see there.

    Raises:
        PrivacyError: the ledger refuses, or the log has no users.
        DataError: the log or the candidates cannot be read.
        UsageError: options that cannot be.
    """
    ledger = check_private(out, privacy=privacy, config=config, overwrite=overwrite)
    passed = _to_the_wall(log, ledger, privacy=privacy, config=config, documents=documents, progress=progress)
    # From here on nothing can reach the log: what was opened and counted of it went with the call.
    released, lineage = passed.released, str(privacy.lineage)
    chosen = _contrasts(released, config)
    if config.select.retriever == "bm25":
        # Of a public corpus, for queries that were released: no look at anything else.
        found = retrieved_for(chosen.positives, documents, config, progress)
        chosen = filled(chosen, released.table, found, select=config.select, seed=config.seed)
    ledger.commit(passed.entry)
    # Asked now: what ended the claim may have been entered while this ran.
    claim = ledger.claim(lineage)
    result = private_result(released, chosen, config, claim=claim, window=window(config), sessions=passed.sessions)
    if out is not None:
        with whole_directory(private_folder(out), replaceable=EXACT if overwrite else (), private=True) as partial:
            (partial / EXACT[0]).write_bytes(to_json(passed.exact))
            # Within, so that where it cannot be written both stay as they were. It is paid for: ids are worth more than
            # nothing, and `export` takes other texts.
            result = write(result, out, documents=documents, overwrite=overwrite, needs_texts=False)
    return result


def check_private(out: Path | str | None, *, privacy: Privacy, config: Config, overwrite: bool) -> Ledger:
    """What can be refused before the log is opened; gives the ledger.

    Raises:
        PrivacyError, UsageError: as `mine_private`.
    """
    if out is not None:
        check_target(Path(out), overwrite=overwrite)
        check_directory(private_folder(out), replaceable=EXACT if overwrite else (), private=True)
    refuse_options(config)
    return Ledger(str(privacy.ledger))


@dataclass(frozen=True, kw_only=True)
class _Passed:
    """All that comes from the side of the log."""

    released: PrivateReleased
    exact: dict[str, Any] = field(repr=False)
    """Figures for OUT.private, and for nothing else."""
    entry: Reservation
    sessions: bool
    """Whether sessions stand for users: of the schema."""


def _to_the_wall(
    log: object,
    ledger: Ledger,
    *,
    privacy: Privacy,
    config: Config,
    documents: pa.Table | None,
    progress: Progress | None,
) -> _Passed:
    """Opens the log, reserves, reads and releases; nothing but this function holds any of it."""
    raw = open_log(log, config.read, named=True)
    refuse_log(raw.schema.names, raw.report)
    candidates, queries = public_lists(privacy, config)
    if documents is not None and candidates is not None:
        # Both are public, and one of other documents than the other would be paid for in vain.
        ids = pc.unique(candidates["doc_id"])
        check_some(Texts(documents, ids), len(ids))
    budget = budget_of(privacy, config.release)
    # Charged before the first row is read: a run that breaks off has looked.
    entry = ledger.reserve(
        str(privacy.lineage),
        window=window(config),
        mu=budget.mu,
        delta_t=budget.delta_t,
        pure=budget.pure,
        what="mine",
        config_hash=_fingerprint(config, privacy),
        override=privacy.override_dp_claim,
    )
    with named_errors(raw):
        contributions = contribute_stream(
            raw.direct(),
            config=config.count,
            window=(micros(config.count.since), micros(config.count.until)),
            scrub=(scrubbing(config.scrub)[0], None),
            threads=config.threads,
            memory=int(config.memory) or default_memory(),
            spill_dir=config.spill_dir,
            position_base=raw.position_base,
            has_pages=raw.has_pages,
            shown=config.release.exposure_weight > 0 or candidates is None,
            progress=progress,
        )
    exact = {**contributions.private, "reader": dict(raw.report.quarantine), "rows_read": raw.report.rows_in}
    released = release_private(
        contributions, candidates, queries, privacy=privacy, config=config.release, threads=config.threads
    )
    return _Passed(released=released, exact=exact, entry=entry, sessions=raw.report.sessions_stand_for_users)


def _contrasts(released: PrivateReleased, config: Config) -> Contrasts:
    # Without lists, clicks were weighed where they were made.
    position = pc.fill_null(released.table["position"], 1).to_numpy()
    seen = examined(position, config.release.examination_exponent)
    return contrasts(released.table, seen, config=config.contrast, select=config.select, seed=config.seed)


def private_folder(out: Path | str) -> Path:
    """The directory of exact figures that goes with a private output."""
    named = Path(out) if Path(out).name else Path(os.path.realpath(out))
    return named.with_name(named.name + ".private")


def _fingerprint(config: Config, privacy: Privacy) -> str:
    """A hash of the constants, none of which comes from the data."""
    tree = options.as_plain(config)
    tree["privacy"] = [privacy.epsilon, privacy.delta, privacy.candidates_class, privacy.public_queries_class]
    return hashlib.sha256(to_json(tree)).hexdigest()


def refuse_options(config: Config) -> None:
    """Options that would make one user's contribution hang on others.

    Raises:
        UsageError: such options.
    """
    if config.read.position_base == "auto":
        raise UsageError(
            "with --epsilon say what the log calls the top position, --read.position-base 1 or 0: finding it out looks "
            "at everybody's rows"
        )
    if config.scrub.detector is not None:
        raise UsageError(
            "with --epsilon no detector of your own is asked: it sees many users' texts at once, and what it says of "
            "one could hang on another; leave out scrub.detector"
        )
    if config.scrub.action == "token":
        raise UsageError(
            "with --epsilon personal data is masked or dropped, not replaced by tokens: --scrub.action mask"
        )
    if config.evidence.debias not in ("auto", "none"):
        raise UsageError(
            f"with --epsilon evidence.debias cannot be {config.evidence.debias}: what is released does not keep "
            "positions apart, and examination is the constant --release.examination-exponent: leave it at auto"
        )
    if config.evidence.propensities:
        raise UsageError(
            "with --epsilon propensities do nothing, for the same reason as evidence.debias; leave out "
            "evidence.propensities"
        )
    if config.select.target_fnr > 0:
        raise UsageError(
            "with --epsilon P(false negative) is not known, so no share of false negatives can be aimed at; leave out "
            "select.target_fnr"
        )
    check(config.contrast, config.select)


def refuse_log(names: Collection[str], report: ReadReport) -> None:
    """Refuses logs whose shape or columns hang on what users' rows hold.

    Raises:
        PrivacyError: such a log.
    """
    if "user_id" not in names:
        raise PrivacyError(
            "differential privacy protects users, and the log has none: map a column to user_id "
            "(--columns user_id=NAME)"
        )
    if report.thresholded:
        raise PrivacyError(
            "this log was anonymized with --k-users: rare queries were left out by exact counts, and a threshold on "
            "exact counts before the noise is a leak; mine the log itself, or one anonymized without --k-users"
        )
    if report.shape == "events":
        raise PrivacyError(
            "with --epsilon the log has rows or pages: joining events by search id would let one user's events change "
            "another user's pages; join them first, user by user"
        )
    if report.format == "ndjson":
        raise PrivacyError(
            "with --epsilon columns are known before rows are read, and which fields NDJSON has, only its rows tell: a "
            "user with one field more would change what everybody's rows mean; write the log as Parquet or CSV"
        )
    if report.format == "lines" and report.held:
        raise PrivacyError(
            "with --epsilon a line stands by itself, and here lines fill those after them or are counted into blocks: "
            "one user's line would change what others' mean; write the log as Parquet or CSV, page by page"
        )


def public_lists(privacy: Privacy, config: Config) -> tuple[pa.Table | None, list[str] | None]:
    """Candidates and public queries, as far as they are given.

    Raises:
        ColumnError, DataError, FileError, UsageError: they cannot be.
    """
    return _candidates(privacy, config), _queries(privacy, config)


def _queries(privacy: Privacy, config: Config) -> list[str] | None:
    """Public queries, normalised, each once, in order of their text; None where there are none."""
    if privacy.public_queries is None:
        return None
    table = given_table(privacy.public_queries, "public queries", ["query"])
    found = pc.unique(pc.drop_null(normalize(table["query"], scrub=config.scrub)))
    return sorted(found.to_pylist())


def _candidates(privacy: Privacy, config: Config) -> pa.Table | None:
    """Candidates with normalised queries: query, doc_id, position; None where there are none."""
    if privacy.candidates is None:
        return None
    table = given_table(privacy.candidates, "candidates", ["query", "doc_id"], ["position"])
    query = normalize(table["query"], scrub=config.scrub)
    position = table["position"] if "position" in table.column_names else pa.nulls(table.num_rows, pa.int32())
    try:
        doc, place = table["doc_id"].cast(pa.string()), pc.fill_null(position.cast(pa.int32()), 1)
    except pa.ArrowException:
        raise ColumnError("candidates: doc_id must be text, position whole numbers from 1") from None
    if table.num_rows and (pc.min(place).as_py() < 1 or doc.null_count):
        raise ColumnError("candidates: doc_id may not be null, and positions begin at 1")
    found = pa.table({"query": query, "doc_id": doc, "position": place})
    if found.group_by(["query", "doc_id"]).aggregate([]).num_rows < found.num_rows:
        raise DataError(
            "candidates name a document twice for one query (queries are compared as they are normalised); each "
            "(query, doc_id) may stand there once"
        )
    return found

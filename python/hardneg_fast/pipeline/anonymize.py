"""Anonymized logs: what may be asked for, and a manifest of what was done."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

from .. import keys, options
from ..anonymize import IDENTIFIERS
from ..config import Config, Privacy
from ..exceptions import UsageError
from ..keys import Key
from ..sources import keepable, open_source
from ..sources.files import CODECS, FORMATS
from ..writers.atomic import check_file, whole_file
from ..writers.stable_json import to_json
from .admission import enter, window
from .rewrite import Job, by_pages, by_rows

__all__ = ["anonymize"]

PSEUDONYMISED = (
    "pseudonymised, not anonymous (GDPR Art. 4(5), recital 26): personal data still for whoever has the key, or knows "
    "a person's habits"
)
READ_BACK = "whoever has the key can read the reversible identifiers back"


def anonymize(
    log: object,
    out: Path | str,
    *,
    key: Key | None = None,
    config: Config | None = None,
    epoch: str = "",
    dataset: str = "",
    time: Literal["day", "keep"] = "day",
    query_text: Literal["normalise", "keep"] = "normalise",
    keep: tuple[str, ...] = (),
    k_users: int | None = None,
    reversible: tuple[str, ...] = (),
    lineage: str | None = None,
    ledger: Path | str | None = None,
    override_dp_claim: bool = False,
    manifest: Path | str | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Writes a log as Parquet with canonical columns only: pseudonyms, normalised queries, days instead of times.

    With `query_text="keep"` and `time="keep"` Parquet files are copied page by page: rows stay as they are, those too
    that `mine` would set aside. Pseudonymised, not anonymous: query text can identify.

    Args:
        log: as for `mine`.
        out: Parquet file to write, whole or not at all; no name that ends like another format.
        key: master key for identifiers; without one they are hashed under a key forgotten with the run.
        config: options; their defaults otherwise.
        epoch: name of the period the pseudonyms hold for.
        dataset: name of the dataset they hold for.
        time: timestamps to the day, or as they are.
        query_text: query texts normalised, or as they are.
        keep: further columns to take along as they are; what is in them is not looked at.
        k_users: leave out the rows of queries that fewer users issued; the log is read twice for that.
        reversible: identifiers that become tokens which the key's holder can read back (`reveal`), not pseudonyms.
        lineage: name of the data. Together with an anonymized log no release of its lineage is differentially private,
            which its ledger then says.
        ledger: file of the budget, where `lineage` is given.
        override_dp_claim: write the log although its lineage was released under differential privacy, whose claim ends.
        manifest: JSON file that says what was done to each column, and under which key id.
        overwrite: replace the files that stand at `out` and `manifest`.

    Returns:
        rows written and read, quarantine by reason, rows suppressed for rare queries, personal data by kind, columns,
        how each column's values became what they are, how its pages were written, those left in without a look at their
        content, key id (None for a key that is forgotten now), notes. With `k_users` all but the rows written are
        rounded down to multiples of it: rows that are not there are of few users.

    Raises:
        DataError: the log cannot be read.
        FileError: `out` or `manifest` cannot be written.
        PrivacyError: `k_users` on a log without users; the lineage was released under differential privacy.
        UsageError: options that cannot be.
    """
    if manifest is not None:
        check_file(Path(manifest), overwrite=overwrite)
    entered = Privacy.none(lineage=lineage, ledger=ledger, override_dp_claim=override_dp_claim)
    done = _anonymized(
        log,
        out,
        key=key,
        config=config,
        keep=keep,
        overwrite=overwrite,
        time=time,
        query_text=query_text,
        k_users=k_users,
        epoch=epoch,
        dataset=dataset,
        reversible=tuple(reversible),
        entered=entered,
    )
    if manifest is not None:
        said: dict[str, Any] = {
            "file": Path(out).name,
            "time": time,
            "query_text": query_text,
            "k_users": k_users,
            "epoch": epoch,
        }
        said |= {"dataset": dataset, "lineage": lineage or None, **done, "claim": PSEUDONYMISED}
        if reversible:
            said |= {"reversible": sorted(reversible), "claim": f"{PSEUDONYMISED}; {READ_BACK}"}
        with whole_file(Path(manifest), overwrite=overwrite) as partial:
            partial.write_bytes(to_json(said))
    return done


def _anonymized(
    log: object,
    out: Path | str,
    *,
    key: Key | None,
    config: Config | None,
    keep: tuple[str, ...],
    overwrite: bool,
    time: Literal["day", "keep"],
    query_text: Literal["normalise", "keep"],
    k_users: int | None,
    epoch: str,
    dataset: str,
    reversible: tuple[str, ...],
    entered: Privacy,
) -> dict[str, Any]:
    if time not in ("day", "keep"):
        # Anything but "day" would keep the times.
        raise UsageError(f"time is {time!r}; choose one of day, keep")
    if query_text not in ("normalise", "keep"):
        raise UsageError(f"query_text is {query_text!r}; choose one of normalise, keep")
    if k_users is not None and (query_text == "keep" or k_users < 2):
        raise UsageError("k_users is 2 or more, and for normalised queries: leave out query_text keep (--query-text)")
    if reversible and key is None:
        raise UsageError("tokens that can be read back need a key that is kept: key, --key FILE")
    if wrong := sorted({*reversible} - {*IDENTIFIERS}):
        raise UsageError(f"reversible names {wrong}; choose of {', '.join(IDENTIFIERS)}")
    ending = Path(out).suffix.lower()
    if FORMATS.get(ending, "parquet") != "parquet" or ending in (*CODECS, ".zip"):
        raise UsageError(f"{Path(out).name}: what is written is Parquet, whatever its name; end it in .parquet")
    if isinstance(log, str | Path) and _same_file(log, out):
        raise UsageError("the output is the log itself; give another path: a raw log is not replaced")
    config = options.checked(config or Config())
    source, files = open_source(log, config.read)
    job = Job(
        source=source,
        files=files,
        out=Path(out),
        config=config,
        key=keys.or_fresh(key),
        epoch=epoch,
        dataset=dataset,
        time=time,
        query_text=query_text,
        keep=tuple(keep),
        reversible=reversible,
        overwrite=overwrite,
        # Once, when it is clear what will be read, and before it is.
        enter=cache(lambda: enter(entered, window=window(Config()), what="an anonymized log")),
    )
    check_file(job.out, overwrite=overwrite, private=bool(reversible))
    key_id = key.id if key else None
    why = "times become days" if time == "day" else "queries are normalised"
    if time == "keep" and query_text == "keep" and reversible:
        why = "tokens that can be read back are made anew"
    elif time == "keep" and query_text == "keep":
        try:
            return by_pages(job, key_id)
        except keepable.NotByPages as refused:
            why = str(refused)
    return by_rows(job, key_id, k_users, why)


def _same_file(one: Path | str, other: Path | str) -> bool:
    try:
        return Path(one).samefile(other)
    except (OSError, ValueError):
        # Not there, or not to be looked at: whoever opens it says so.
        return False

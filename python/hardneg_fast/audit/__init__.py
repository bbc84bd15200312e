"""audit: whether an output keeps what it says of itself; what is proved, what was tested, and what nobody looked at."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import options
from ..config import Config, ReadConfig, ScrubConfig
from ..exceptions import DataError, UsageError
from ..result import as_shown
from .arithmetic import exact_figures, in_ledger, statement
from .checks import NOT_COVERED, OF_RELEASES, Audit, Check, of_findings
from .identifiers import identifiers, rare_queries, wanted
from .key_material import key_material, of_key
from .linkage import joinable, lineages, pseudonyms
from .log import read_log
from .output import Output, open_output
from .personal import personal_data
from .scan import scan
from .search import Needles
from .users import thresholds_in_log, thresholds_in_output

if TYPE_CHECKING:
    from ..keys import Key

__all__ = ["Audit", "Check", "audit", "of_findings"]

MECHANISM: tuple[str, ...] = (
    "sensitivity",
    "sensitivity of counting",
    "noise of choosing",
    "noise of counting",
    "mechanism",
    "mechanism at a large delta",
)
MECHANISM += ("one run", "membership")


def audit(
    out: Path | str,
    *,
    log: object = None,
    other: Path | str | None = None,
    key: Key | None = None,
    messages: Iterable[Path | str] = (),
    ledger: Path | str | None = None,
    config: Config | None = None,
    mechanism: bool = False,
) -> Audit:
    """Audits a dataset directory, or an anonymized log with its manifest (in its directory, or beside the file).

    Without the optional arguments only what the output shows by itself is checked; the rest is named as not checked.
    Nothing that is found is quoted.

    Args:
        out: what `mine` or `anonymize` wrote.
        log: the log it was made of, as for `mine`: its ids, their plain hashes and its rare queries are looked for in
            every byte, and users behind what is named are counted anew. With --k-users the whole log is meant.
        other: another output: whether the two can be joined.
        key: key of the pseudonyms, or of tokens: looked for wherever it must not be.
        messages: files or directories, of what runs printed or logged or of exports: looked through like the output for
            ids, rare queries and the key.
        ledger: the ledger of a release under differential privacy.
        config: how to read the log (section `read`); as the output's own report says by default.
        mechanism: also run the mechanism of a private release on made-up logs; minutes.

    Raises:
        FileError, DataError: a file cannot be read, or is no output; the log is another one than the output's.
        PrivacyError: the log has no users; the ledger is missing or not whole.
        UsageError: `mechanism` for an output that has none.
    """
    output = open_output(out)
    if mechanism and output.mode != "dp":
        raise UsageError(f"{output.path.name!r} claims no differential privacy: there is no mechanism to run")
    beside = open_output(other) if other is not None else None
    files = [Path(path) for path in messages]
    tokens = _unknown_tokens(output, key)
    read = None if log is None else read_log(log, read=_read(output, config), scrub=_scrub(output, key), key=key)
    if read is not None:
        _refuse_other(output, read.records)
    made = None if read is None else wanted(output, read)
    needles: dict[str, Needles] = {} if made is None else dict(made.needles)
    if key is not None:
        needles["key"] = of_key(key)
    found = scan([output.path, *files], needles).found if needles else {}
    shared = [] if beside is None else pseudonyms(beside)
    holder = output
    if beside is not None and not shared:
        shared, holder = pseudonyms(output), beside
    if shared:
        found |= scan([holder.path], {"pseudonyms": Needles(shared)}).found
    private, threshold = output.mode == "dp", output.mode in ("k_users", "none", "log")
    checks = [
        *(statement(output) if private else []),
        personal_data(output, key),
        *([thresholds_in_output(output), thresholds_in_log(output, read, tokens=tokens)] if threshold else []),
        identifiers(output, read, made, found),
        rare_queries(output, made, found),
        key_material(key, found, messages=len(files)),
        joinable(output, beside, len(shared), found),
        lineages(output, beside),
        *([exact_figures(output)] if output.mode in ("dp", "no_dp_claim") else []),
        *([in_ledger(output, ledger), *_mechanism(output, run=mechanism)] if private else []),
    ]
    return Audit(output.subject, tuple(checks), NOT_COVERED + (OF_RELEASES if output.mode == "dp" else ()))


def _refuse_other(output: Output, records: int) -> None:
    """A log that the output was surely not made of, by what its report says of its rows.

    Made of saved counts it says how many impressions they are of, not how many records the log has.
    """
    made_of = output.report.get("input", {})
    said = None if made_of.get("format") == "counts" else made_of.get("rows")
    if isinstance(said, int) and not isinstance(said, bool) and said != as_shown(records, output.k):
        some = "" if output.k is None else "some "
        raise DataError(
            f"this is not the log that {output.path.name!r} was made of: it has {records:,} rows, and that had {some}"
            f"{said:,}; give the whole log as it was then"
        )


def _mechanism(output: Output, *, run: bool) -> list[Check]:
    if not run:
        return [Check(name, "not checked", "not run (--mechanism runs it; minutes)") for name in MECHANISM]
    from .throwaway import findings, of_release

    return of_findings(findings(of_release(output)))


def _said(output: Output, section: str) -> dict[str, Any]:
    """A section of the options that an output was made with, as its report says them."""
    found = output.report.get("config", {}).get(section, {})
    return found if isinstance(found, dict) else {}


def _read(output: Output, config: Config | None) -> ReadConfig:
    if config is not None:
        return options.checked(config).read
    said = {name: value for name, value in _said(output, "read").items() if name not in ("constants", "batch_rows")}
    return options.from_mapping({"read": {name: value for name, value in said.items() if value is not None}}).read


def _scrub(output: Output, key: Key | None) -> ScrubConfig:
    said = _said(output, "scrub")
    action = said.get("action", "mask")
    if action == "token" and key is None:
        action = "mask"
    return ScrubConfig(action=action, kinds=tuple(said.get("kinds", ())))


def _unknown_tokens(output: Output, key: Key | None) -> str | None:
    """Why queries of the log cannot be brought to the form that they have in the output, if so."""
    said = _said(output, "scrub")
    if said.get("detector"):
        return "a detector of your own changed queries, and is not known here"
    if said.get("action") == "token" and key is None:
        return "queries hold tokens, which only the key can make again (--key)"
    return None

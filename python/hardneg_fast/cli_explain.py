"""`hardneg-fast explain`: why a document is, or is not, a negative of a query."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from . import cli_shared as shared
from . import options
from .config import Config, Privacy
from .exceptions import DataError, FileError, UsageError, told

__all__ = ["EXPLAIN"]


def _explain(command: argparse.ArgumentParser) -> None:
    command.add_argument("out", type=Path, metavar="OUT", help="dataset directory that mine wrote")
    command.add_argument("--query", required=True, metavar="Q", help="the query, in any form")
    command.add_argument("--doc", metavar="D", help="one document; all of the query otherwise")
    text = "the log it was made of, mined once more: then documents that are no negatives are explained, too"
    command.add_argument("--log", nargs="+", metavar="LOG", help=text)
    text = "with --log: the documents OUT was made with, where their texts were looked at"
    command.add_argument("--documents", type=Path, metavar="FILE", help=text)
    shared.beside_options(command)
    shared.format_option(command)


def run_explain(args: argparse.Namespace) -> None:
    """Prints what became of the documents of a query.

    Raises:
        UsageError: the query, or the document for it, is not in the output.
    """
    import pyarrow as pa

    from .anonymize import normalize

    statement, report = (_json(args.out, name) for name in ("privacy.json", "report.json"))
    query = normalize(pa.array([args.query]))[0].as_py()
    if query is None:
        raise UsageError("--query is empty")
    if args.log is None:
        said = _of_output(args.out, query, args.doc, statement)
    else:
        said = _of_log(args, query, statement, report)
    if not shared.as_json(args, said):
        print("\n\n".join(said))


def _of_output(out: Path, query: str, doc: str | None, statement: dict[str, Any]) -> list[str]:
    import pyarrow as pa
    import pyarrow.compute as pc

    from .measures import why
    from .parquet import ParquetFile

    where = pc.field("query") == query
    if doc is not None:
        where &= pc.field("neg_id") == doc
    try:
        files = sorted(file for file in (out / "negatives").iterdir() if file.suffix == ".parquet")
        opened = (ParquetFile(file) for file in files)
        batches = (batch for file in opened for batch in file.batches(file.schema.names))
        rows = [row for batch in batches for row in pa.table(batch).filter(where).to_pylist()]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FileError(
            f"{out.name}: negatives cannot be read ({told(error)}); is it damaged, or not what mine wrote?"
        ) from None
    if not rows:
        raise UsageError(
            "no negative of OUT has this query and document; with --log LOG the log is asked why (not of a release "
            "under differential privacy)"
        )
    k = statement.get("k")

    def p(row: dict[str, Any]) -> str:
        return "" if row["p_false_negative"] is None else f"; P(relevant) {row['p_false_negative']:.3f}"

    return [f"{row['neg_id']}: a negative, by {row['rule']}: {why(row, k)}{p(row)}" for row in rows]


def _of_log(args: argparse.Namespace, query: str, statement: dict[str, Any], report: dict[str, Any]) -> list[str]:
    from .pipeline.mine import mine

    if statement["mode"] == "dp":
        raise UsageError("a release under differential privacy is not made again to explain it; leave out --log")
    tables, used = shared.beside(args), report.get("beside", [])
    if {*tables, *(["scorer"] if args.scorer else [])} != {*used}:
        said = ", ".join(used) or "none"
        raise UsageError(
            f"OUT was made with other tables beside the log ({said}); give the same, or nothing would hold"
        )
    privacy = Privacy.none() if statement.get("k") is None else Privacy.k_users(statement["k"])
    log = args.log[0] if len(args.log) == 1 else list(args.log)
    config = _config(report["config"])
    given: dict[str, Any] = tables | {"documents": args.documents, "scorer": args.scorer}
    result = mine(log, None, privacy=privacy, config=config, **given)
    _refuse_other(result.report, report)
    return result.explain(query, args.doc)


def _refuse_other(again: dict[str, Any], report: dict[str, Any]) -> None:
    """A log that OUT was surely not made of: rows and what was counted of them are other than OUT's report says."""
    had, has = (said.get("input", {}).get("rows") for said in (report, again))
    # Saved counts say how many impressions they are of, not how many records the log has.
    formats = {said.get("input", {}).get("format") == "counts" for said in (report, again)}
    if not isinstance(had, int) or len(formats) > 1:
        return
    same_version = report.get("version") == again.get("version")
    if had != has or (same_version and report.get("counts") != again.get("counts")):
        what = "what was counted of it is another" if had == has else f"it has {has:,} rows, and that had {had:,}"
        about = " (rounded down, both)" if again["release"]["k"] and had != has else ""
        raise DataError(f"this is not the log that OUT was made of: {what}{about}; give the whole log as it was then")


def _config(tree: dict[str, Any]) -> Config:
    """The configuration of a report, as far as it is there: values of constants, and hidden propensities, are not."""
    if tree["read"].pop("constants", None):
        raise DataError("OUT was made with read.constants, whose values it does not keep: it cannot be made again")
    if isinstance(tree["evidence"]["propensities"], dict):
        raise DataError("OUT was made with propensities, whose values no k-users output shows: it cannot be made again")
    return options.from_mapping(tree)


def _json(out: Path, name: str) -> dict[str, Any]:
    if not (out / name).exists():
        raise FileError(f"{out.name}: it has no {name}; give a directory that mine wrote")
    try:
        found: dict[str, Any] = json.loads((out / name).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise FileError(
            f"{out.name}: {name} cannot be read ({type(error).__name__}); give a directory that mine wrote"
        ) from None
    return found


EXPLAIN = shared.Command(
    name="explain",
    about="say why a document is, or is not, a negative of a query",
    examples=(
        "hardneg-fast explain negatives --query 'red shoes'",
        "hardneg-fast explain negatives --query 'red shoes' --doc d17 --log clicks.parquet",
    ),
    options=_explain,
    run=run_explain,
)

"""write: what was mined, as a dataset directory with a card and a report; single tables as Parquet files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from . import _hardneg
from .exceptions import UsageError
from .plain import plain_table
from .writers.atomic import check_directory, whole_directory, whole_file
from .writers.card import card
from .writers.dataset import Written, documents_that_appear, write_dataset
from .writers.given import of_object
from .writers.hardness import hardness
from .writers.mined import Mined
from .writers.parquet import ROW_GROUP_ROWS, write_parts
from .writers.report_html import report_html
from .writers.stable_json import to_json
from .writers.texts import Texts, check_some

__all__ = ["LAYOUT", "Mined", "check_target", "completed", "pages", "write", "write_table"]

LAYOUT = (
    "triplets", "negatives", "positives", "queries", "documents", "README.md", "report.html", "report.json",
    "privacy.json",
)  # fmt: skip
"""What stands in a dataset directory. A directory that holds anything else is never replaced: it may be the log's."""


def check_target(out: Path, *, overwrite: bool) -> None:
    """Say before the work what `write` would say after it.

    Raises:
        UsageError: `out` holds something and is not to be replaced.
        FileError: `out` is no directory.
    """
    check_directory(out, replaceable=LAYOUT if overwrite else ())


def write(
    mined: Mined,
    out: Path,
    *,
    documents: pa.Table | None = None,
    overwrite: bool = False,
    needs_texts: bool = True,
) -> dict[str, Any]:
    """Write a directory that `datasets.load_dataset` opens; it appears whole or not at all.

    Same input, same bytes: nothing in the files tells when, where or how fast they were made.

    Args:
        mined: tables and figures of the run.
        out: the directory; it must not exist, or be empty, or be overwritten.
        documents: doc_id, text. With it `triplets` holds texts, and rows with a document that has none are left out
            and counted as `without_text`; without it `triplets` holds ids.
        overwrite: replace the dataset that stands at `out`.
        needs_texts: refuse `documents` that have a text of no document.

    Returns:
        The report as it was written.

    Raises:
        UsageError: `out` holds something and `overwrite` is not set.
        DataError: `documents` are others than were mined.
        ColumnError: `documents` lacks doc_id or text, or they are no strings.
        FileError: `out` cannot be written.
    """
    ids = documents_that_appear(mined)
    texts = None if documents is None else Texts(documents, ids)
    if texts is not None and needs_texts:
        check_some(texts, len(ids))
    with whole_directory(out, replaceable=LAYOUT if overwrite else ()) as partial:
        written = write_dataset(mined, texts, partial)
        report = completed(
            mined.report,
            written,
            texts,
            by_position=mined.evidence_by_position.to_pylist(),
            hardness=hardness(mined, texts),
        )
        for name, content in pages(report, mined.privacy, written).items():
            (partial / name).write_bytes(content)
    return report


def pages(report: Mapping[str, Any], privacy: Mapping[str, Any], written: Written) -> dict[str, bytes]:
    """What stands in a dataset directory beside its tables: name → content."""
    return {
        "report.json": to_json(report),
        "privacy.json": to_json(privacy),
        "report.html": report_html(report, privacy).encode(),
        "README.md": card(report, privacy, written).encode(),
    }


def write_table(
    table: object,
    out: Path | str,
    *,
    columns: Mapping[str, str] | Sequence[str] = (),
    threads: int = 0,
    overwrite: bool = False,
    private: bool = False,
) -> None:
    """Write a table of this package as a Parquet file; it appears whole or not at all.

    The core knows which texts are equal, so none is hashed or compared, and row groups are made on all threads.

    Args:
        table: of `Counts`, `Released`, `Evidence`, `Selected` or `RelatedQueries`, say `counts.pairs`; or any other
            Arrow table, such as that of `estimate_propensities`, which pyarrow then writes.
        out: the file.
        columns: which to write, in this order; a mapping gives them new names. All by default.
        threads: 0 for all cores.
        overwrite: replace the file that stands at `out`.
        private: only its owner may read the file, as befits exact counts.

    Raises:
        UsageError: a column that the table does not have, a name given twice, no Arrow table; `out` is there and is not
            to be replaced.
        DataError: an Arrow table that fails while it is read.
        FileError: `out` cannot be written.
    """
    made: _hardneg.Table | pa.Table = (
        table
        if isinstance(table, _hardneg.Table)
        else of_object(
            table, f"write_table takes Arrow tables, such as those of this package, not {type(table).__name__}"
        )
    )
    if isinstance(columns, str):
        raise UsageError("columns is a string; give a tuple of names, or a mapping from names to new ones")
    names = dict(columns) if isinstance(columns, Mapping) else {name: name for name in columns or made.column_names}
    if len(set(names.values())) < len(names) or (not isinstance(columns, Mapping) and len(names) < len(columns)):
        raise UsageError(f"columns names one column twice: {sorted(names.values())}")
    with whole_file(Path(out), overwrite=overwrite, private=private) as partial:
        if isinstance(made, pa.Table):
            _write_other(partial, made, names)
        else:
            made.write_parquet(partial, columns=list(names.items()), threads=threads)


def _write_other(path: Path, table: pa.Table, names: Mapping[str, str]) -> None:
    if lacking := [name for name in names if table.column_names.count(name) != 1]:
        raise UsageError(f"columns not found: {lacking}; available, each once: {table.column_names}")
    chosen = plain_table(table.select([*names])).rename_columns([*names.values()])
    starts = range(0, max(1, chosen.num_rows), ROW_GROUP_ROWS)
    write_parts(path, chosen.schema, (chosen.slice(start, ROW_GROUP_ROWS) for start in starts))


def completed(
    told: Mapping[str, Any],
    written: Written,
    texts: Texts | None,
    *,
    by_position: Sequence[Mapping[str, Any]],
    hardness: Mapping[str, Any],
) -> dict[str, Any]:
    """The report with what only this stage knows: rows written, rows without text, texts of the examples."""
    report = dict(told)
    report["written"] = dict(written.rows)
    if texts is not None:
        k = (report.get("release") or {}).get("k") or 1
        steps = {"training rows": written.rows["triplets"] // k * k}
        funnel = report.get("funnel") or ()
        report["funnel"] = [step | {"count": steps.get(step["stage"], step["count"])} for step in funnel]
        report["without_text"] = written.without_text
        report["documents_without_text"] = written.documents_without_text
        report["examples"] = _with_texts(report.get("examples") or (), texts)
    report["ctr_by_position"] = [_with_interval(row) for row in report.get("ctr_by_position") or by_position]
    report["hardness"] = hardness
    return report


def _with_interval(row: Mapping[str, Any]) -> dict[str, Any]:
    """A position's figures, with the Wilson interval (1927) of its click rate at z = 1.96."""
    n, rate, z2 = row.get("impressions") or 0, row.get("ctr"), 1.96**2
    if n <= 0 or rate is None or not 0 <= rate <= 1:
        return dict(row)
    middle, spread = rate + z2 / (2 * n), 1.96 * (rate * (1 - rate) / n + z2 / (4 * n * n)) ** 0.5
    low, high = (round((middle + side) / (1 + z2 / n), 4) for side in (-spread, spread))
    return {**row, "lower": max(low, 0.0), "upper": min(high, 1.0)}


def _with_texts(examples: Sequence[Mapping[str, Any]], texts: Texts) -> list[dict[str, Any]]:
    """Examples with `positive_text` and `negative_text` beside the ids that have one."""
    completed = [dict(example) for example in examples]
    for which in ("positive", "negative"):
        for example, text in zip(completed, texts.get([e.get(which) for e in completed]), strict=True):
            if text is not None:
                example[f"{which}_text"] = text
    return completed

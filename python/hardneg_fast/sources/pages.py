"""Logs with a row per result page: a list of the documents shown, and clicks.

`documents`          the documents in the order shown; their places, from 1, are the positions.
`clicks`             one flag for each document shown, of the same length: 0/1 or false/true.
`dwell_ms`           of the page's click, where it has one.
`clicked_documents`  instead of `clicks`: the documents clicked, in any order; null or empty for none.

Either is an Arrow list, a JSON list, or text that holds a list. Where a document was shown twice on a page,
`clicked_documents` means its upper place. Where the order of the list is no ranking, the constant `position` with an
empty value leaves positions out. A log without `search_id` gets one from the page's content, so a repeated row is the
same page again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..config import ReadConfig
from ..plain import plain, plain_type
from . import codes, lists
from .base import Source
from .encoding import content_id
from .files import DataFile
from .frames import int64
from .mapping import Mapping, preset_of
from .report import ReadReport
from .rows import with_constants
from .types import LISTS

HASHED = ("session_id", "user_id", "query", "timestamp")
"""Columns of a page that go into its derived search_id, before documents and clicks."""


def dictionaries(files: list[DataFile], config: ReadConfig, report: ReadReport) -> dict[str, codes.Codes]:
    """The preset's dictionaries that lie beside the log's first file; a note for those that do not."""
    preset = preset_of(config)
    found = {}
    for name, file_name in (preset.codes if preset else {}).items():
        beside = files[0].beside(file_name) if files else None
        if beside is None:
            report.notes.append(f"{file_name} is not beside the log: {name} stay numbers")
        else:
            found[name] = codes.load(beside)
    return found


def stream(
    source: Source, mapping: Mapping, config: ReadConfig, report: ReadReport, decoders: dict[str, codes.Codes]
) -> pa.RecordBatchReader:
    """A row for each result shown."""
    wanted = {name: paths[0] for name, paths in mapping.columns.items()}
    raw = source.scan(wanted, report, config.batch_rows, lists=LISTS & wanted.keys())
    columns = [(f.name, plain_type(f.type)) for f in raw.schema if f.name not in LISTS]
    if "search_id" not in mapping:
        columns.append(("search_id", pa.string()))
    columns.append(("doc_id", pa.string()))
    if "position" not in mapping.constants:
        columns.append(("position", pa.int32()))
    # Flags stay text, so that the core counts those that are none.
    columns.append(("clicked", pa.bool_() if "clicked_documents" in wanted else pa.string()))
    if "query" in decoders:
        columns = [(name, pa.string() if name == "query" else t) for name, t in columns]
    schema = pa.schema(columns)

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in raw:
            yield _explode(batch, schema, decoders, report)

    constants = {k: v for k, v in mapping.constants.items() if (k, v) != ("position", "")}
    reader = pa.RecordBatchReader.from_batches(schema, batches())
    return with_constants(reader, constants) if constants else reader


def _explode(
    batch: pa.RecordBatch, schema: pa.Schema, decoders: dict[str, codes.Codes], report: ReadReport
) -> pa.RecordBatch:
    pages: dict[str, Any] = {}
    readable = np.ones(batch.num_rows, dtype=bool)
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if name in LISTS:
            pages[name], good = lists.as_lists(column)
            readable &= np.array(good, dtype=bool)
        else:
            pages[name] = plain(column)
    if "query" in decoders:
        decoded, unknown_query = decoders["query"].decode(pages["query"].cast(pa.string()))
    else:
        decoded, unknown_query = pages.get("query"), pa.array([False] * batch.num_rows)
    shown = _lengths(pages["documents"])
    flagged = _lengths(pages["clicks"]) if "clicks" in pages else shown
    keep = readable.copy()
    report.count("broken_line", int((~keep).sum()))
    faults = {
        "page_without_documents": shown == 0,
        "list_length_mismatch": flagged != shown,
        "unknown_code": unknown_query.to_numpy(zero_copy_only=False),
    }
    for reason, fault in faults.items():
        report.count(reason, int((keep & fault).sum()))
        keep &= ~fault
    if "search_id" in schema.names and "search_id" not in pages:
        pages["search_id"] = pa.array(_content_ids(pages), pa.string())
    if decoded is not None:
        pages["query"] = decoded
    kept = pa.RecordBatch.from_pydict(pages).filter(pa.array(keep))
    return _results(kept, schema, decoders, report)


def _lengths(column: pa.Array) -> npt.NDArray[np.int64]:
    return int64(pc.list_value_length(column))


def _content_ids(pages: dict[str, Any]) -> list[str]:
    """A derived search_id for each page."""
    count = len(pages["documents"])
    scalars = [pages[name].cast(pa.string()).to_pylist() if name in pages else [None] * count for name in HASHED]
    clicks = pages["clicks" if "clicks" in pages else "clicked_documents"]
    parts = zip(*scalars, pages["documents"].to_pylist(), clicks.to_pylist(), strict=True)
    return [content_id(page) for page in parts]


def _results(
    pages: pa.RecordBatch, schema: pa.Schema, decoders: dict[str, codes.Codes], report: ReadReport
) -> pa.RecordBatch:
    """A row for each item of `documents`."""
    documents = pages.column("documents")
    lengths = _lengths(documents)
    page = np.repeat(np.arange(pages.num_rows), lengths)
    place = np.arange(len(page)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + 1
    docs = pc.list_flatten(documents)
    if "clicks" in pages.schema.names:
        clicked = pc.list_flatten(pages.column("clicks"))
    else:
        clicked = _clicked(pages.column("clicked_documents"), page, docs, report)
    of_result = {"position": pa.array(place, pa.int32()), "clicked": clicked}
    if "dwell_ms" in schema.names:
        of_result["dwell_ms"] = _dwell(pages.column("dwell_ms"), page, clicked)
    columns = [
        docs if name == "doc_id" else of_result[name] if name in of_result else pages.column(name).take(pa.array(page))
        for name in schema.names
    ]
    results = pa.RecordBatch.from_arrays(columns, schema=schema)
    if "documents" not in decoders:
        return results
    names, unknown = decoders["documents"].decode(docs)
    report.count("unknown_code", pc.sum(unknown).as_py() or 0)
    return results.set_column(schema.names.index("doc_id"), "doc_id", names).filter(pc.invert(unknown))


def _dwell(of_page: pa.Array, page: npt.NDArray[np.int64], clicked: pa.Array) -> pa.Array:
    """The page's dwell time for its click; of several clicks nobody knows whose it is."""
    yes = pc.is_in(clicked.cast(pa.string()), value_set=pa.array(["1", "true"])).to_numpy(zero_copy_only=False)
    clicks = np.bincount(page[yes], minlength=len(of_page))
    known = yes & (clicks == 1)[page]
    return of_page.take(pa.array(np.where(known, page, 0), mask=~known))


def _clicked(clicked_documents: pa.Array, page: npt.NDArray[np.int64], docs: pa.Array, report: ReadReport) -> pa.Array:
    """Whether each result is the upper place of a clicked document."""
    clicks = pc.list_flatten(clicked_documents)
    click_page = int64(pc.list_parent_indices(clicked_documents))
    both = pa.concat_arrays([docs, clicks]).dictionary_encode(null_encoding="encode")
    code = int64(both.indices)
    results = page * len(both.dictionary) + code[: len(docs)]
    clicked_at = click_page * len(both.dictionary) + code[len(docs) :]
    report.count("click_outside_page", int((~np.isin(clicked_at, results)).sum()))
    upper = np.zeros(len(results), dtype=bool)
    upper[np.unique(results, return_index=True)[1]] = True
    return pa.array(upper & np.isin(results, clicked_at))

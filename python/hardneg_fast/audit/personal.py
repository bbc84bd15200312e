"""Personal data that is still there: every text of the output once more through the scrubber."""

from __future__ import annotations

import html.parser
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute

from ..anonymize import scrub
from ..exceptions import TokenError
from ..keys import Key
from ..reversible import Sealer, shaped
from .checks import Check
from .contents import columns
from .output import Output

pc: Any = pyarrow.compute

DOCUMENTS = re.compile(r"doc_id|pos_id|neg_id|text|positive(_text)?|negative(_\d+|_text)?")
"""Columns and fields that hold documents: these leave as they were given."""

QUERY_ID = re.compile(r"[0-9a-f]{16}")
MASK = re.compile(r"<([a-z_]+)>")


def personal_data(output: Output, key: Key | None = None) -> Check:
    """Looks through tables, card and report; counts texts by kind, and shows none.

    Tokens that can be read back, in columns that the output says to hold them, look like keys and are none: left out is
    what has their form, or, where `key` is theirs, what it opens.
    """
    tokens = _Tokens(output, key)
    found: dict[str, Counter[str]] = {"elsewhere": Counter(), "documents": Counter()}
    texts, documents, places = 0, set[str](), list[str]()
    for whose, name, values in _texts(output, tokens):
        texts += len(values)
        for text, kinds in _hits(values):
            # Pages show documents too, cut short: what begins like one that was found is one.
            known = text[:40] in documents
            side = "documents" if whose == "documents" or known else "elsewhere"
            if whose == "documents":
                documents.add(text[:40])
            found[side].update(kinds)
            if side == "elsewhere" and name not in places:
                places.append(name)
    bad, given = found["elsewhere"], found["documents"]
    said = f"{texts:,} texts looked through"
    if tokens.found:
        how = "each opened with the key" if tokens.opener else "by their form: --key tells whether they are"
        said += f"; besides, tokens in {', '.join(sorted(tokens.found))}, by design ({how})"
    if given:
        said += f"; documents, which leave as given, hold {_listed(given)}"
    if bad:
        said = f"{_listed(bad)} in {', '.join(places[:4])}{' …' if len(places) > 4 else ''}; {said}"
    figures = {"texts": texts, "found": dict(bad), "in_documents": dict(given), "places": places}
    if tokens.found:
        figures["tokens"] = dict(tokens.found)
    return Check("personal data", "fail" if bad else "pass", said, figures=figures)


def _listed(kinds: Counter[str]) -> str:
    return ", ".join(f"{n:,} {kind}" for kind, n in sorted(kinds.items()))


class _Tokens:
    """Values that are the tool's own tokens, counted by column."""

    def __init__(self, output: Output, key: Key | None) -> None:
        said = output.statement
        self.found: Counter[str] = Counter()
        self.columns = output.tokens
        self.opener = key if key is not None and said.get("key_id") == key.id else None
        self._named = {name: str(said.get(name, "")) for name in ("epoch", "dataset")}

    def without(self, column: str, values: Any) -> Any:
        """The other values of a column."""
        if column not in self.columns:
            return values
        are = shaped(values)
        if self.opener is not None:
            sealer = Sealer(self.opener, column, **self._named)
            opened = [
                one and _opens(sealer, text) for one, text in zip(are.to_pylist(), values.to_pylist(), strict=True)
            ]
            are = pa.array(opened, pa.bool_())
        self.found[column] += pc.sum(are).as_py() or 0
        return values.filter(pc.invert(are))


def _opens(sealer: Sealer, token: str) -> bool:
    try:
        sealer.open(token)
    except TokenError:
        return False
    return True


def _texts(output: Output, tokens: _Tokens) -> Iterator[tuple[str, str, Any]]:
    """Documents or elsewhere, place, distinct texts; documents first."""
    rest: list[tuple[str, str, Any]] = []
    columns_seen: set[str] = set()
    for path in output.parquet:
        for column, is_text, values in columns(path):
            columns_seen.add(column)
            if is_text:
                whose = "documents" if DOCUMENTS.fullmatch(column) else "elsewhere"
                place = _shown(f"column {column!r} of {output.name(path)}")
                found = (whose, place, tokens.without(column, _without_query_ids(column, values)))
                if whose == "documents":
                    yield found
                else:
                    rest.append(found)
    for path in output.files:
        for whose, values in _of_file(path):
            found = (whose, _shown(output.name(path)), pa.array(values, pa.large_string()))
            if whose == "documents":
                yield found
            else:
                rest.append(found)
    names = [*(output.name(path) for path in output.files), *sorted(columns_seen)]
    yield "elsewhere", "names of files and columns", pa.array(names, pa.large_string())
    yield from rest


def _shown(place: str) -> str:
    """A place as findings may say it."""
    return str(scrub(pa.array([place]))[0].as_py())


def _without_query_ids(column: str, values: Any) -> Any:
    """Without well-formed ids of queries: hashes, a few of which look like numbers."""
    if column != "query_id":
        return values
    return values.filter(pc.invert(pc.match_substring_regex(values, f"^{QUERY_ID.pattern}$")))


def _of_file(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Texts of card, report, statement and manifest."""
    if path.suffix not in (".json", ".html", ".md"):
        return
    content = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix == ".json":
        try:
            leaves = [*_leaves(json.loads(content), "")]
        except ValueError:
            leaves = [("", content)]
        yield "documents", sorted({text for key, text in leaves if DOCUMENTS.fullmatch(key)})
        yield "elsewhere", sorted({text for key, text in leaves if not DOCUMENTS.fullmatch(key)})
    elif path.suffix == ".html":
        reader = _Text()
        reader.feed(content)
        yield "elsewhere", sorted(set(reader.found))
    else:
        cells = re.split(r"(?<!\\)\||\n", content)
        yield "elsewhere", sorted({html.unescape(re.sub(r"\\(.)", r"\1", cell)).strip() for cell in cells})


def _leaves(value: Any, key: str) -> Iterable[tuple[str, str]]:
    """Every text of a JSON value with its nearest key; keys are texts, too."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield "", name
            yield from _leaves(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, key)
    elif isinstance(value, str):
        yield key, value


class _Text(html.parser.HTMLParser):
    """Texts of a page and of its attributes that people see; not of styles and drawings."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._style = tag == "style"
        self.found += [value for name, value in attrs if value and name in ("title", "alt", "aria-label")]

    def handle_data(self, data: str) -> None:
        if not self._style and data.strip():
            self.found.append(data.strip())


def _hits(values: Any) -> Iterator[tuple[str, Counter[str]]]:
    """Texts that the scrubber would change, and the kinds that it finds in them."""
    for chunk in values.chunks if isinstance(values, pa.ChunkedArray) else [values]:
        clean = scrub(chunk)
        changed = pc.not_equal(chunk.cast(pa.large_string()), clean.cast(pa.large_string()))
        for before, after in zip(chunk.filter(changed).to_pylist(), clean.filter(changed).to_pylist(), strict=True):
            kinds = Counter(MASK.findall(after))
            kinds.subtract(MASK.findall(before))
            if +kinds:
                yield before, Counter(dict.fromkeys(+kinds, 1))

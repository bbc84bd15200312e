"""Hypothesis strategies: logs that are small and nasty, configurations that bite on them, Arrow in many types.

Everything is drawn from small pools, so that users, queries and documents collide, and thresholds are met.
"""

from __future__ import annotations

import datetime
import random
from dataclasses import dataclass

import pyarrow as pa
from hypothesis import strategies as st

from hardneg_fast.config import CountConfig, EvidenceConfig, SelectConfig

CANONICAL = pa.schema(
    [
        ("user_id", pa.string()),
        ("session_id", pa.string()),
        ("search_id", pa.string()),
        ("query", pa.string()),
        ("doc_id", pa.string()),
        ("position", pa.int32()),
        ("clicked", pa.bool_()),
        ("dwell_ms", pa.int64()),
        ("click_ms", pa.int64()),
        ("timestamp", pa.timestamp("us", tz="UTC")),
        ("surface", pa.string()),
    ]
)
REQUIRED = {"query", "doc_id", "clicked"}
IDS = ("user_id", "session_id", "search_id", "doc_id")
DAY = 86_400_000_000
NOON = 1_735_732_800_000_000  # 2025-01-01 12:00 UTC

# Each line is one normalised query; characters are older than Unicode 14, whose tables Python 3.11 has.
QUERIES = [
    ["shoes", "Shoes ", "SHOES\t", "\uff53\uff48\uff4f\uff45\uff53", "\x00shoes\u2003"],
    ["red  shoes", "red\u00a0shoes", "Red\r\nShoes", "red\x1fshoes"],
    ["stra\u00dfe", "STRASSE", "stra\u1e9ee"],
    ["caf\u00e9", "cafe\u0301", "CAFE\u0301"],
    ["\u0130zmir", "i\u0307zmir"],
    ["\ufb01sh", "FISH"],
    ["\u30ac\u65e5", "\uff76\uff9e\u65e5", "\u30ab\u3099\u65e5"],
    ["\U0001f600 zero\u200bwidth"],
    ["\u1fb3\u0301", "\u0391\u0345\u0301"],
    ["skip_above"],
]
DOCUMENTS = ["1", "2", "3", "10", "d", "D", "d ", "\u00e9", "42.0", "\U0001f4d6"]
SURFACES = ["home", "search", "Search", None]


@dataclass
class Log:
    """Rows with canonical names and the columns that the log has."""

    rows: list[dict]
    columns: set[str]

    @property
    def has_pages(self) -> bool:
        return "search_id" in self.columns

    def __repr__(self) -> str:
        lines = [repr({name: row[name] for name in CANONICAL.names if name in self.columns}) for row in self.rows]
        text = f"Log(columns={sorted(self.columns)}, rows=[\n" + "".join(f"  {line},\n" for line in lines) + "])"
        # hypothesis warns of long reprs, and a warning in the middle of a replay looks like a flaky test.
        return text if len(text) < 20_000 else f"{text[:20_000]}... {len(self.rows)} rows, cut here)"

    def _repr_pretty_(self, printer, _cycle) -> None:
        # hypothesis would print the fields of a dataclass by itself.
        printer.text(repr(self))


def raw_queries() -> st.SearchStrategy[str]:
    """Mostly few known ones in their spellings; now and then anything."""
    anything = st.text(st.characters(exclude_categories=("Cs", "Cn", "Co")), min_size=1, max_size=6)
    known = st.sampled_from(QUERIES[:3]) | st.sampled_from(QUERIES)
    return st.one_of(
        known.flatmap(st.sampled_from), known.flatmap(st.sampled_from), known.flatmap(st.sampled_from), anything
    )


def times() -> st.SearchStrategy[int]:
    """Few moments, so that they are shared; gaps around 30 minutes and days; some to the microsecond."""
    near = st.sampled_from(
        [0, 0, 1, 60_000_000, 29 * 60_000_000, 30 * 60_000_000, 30 * 60_000_000 + 1, DAY // 2, DAY - 1]
    )
    return st.builds(lambda offset, days: NOON + offset + days * DAY, near, st.integers(-3, 3))


def maybe_null(strategy: st.SearchStrategy, one_in: int = 4) -> st.SearchStrategy:
    return st.integers(1, one_in).flatmap(lambda n: st.none() if n == one_in else strategy)


@st.composite
def pages(draw: st.DrawFn) -> list[dict]:
    """Rows of one page: mostly a plain ranking, sometimes with gaps, ties, nulls, far or impossible positions."""
    size = draw(st.integers(1, 7))
    docs = draw(st.lists(st.sampled_from(DOCUMENTS), min_size=size, max_size=size, unique=draw(st.booleans())))
    odd = st.sampled_from([None, 1, 2, 2, 3, 5, 9, 50, 51, 65_535])
    kind = draw(st.sampled_from(["ranking", "ranking", "ranking", "odd", "none"]))
    positions = {
        "ranking": list(range(1, size + 1)),
        "odd": [draw(odd) for _ in range(size)],
        "none": [None] * size,
    }[kind]
    clicked = draw(st.lists(st.sampled_from([True, False, False]), min_size=size, max_size=size))
    # click_ms on all clicks, on some, or on none: the three cases of the last click.
    click_ms = draw(st.sampled_from([st.integers(0, 5), maybe_null(st.integers(0, 5), 2), st.none()]))
    dwell = maybe_null(st.sampled_from([0, 500, 1_500, 9_999, 10_000, 10_001, 60_000, -1]))
    common = {
        "user_id": draw(st.sampled_from(["7", "42", "u", "\u00fc"])),
        "session_id": draw(st.sampled_from(["1", "2", None, ""])),
        "search_id": draw(st.sampled_from(["1", "2", "3", "4", "5", "6", "a", "b"])),
        "query": draw(raw_queries()),
        "timestamp": draw(st.just(NOON) | times()),
        "surface": draw(st.sampled_from(SURFACES)),
    }
    jitter = draw(st.sampled_from([0, 0, 0, 1_000_000]))
    rows = []
    for n, (doc, position, click) in enumerate(zip(docs, positions, clicked, strict=True)):
        own = {"doc_id": doc, "position": position, "clicked": click, "dwell_ms": draw(dwell)}
        own["click_ms"] = draw(click_ms) if click or draw(st.booleans()) else None
        rows.append(common | own | {"timestamp": common["timestamp"] + n * jitter})
    return rows


def spoil(draw: st.DrawFn, row: dict) -> dict:
    """A copy of a row with one thing wrong, or one thing different from its page."""
    changes = [
        {"user_id": None},
        {"user_id": ""},
        {"search_id": None},
        {"query": None},
        {"query": " \x00\u3000"},
        {"query": "x" * 1025},
        {"query": "\ufb01" * 1024},
        {"doc_id": None},
        {"doc_id": ""},
        {"clicked": None},
        {"position": 0},
        {"position": 65_536},
        {"position": -1, "clicked": None},
        {"timestamp": None},
        {"timestamp": -1},
        {"timestamp": 4_200_000_000_000_000},
        {"click_ms": -5, "dwell_ms": -5},
        {"session_id": "2"},
        {"clicked": True, "dwell_ms": 20_000, "click_ms": 0},
    ]
    return row | draw(st.sampled_from(changes))


def robot_rows(draw: st.DrawFn) -> list[dict]:
    """A user large enough for the robot rules, which ask for 100 impressions, 30 pages or 10 clicks."""
    random_ = random.Random(draw(st.integers(0, 7)))
    searches = draw(st.sampled_from([40, 30, 29, 12, 51]))
    click_rate = draw(st.sampled_from([0.0, 0.2, 0.3, 0.4, 1.0]))
    dwells = draw(st.sampled_from([[3_000], [1_000, 1_499, 2_000], [1_499, 1_500], [4_000, 20_000, None], [None]]))
    minutes = draw(st.sampled_from([200, 20, 1]))
    return [
        {
            "user_id": "robot",
            "session_id": "r",
            "search_id": f"r{search}",
            "query": QUERIES[search % 3][0],
            "doc_id": DOCUMENTS[position - 1],
            "position": position,
            "clicked": random_.random() < click_rate,
            "dwell_ms": random_.choice(dwells),
            "click_ms": None,
            "timestamp": NOON + search * minutes * 60_000_000,
            "surface": "search",
        }
        for search in range(searches)
        for position in range(1, 5)
    ]


@st.composite
def logs(draw: st.DrawFn, columns: set[str] | None = None, clean: bool = False) -> Log:
    """Any log. `columns` fixes what it has (else optional ones are left out); `clean` leaves bad rows out."""
    rows = [
        row for page in draw(st.lists(pages(), min_size=draw(st.sampled_from([0, 1, 4])), max_size=14)) for row in page
    ]
    # Popular pages: the same ranking for other users, so that documents gather users, clicks and skips.
    if rows and draw(st.integers(0, 3)):
        for user in draw(st.lists(st.sampled_from(["7", "42", "v1", "v2", "v3", "v4"]), max_size=5, unique=True)):
            first = rows[0]
            page = [row for row in rows if row["search_id"] == first["search_id"] and row["query"] == first["query"]]
            flips = draw(st.integers(0, 2 ** len(page) - 1))
            rows += [
                row | {"user_id": user, "search_id": f"p{user}", "clicked": bool(flips >> n & 1)}
                for n, row in enumerate(page)
            ]
    if draw(st.integers(0, 4)) >= 3:
        rows += robot_rows(draw)
    if rows:
        some = draw(st.lists(st.integers(0, len(rows) - 1), max_size=4))
        rows += [dict(rows[n]) for n in some]
        if not clean:
            rows += [spoil(draw, rows[n]) for n in draw(st.lists(st.integers(0, len(rows) - 1), max_size=4))]
    if columns is None:
        optional = [name for name in CANONICAL.names if name not in REQUIRED]
        # Most logs have most columns; a few have any subset, or no ids to make pages of.
        lacking = draw(st.sets(st.sampled_from(optional), max_size=draw(st.sampled_from([0, 0, 1, 2, 8]))))
        ids = draw(st.integers(0, 9))
        if ids >= 7:
            lacking |= {"user_id", "search_id"} if ids == 7 else {"user_id", "search_id", "session_id"}
        columns = set(CANONICAL.names) - lacking
    if draw(st.booleans()):
        rows = (
            draw(st.permutations(rows))
            if len(rows) < 50
            else random.Random(draw(st.integers(0, 9))).sample(rows, len(rows))
        )
    return Log([{name: row[name] if name in columns else None for name in CANONICAL.names} for row in rows], columns)


@st.composite
def count_configs(draw: st.DrawFn, columns: set[str] | None = None) -> CountConfig:
    """Thresholds at the size of `logs()`. Options that need a column stay off where `columns` lacks it."""
    columns = set(CANONICAL.names) if columns is None else columns
    options = {
        "max_votes": draw(st.sampled_from([0, 1, 2, 3])),
        "max_pairs_per_user": draw(st.sampled_from([1, 2, 20])),
        "satisfied_dwell_ms": draw(st.sampled_from([0, 1_500, 10_000])),
        "session_gap_minutes": draw(st.sampled_from([0.0, 1.0, 29.5, 30.0, 1_440.0])),
        "min_page_length": draw(st.sampled_from([0, 1, 1, 1, 2, 3])),
        "max_position": draw(st.sampled_from([2, 4, 50, 50, 50, 50, 100_000])),
        "robots": draw(st.sampled_from(["drop", "drop", "keep"])),
        "max_searches_per_day": draw(st.sampled_from([50, 50, 50, 50, 4, 2])),
        "max_click_rate": draw(st.sampled_from([0.4, 0.4, 0.05])),
        "min_click_rate": draw(st.sampled_from([0.004, 0.004, 0.0, 0.2])),
        "min_median_dwell_ms": draw(st.sampled_from([0, 1_500, 2_500])),
        "page_counts": draw(st.sampled_from(["off", "on"])),
    }
    if "surface" in columns:
        options["surfaces"] = draw(st.sampled_from([(), (), (), (), ("search",), ("home", "search")]))
    if "timestamp" in columns:
        noon = datetime.datetime(2025, 1, 1, 12, tzinfo=datetime.UTC)
        since = st.sampled_from([0, 1, 2, 3, 3]).map(lambda n: noon - datetime.timedelta(days=n))
        until = st.sampled_from([0, 1, 3, 4, 9]).map(lambda n: noon + datetime.timedelta(days=n, microseconds=1))
        options["since"] = draw(maybe_null(since, 2))
        options["until"] = draw(maybe_null(until, 2))
        if options["until"] is not None:
            options["half_life_days"] = draw(st.sampled_from([None, None, 0.5, 2.0, 9.0, 1_000.0]))
    return CountConfig(**options)


def evidence_configs() -> st.SearchStrategy[EvidenceConfig]:
    return st.builds(
        EvidenceConfig,
        shrinkage=st.sampled_from([0.1, 0.5, 1.0, 10.0]),
        page_depth=st.sampled_from([0, 3, 10]),
        debias=st.sampled_from(["auto", "auto", "none"]),
    )


def select_configs() -> st.SearchStrategy[SelectConfig]:
    """Loose settings more often than the strict defaults, which leave nothing of a small log."""
    rules = [
        "skip_above",
        "last_click_skip_above",
        "click_no_click_next",
        "shown_not_clicked",
        "top_shown_never_clicked",
        "skipped",
        "clicked_for_related",
    ]
    carry = ["skips", "clicks", "satisfied_clicks", "rejections", "impressions", "skip_weight"]
    carry += ["coec", "p_zero", "mean_position", "ctr_upper", "p_examined"]
    return st.builds(
        SelectConfig,
        rules=st.permutations(rules).flatmap(lambda order: st.integers(1, 7).map(lambda n: tuple(order[:n]))),
        positive_users=st.sampled_from([0, 1, 1, 2]),
        positive_coec=st.sampled_from([0.0, 0.0, 0.5, 1.0]),
        max_positives_per_query=st.sampled_from([1, 2, 4]),
        own_positive=st.sampled_from(["strict", "users", "satisfied"]),
        own_positive_users=st.sampled_from([1, 2, 3]),
        positive_p_relevant=st.sampled_from([0.0, 0.5]),
        alike_clicks=st.sampled_from([0.1, 0.5, 1.0]),
        alike_words=st.sampled_from([0.3, 0.7, 1.0]),
        max_p_false_negative=st.sampled_from([1.0, 0.5, 0.2]),
        same_intent_clicks=st.sampled_from([0.2, 0.5, 0.9, 1.0]),
        same_intent_words=st.sampled_from([0.2, 0.6, 1.0]),
        max_attractiveness=st.just(1.0),  # its bound is a quantile: test_bounds_of_attractiveness
        alpha=st.sampled_from([0.1, 0.9, 1.0, 1.0, 1.0]),
        negative_coec=st.sampled_from([0.25, 0.75, 100.0, 100.0]),
        min_impressions=st.sampled_from([1, 1, 2, 3]),
        max_ctr_upper=st.sampled_from([1.0, 0.8, 0.6]),
        top_positions=st.sampled_from([1.0, 2.5, 10.0]),
        abandoned=st.sampled_from(["drop", "keep"]),
        order=st.sampled_from(["examined", "random", "skip_weight"]),
        max_negatives_per_query=st.sampled_from([1, 2, 10]),
        max_queries_per_document=st.sampled_from([1, 1, 2, 1_000]),
        num_negatives=st.sampled_from([1, 2, 3, 5]),
        refill=st.sampled_from(["drop", "repeat", "random"]),
        carry=st.lists(st.sampled_from(carry), max_size=3, unique=True).map(tuple),
    )


def to_table(rows: list[dict], columns: set[str]) -> pa.Table:
    """Rows as a table of canonical types, with the named columns only."""
    schema = pa.schema([field for field in CANONICAL if field.name in columns])
    return pa.Table.from_pylist([{name: row[name] for name in schema.names} for row in rows], schema)


def arrow_variants(table: pa.Table) -> dict[str, pa.Table]:
    """The same log in other Arrow types, each of which must be read alike."""

    def text_as(kind: pa.DataType) -> pa.Table:
        fields = [field.with_type(kind) if field.type == pa.string() else field for field in table.schema]
        return table.cast(pa.schema(fields))

    found = {
        "canonical": table,
        "large_string": text_as(pa.large_string()),
        "string_view": text_as(pa.string_view()),
        "dictionary": text_as(pa.dictionary(pa.int32(), pa.string())),
        "dictionary_int8": text_as(pa.dictionary(pa.int8(), pa.large_string())),
        "rows_of_one": rebatch(table, 1),
        "rows_of_three": rebatch(table, 3),
        "sliced": pa.concat_tables([table.slice(0, 1), table]).slice(1) if len(table) else table,
    }
    wider = table
    for name, kind in {"position": pa.float64(), "clicked": pa.uint8(), "dwell_ms": pa.float32()}.items():
        if name in table.column_names:
            wider = wider.set_column(wider.column_names.index(name), name, wider[name].cast(kind))
    found["numbers"] = wider
    if "timestamp" in table.column_names:
        at = table.column_names.index("timestamp")
        found["nanoseconds"] = table.set_column(at, "timestamp", table["timestamp"].cast(pa.timestamp("ns", tz="UTC")))
        found["naive"] = table.set_column(at, "timestamp", table["timestamp"].cast(pa.timestamp("us")))
    whole = table
    for name in set(IDS) & set(table.column_names):
        values = table[name].to_pylist()
        # As integers only where the integer's digits are the text again: "007" and "" are other ids than 7 and null.
        if all(value is None or (value.isascii() and value.isdigit() and value == str(int(value))) for value in values):
            ints = pa.chunked_array([[None if value is None else int(value) for value in values]], pa.int64())
            whole = whole.set_column(whole.column_names.index(name), name, ints)
    if whole is not table:
        found["integers"] = whole
    return found


def rebatch(table: pa.Table, size: int) -> pa.Table:
    """The same rows in chunks of another size."""
    return pa.Table.from_batches(table.combine_chunks().to_batches(max_chunksize=size), table.schema)

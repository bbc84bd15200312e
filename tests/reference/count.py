"""Impressions to counts, one step of docs/ARCHITECTURE.md (count) after the other.

Rows are dictionaries with canonical names and canonical values, the query still raw.
"""

from __future__ import annotations

import datetime
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .normalize import canonical_key, code, normalize
from .seedhash import seed_hash

if TYPE_CHECKING:
    from hardneg_fast.config import CountConfig

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
MICROSECOND = datetime.timedelta(microseconds=1)
MINUTE = 60_000_000
DAY = 24 * 60 * MINUTE
RULES = ("skip_above", "last_click_skip_above", "click_no_click_next")


def micros(moment: datetime.datetime) -> int:
    # reading: a `since` or `until` without a zone means UTC, as text in a log does.
    aware = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    return (aware - EPOCH) // MICROSECOND


# reading: "outside 1990-2100" means before 1990-01-01 or from 2101-01-01 on: both years are inside.
FIRST_TIME = micros(datetime.datetime(1990, 1, 1, tzinfo=datetime.UTC))
LAST_TIME = micros(datetime.datetime(2101, 1, 1, tzinfo=datetime.UTC))


@dataclass
class Impression:
    doc: str
    position: int | None
    clicked: bool
    dwell: int | None
    click_ms: int | None
    time: int | None
    previous_click: int = 0
    examined_first: bool = False
    examined_last: bool = False
    last_click: bool = False
    rejected: bool = False
    skipped: bool = False
    satisfied: bool = False


@dataclass
class Page:
    user: object
    session: object
    query: str
    time: int | None
    order_key: int
    impressions: list[Impression]
    fold: int = 0
    last_click: int | None = None

    @property
    def clicked(self) -> bool:
        return any(impression.clicked for impression in self.impressions)


@dataclass
class Counts:
    has_users: bool = True
    page_rules: bool = True
    queries: dict = field(default_factory=dict)
    cells: dict = field(default_factory=dict)
    pairs: dict = field(default_factory=dict)
    preferences: dict = field(default_factory=dict)
    successions: dict = field(default_factory=dict)
    succession_clicks: dict = field(default_factory=dict)
    bounded: dict = field(default_factory=dict)
    pages: dict = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    """reason → impressions. Reasons ending in `_impossible` for dwell and click_ms name values, not rows."""


def in_canonical_order(table: dict) -> list[tuple]:
    """(key, value) of a table in the order in which it is written: its key columns from left to right."""

    def sortable(part: object) -> object:
        if isinstance(part, str):
            return canonical_key(part)
        return tuple(map(sortable, part)) if isinstance(part, tuple) else part

    def order(item: tuple) -> tuple:
        key = item[0]
        if len(key) == 4:
            # reading: canonical order is for queries and documents; rules sort in the order in which step 9 names them.
            return (*map(sortable, key[:3]), RULES.index(key[3]))
        return sortable(key)

    return sorted(table.items(), key=order)


def null_first(value: int | None) -> tuple[bool, int]:
    return (value is not None, value or 0)


def as_bytes(value: int | None) -> bytes:
    return b"" if value is None else value.to_bytes(8, "big")


def drop(counts: Counts, reason: str, rows: int) -> None:
    if rows:
        counts.dropped[reason] = counts.dropped.get(reason, 0) + rows


def bad(row: dict, columns: set[str]) -> str | None:
    """Why a row is set aside, if it is."""
    for column in ("user_id", "search_id"):
        if column in columns and not row[column]:
            return f"null_{column}"
    if not row["doc_id"]:
        return "null_doc_id"
    # reading: characters are Unicode scalar values, of the query before normalisation.
    if len(row["query"] or "") > 1024:
        return "query_too_long"
    if row["clicked"] is None:
        return "null_clicked"
    if row.get("position") is not None and not 1 <= row["position"] <= 65_535:
        return "position_impossible"
    if "timestamp" in columns:
        if row["timestamp"] is None:
            return "null_timestamp"
        if not FIRST_TIME <= row["timestamp"] < LAST_TIME:
            return "timestamp_impossible"
    return None


def clean(rows: list[dict], columns: set[str], counts: Counts) -> list[dict]:
    """Quarantine, and every column in its place: those that the log lacks are null."""
    kept = []
    for row in rows:
        reason = bad(row, columns)
        if reason:
            drop(counts, reason, 1)
            continue
        new = {name: row.get(name) if name in columns else None for name in ("user_id", "session_id", "search_id")}
        new |= {name: row.get(name) if name in columns else None for name in ("position", "timestamp", "surface")}
        new |= {"query": normalize(row["query"] or ""), "doc_id": row["doc_id"], "clicked": row["clicked"]}
        new["session_id"] = new["session_id"] or None
        for name in ("dwell_ms", "click_ms"):
            value = row.get(name) if name in columns else None
            # reading: counted only for rows that stay; a row set aside is counted once, under its reason.
            if value is not None and value < 0:
                drop(counts, "dwell_impossible" if name == "dwell_ms" else "click_ms_impossible", 1)
                value = None
            new[name] = value
        # Pages without a query belong to the log; `anonymize` sets them aside, after all reasons of `read`.
        if new["query"]:
            kept.append(new)
        else:
            drop(counts, "null_query", 1)
    return kept


def inside(rows: list[dict], columns: set[str], config: CountConfig, counts: Counts) -> list[dict]:
    """Step 1: the window, then the surface; a row is counted under the first that it fails."""
    since = micros(config.since) if config.since else None
    until = micros(config.until) if config.until else None
    # reading: "refuse by name" is for any option whose column or partner is missing.
    if (since is not None or until is not None or config.half_life_days is not None) and "timestamp" not in columns:
        raise ValueError("since, until and half_life_days need timestamp, which the log has not")
    if config.half_life_days is not None and until is None:
        raise ValueError("half_life_days needs until")
    if config.surfaces and "surface" not in columns:
        raise ValueError("surfaces needs surface, which the log has not")
    kept = []
    for row in rows:
        if (since is not None and row["timestamp"] < since) or (until is not None and row["timestamp"] >= until):
            drop(counts, "outside_window", 1)
        # reading: a row without a surface is of none of the surfaces asked for.
        elif config.surfaces and row["surface"] not in config.surfaces:
            drop(counts, "other_surface", 1)
        else:
            kept.append(row)
    return kept


def page_keys(rows: list[dict], columns: set[str], seed: int) -> list[tuple[tuple, int]]:
    """Step 2: (page, search order key) of each row."""
    keys = []
    ordinals: dict[tuple, int] = {}
    for row in rows:
        query, time = row["query"], row["timestamp"]
        if "search_id" in columns:
            # reading: without users a page is (search_id, query).
            page = (row["user_id"], row["search_id"], query)
            order = seed_hash(seed, "search", row["search_id"].encode())
        elif "user_id" in columns or "session_id" in columns:
            # reading: this holds for logs without timestamps too, where the user's rows of (session, query) are a page.
            page = (row["user_id"], row["session_id"], query, time)
            session = (row["session_id"] or "").encode()
            order = seed_hash(seed, "page", session, code(query), as_bytes(time))
        else:
            # A page to itself. reading: rows are identical in what this hash takes; make_pages has put them in order.
            content = (query, row["doc_id"], row["position"], row["clicked"], time)
            ordinal = ordinals.get(content, 0)
            ordinals[content] = ordinal + 1
            page = (*content, ordinal)
            parts = (code(query), code(row["doc_id"]), as_bytes(row["position"]), bytes([row["clicked"]]))
            order = seed_hash(seed, "row", *parts, as_bytes(time), as_bytes(ordinal))
        keys.append((page, order))
    return keys


def merge_duplicates(rows: list[dict]) -> Impression:
    """One impression of rows with equal page, position and document."""
    first = rows[0]
    # reading: longest dwell and earliest click_ms are over all of the rows, clicked or not; nulls do not count.
    dwells = [row["dwell_ms"] for row in rows if row["dwell_ms"] is not None]
    clicks = [row["click_ms"] for row in rows if row["click_ms"] is not None]
    times = [row["timestamp"] for row in rows if row["timestamp"] is not None]
    return Impression(
        doc=first["doc_id"],
        position=first["position"],
        clicked=any(row["clicked"] for row in rows),
        dwell=max(dwells, default=None),
        click_ms=min(clicks, default=None),
        time=min(times, default=None),
    )


def make_pages(rows: list[dict], columns: set[str], seed: int, counts: Counts) -> list[Page]:
    """Step 2: rows to pages, duplicates merged."""
    # reading: identical rows of a log without user and search may still differ in dwell and click time, and the
    # ordinal decides their fold; so ordinals follow (dwell_ms, click_ms), nulls first, and not the order of arrival.
    rows = sorted(rows, key=lambda row: (null_first(row["dwell_ms"]), null_first(row["click_ms"])))
    members: dict[tuple, list[dict]] = {}
    order_keys = {}
    for row, (page, order) in zip(rows, page_keys(rows, columns, seed), strict=True):
        members.setdefault(page, []).append(row)
        order_keys[page] = order
    pages = []
    for page, own in members.items():
        # reading: without a position, rows of one document are duplicates of each other.
        same: dict[tuple, list[dict]] = {}
        for row in own:
            same.setdefault((row["position"], row["doc_id"]), []).append(row)
        impressions = [merge_duplicates(group) for group in same.values()]
        drop(counts, "duplicate_impression", len(own) - len(impressions))
        impressions.sort(key=lambda impression: (null_first(impression.position), canonical_key(impression.doc)))
        times = [impression.time for impression in impressions if impression.time is not None]
        sessions = {row["session_id"] for row in own}
        session = sessions.pop() if len(sessions) == 1 else None
        # reading: each page its own user: users are then counted as pages.
        user = own[0]["user_id"] if "user_id" in columns else page
        order = order_keys[page]
        # reading: a search order key enters other hashes as 8 bytes, big-endian.
        fold = seed_hash(seed, "fold", as_bytes(order)) % 10
        query = own[0]["query"]
        pages.append(Page(user, session, query, min(times, default=None), order, impressions, fold))
    return sorted(pages, key=lambda page: (null_first(page.time), page.order_key, canonical_key(page.query)))


def decay(pages: list[Page], config: CountConfig, seed: int, counts: Counts) -> list[Page]:
    """Step 3: thin whole pages by their age."""
    if config.half_life_days is None:
        return pages
    kept = []
    for page in pages:
        age_days = (micros(config.until) - page.time) / DAY
        if seed_hash(seed, "decay", as_bytes(page.order_key)) / 2**64 < 2.0 ** (-age_days / config.half_life_days):
            kept.append(page)
        else:
            # reading: rows are counted after their duplicates, which have a reason of their own: each row once.
            drop(counts, "decayed", len(page.impressions))
    return kept


def robot(pages: list[Page], config: CountConfig) -> str | None:
    """Step 4: why a user is taken for a program; from what its pages hold before positions are cut."""
    # reading: searches a day are off in a log without timestamps.
    days = [page.time // DAY for page in pages if page.time is not None]
    if any(days.count(day) > config.max_searches_per_day for day in set(days)):
        return "robot_searches"
    impressions = [impression for page in pages for impression in page.impressions]
    clicks = [impression for impression in impressions if impression.clicked]
    rate = len(clicks) / len(impressions)
    if len(impressions) >= 100 and rate > config.max_click_rate:
        return "robot_clicks"
    if len(pages) >= 30 and rate < config.min_click_rate:
        return "robot_no_clicks"
    dwells = sorted(impression.dwell for impression in clicks if impression.dwell is not None)
    if len(dwells) >= 10 and (dwells[(len(dwells) - 1) // 2] < config.min_median_dwell_ms or len(set(dwells)) == 1):
        return "robot_dwell"
    return None


def bound_pages(pages: list[Page], has_pages: bool, config: CountConfig, counts: Counts) -> list[Page]:
    """Step 5: positions, then page length."""
    kept = []
    for page in pages:
        # reading: an impression without a position is not above any.
        near = [i for i in page.impressions if i.position is None or i.position <= config.max_position]
        drop(counts, "beyond_max_position", len(page.impressions) - len(near))
        page.impressions = near
        if len(near) > 1_000:
            drop(counts, "oversized_page", len(near))
            continue
        # reading: page length counts impressions after duplicates and far positions are gone.
        if has_pages and len(near) < config.min_page_length:
            drop(counts, "short_page", len(near))
        # reading: a page left without impressions is no page any more: neither a search nor a step of a session.
        elif near:
            kept.append(page)
    return kept


def state_facts(page: Page, config: CountConfig) -> None:
    """Step 7: what the page says about each of its impressions."""
    # reading: satisfied clicks and rejections need no position, and a click without a position makes a page clicked;
    # first and last click, previous click, skips and examination look at impressions with a position only.
    placed = [impression for impression in page.impressions if impression.position is not None]
    clicks = [impression for impression in placed if impression.clicked]
    first_click = None
    if clicks:
        first_click = min(click.position for click in clicks)
        page.last_click = max(click.position for click in clicks)
        if all(click.click_ms is not None for click in clicks):
            page.last_click = max((click.click_ms, click.position) for click in clicks)[1]
    for impression in page.impressions:
        impression.satisfied = impression.clicked and (
            impression.dwell is None or impression.dwell >= config.satisfied_dwell_ms
        )
        impression.rejected = page.clicked and not impression.clicked
    for impression in placed:
        above = [click.position for click in clicks if click.position < impression.position]
        impression.previous_click = max(above, default=0)
        if clicks:
            impression.skipped = not impression.clicked and impression.position < page.last_click
            impression.examined_first = impression.position <= first_click
            impression.examined_last = impression.position <= page.last_click
            # reading: the last click is a position, so every impression clicked there is a last click.
            impression.last_click = impression.clicked and impression.position == page.last_click


def page_preferences(page: Page) -> list[tuple]:
    """Step 9 for one page: (position of preferred, position of skipped, preferred, skipped, rule)."""
    placed = [impression for impression in page.impressions if impression.position is not None]
    found = []
    for i in placed:
        if not i.clicked:
            continue
        deeper = [j.position for j in placed if j.position > i.position]
        for j in placed:
            if j.clicked or i.doc == j.doc:
                continue
            if j.position < i.position:
                found.append((i.position, j.position, i.doc, j.doc, "skip_above"))
                if i.last_click:
                    found.append((i.position, j.position, i.doc, j.doc, "last_click_skip_above"))
            # reading: the next greater position that the page has, clicked there or not, gap or not.
            if deeper and j.position == min(deeper):
                found.append((i.position, j.position, i.doc, j.doc, "click_no_click_next"))
    return sorted(found, key=lambda preference: preference[:2])


def count_user(pages: list[Page], columns: set[str], config: CountConfig, counts: Counts, seed: int) -> None:
    """Steps 6 and 8 to 10, and the user's part of every table."""

    def add(table: dict, key: tuple, **values: int) -> None:
        total = table.setdefault(key, dict.fromkeys(values, 0))
        for name, value in values.items():
            total[name] += value

    for query in {page.query for page in pages}:
        own = [page for page in pages if page.query == query]
        clicked = sum(page.clicked for page in own)
        add(counts.queries, (query,), users=1, searches=len(own), searches_clicked=clicked)

    shown: dict[tuple, list[tuple[Page, Impression]]] = {}
    for page in pages:
        for impression in page.impressions:
            shown.setdefault((page.query, impression.doc), []).append((page, impression))
    firsts = {}
    for key, all_shown in shown.items():
        # Pages and the impressions of a page are in order already, and sorting is stable.
        # reading: max_votes holds for the one page of a user where the log has no users.
        votes = sorted(all_shown, key=lambda shown: not shown[1].clicked)
        votes = votes[: config.max_votes] if config.max_votes else votes
        firsts[key] = seed_hash(seed, "bound", as_bytes(votes[0][0].order_key), code(key[1]))
        add_votes(counts, key, votes)
        total = counts.pairs[key]
        total["users_shown"] += 1
        total["users_clicked"] += any(impression.clicked for _, impression in all_shown)
        total["users_satisfied"] += any(impression.satisfied for _, impression in all_shown)

    kept = sorted(firsts, key=lambda key: (firsts[key], canonical_key(key[0]), canonical_key(key[1])))
    for key in kept[: config.max_pairs_per_user]:
        clicked = any(impression.clicked for _, impression in shown[key])
        add(counts.bounded, key, users_shown=1, users_clicked=int(clicked))

    preferences: dict[tuple, tuple[int, int]] = {}
    for page in pages:
        for preferred_at, skipped_at, preferred, skipped, rule in page_preferences(page):
            preferences.setdefault((page.query, preferred, skipped, rule), (preferred_at, skipped_at))
    for key, (preferred_at, skipped_at) in preferences.items():
        add(counts.preferences, key, users=1, position_preferred_sum=preferred_at, position_skipped_sum=skipped_at)

    clicked_after: dict[tuple[str, str], set[str]] = {}
    for session in sessions(pages, columns, config) if "timestamp" in columns else []:
        for page, following in itertools.pairwise(session):
            if page.query != following.query:
                docs = clicked_after.setdefault((page.query, following.query), set())
                # reading: documents clicked on any of the user's b pages that follow an a page.
                docs |= {impression.doc for impression in following.impressions if impression.clicked}
    for (query, following), docs in clicked_after.items():
        add(counts.successions, (query, following), users=1, users_clicked_after=bool(docs))
        for doc in docs:
            add(counts.succession_clicks, (query, following, doc), users=1)

    if config.page_counts == "on":
        for page in pages:
            # reading: `documents` and `clicks` are lists of equal length over all impressions of the page, by
            # position (null first), then document in canonical order. Positions themselves are not kept.
            documents = tuple(impression.doc for impression in page.impressions)
            clicks = tuple(impression.clicked for impression in page.impressions)
            add(counts.pages, (page.query, documents, clicks), count=1)


def add_votes(counts: Counts, key: tuple[str, str], votes: list[tuple[Page, Impression]]) -> None:
    """Step 8's sums over the votes of one user for one (query, document)."""
    columns = (
        "users_shown users_clicked users_satisfied impressions clicks satisfied_clicks rejections skips "
        "skip_position_sum positioned position_sum examined_first examined_last last_clicks dwell_ms_sum dwells"
    )
    pair = counts.pairs.setdefault(key, dict.fromkeys(columns.split(), 0) | {"first_seen": None, "last_seen": None})
    for page, vote in votes:
        cell_key = (*key, vote.position or 0, vote.previous_click, page.fold)
        cell = counts.cells.setdefault(cell_key, {"impressions": 0, "clicks": 0, "satisfied_clicks": 0})
        for total in (cell, pair):
            total["impressions"] += 1
            total["clicks"] += vote.clicked
            total["satisfied_clicks"] += vote.satisfied
        pair["rejections"] += vote.rejected
        pair["skips"] += vote.skipped
        pair["skip_position_sum"] += vote.position if vote.skipped else 0
        pair["positioned"] += vote.position is not None
        pair["position_sum"] += vote.position or 0
        pair["examined_first"] += vote.examined_first
        pair["examined_last"] += vote.examined_last
        pair["last_clicks"] += vote.last_click
        # reading: dwell time is that of a click; what an unclicked impression carries is left aside.
        if vote.clicked and vote.dwell is not None:
            pair["dwell_ms_sum"] += vote.dwell
            pair["dwells"] += 1
        # reading: first and last seen are the votes' own timestamps (not their pages'), null without timestamps.
        if vote.time is not None:
            pair["first_seen"] = vote.time if pair["first_seen"] is None else min(pair["first_seen"], vote.time)
            pair["last_seen"] = vote.time if pair["last_seen"] is None else max(pair["last_seen"], vote.time)


def sessions(pages: list[Page], columns: set[str], config: CountConfig) -> list[list[Page]]:
    """Step 6: a user's pages in order, session by session."""
    if "session_id" in columns:
        # reading: consecutive within the session, whatever pages of other sessions lie between.
        by_session: dict[object, list[Page]] = {}
        for page in pages:
            by_session.setdefault(page.session, []).append(page)
        return list(by_session.values())
    found: list[list[Page]] = []
    for page in pages:
        if found and page.time - found[-1][-1].time <= config.session_gap_minutes * MINUTE:
            found[-1].append(page)
        else:
            found.append([page])
    return found


def count(rows: list[dict], columns: set[str], has_pages: bool, config: CountConfig, seed: int) -> Counts:
    """All counts of a log that has the named columns; `has_pages`: a search_id, or page rows."""
    # reading: page rules are off only where no id makes a page of several rows; a log of users and times without
    # search_id has them, but not the rule of page length. The reader of page rows names the searches.
    page_rules = bool({"user_id", "session_id", "search_id"} & columns)
    counts = Counts(has_users="user_id" in columns, page_rules=page_rules)
    kept = inside(clean(rows, columns, counts), columns, config, counts)
    pages = decay(make_pages(kept, columns, seed, counts), config, seed, counts)

    by_user: dict[object, list[Page]] = {}
    for page in pages:
        by_user.setdefault(page.user, []).append(page)
    for own in by_user.values():
        if config.robots == "drop" and counts.has_users:
            reason = robot(own, config)
            if reason:
                drop(counts, reason, sum(len(page.impressions) for page in own))
                continue
        left = bound_pages(own, has_pages, config, counts)
        for page in left:
            state_facts(page, config)
        count_user(left, columns, config, counts, seed)
    return counts

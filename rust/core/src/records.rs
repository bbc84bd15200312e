//! The byte records that travel between the passes, and the columns that decide what they hold.
//!
//! Neighbouring rows of one page share all but document, position and click, so both passes send *runs*: what is common
//! once, then the rows. A log whose pages are not contiguous still works: its runs are short.

use crate::time::NULL_TIME;

/// The columns that decide how people and pages are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// The log names users.
    User,
    /// No users, but searches: each page its own user.
    Page,
    /// Neither: each row its own page.
    Row,
}

/// Rows that one run holds at most: its length is a byte, and a run fits a block.
pub const RUN: usize = 255;

/// Kinds of records in a job's store.
pub mod kind {
    /// Rows by user: [`super::RunHead`], then [`super::Row`]s.
    pub const ROWS: usize = 0;
    /// Votes by query: [`super::VoteHead`], then [`super::Vote`]s.
    pub const VOTES: usize = 1;
    /// [`super::Preference`]s by query.
    pub const PREFERENCES: usize = 2;
    /// [`super::Succession`]s by query.
    pub const SUCCESSIONS: usize = 3;
    /// [`super::SuccessionClick`]s by query.
    pub const SUCCESSION_CLICKS: usize = 4;
    /// Whole pages by query.
    pub const PAGES: usize = 5;
    /// How many kinds.
    pub const ALL: usize = 6;
}

/// Which optional fields the heads of runs hold.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Users of their own; otherwise the search stands for one.
    pub user: bool,
    /// The second half of the users' codes.
    pub whole: bool,
    /// Sessions.
    pub session: bool,
    /// Times.
    pub time: bool,
    /// Checks of the codes ([`crate::clash`]).
    pub check: bool,
}

/// What the rows of a run share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunHead {
    /// Keyed code of the user; of the page or the row's content in logs without users.
    pub user: u64,
    /// The next 64 bits of the user's code where people must not be taken for each other (private releases), else 0.
    pub rest: u64,
    /// Search order key (docs/ARCHITECTURE.md, count, 2).
    pub search: u64,
    /// Code of the normalised query.
    pub query: u64,
    /// Keyed code of the session, 0 for none.
    pub session: u64,
    /// Microseconds, [`NULL_TIME`] for none.
    pub time: i64,
    /// Of user, session and search: [`crate::clash::check`]; 0 where nobody compares.
    pub check: u64,
}

/// One impression.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Code.
    pub doc: u64,
    /// Microseconds, [`NULL_TIME`] for none.
    pub time: i64,
    /// -1 for none.
    pub dwell_ms: i32,
    /// -1 for none.
    pub click_ms: i32,
    /// 1-based, 0 for none.
    pub position: u16,
    /// Clicked.
    pub clicked: bool,
}

const CLICKED: u8 = 1;
const HAS_DWELL: u8 = 2;
const HAS_CLICK_MS: u8 = 4;

/// Reads fields off the front of a record. Records are our own, so running out of bytes is a bug, not input.
pub struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next `n` bytes.
    #[inline]
    pub fn bytes(&mut self, n: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(n);
        self.0 = rest;
        head
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        out.copy_from_slice(self.bytes(N));
        out
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    /// Two bytes.
    #[inline]
    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    /// Four bytes.
    #[inline]
    pub fn i32(&mut self) -> i32 {
        i32::from_le_bytes(self.array())
    }

    /// Eight bytes.
    #[inline]
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// Eight bytes.
    #[inline]
    pub fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.array())
    }

    /// A number in as many bytes as it needs (LEB128).
    #[inline]
    pub fn varint(&mut self) -> u64 {
        // Most numbers are small.
        let first = u64::from(self.u8());
        if first < 0x80 { first } else { self.long_varint(first & 0x7f) }
    }

    fn long_varint(&mut self, first: u64) -> u64 {
        let (mut value, mut shift) = (first, 7);
        loop {
            let byte = self.u8();
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
            shift += 7;
        }
    }
}

/// Appends a number in as many bytes as it needs (LEB128).
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

impl RunHead {
    /// Appends the head of a record of so many rows, at most [`RUN`].
    #[inline]
    pub fn write(&self, layout: Layout, rows: usize, out: &mut Vec<u8>) {
        if layout.user {
            out.extend_from_slice(&self.user.to_le_bytes());
        }
        if layout.whole {
            out.extend_from_slice(&self.rest.to_le_bytes());
        }
        out.extend_from_slice(&self.search.to_le_bytes());
        out.extend_from_slice(&self.query.to_le_bytes());
        if layout.session {
            out.extend_from_slice(&self.session.to_le_bytes());
        }
        if layout.time {
            out.extend_from_slice(&self.time.to_le_bytes());
        }
        if layout.check {
            out.extend_from_slice(&self.check.to_le_bytes());
        }
        out.push(rows as u8);
    }

    /// Bytes of a head.
    pub fn len(layout: Layout) -> usize {
        let more = [layout.user, layout.whole, layout.session, layout.time, layout.check];
        17 + 8 * more.into_iter().filter(|has| *has).count()
    }

    /// Reads a head and the number of rows behind it.
    #[inline]
    pub fn read(layout: Layout, from: &mut Cursor<'_>) -> (Self, usize) {
        let user = if layout.user { from.u64() } else { 0 };
        let rest = if layout.whole { from.u64() } else { 0 };
        let (search, query) = (from.u64(), from.u64());
        let session = if layout.session { from.u64() } else { 0 };
        let time = if layout.time { from.i64() } else { NULL_TIME };
        let check = if layout.check { from.u64() } else { 0 };
        let user = if layout.user { user } else { search };
        (Self { user, rest, search, query, session, time, check }, usize::from(from.u8()))
    }
}

impl Row {
    /// Bytes of a row at most.
    pub const MOST: usize = 19;

    /// Appends a row; its time is the run's.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>) {
        let has = |value: i32, flag: u8| if value >= 0 { flag } else { 0 };
        let flags = if self.clicked { CLICKED } else { 0 }
            | has(self.dwell_ms, HAS_DWELL)
            | has(self.click_ms, HAS_CLICK_MS);
        // Pieces of fixed length are copied by an instruction or two, one of any length by a call.
        let mut bytes = [0; 11];
        bytes[..8].copy_from_slice(&self.doc.to_le_bytes());
        bytes[8..10].copy_from_slice(&self.position.to_le_bytes());
        bytes[10] = flags;
        out.extend_from_slice(&bytes);
        if self.dwell_ms >= 0 {
            out.extend_from_slice(&self.dwell_ms.to_le_bytes());
        }
        if self.click_ms >= 0 {
            out.extend_from_slice(&self.click_ms.to_le_bytes());
        }
    }

    /// Reads a row.
    #[inline]
    pub fn read(from: &mut Cursor<'_>, time: i64) -> Self {
        let (doc, position, flags) = (from.u64(), from.u16(), from.u8());
        let dwell_ms = if flags & HAS_DWELL != 0 { from.i32() } else { -1 };
        let click_ms = if flags & HAS_CLICK_MS != 0 { from.i32() } else { -1 };
        Self { doc, time, dwell_ms, click_ms, position, clicked: flags & CLICKED != 0 }
    }

    /// Skips `n` rows.
    #[inline]
    pub fn skip(from: &mut Cursor<'_>, n: usize) {
        for _ in 0..n {
            let flags = from.bytes(11)[10];
            from.bytes(4 * (flags & (HAS_DWELL | HAS_CLICK_MS)).count_ones() as usize);
        }
    }
}

/// Bits of [`Vote::flags`].
pub mod flag {
    /// Clicked.
    pub const CLICKED: u16 = 1;
    /// Clicked, and nothing says the click disappointed.
    pub const SATISFIED: u16 = 1 << 1;
    /// Not clicked, on a page with a click.
    pub const REJECTED: u16 = 1 << 2;
    /// Not clicked, above the last click.
    pub const SKIPPED: u16 = 1 << 3;
    /// At or above the first click.
    pub const EXAMINED_FIRST: u16 = 1 << 4;
    /// At or above the last click.
    pub const EXAMINED_LAST: u16 = 1 << 5;
    /// The last click itself.
    pub const LAST_CLICK: u16 = 1 << 6;
    /// The user's first vote for this (query, document); the three below stand on it only.
    pub const FIRST: u16 = 1 << 7;
    /// The user clicked it at least once.
    pub const USER_CLICKED: u16 = 1 << 8;
    /// The user was satisfied at least once.
    pub const USER_SATISFIED: u16 = 1 << 9;
    /// Among the pairs that bounding keeps of this user.
    pub const BOUNDED: u16 = 1 << 10;
    /// A dwell time follows.
    pub const DWELL: u16 = 1 << 11;
    /// A time of its own follows.
    pub const TIME: u16 = 1 << 12;
}

/// What the votes of a run share: they are of one page.
#[derive(Debug, Clone, Copy)]
pub struct VoteHead {
    /// Code.
    pub query: u64,
    /// Microseconds.
    pub time: i64,
    /// 0–9.
    pub fold: u8,
    /// See [`head`].
    pub marks: u8,
}

/// Bits of [`VoteHead::marks`].
pub mod head {
    /// The user's first page for the query.
    pub const USER: u8 = 1;
    /// The page itself: later runs of the same page lack it.
    pub const PAGE: u8 = 2;
    /// It has a click.
    pub const CLICKED: u8 = 4;
}

impl VoteHead {
    /// Bytes of a head at most.
    pub const MOST: usize = 18;

    /// Appends the head of a record; its last byte, the number of votes, is set when they are known.
    #[inline]
    pub fn write(&self, times: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.query.to_le_bytes());
        if times {
            out.extend_from_slice(&self.time.to_le_bytes());
        }
        out.push(self.fold | self.marks << 4);
        out.push(0);
    }

    /// Reads a head and the number of votes behind it.
    #[inline]
    pub fn read(times: bool, from: &mut Cursor<'_>) -> (Self, usize) {
        let query = from.u64();
        let time = if times { from.i64() } else { NULL_TIME };
        let bits = from.u8();
        (Self { query, time, fold: bits & 15, marks: bits >> 4 }, usize::from(from.u8()))
    }
}

/// One bounded impression.
#[derive(Debug, Clone, Copy)]
pub struct Vote {
    /// Code.
    pub doc: u64,
    /// Microseconds.
    pub time: i64,
    /// -1 for none.
    pub dwell_ms: i32,
    /// 0 for none.
    pub position: u16,
    /// Greatest clicked position above, 0 for none.
    pub previous_click: u16,
    /// See [`flag`].
    pub flags: u16,
}

impl Vote {
    /// Bytes of a vote at most.
    pub const MOST: usize = 26;

    /// Appends a vote of a run of that time; `detail` keeps the click before.
    #[inline]
    pub fn write(&self, run_time: i64, detail: bool, out: &mut Vec<u8>) {
        let mut flags = self.flags;
        flags |= if self.dwell_ms >= 0 { flag::DWELL } else { 0 };
        flags |= if self.time != run_time { flag::TIME } else { 0 };
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.doc.to_le_bytes());
        bytes[8..10].copy_from_slice(&flags.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.position.to_le_bytes());
        out.extend_from_slice(&bytes);
        if detail {
            out.extend_from_slice(&self.previous_click.to_le_bytes());
        }
        if flags & flag::DWELL != 0 {
            out.extend_from_slice(&self.dwell_ms.to_le_bytes());
        }
        if flags & flag::TIME != 0 {
            out.extend_from_slice(&self.time.to_le_bytes());
        }
    }

    /// Reads a vote.
    #[inline]
    pub fn read(from: &mut Cursor<'_>, run_time: i64, detail: bool) -> Self {
        let (doc, flags, position) = (from.u64(), from.u16(), from.u16());
        let previous_click = if detail { from.u16() } else { 0 };
        let dwell_ms = if flags & flag::DWELL != 0 { from.i32() } else { -1 };
        let time = if flags & flag::TIME != 0 { from.i64() } else { run_time };
        Self { doc, time, dwell_ms, position, previous_click, flags }
    }

    /// Skips `n` votes.
    #[inline]
    pub fn skip(from: &mut Cursor<'_>, n: usize, detail: bool) {
        for _ in 0..n {
            let head = from.bytes(12);
            let flags = u16::from_le_bytes([head[8], head[9]]);
            let more = if detail { 2 } else { 0 }
                + if flags & flag::DWELL != 0 { 4 } else { 0 }
                + if flags & flag::TIME != 0 { 8 } else { 0 };
            from.bytes(more);
        }
    }
}

/// Rules that compare two documents of one page (Joachims 2002; Joachims et al. 2005, table 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Rule {
    /// A clicked result beats every unclicked one above it.
    SkipAbove,
    /// The same for the last click only.
    LastClickSkipAbove,
    /// A clicked result beats the unclicked one right below it.
    ClickNoClickNext,
}

impl Rule {
    /// All, by number.
    pub const ALL: [Self; 3] = [Self::SkipAbove, Self::LastClickSkipAbove, Self::ClickNoClickNext];

    /// Name in tables and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::SkipAbove => "skip_above",
            Self::LastClickSkipAbove => "last_click_skip_above",
            Self::ClickNoClickNext => "click_no_click_next",
        }
    }
}

/// One user's preference between two documents of a query.
#[derive(Debug, Clone, Copy)]
pub struct Preference {
    /// Code.
    pub query: u64,
    /// Code of the clicked document.
    pub preferred: u64,
    /// Code of the document passed over.
    pub skipped: u64,
    /// Why.
    pub rule: Rule,
    /// Where it was clicked.
    pub position_preferred: u16,
    /// Where it was passed over.
    pub position_skipped: u16,
}

impl Preference {
    /// What one user has one vote for.
    pub fn key(&self) -> (u64, u64, u64, Rule) {
        (self.query, self.preferred, self.skipped, self.rule)
    }

    /// As a record.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.clear();
        for code in [self.query, self.preferred, self.skipped] {
            out.extend_from_slice(&code.to_le_bytes());
        }
        out.push(self.rule as u8);
        out.extend_from_slice(&self.position_preferred.to_le_bytes());
        out.extend_from_slice(&self.position_skipped.to_le_bytes());
    }

    /// Back from a record.
    pub fn read(from: &mut Cursor<'_>) -> Self {
        Self {
            query: from.u64(),
            preferred: from.u64(),
            skipped: from.u64(),
            rule: Rule::ALL[usize::from(from.u8())],
            position_preferred: from.u16(),
            position_skipped: from.u16(),
        }
    }
}

/// One user's step from a query to the next.
#[derive(Debug, Clone, Copy)]
pub struct Succession {
    /// Code.
    pub query: u64,
    /// Code.
    pub next: u64,
    /// Whether a page of the next query was clicked.
    pub clicked: bool,
}

impl Succession {
    /// As a record.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.query.to_le_bytes());
        out.extend_from_slice(&self.next.to_le_bytes());
        out.push(u8::from(self.clicked));
    }

    /// Back from a record.
    pub fn read(from: &mut Cursor<'_>) -> Self {
        Self { query: from.u64(), next: from.u64(), clicked: from.u8() == 1 }
    }
}

/// A document clicked after such a step.
#[derive(Debug, Clone, Copy)]
pub struct SuccessionClick {
    /// Code.
    pub query: u64,
    /// Code.
    pub next: u64,
    /// Code.
    pub doc: u64,
}

impl SuccessionClick {
    /// As a record.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.clear();
        for code in [self.query, self.next, self.doc] {
            out.extend_from_slice(&code.to_le_bytes());
        }
    }

    /// Back from a record.
    pub fn read(from: &mut Cursor<'_>) -> Self {
        Self { query: from.u64(), next: from.u64(), doc: from.u64() }
    }
}

/// A whole page as a record: query, then document and click of each impression.
pub fn write_page(query: u64, rows: &[Row], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&query.to_le_bytes());
    out.extend_from_slice(&(rows.len() as u16).to_le_bytes());
    for row in rows {
        out.extend_from_slice(&row.doc.to_le_bytes());
        out.push(u8::from(row.clicked));
    }
}

/// The query of such a record, and its (document, click)s.
pub fn read_page(from: &mut Cursor<'_>) -> (u64, Vec<(u64, bool)>) {
    let (query, n) = (from.u64(), from.u16());
    (query, (0..n).map(|_| (from.u64(), from.u8() == 1)).collect())
}

//! The records that travel between the passes: rows to user partitions, contributions to query partitions.

use crate::partition::Store;

/// One impression in codes.
#[derive(Clone, Copy)]
pub struct Row {
    /// Keyed code of the user; of the page or the row's content in logs without users.
    pub user: u64,
    /// Keyed code of the session, 0 for none.
    pub session: u64,
    /// Search order key (docs/ARCHITECTURE.md, count, 2).
    pub search: u64,
    /// Microseconds, [`crate::time::NULL_TIME`] for none.
    pub time: i64,
    /// Interned normalised query.
    pub query: u32,
    /// Interned document.
    pub doc: u32,
    /// -1 for none.
    pub dwell_ms: i32,
    /// -1 for none.
    pub click_ms: i32,
    /// 1-based, 0 for none.
    pub position: u16,
    /// Clicked.
    pub clicked: bool,
}

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
    /// The user's first vote for this (query, document); the two below stand on it only.
    pub const FIRST: u16 = 1 << 7;
    /// The user clicked it at least once.
    pub const USER_CLICKED: u16 = 1 << 8;
    /// The user was satisfied at least once.
    pub const USER_SATISFIED: u16 = 1 << 9;
}

/// One bounded impression.
#[derive(Clone, Copy)]
pub struct Vote {
    /// Rank.
    pub query: u32,
    /// Rank.
    pub doc: u32,
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
    /// 0–9.
    pub fold: u8,
}

/// One user's searches for a query.
#[derive(Clone, Copy)]
pub struct QueryVote {
    /// Rank.
    pub query: u32,
    /// Pages.
    pub searches: u32,
    /// Pages with a click.
    pub clicked: u32,
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
#[derive(Clone, Copy)]
pub struct Preference {
    /// Rank.
    pub query: u32,
    /// Rank of the clicked document.
    pub preferred: u32,
    /// Rank of the document passed over.
    pub skipped: u32,
    /// Why.
    pub rule: Rule,
    /// Where it was clicked.
    pub position_preferred: u16,
    /// Where it was passed over.
    pub position_skipped: u16,
}

impl Preference {
    /// What one user has one vote for.
    pub fn key(&self) -> (u32, u32, u32, Rule) {
        (self.query, self.preferred, self.skipped, self.rule)
    }
}

/// One user's step from a query to the next.
#[derive(Clone, Copy)]
pub struct Succession {
    /// Rank.
    pub query: u32,
    /// Rank.
    pub next: u32,
    /// Whether a page of the next query was clicked.
    pub clicked: bool,
}

/// A document clicked after such a step.
#[derive(Clone, Copy)]
pub struct SuccessionClick {
    /// Rank.
    pub query: u32,
    /// Rank.
    pub next: u32,
    /// Rank.
    pub doc: u32,
}

/// Whole pages as words: query, length, then document and click of each impression.
pub struct PageRecord;

impl PageRecord {
    /// Appends a page.
    pub fn append(store: &Store<u32>, partition: usize, query: u32, rows: &[Row]) {
        let mut words = vec![query, rows.len() as u32];
        words.extend(rows.iter().flat_map(|r| [r.doc, u32::from(r.clicked)]));
        store.append(partition, &words);
    }

    /// The pages in `words`: query, then (document, click) pairs.
    pub fn read(mut words: &[u32]) -> Vec<(u32, &[u32])> {
        let mut out = Vec::new();
        while let [query, len, rest @ ..] = words {
            let (page, tail) = rest.split_at(2 * *len as usize);
            out.push((*query, page));
            words = tail;
        }
        out
    }
}

//! What each user contributes to a differentially private release: their queries, and the documents they clicked there.
//!
//! A user's record is made of that user's rows, public constants and a key of the run alone, so adding a user changes
//! nobody else's. Records hold codes; they live in memory or in the sealed spill, are walked through user by user as often
//! as a release asks, and end with it: nothing saves, merges or exports them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::blob::Blob;
use crate::budget::Budget;
use crate::error::Result;
use crate::impressions::ReadStats;
use crate::page::Page;
use crate::records::{Cursor, Row, put_varint};
use crate::seed::Seed;
use crate::strings::Strings;

/// Contributions of all users of a log.
pub struct Contributions {
    /// Records, user after user.
    pub parts: Vec<Blob>,
    /// What a release may hold beside them.
    pub budget: Arc<Budget>,
    /// Query strings by code.
    pub query_strings: Arc<Strings>,
    /// Document strings by code.
    pub doc_strings: Arc<Strings>,
    /// What reading found; exact, so for the log's owner only.
    pub read: ReadStats,
    /// Reason → rows left out; exact likewise.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Users; exact likewise.
    pub users: u64,
}

/// One user's, as it is read back.
#[derive(Default)]
pub struct User {
    /// Queries in the order of the run's keyed hash, and where their documents end in `docs`.
    pub queries: Vec<(u64, u32)>,
    /// Documents of the queries, one after another, each query's in the order of a keyed hash as well.
    pub docs: Vec<Contribution>,
}

/// A document that the user was shown for a query, once however often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contribution {
    /// Code.
    pub doc: u64,
    /// Where; of the first click if there is one. 0 for none.
    pub position: u16,
    /// Whether the user ever clicked it for the query.
    pub clicked: bool,
}

impl User {
    /// The queries with their documents.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &[Contribution])> {
        let mut start = 0;
        self.queries.iter().map(move |(query, end)| {
            let docs = &self.docs[start..*end as usize];
            start = *end as usize;
            (*query, docs)
        })
    }

    fn read(&mut self, from: &mut Cursor<'_>) {
        self.queries.clear();
        self.docs.clear();
        for _ in 0..from.varint() {
            let query = from.u64();
            for _ in 0..from.varint() {
                let doc = from.u64();
                let position = from.varint();
                self.docs.push(Contribution {
                    doc,
                    position: (position >> 1) as u16,
                    clicked: position & 1 == 1,
                });
            }
            self.queries.push((query, self.docs.len() as u32));
        }
    }
}

impl Contributions {
    /// Calls `each` with every user of part `i`.
    ///
    /// # Errors
    /// Where the spill cannot be read; whatever `each` reports.
    pub fn part(&self, i: usize, mut each: impl FnMut(&User) -> Result<()>) -> Result<()> {
        let mut scratch = Vec::new();
        let mut from = Cursor(self.parts[i].bytes(&mut scratch)?);
        let mut user = User::default();
        while !from.is_empty() {
            user.read(&mut from);
            each(&user)?;
        }
        Ok(())
    }
}

/// Makes records; one per worker.
pub struct Contributor<'a> {
    /// Orders a user's queries, so that a bound on their number takes a random sample.
    sample: Seed,
    /// Whether documents that were shown and not clicked are kept.
    shown: bool,
    /// Queries and documents: samples are of texts, whose codes depend on other users.
    texts: [&'a Strings; 2],
    order: Vec<(u64, Contribution)>,
    record: Vec<u8>,
    rows: Vec<(u64, u64, bool, u32, u16)>,
    queries: Vec<(u64, u64)>,
}

impl<'a> Contributor<'a> {
    /// `sample` is a hash family of this run alone, `texts` all queries and documents.
    pub fn new(sample: Seed, shown: bool, texts: [&'a Strings; 2]) -> Self {
        Self {
            sample,
            shown,
            texts,
            order: Vec::new(),
            record: Vec::new(),
            rows: Vec::new(),
            queries: Vec::new(),
        }
    }

    /// Appends one user's record. Pages are in order, and share the user, whose code comes in halves.
    pub fn user(&mut self, user: [u64; 2], pages: &[Page], rows: &[Row]) {
        let user = user.map(u64::to_be_bytes);
        self.rows.clear();
        self.queries.clear();
        for (order, page) in pages.iter().enumerate() {
            self.queries.push((0, page.query));
            for row in rows[page.start..page.end].iter().filter(|r| r.clicked || self.shown) {
                self.rows.push((page.query, row.doc, !row.clicked, order as u32, row.position));
            }
        }
        // The first of each (query, document) is a click where there is one, else the first time it was shown.
        self.rows.sort_unstable();
        self.rows.dedup_by_key(|r| (r.0, r.1));
        self.queries.sort_unstable();
        self.queries.dedup();
        for (hash, query) in &mut self.queries {
            *hash =
                self.sample.hash("contribution", &[&user[0], &user[1], self.texts[0].get(*query).as_bytes()]);
        }
        // Codes hang on what others asked, so they break no tie; texts do.
        let text = |query: &u64| self.texts[0].get(*query);
        self.queries.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| text(&a.1).cmp(text(&b.1))));
        put_varint(&mut self.record, self.queries.len() as u64);
        for (_, query) in &self.queries {
            let text = self.texts[0].get(*query).as_bytes();
            let start = self.rows.partition_point(|r| r.0 < *query);
            self.order.clear();
            for (_, doc, unclicked, _, position) in self.rows[start..].iter().take_while(|r| r.0 == *query) {
                let name = self.texts[1].get(*doc).as_bytes();
                let hash = self.sample.hash("document", &[&user[0], &user[1], text, name]);
                self.order.push((hash, Contribution { doc: *doc, position: *position, clicked: !unclicked }));
            }
            let name = |own: &Contribution| self.texts[1].get(own.doc);
            self.order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| name(&a.1).cmp(name(&b.1))));
            self.record.extend_from_slice(&query.to_le_bytes());
            put_varint(&mut self.record, self.order.len() as u64);
            for (_, own) in &self.order {
                self.record.extend_from_slice(&own.doc.to_le_bytes());
                put_varint(&mut self.record, u64::from(own.position) << 1 | u64::from(own.clicked));
            }
        }
    }

    /// The records so far; the next begin anew.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.record)
    }
}

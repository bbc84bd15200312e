//! One query partition summed: votes to pairs and cells, and the rest by key.

use std::sync::Arc;

use crate::budget::Budget;
use crate::clean::CountConfig;
use crate::error::Result;
use crate::group::Group;
use crate::packed::{ByPosition, Part, Sizes};
use crate::partition::Store;
use crate::records::{
    Cursor, Preference, Succession, SuccessionClick, Vote, VoteHead, head, kind, read_page,
};
use crate::tables::Summed;
use crate::tables::{Cell, PageRow, Pair, PreferenceRow, SuccessionClickRow, SuccessionRow, sum, sum_pages};

/// A run of votes in a partition.
struct Run {
    head: VoteHead,
    chunk: u32,
    at: u32,
    votes: u32,
}

/// Sums partitions one after another; one per worker, its buffers used again and again.
pub struct Tally<'a> {
    times: bool,
    detail: bool,
    store: &'a Store<'a>,
    budget: &'a Arc<Budget>,
    runs: Vec<Run>,
    query: Query,
    group: Group,
}

impl<'a> Tally<'a> {
    /// A worker's tally.
    pub fn new(config: &CountConfig, times: bool, store: &'a Store<'a>, budget: &'a Arc<Budget>) -> Self {
        Self {
            times,
            detail: config.cell_detail,
            store,
            budget,
            runs: Vec::new(),
            query: Query::default(),
            group: Group::default(),
        }
    }

    /// Sums partition `p`, taking its records out of the store.
    ///
    /// # Errors
    /// Where the spill cannot be read or written.
    pub fn partition(&mut self, p: usize) -> Result<Part> {
        let mut chunks = self.store.take(kind::VOTES, p)?;
        self.runs_of(&chunks);
        self.runs.sort_unstable_by_key(|r| r.head.query);
        let mut steps = Steps::take(self.store, p)?;
        let (mut bytes, mut sizes, mut by_position) = (Vec::new(), Sizes::default(), ByPosition::default());
        let runs = std::mem::take(&mut self.runs);
        for same in runs.chunk_by(|a, b| a.head.query == b.head.query) {
            self.group.reset(same[0].head.query);
            self.query.begin(same.iter().map(|r| r.votes as usize).sum(), self.detail);
            for run in same {
                self.run(run, &chunks);
            }
            self.query.finish(&mut self.group);
            steps.of(&mut self.group);
            self.group.write(self.detail, &mut bytes);
            sizes.add(&self.group);
            by_position.add(&self.group);
        }
        self.runs = runs;
        self.store.recycle(&mut chunks);
        Part::new(bytes, sizes, by_position, Some(self.budget))
    }

    fn runs_of(&mut self, chunks: &[Vec<u8>]) {
        self.runs.clear();
        for (chunk, bytes) in chunks.iter().enumerate() {
            let mut from = Cursor(bytes);
            while !from.is_empty() {
                let (head, votes) = VoteHead::read(self.times, &mut from);
                let at = bytes.len() - from.0.len();
                Vote::skip(&mut from, votes, self.detail);
                self.runs.push(Run { head, chunk: chunk as u32, at: at as u32, votes: votes as u32 });
            }
        }
    }

    fn run(&mut self, run: &Run, chunks: &[Vec<u8>]) {
        let mark = |bit: u8| u64::from(run.head.marks & bit != 0);
        self.group.users = self.group.users.saturating_add(mark(head::USER) as u32);
        self.group.searches += mark(head::PAGE);
        self.group.searches_clicked += mark(head::PAGE) * mark(head::CLICKED);
        let mut from = Cursor(&chunks[run.chunk as usize][run.at as usize..]);
        for _ in 0..run.votes {
            let vote = Vote::read(&mut from, run.head.time, self.detail);
            self.query.vote(&vote, if self.detail { run.head.fold } else { 0 }, self.detail);
        }
    }
}

/// Positions, 0 for none and the first ones, that each pair has a place for: most votes are there.
const NEAR: usize = 12;

/// Cells of a pair at these positions, and which of them have votes, by bit.
struct Near {
    used: u16,
    cells: [Cell; NEAR],
}

/// The documents of one query while their votes come in: two open-addressing tables, doubled when half full.
#[derive(Default)]
struct Query {
    pairs: Vec<Pair>,
    /// Pair + 1 by document; 0 is free.
    by_doc: Vec<u32>,
    /// Cells at the first positions by pair, where cells keep nothing else apart.
    near: Vec<Near>,
    /// All other cells.
    cells: Vec<(u32, Cell)>,
    /// Cell + 1 by pair and place.
    by_place: Vec<u32>,
    /// Documents, and which pair each is, to be put in order.
    order: Vec<(u64, u32)>,
    /// Place in the order by pair.
    places: Vec<u32>,
}

impl Query {
    /// Starts anew, for so many votes. Tables are sized by them, so that small queries do not clear a large one's tables.
    fn begin(&mut self, votes: usize, detail: bool) {
        self.pairs.clear();
        self.near.clear();
        self.cells.clear();
        let table = |table: &mut Vec<u32>, votes: usize, most: usize| {
            table.clear();
            table.resize((votes * 2).next_power_of_two().clamp(16, most), 0);
        };
        table(&mut self.by_doc, votes, 1 << 12);
        // Without detail hardly any cell is not near, and the table grows where there are some.
        table(&mut self.by_place, if detail { votes } else { 0 }, 1 << 14);
    }

    #[inline]
    fn vote(&mut self, vote: &Vote, fold: u8, detail: bool) {
        let pair = self.pair(vote.doc, detail);
        self.pairs[pair as usize].vote(vote);
        if !detail && usize::from(vote.position) < NEAR {
            let near = &mut self.near[pair as usize];
            near.used |= 1 << vote.position;
            near.cells[usize::from(vote.position)].vote(vote.flags);
            return;
        }
        let cell = self.cell(pair, vote.position, vote.previous_click, fold);
        self.cells[cell].1.vote(vote.flags);
    }

    #[inline]
    fn pair(&mut self, doc: u64, detail: bool) -> u32 {
        let mask = self.by_doc.len() - 1;
        // Codes are hashes already.
        let mut slot = doc as usize & mask;
        loop {
            match self.by_doc[slot] {
                0 => break,
                i if self.pairs[i as usize - 1].doc == doc => return i - 1,
                _ => slot = (slot + 1) & mask,
            }
        }
        self.pairs.push(Pair::empty(doc));
        if !detail {
            let cells = std::array::from_fn(|position| Cell::empty(position as u16, 0, 0));
            self.near.push(Near { used: 0, cells });
        }
        self.by_doc[slot] = self.pairs.len() as u32;
        if self.pairs.len() * 2 > self.by_doc.len() {
            self.by_doc = rebuilt(self.by_doc.len() * 2, self.pairs.iter().map(|p| p.doc));
        }
        self.pairs.len() as u32 - 1
    }

    #[inline]
    fn cell(&mut self, pair: u32, position: u16, previous_click: u16, fold: u8) -> usize {
        let place = Cell::empty(position, previous_click, fold);
        let mask = self.by_place.len() - 1;
        let mut slot = place_hash(pair, &place) as usize & mask;
        loop {
            match self.by_place[slot] {
                0 => break,
                i => {
                    let (p, cell) = &self.cells[i as usize - 1];
                    if *p == pair && cell.key() == place.key() {
                        return i as usize - 1;
                    }
                    slot = (slot + 1) & mask;
                }
            }
        }
        self.cells.push((pair, place));
        self.by_place[slot] = self.cells.len() as u32;
        if self.cells.len() * 2 > self.by_place.len() {
            let hashes = self.cells.iter().map(|(p, c)| place_hash(*p, c));
            self.by_place = rebuilt(self.by_place.len() * 2, hashes);
        }
        self.cells.len() - 1
    }

    /// Moves pairs and cells to `group`, in order.
    fn finish(&mut self, group: &mut Group) {
        self.order.clear();
        self.order.extend(self.pairs.iter().zip(0..).map(|(pair, i)| (pair.doc, i)));
        self.order.sort_unstable();
        if !self.cells.is_empty() {
            self.places.clear();
            self.places.resize(self.order.len(), 0);
            for ((_, pair), place) in self.order.iter().zip(0..) {
                self.places[*pair as usize] = place;
            }
            self.cells.iter_mut().for_each(|(pair, _)| *pair = self.places[*pair as usize]);
            self.cells.sort_unstable_by_key(|(pair, cell)| u128::from(*pair) << 64 | u128::from(cell.key()));
        }
        let mut cells = self.cells.iter().peekable();
        for ((_, pair), place) in self.order.iter().zip(0..) {
            group.pairs.push(self.pairs[*pair as usize]);
            if let Some(near) = self.near.get(*pair as usize) {
                let mut used = near.used;
                while used != 0 {
                    group.cells.push(near.cells[used.trailing_zeros() as usize]);
                    used &= used - 1;
                }
            }
            while let Some((_, cell)) = cells.next_if(|(p, _)| *p == place) {
                group.cells.push(*cell);
            }
            group.ends.push(group.cells.len() as u32);
        }
    }
}

/// Spreads a place over the table (Fibonacci hashing: Knuth, TAOCP 3, 6.4).
fn place_hash(pair: u32, cell: &Cell) -> u64 {
    (cell.key() ^ u64::from(pair) << 48 ^ u64::from(pair)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(24)
}

fn rebuilt(len: usize, hashes: impl Iterator<Item = u64>) -> Vec<u32> {
    let (mut table, mask) = (vec![0; len], len - 1);
    for (i, hash) in hashes.enumerate() {
        let mut slot = hash as usize & mask;
        while table[slot] != 0 {
            slot = (slot + 1) & mask;
        }
        table[slot] = i as u32 + 1;
    }
    table
}

/// Everything of a partition that is not votes, summed, waiting for its query.
struct Steps {
    preferences: std::iter::Peekable<std::vec::IntoIter<PreferenceRow>>,
    successions: std::iter::Peekable<std::vec::IntoIter<SuccessionRow>>,
    clicks: std::iter::Peekable<std::vec::IntoIter<SuccessionClickRow>>,
    pages: std::iter::Peekable<std::vec::IntoIter<PageRow>>,
}

impl Steps {
    fn take(store: &Store<'_>, p: usize) -> Result<Self> {
        let mut preferences = all(store, kind::PREFERENCES, p, |from| {
            let v = Preference::read(from);
            PreferenceRow {
                query: v.query,
                preferred: v.preferred,
                skipped: v.skipped,
                rule: v.rule,
                users: 1,
                position_preferred_sum: v.position_preferred.into(),
                position_skipped_sum: v.position_skipped.into(),
            }
        })?;
        sum(&mut preferences);
        let mut successions = all(store, kind::SUCCESSIONS, p, |from| {
            let v = Succession::read(from);
            SuccessionRow { query: v.query, next: v.next, users: 1, users_clicked_after: v.clicked.into() }
        })?;
        sum(&mut successions);
        let mut clicks = all(store, kind::SUCCESSION_CLICKS, p, |from| {
            let v = SuccessionClick::read(from);
            SuccessionClickRow { query: v.query, next: v.next, doc: v.doc, users: 1 }
        })?;
        sum(&mut clicks);
        let mut pages = all(store, kind::PAGES, p, |from| {
            let (query, shown) = read_page(from);
            PageRow { query, shown, count: 1 }
        })?;
        sum_pages(&mut pages);
        Ok(Self {
            preferences: preferences.into_iter().peekable(),
            successions: successions.into_iter().peekable(),
            clicks: clicks.into_iter().peekable(),
            pages: pages.into_iter().peekable(),
        })
    }

    /// Moves what belongs to the group's query to it. Whoever contributes any of these has voted a page of the query, so
    /// every query comes by.
    fn of(&mut self, group: &mut Group) {
        let query = group.query;
        while let Some(row) = self.preferences.next_if(|r| r.query == query) {
            group.preferences.push(row);
        }
        while let Some(row) = self.successions.next_if(|r| r.query == query) {
            group.successions.push(row);
        }
        while let Some(row) = self.clicks.next_if(|r| r.query == query) {
            group.succession_clicks.push(row);
        }
        while let Some(row) = self.pages.next_if(|r| r.query == query) {
            group.pages.push(row);
        }
    }
}

/// All records of a kind in a partition.
fn all<T>(store: &Store<'_>, kind: usize, p: usize, read: impl Fn(&mut Cursor<'_>) -> T) -> Result<Vec<T>> {
    let mut chunks = store.take(kind, p)?;
    let mut out = Vec::new();
    for chunk in &chunks {
        let mut from = Cursor(chunk);
        while !from.is_empty() {
            out.push(read(&mut from));
        }
    }
    store.recycle(&mut chunks);
    Ok(out)
}

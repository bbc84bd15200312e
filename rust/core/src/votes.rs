//! A user's votes: which of their impressions of a (query, document) count, and what each says.

use crate::bound::Out;
use crate::clean::CountConfig;
use crate::error::Result;
use crate::page::{Page, clicked_range, satisfied};
use crate::records::{RUN, Row, Vote, VoteHead, flag, head, kind};
use crate::seed::Seed;

/// One user's votes; buffers are used again for the next.
#[derive(Default)]
pub struct Votes {
    /// Pages by query, then in page order.
    by_query: Vec<(u64, u32)>,
    /// Those of them that `votes` are of.
    chosen: Vec<(u64, u32)>,
    votes: Vec<Vote>,
    /// Which of `votes` count.
    counts: Vec<bool>,
    /// Impressions of one query: document, clicked last, page, position, and which vote it is.
    order: Vec<(u64, bool, u32, u16, u32)>,
    /// First votes, by hash: which vote.
    firsts: Vec<(u64, u64, u64, u32)>,
}

impl Votes {
    /// Sends a user's votes, page by page; returns how many impressions are beyond the limit.
    ///
    /// # Errors
    /// Where the spill cannot be written.
    pub fn user(
        &mut self,
        config: &CountConfig,
        times: bool,
        seed: Seed,
        pages: &[Page],
        rows: &[Row],
        out: &mut Out<'_>,
    ) -> Result<u64> {
        self.by_query.clear();
        self.by_query.extend(pages.iter().enumerate().map(|(order, p)| (p.query, order as u32)));
        self.by_query.sort_unstable();
        self.chosen.clear();
        self.votes.clear();
        self.counts.clear();
        self.firsts.clear();
        let by_query = std::mem::take(&mut self.by_query);
        let mut unvoted = 0;
        for same in by_query.chunk_by(|a, b| a.0 == b.0) {
            // One page, no document twice: every impression is the only one of its pair.
            let single = match same {
                [(_, order)] => {
                    Some(&pages[*order as usize]).filter(|page| distinct(&rows[page.start..page.end]))
                }
                _ => None,
            };
            if let Some(page) = single
                && config.max_pairs_per_user == 0
            {
                send_page(config, times, seed, page, &rows[page.start..page.end], out)?;
                continue;
            }
            let start = self.votes.len();
            for (_, order) in same {
                let page = &pages[*order as usize];
                let rows = &rows[page.start..page.end];
                let mut judge = Judge::new(config, page, rows);
                self.votes.extend(rows.iter().map(|row| judge.vote(row)));
            }
            self.counts.resize(self.votes.len(), true);
            self.chosen.extend_from_slice(same);
            if let Some(page) = single {
                for vote in &mut self.votes[start..] {
                    vote.flags |= of_user(vote.flags);
                }
                self.first_votes(config, seed, page, start);
            } else {
                unvoted += self.choose(config, seed, same, pages, start);
            }
        }
        self.by_query = by_query;
        self.bound(config);
        self.send(config, times, seed, pages, out)?;
        Ok(unvoted)
    }

    /// First votes of a page whose every impression counts, for bounding.
    fn first_votes(&mut self, config: &CountConfig, seed: Seed, page: &Page, start: usize) {
        if config.max_pairs_per_user > 0 {
            let hashes = seed.begin("bound", page.search);
            let votes = self.votes[start..].iter().zip(start as u32..);
            self.firsts.extend(votes.map(|(vote, i)| (hashes.hash(vote.doc), page.query, vote.doc, i)));
        }
    }

    /// The votes of a query that stand: of each document clicked ones first, then in page order, up to the limit.
    fn choose(
        &mut self,
        config: &CountConfig,
        seed: Seed,
        same: &[(u64, u32)],
        pages: &[Page],
        start: usize,
    ) -> u64 {
        self.order.clear();
        let mut i = start as u32;
        for (_, order) in same {
            for _ in pages[*order as usize].start..pages[*order as usize].end {
                let vote = &self.votes[i as usize];
                self.order.push((vote.doc, vote.flags & flag::CLICKED == 0, *order, vote.position, i));
                i += 1;
            }
        }
        self.order.sort_unstable();
        let limit = if config.max_votes == 0 { usize::MAX } else { config.max_votes };
        let mut unvoted = 0;
        let order = std::mem::take(&mut self.order);
        for pair in order.chunk_by(|a, b| a.0 == b.0) {
            let all = pair.iter().fold(0, |flags, o| flags | self.votes[o.4 as usize].flags);
            self.votes[pair[0].4 as usize].flags |= of_user(all);
            if config.max_pairs_per_user > 0 {
                let (page, doc) = (&pages[pair[0].2 as usize], pair[0].0);
                let hash = seed.begin("bound", page.search).hash(doc);
                self.firsts.push((hash, page.query, doc, pair[0].4));
            }
            for beyond in pair.iter().skip(limit) {
                self.counts[beyond.4 as usize] = false;
                unvoted += 1;
            }
        }
        self.order = order;
        unvoted
    }

    /// Marks the pairs that bounding keeps: those of the smallest hashes.
    fn bound(&mut self, config: &CountConfig) {
        let limit = config.max_pairs_per_user;
        if limit == 0 {
            return;
        }
        if self.firsts.len() > limit {
            self.firsts.select_nth_unstable(limit - 1);
        }
        for first in self.firsts.iter().take(limit) {
            self.votes[first.3 as usize].flags |= flag::BOUNDED;
        }
    }

    fn send(
        &self,
        config: &CountConfig,
        times: bool,
        seed: Seed,
        pages: &[Page],
        out: &mut Out<'_>,
    ) -> Result<()> {
        let detail = config.cell_detail;
        let (mut at, mut last_query) = (0, None);
        for (query, order) in &self.chosen {
            let page = &pages[*order as usize];
            let end = at + page.end - page.start;
            let mut head = head_of(config, seed, page, last_query != Some(*query));
            last_query = Some(*query);
            // At least once: the page counts as a search even where none of its impressions do.
            while head.marks != 0 || at < end {
                let most = VoteHead::MOST + RUN.min(end - at) * Vote::MOST;
                let record = out.room(kind::VOTES, *query, most)?;
                head.write(times, record);
                let len = record.len() - 1;
                let mut n = 0;
                while at < end && n < RUN {
                    if self.counts[at] {
                        self.votes[at].write(page.time, detail, record);
                        n += 1;
                    }
                    at += 1;
                }
                record[len] = n as u8;
                head.marks = 0;
            }
        }
        Ok(())
    }
}

/// What the votes of a page share; `first`: it is the user's first for the query.
fn head_of(config: &CountConfig, seed: Seed, page: &Page, first: bool) -> VoteHead {
    let fold =
        if config.cell_detail { (seed.hash("fold", &[&page.search.to_be_bytes()]) % 10) as u8 } else { 0 };
    let marks =
        head::PAGE | if first { head::USER } else { 0 } | if page.clicked { head::CLICKED } else { 0 };
    VoteHead { query: page.query, time: page.time, fold, marks }
}

/// Sends a page whose every impression counts, and is all that its user saw of the pair.
fn send_page(
    config: &CountConfig,
    times: bool,
    seed: Seed,
    page: &Page,
    rows: &[Row],
    out: &mut Out<'_>,
) -> Result<()> {
    let mut head = head_of(config, seed, page, true);
    let mut judge = Judge::new(config, page, rows);
    for rows in rows.chunks(RUN) {
        let record = out.room(kind::VOTES, page.query, VoteHead::MOST + rows.len() * Vote::MOST)?;
        head.write(times, record);
        let len = record.len() - 1;
        record[len] = rows.len() as u8;
        for row in rows {
            let mut vote = judge.vote(row);
            vote.flags |= of_user(vote.flags);
            vote.write(page.time, config.cell_detail, record);
        }
        head.marks = 0;
    }
    Ok(())
}

/// Says of each impression of a page, one after another, what its place there says.
struct Judge {
    satisfied_dwell_ms: i32,
    clicked: bool,
    first: u16,
    last: u16,
    /// Greatest clicked position above the one at hand, and the clicked position at hand.
    above: u16,
    here: u16,
    at: u16,
}

impl Judge {
    fn new(config: &CountConfig, page: &Page, rows: &[Row]) -> Self {
        let (first, last) = if page.clicked { clicked_range(rows) } else { (0, 0) };
        Self {
            satisfied_dwell_ms: config.satisfied_dwell_ms,
            clicked: page.clicked,
            first,
            last,
            above: 0,
            here: 0,
            at: 0,
        }
    }

    #[inline]
    fn vote(&mut self, row: &Row) -> Vote {
        let p = row.position;
        let mut vote =
            Vote { doc: row.doc, time: row.time, dwell_ms: -1, position: p, previous_click: 0, flags: 0 };
        if !self.clicked {
            return vote;
        }
        // Rows are sorted by position: the greatest clicked position above is the last clicked one at a smaller position.
        if p != self.at {
            self.above = if self.here > 0 { self.here } else { self.above };
            (self.here, self.at) = (0, p);
        }
        let only = |flag: u16, holds: bool| if holds { flag } else { 0 };
        vote.flags = only(flag::CLICKED, row.clicked)
            | only(flag::SATISFIED, satisfied(row, self.satisfied_dwell_ms))
            | only(flag::REJECTED, !row.clicked)
            | only(flag::SKIPPED, !row.clicked && p > 0 && p < self.last)
            | only(flag::EXAMINED_FIRST, p > 0 && p <= self.first)
            | only(flag::EXAMINED_LAST, p > 0 && p <= self.last)
            | only(flag::LAST_CLICK, row.clicked && p > 0 && p == self.last);
        vote.dwell_ms = if row.clicked { row.dwell_ms } else { -1 };
        vote.previous_click = self.above;
        if row.clicked && p > 0 {
            self.here = p;
        }
        vote
    }
}

/// What a pair's first vote says of the user, where `flags` are those of all the pair's impressions.
fn of_user(flags: u16) -> u16 {
    flag::FIRST
        | if flags & flag::CLICKED != 0 { flag::USER_CLICKED } else { 0 }
        | if flags & flag::SATISFIED != 0 { flag::USER_SATISFIED } else { 0 }
}

/// Whether no document occurs twice. Pages are short, so comparing all with all beats any table.
fn distinct(rows: &[Row]) -> bool {
    rows.len() <= 64 && (1..rows.len()).all(|i| rows[..i].iter().all(|r| r.doc != rows[i].doc))
}

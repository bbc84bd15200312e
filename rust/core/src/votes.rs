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
        self.votes.clear();
        self.counts.clear();
        self.firsts.clear();
        let by_query = std::mem::take(&mut self.by_query);
        let mut unvoted = 0;
        for same in by_query.chunk_by(|a, b| a.0 == b.0) {
            let start = self.votes.len();
            for (_, order) in same {
                let page = &pages[*order as usize];
                self.judge(config, page, &rows[page.start..page.end]);
            }
            self.counts.resize(self.votes.len(), true);
            if let [(_, order)] = same
                && distinct(&self.votes[start..])
            {
                // One page, no document twice: every impression is the only one of its pair.
                for vote in &mut self.votes[start..] {
                    vote.flags |= of_user(vote.flags);
                }
                self.first_votes(config, seed, &pages[*order as usize], start);
            } else {
                unvoted += self.choose(config, seed, same, pages, start);
            }
        }
        self.bound(config);
        self.send(config, times, seed, &by_query, pages, out)?;
        self.by_query = by_query;
        Ok(unvoted)
    }

    /// What each impression of a page says.
    fn judge(&mut self, config: &CountConfig, page: &Page, rows: &[Row]) {
        if !page.clicked {
            self.votes.extend(rows.iter().map(|row| Vote {
                doc: row.doc,
                time: row.time,
                dwell_ms: -1,
                position: row.position,
                previous_click: 0,
                flags: 0,
            }));
            return;
        }
        let (first, last) = clicked_range(rows);
        // Rows are sorted by position: the greatest clicked position above is the last clicked one at a smaller position.
        let (mut above, mut here, mut at) = (0, 0, 0);
        for row in rows {
            if row.position != at {
                above = if here > 0 { here } else { above };
                (here, at) = (0, row.position);
            }
            let p = row.position;
            let only = |flag: u16, holds: bool| if holds { flag } else { 0 };
            let flags = only(flag::CLICKED, row.clicked)
                | only(flag::SATISFIED, satisfied(row, config.satisfied_dwell_ms))
                | only(flag::REJECTED, !row.clicked)
                | only(flag::SKIPPED, !row.clicked && p > 0 && p < last)
                | only(flag::EXAMINED_FIRST, p > 0 && p <= first)
                | only(flag::EXAMINED_LAST, p > 0 && p <= last)
                | only(flag::LAST_CLICK, row.clicked && p > 0 && p == last);
            self.votes.push(Vote {
                doc: row.doc,
                time: row.time,
                dwell_ms: if row.clicked { row.dwell_ms } else { -1 },
                position: p,
                previous_click: above,
                flags,
            });
            if row.clicked && p > 0 {
                here = p;
            }
        }
    }

    /// First votes of a page whose every impression counts, for bounding.
    fn first_votes(&mut self, config: &CountConfig, seed: Seed, page: &Page, start: usize) {
        if config.max_pairs_per_user > 0 {
            for i in start..self.votes.len() {
                self.first_vote(seed, page, i);
            }
        }
    }

    fn first_vote(&mut self, seed: Seed, page: &Page, i: usize) {
        let doc = self.votes[i].doc;
        let hash = seed.hash("bound", &[&page.search.to_be_bytes(), &doc.to_be_bytes()]);
        self.firsts.push((hash, page.query, doc, i as u32));
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
                self.first_vote(seed, &pages[pair[0].2 as usize], pair[0].4 as usize);
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
        by_query: &[(u64, u32)],
        pages: &[Page],
        out: &mut Out<'_>,
    ) -> Result<()> {
        let detail = config.cell_detail;
        let (mut at, mut last_query) = (0, None);
        for (query, order) in by_query {
            let page = &pages[*order as usize];
            let end = at + page.end - page.start;
            let fold = if detail { (seed.hash("fold", &[&page.search.to_be_bytes()]) % 10) as u8 } else { 0 };
            let mut marks = head::PAGE
                | if last_query == Some(*query) { 0 } else { head::USER }
                | if page.clicked { head::CLICKED } else { 0 };
            last_query = Some(*query);
            // At least once: the page counts as a search even where none of its impressions do.
            while marks != 0 || at < end {
                let run = VoteHead { query: *query, time: page.time, fold, marks };
                let mut next = at;
                out.send(kind::VOTES, *query, |record| {
                    run.write(times, record);
                    let len = record.len() - 1;
                    let mut n = 0;
                    while next < end && n < RUN {
                        if self.counts[next] {
                            self.votes[next].write(page.time, detail, record);
                            n += 1;
                        }
                        next += 1;
                    }
                    record[len] = n as u8;
                })?;
                (at, marks) = (next, 0);
            }
        }
        Ok(())
    }
}

/// What a pair's first vote says of the user, where `flags` are those of all the pair's impressions.
fn of_user(flags: u16) -> u16 {
    flag::FIRST
        | if flags & flag::CLICKED != 0 { flag::USER_CLICKED } else { 0 }
        | if flags & flag::SATISFIED != 0 { flag::USER_SATISFIED } else { 0 }
}

/// Whether no document occurs twice. Pages are short, so comparing all with all beats any table.
fn distinct(votes: &[Vote]) -> bool {
    votes.len() <= 64 && (1..votes.len()).all(|i| votes[..i].iter().all(|v| v.doc != votes[i].doc))
}

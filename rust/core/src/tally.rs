//! One query partition summed: votes to cells and pairs, and the rest by key.

use crate::bound::Contributions;
use crate::records::{PageRecord, Vote, flag};
use crate::tables::{
    Cell, PageRow, Pair, PreferenceRow, QueryRow, SuccessionClickRow, SuccessionRow, Summed, sum, sum_pages,
};

/// The tables of one partition.
#[derive(Default)]
pub struct Tally {
    /// Table `queries`.
    pub queries: Vec<QueryRow>,
    /// Table `cells`.
    pub cells: Vec<Cell>,
    /// Table `pairs`.
    pub pairs: Vec<Pair>,
    /// Table `preferences`.
    pub preferences: Vec<PreferenceRow>,
    /// Table `successions`.
    pub successions: Vec<SuccessionRow>,
    /// Table `succession_clicks`.
    pub succession_clicks: Vec<SuccessionClickRow>,
    /// Table `pages`.
    pub pages: Vec<PageRow>,
}

/// Sums partition `p`, taking its records out of the stores. `scratch` is the worker's own, used again and again.
pub fn tally(contributions: &Contributions, p: usize, cell_detail: bool, scratch: &mut Vec<Vote>) -> Tally {
    let mut out = Tally::default();
    contributions.votes.take(p, scratch);
    votes(scratch, cell_detail, &mut out);
    out.queries = contributions
        .queries
        .drain(p)
        .map(|v| QueryRow {
            query: v.query,
            users: 1,
            searches: v.searches.into(),
            searches_clicked: v.clicked.into(),
        })
        .collect();
    sum(&mut out.queries);
    out.preferences = contributions
        .preferences
        .drain(p)
        .map(|v| PreferenceRow {
            query: v.query,
            preferred: v.preferred,
            skipped: v.skipped,
            rule: v.rule,
            users: 1,
            position_preferred_sum: v.position_preferred.into(),
            position_skipped_sum: v.position_skipped.into(),
        })
        .collect();
    sum(&mut out.preferences);
    out.successions = contributions
        .successions
        .drain(p)
        .map(|v| SuccessionRow {
            query: v.query,
            next: v.next,
            users: 1,
            users_clicked_after: v.clicked.into(),
        })
        .collect();
    sum(&mut out.successions);
    out.succession_clicks = contributions
        .succession_clicks
        .drain(p)
        .map(|v| SuccessionClickRow { query: v.query, next: v.next, doc: v.doc, users: 1 })
        .collect();
    sum(&mut out.succession_clicks);
    let words: Vec<u32> = contributions.pages.drain(p).collect();
    out.pages = PageRecord::read(&words)
        .into_iter()
        .map(|(query, w)| PageRow { query, words: w.to_vec(), count: 1 })
        .collect();
    sum_pages(&mut out.pages);
    out
}

/// Votes to cells and pairs, by one sort.
fn votes(votes: &mut [Vote], cell_detail: bool, out: &mut Tally) {
    let cell = |v: &Vote| Cell {
        query: v.query,
        doc: v.doc,
        position: v.position,
        previous_click: if cell_detail { v.previous_click } else { 0 },
        fold: if cell_detail { v.fold } else { 0 },
        impressions: 1,
        clicks: u32::from(v.flags & flag::CLICKED != 0),
        satisfied_clicks: u32::from(v.flags & flag::SATISFIED != 0),
    };
    votes.sort_unstable_by_key(|v| cell(v).key());
    for vote in votes.iter() {
        let cell = cell(vote);
        match out.cells.last_mut() {
            Some(last) if last.key() == cell.key() => last.add(&cell),
            _ => out.cells.push(cell),
        }
        let pair = Pair::of(vote);
        match out.pairs.last_mut() {
            Some(last) if last.key() == pair.key() => last.add(&pair),
            _ => out.pairs.push(pair),
        }
    }
}

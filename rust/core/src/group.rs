//! Everything counted of one query, and its form in bytes: tables are kept packed, because unpacked they would take more
//! memory than the rows they were counted from.

use crate::records::{Cursor, Rule, put_varint};
use crate::tables::{Cell, PageRow, Pair, PreferenceRow, SuccessionClickRow, SuccessionRow};
use crate::time::NULL_TIME;

/// One query's rows of all tables, each in canonical order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Group {
    /// Code.
    pub query: u64,
    /// Users who issued it.
    pub users: u32,
    /// Pages.
    pub searches: u64,
    /// Pages with a click.
    pub searches_clicked: u64,
    /// Table `pairs`.
    pub pairs: Vec<Pair>,
    /// Table `cells`, those of the first pair first.
    pub cells: Vec<Cell>,
    /// Where each pair's cells end.
    pub ends: Vec<u32>,
    /// Table `preferences`.
    pub preferences: Vec<PreferenceRow>,
    /// Table `successions`.
    pub successions: Vec<SuccessionRow>,
    /// Table `succession_clicks`.
    pub succession_clicks: Vec<SuccessionClickRow>,
    /// Table `pages`.
    pub pages: Vec<PageRow>,
}

/// Fields of a pair that are written only where they are not 0, by bit.
const TIMES: u16 = 1 << 13;

fn fields(p: &Pair) -> [u64; 13] {
    [
        p.users_shown.into(),
        p.users_clicked.into(),
        p.users_satisfied.into(),
        p.rejections.into(),
        p.skips.into(),
        p.skip_position_sum,
        p.examined_first.into(),
        p.examined_last.into(),
        p.last_clicks.into(),
        p.dwell_ms_sum,
        p.dwells.into(),
        p.bounded_shown.into(),
        p.bounded_clicked.into(),
    ]
}

impl Group {
    /// Empties it, for a query.
    pub fn reset(&mut self, query: u64) {
        self.query = query;
        (self.users, self.searches, self.searches_clicked) = (0, 0, 0);
        self.pairs.clear();
        self.cells.clear();
        self.ends.clear();
        self.preferences.clear();
        self.successions.clear();
        self.succession_clicks.clear();
        self.pages.clear();
    }

    /// Cells of pair number `i`.
    pub fn cells_of(&self, i: usize) -> &[Cell] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        &self.cells[start..self.ends[i] as usize]
    }

    /// Impressions and clicks of pair number `i` by position, ascending; 0 is none.
    pub fn by_position(&self, i: usize) -> impl Iterator<Item = (u16, u64, u64)> {
        self.cells_of(i).chunk_by(|a, b| a.position == b.position).map(|same| {
            let sum = |get: fn(&Cell) -> u32| same.iter().map(|c| u64::from(get(c))).sum::<u64>();
            (same[0].position, sum(|c| c.impressions), sum(|c| c.clicks))
        })
    }

    /// Appends it to `out`; `detail`: cells keep previous click and fold.
    pub fn write(&self, detail: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.query.to_le_bytes());
        for n in [u64::from(self.users), self.searches, self.searches_clicked, self.pairs.len() as u64] {
            put_varint(out, n);
        }
        for (i, pair) in self.pairs.iter().enumerate() {
            write_pair(pair, out);
            let cells = self.cells_of(i);
            put_varint(out, cells.len() as u64);
            for cell in cells {
                put_varint(out, cell.position.into());
                if detail {
                    put_varint(out, cell.previous_click.into());
                    out.push(cell.fold);
                }
                put_varint(out, u64::from(cell.impressions) << 1 | u64::from(cell.clicks > 0));
                if cell.clicks > 0 {
                    put_varint(out, cell.clicks.into());
                    put_varint(out, cell.satisfied_clicks.into());
                }
            }
        }
        self.write_steps(out);
    }

    fn write_steps(&self, out: &mut Vec<u8>) {
        put_varint(out, self.preferences.len() as u64);
        for p in &self.preferences {
            out.extend_from_slice(&p.preferred.to_le_bytes());
            out.extend_from_slice(&p.skipped.to_le_bytes());
            out.push(p.rule as u8);
            for n in [p.users.into(), p.position_preferred_sum, p.position_skipped_sum] {
                put_varint(out, n);
            }
        }
        put_varint(out, self.successions.len() as u64);
        for s in &self.successions {
            out.extend_from_slice(&s.next.to_le_bytes());
            put_varint(out, s.users.into());
            put_varint(out, s.users_clicked_after.into());
        }
        put_varint(out, self.succession_clicks.len() as u64);
        for s in &self.succession_clicks {
            out.extend_from_slice(&s.next.to_le_bytes());
            out.extend_from_slice(&s.doc.to_le_bytes());
            put_varint(out, s.users.into());
        }
        put_varint(out, self.pages.len() as u64);
        for page in &self.pages {
            put_varint(out, page.shown.len() as u64);
            for (doc, clicked) in &page.shown {
                out.extend_from_slice(&doc.to_le_bytes());
                out.push(u8::from(*clicked));
            }
            put_varint(out, page.count);
        }
    }

    /// Reads the next group of a part into this one.
    pub fn read(&mut self, from: &mut Cursor<'_>, detail: bool) {
        self.reset(from.u64());
        self.users = from.varint() as u32;
        self.searches = from.varint();
        self.searches_clicked = from.varint();
        for _ in 0..from.varint() {
            let mut pair = read_pair(from);
            for _ in 0..from.varint() {
                let position = from.varint() as u16;
                let (previous_click, fold) = if detail { (from.varint() as u16, from.u8()) } else { (0, 0) };
                let n = from.varint();
                let (clicks, satisfied_clicks) =
                    if n & 1 == 1 { (from.varint() as u32, from.varint() as u32) } else { (0, 0) };
                let impressions = (n >> 1) as u32;
                pair.impressions = pair.impressions.saturating_add(impressions);
                pair.clicks = pair.clicks.saturating_add(clicks);
                pair.satisfied_clicks = pair.satisfied_clicks.saturating_add(satisfied_clicks);
                if position > 0 {
                    pair.positioned = pair.positioned.saturating_add(impressions);
                    let sum = u64::from(position) * u64::from(impressions);
                    pair.position_sum = pair.position_sum.saturating_add(sum);
                }
                self.cells.push(Cell {
                    position,
                    previous_click,
                    fold,
                    impressions,
                    clicks,
                    satisfied_clicks,
                });
            }
            self.pairs.push(pair);
            self.ends.push(self.cells.len() as u32);
        }
        self.read_steps(from);
    }

    fn read_steps(&mut self, from: &mut Cursor<'_>) {
        let query = self.query;
        for _ in 0..from.varint() {
            self.preferences.push(PreferenceRow {
                query,
                preferred: from.u64(),
                skipped: from.u64(),
                rule: Rule::ALL[usize::from(from.u8())],
                users: from.varint() as u32,
                position_preferred_sum: from.varint(),
                position_skipped_sum: from.varint(),
            });
        }
        for _ in 0..from.varint() {
            self.successions.push(SuccessionRow {
                query,
                next: from.u64(),
                users: from.varint() as u32,
                users_clicked_after: from.varint() as u32,
            });
        }
        for _ in 0..from.varint() {
            self.succession_clicks.push(SuccessionClickRow {
                query,
                next: from.u64(),
                doc: from.u64(),
                users: from.varint() as u32,
            });
        }
        for _ in 0..from.varint() {
            let shown = (0..from.varint()).map(|_| (from.u64(), from.u8() == 1)).collect();
            self.pages.push(PageRow { query, shown, count: from.varint() });
        }
    }
}

/// Impressions, clicks, satisfied clicks and position sums are those of the cells, so they are not written.
fn write_pair(pair: &Pair, out: &mut Vec<u8>) {
    out.extend_from_slice(&pair.doc.to_le_bytes());
    let at = out.len();
    out.extend_from_slice(&[0; 2]);
    let mut bits = 0_u16;
    for (i, value) in fields(pair).into_iter().enumerate().filter(|(_, v)| *v > 0) {
        bits |= 1 << i;
        put_varint(out, value);
    }
    if pair.first_seen != NULL_TIME {
        bits |= TIMES;
        out.extend_from_slice(&pair.first_seen.to_le_bytes());
        put_varint(out, pair.last_seen.wrapping_sub(pair.first_seen) as u64);
    }
    out[at..at + 2].copy_from_slice(&bits.to_le_bytes());
}

fn read_pair(from: &mut Cursor<'_>) -> Pair {
    let mut pair = Pair::empty(from.u64());
    let bits = from.u16();
    if bits == 1 {
        // Shown, and nothing else: most pairs of a log without times.
        pair.users_shown = from.varint() as u32;
        return pair;
    }
    let mut field = |i: u32| if bits & 1 << i == 0 { 0 } else { from.varint() };
    pair.users_shown = field(0) as u32;
    pair.users_clicked = field(1) as u32;
    pair.users_satisfied = field(2) as u32;
    pair.rejections = field(3) as u32;
    pair.skips = field(4) as u32;
    pair.skip_position_sum = field(5);
    pair.examined_first = field(6) as u32;
    pair.examined_last = field(7) as u32;
    pair.last_clicks = field(8) as u32;
    pair.dwell_ms_sum = field(9);
    pair.dwells = field(10) as u32;
    pair.bounded_shown = field(11) as u32;
    pair.bounded_clicked = field(12) as u32;
    if bits & TIMES != 0 {
        pair.first_seen = from.i64();
        pair.last_seen = pair.first_seen.wrapping_add(from.varint() as i64);
    }
    pair
}

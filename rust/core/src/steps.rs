//! What a user's pages say of two things at once: a document preferred to another, a query that followed another.

use crate::bound::Out;
use crate::error::Result;
use crate::page::{Page, clicked_range};
use crate::records::{Preference, Row, Rule, Succession, SuccessionClick, kind};
use crate::time::NULL_TIME;

/// One user's preferences and successions; buffers are used again for the next.
#[derive(Default)]
pub struct Steps {
    /// With the number of their page.
    preferences: Vec<(Preference, u32)>,
    pages: Vec<Page>,
    successions: Vec<Succession>,
    clicks: Vec<SuccessionClick>,
}

impl Steps {
    /// Takes the preferences of a page, number `order` of its user.
    pub fn page(&mut self, order: u32, query: u64, rows: &[Row]) {
        let (_, last) = clicked_range(rows);
        let mut prefer = |rule: Rule, preferred: &Row, skipped: &Row| {
            if preferred.doc != skipped.doc {
                let preference = Preference {
                    query,
                    preferred: preferred.doc,
                    skipped: skipped.doc,
                    rule,
                    position_preferred: preferred.position,
                    position_skipped: skipped.position,
                };
                self.preferences.push((preference, order));
            }
        };
        for clicked in rows.iter().filter(|r| r.clicked && r.position > 0) {
            let above = |r: &&Row| !r.clicked && r.position > 0 && r.position < clicked.position;
            for skipped in rows.iter().filter(above) {
                prefer(Rule::SkipAbove, clicked, skipped);
                if clicked.position == last {
                    prefer(Rule::LastClickSkipAbove, clicked, skipped);
                }
            }
            let next = rows.iter().map(|r| r.position).filter(|p| *p > clicked.position).min();
            for below in rows.iter().filter(|r| !r.clicked && Some(r.position) == next) {
                prefer(Rule::ClickNoClickNext, clicked, below);
            }
        }
    }

    /// Sends the user's preferences, one vote each: the earliest, then by the two positions.
    ///
    /// # Errors
    /// Where the spill cannot be written.
    pub fn preferences(&mut self, out: &mut Out<'_>) -> Result<()> {
        self.preferences
            .sort_unstable_by_key(|(p, order)| (p.key(), *order, p.position_preferred, p.position_skipped));
        self.preferences.dedup_by_key(|(p, _)| p.key());
        for (preference, _) in self.preferences.drain(..) {
            out.send(kind::PREFERENCES, preference.query, |record| preference.write(record))?;
        }
        Ok(())
    }

    /// Sends the user's successions. Without session ids, `gap` microseconds between pages end a session.
    ///
    /// # Errors
    /// Where the spill cannot be written.
    pub fn successions(
        &mut self,
        gap: Option<i64>,
        pages: &[Page],
        rows: &[Row],
        out: &mut Out<'_>,
    ) -> Result<()> {
        self.pages.clear();
        self.pages.extend_from_slice(pages);
        if gap.is_none() {
            // Stable: within a session pages stay in their order, whatever other sessions ran beside it.
            self.pages.sort_by_key(|p| p.session);
        }
        for pair in self.pages.windows(2) {
            let [a, b] = pair else { continue };
            let same_session = match gap {
                None => a.session == b.session,
                Some(gap) => b.time.saturating_sub(a.time) <= gap,
            };
            if !same_session || a.query == b.query || a.time == NULL_TIME {
                continue;
            }
            self.successions.push(Succession { query: a.query, next: b.query, clicked: b.clicked });
            let clicked = rows[b.start..b.end].iter().filter(|r| r.clicked);
            self.clicks.extend(clicked.map(|r| SuccessionClick {
                query: a.query,
                next: b.query,
                doc: r.doc,
            }));
        }
        self.successions.sort_unstable_by_key(|s| (s.query, s.next, !s.clicked));
        self.successions.dedup_by_key(|s| (s.query, s.next));
        self.clicks.sort_unstable_by_key(|s| (s.query, s.next, s.doc));
        self.clicks.dedup_by_key(|s| (s.query, s.next, s.doc));
        for s in self.successions.drain(..) {
            out.send(kind::SUCCESSIONS, s.query, |record| s.write(record))?;
        }
        for s in self.clicks.drain(..) {
            out.send(kind::SUCCESSION_CLICKS, s.query, |record| s.write(record))?;
        }
        Ok(())
    }
}

//! What guards ask of a document, as far as the log, alike queries and the caller tell.

use crate::alike::Told;
use crate::evidence::{Evidence, EvidenceRow, Signs};
use crate::given::Beside;
use crate::group::Group;
use crate::tables::Pair;

use super::Knowledge;
use super::fill::NOTHING_COUNTED;
use super::guard::Suspect;
use super::order::Marks;

/// What guards ask besides what was counted.
pub(super) struct Asked<'s> {
    pub(super) beside: &'s Beside,
    pub(super) told: &'s [Told],
    pub(super) after: &'s [(u64, u32)],
    /// Documents that qualify as positives.
    pub(super) qualified: &'s [u64],
    pub(super) marks: Marks<'s>,
}

impl<'s> Asked<'s> {
    /// A document that was never shown, likewise.
    pub(super) fn unshown(&self, query: u64, pair: &'s Pair, told: &'s Told) -> Suspect<'s> {
        Suspect {
            pair,
            row: &NOTHING_COUNTED,
            told,
            known: self.beside.known_relevant.has(query, pair.doc),
            qualified: self.qualified.contains(&pair.doc),
            absolute: true,
            after: clicked_after(self.after, pair.doc),
            scored: self.marks.of(pair.doc),
        }
    }

    /// Pair number `i` of a query as guards see it.
    pub(super) fn suspect(
        &self,
        group: &'s Group,
        rows: &'s [EvidenceRow],
        i: usize,
        absolute: bool,
    ) -> Suspect<'s> {
        let pair = &group.pairs[i];
        Suspect {
            pair,
            row: &rows[i],
            told: &self.told[i],
            known: self.beside.known_relevant.has(group.query, pair.doc),
            qualified: self.qualified.contains(&pair.doc),
            absolute,
            after: clicked_after(self.after, pair.doc),
            scored: self.marks.of(pair.doc),
        }
    }
}

/// Users who clicked a document when they asked anew.
pub(super) fn clicked_after(after: &[(u64, u32)], doc: u64) -> u32 {
    after.binary_search_by_key(&doc, |(d, _)| *d).map_or(0, |i| after[i].1)
}

/// P(relevant) of document `i` of a query, as it may be shown where it is `p`.
pub(super) fn p_shown(
    evidence: &Evidence,
    knowledge: &Knowledge,
    shown: &[Told],
    group: &Group,
    i: usize,
    p: f64,
) -> f64 {
    let Some(alike) = &knowledge.shown else { return p };
    let signs = evidence.shown_signs(&group.pairs[i]);
    evidence.rounded(alike.p_relevant(&signs, &shown[i]))
}

/// P(relevant) of the pair last asked about: rows of a document are neighbours.
#[derive(Default)]
pub(super) struct Known(Option<(usize, f64)>);

impl Known {
    pub(super) fn p(
        &mut self,
        evidence: &Evidence,
        knowledge: &Knowledge,
        (signs, told): (&[Option<Signs>], &[Told]),
        group: &Group,
        i: usize,
    ) -> f64 {
        match self.0 {
            Some((known, p)) if known == i => p,
            _ => {
                let signs = signs.get(i).copied().flatten().unwrap_or_else(|| evidence.signs(group, i));
                let p = knowledge.alike.p_relevant(&signs, &told[i]);
                self.0 = Some((i, p));
                p
            }
        }
    }
}

//! Satisfied clicks of a release, by query.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::pulse::Pulse;
use crate::release::Released;
use crate::workers::collect;

use super::docs::Docs;

/// Satisfied clicks by (query, document), ascending by query, as they may be shown.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Satisfied {
    /// Codes of the queries.
    pub(super) queries: Vec<u64>,
    /// Where the clicks of each end.
    pub(super) ends: Vec<usize>,
    /// Number of the document, and clicks.
    pub(super) clicked: Vec<(u32, u32)>,
    pub(super) docs: Docs,
}

impl Satisfied {
    /// Of a release; documents have the numbers of their strings. Under k-users those clicks that K users stand behind, rounded
    /// down to multiples of K.
    ///
    /// # Errors
    /// Where the spill cannot be read; what `pulse` reports.
    pub(crate) fn of(released: &Released, threads: usize, pulse: &mut Pulse<'_>) -> Result<Self> {
        let docs = Docs::Strings(released.doc_strings.clone());
        let made = collect(
            released.tables.len(),
            threads,
            || pulse.beat(),
            |part| {
                let mut out = Self::default();
                released.tables.part(part, |group| {
                    let before = out.clicked.len();
                    for pair in &group.pairs {
                        let clicks = released.shown(pair.satisfied_clicks.into()) as u32;
                        // Most pairs have none: they are not held.
                        if clicks > 0 && pair.users_satisfied >= released.k.unwrap_or(0) {
                            out.clicked.extend(docs.number(pair.doc).map(|doc| (doc, clicks)));
                        }
                    }
                    if out.clicked.len() > before {
                        out.queries.push(group.query);
                        out.ends.push(out.clicked.len());
                    }
                    Ok(())
                })?;
                Ok(out)
            },
        )?;
        let mut all = Self { docs, ..Self::default() };
        all.clicked.reserve_exact(made.iter().map(|part| part.clicked.len()).sum());
        made.into_iter().for_each(|part| all.add(part));
        Ok(all)
    }

    /// The same with documents by their codes, to be put together with those of other parts.
    pub(crate) fn by_codes(mut self) -> Self {
        let codes = Docs::of(self.clicked.iter().map(|(doc, _)| self.docs.code(*doc)));
        self.renumber(&codes);
        self.docs = codes;
        self
    }

    /// All parts, in canonical order.
    pub(crate) fn joined(parts: Vec<Self>) -> Self {
        let codes = |part: &Self| (0..part.docs.len() as u32).map(|i| part.docs.code(i)).collect::<Vec<_>>();
        let docs = Docs::of(parts.iter().flat_map(codes));
        let mut all = Self::default();
        for mut part in parts {
            part.renumber(&docs);
            all.add(part);
        }
        Self { docs, ..all }
    }

    /// Codes of the queries, ascending.
    pub(crate) fn queries(&self) -> &[u64] {
        &self.queries
    }

    fn renumber(&mut self, docs: &Docs) {
        for (doc, _) in &mut self.clicked {
            *doc = docs.number(self.docs.code(*doc)).unwrap_or(u32::MAX);
        }
    }

    fn add(&mut self, part: Self) {
        let base = self.clicked.len();
        self.queries.extend(part.queries);
        self.ends.extend(part.ends.iter().map(|end| base + end));
        self.clicked.extend(part.clicked);
    }
}

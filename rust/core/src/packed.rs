//! Tables at rest: groups in parts, each a range of queries in canonical order, in memory or in the spill.

use std::sync::Arc;

use crate::blob::Blob;
use crate::budget::Budget;
use crate::error::Result;
use crate::group::Group;
use crate::records::Cursor;

/// Bytes of a part that is written group by group.
const PART: usize = 256 << 10;

/// Rows of each table.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "one field a table")]
pub struct Sizes {
    pub queries: u64,
    pub pairs: u64,
    pub cells: u64,
    pub preferences: u64,
    pub successions: u64,
    pub succession_clicks: u64,
    pub pages: u64,
    pub bounded: u64,
}

impl Sizes {
    /// Counts a group in.
    pub fn add(&mut self, group: &Group) {
        self.queries += 1;
        self.pairs += group.pairs.len() as u64;
        self.cells += group.cells.len() as u64;
        self.preferences += group.preferences.len() as u64;
        self.successions += group.successions.len() as u64;
        self.succession_clicks += group.succession_clicks.len() as u64;
        self.pages += group.pages.len() as u64;
        self.bounded += group.pairs.iter().filter(|p| p.bounded_shown > 0).count() as u64;
    }

    /// How many there are.
    pub(crate) const TABLES: usize = 8;

    /// In the order of the fields.
    pub(crate) fn to_array(self) -> [u64; Self::TABLES] {
        let Self { queries, pairs, cells, preferences, successions, succession_clicks, pages, bounded } =
            self;
        [queries, pairs, cells, preferences, successions, succession_clicks, pages, bounded]
    }

    /// What [`Sizes::to_array`] gave.
    pub(crate) fn from_array(sizes: [u64; Self::TABLES]) -> Self {
        let [queries, pairs, cells, preferences, successions, succession_clicks, pages, bounded] = sizes;
        Self { queries, pairs, cells, preferences, successions, succession_clicks, pages, bounded }
    }

    pub(crate) fn plus(self, o: &Self) -> Self {
        Self {
            queries: self.queries + o.queries,
            pairs: self.pairs + o.pairs,
            cells: self.cells + o.cells,
            preferences: self.preferences + o.preferences,
            successions: self.successions + o.successions,
            succession_clicks: self.succession_clicks + o.succession_clicks,
            pages: self.pages + o.pages,
            bounded: self.bounded + o.bounded,
        }
    }
}

/// Impressions and clicks at each position, 0 (none) first.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ByPosition(pub Vec<[u64; 2]>);

impl ByPosition {
    /// Counts a group in.
    pub fn add(&mut self, group: &Group) {
        for cell in &group.cells {
            let p = usize::from(cell.position);
            if self.0.len() <= p {
                self.0.resize(p + 1, [0; 2]);
            }
            self.0[p][0] += u64::from(cell.impressions);
            self.0[p][1] += u64::from(cell.clicks);
        }
    }
}

/// A range of queries: packed groups, and what is wanted of them before they are unpacked.
pub struct Part {
    blob: Blob,
    sizes: Sizes,
    by_position: ByPosition,
}

impl Part {
    /// Packed groups and their sizes; in the spill where the budget is used up.
    ///
    /// # Errors
    /// Where the spill cannot be written.
    pub fn new(
        bytes: Vec<u8>,
        sizes: Sizes,
        by_position: ByPosition,
        budget: Option<&Arc<Budget>>,
    ) -> Result<Self> {
        Ok(Self { blob: Blob::new(bytes, budget)?, sizes, by_position })
    }
}

/// Tables of a log.
pub struct Tables {
    parts: Vec<Arc<Part>>,
    detail: bool,
    budget: Arc<Budget>,
}

impl Tables {
    /// Parts in canonical order; `detail`: cells keep previous click and fold; `budget`: what is made of them goes by it.
    pub fn new(parts: Vec<Part>, detail: bool, budget: Arc<Budget>) -> Self {
        Self { parts: parts.into_iter().map(Arc::new).collect(), detail, budget }
    }

    /// Tables one after the other, in canonical order; nothing is copied.
    pub fn joined<'a>(tables: impl Iterator<Item = &'a Self>, detail: bool, budget: Arc<Budget>) -> Self {
        Self { parts: tables.flat_map(|t| &t.parts).cloned().collect(), detail, budget }
    }

    /// What is made of them goes by it.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Whether cells keep previous click and fold.
    pub fn detail(&self) -> bool {
        self.detail
    }

    /// How many parts.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Rows of each table.
    pub fn sizes(&self) -> Sizes {
        self.parts.iter().fold(Sizes::default(), |sum, p| sum.plus(&p.sizes))
    }

    /// Rows of each table in part `i`.
    pub fn sizes_of(&self, i: usize) -> Sizes {
        self.parts[i].sizes
    }

    /// Impressions and clicks at each position in part `i`.
    pub(crate) fn by_position_of(&self, i: usize) -> &ByPosition {
        &self.parts[i].by_position
    }

    /// Impressions and clicks at each position, 0 (none) first, over all queries.
    pub fn by_position(&self) -> ByPosition {
        let mut sum = ByPosition::default();
        for part in &self.parts {
            sum.0.resize(sum.0.len().max(part.by_position.0.len()), [0; 2]);
            for (to, own) in sum.0.iter_mut().zip(&part.by_position.0) {
                to[0] += own[0];
                to[1] += own[1];
            }
        }
        sum
    }

    /// Calls `each` with the groups of part `i`, in order.
    ///
    /// # Errors
    /// Where the spill cannot be read; whatever `each` reports.
    pub fn part(&self, i: usize, mut each: impl FnMut(&mut Group) -> Result<()>) -> Result<()> {
        let mut scratch = Vec::new();
        let mut from = Cursor(self.bytes(i, &mut scratch)?);
        let mut group = Group::default();
        while !from.is_empty() {
            group.read(&mut from, self.detail);
            each(&mut group)?;
        }
        Ok(())
    }

    /// The bytes of part `i`.
    ///
    /// # Errors
    /// Where the spill cannot be read.
    pub fn bytes<'a>(&'a self, i: usize, scratch: &'a mut Vec<u8>) -> Result<&'a [u8]> {
        self.parts[i].blob.bytes(scratch)
    }

    /// All groups, one after another.
    pub fn groups(&self) -> Groups<'_> {
        Groups { tables: self, part: 0, at: 0, scratch: Vec::new() }
    }
}

/// A walk through all groups.
pub struct Groups<'a> {
    tables: &'a Tables,
    part: usize,
    at: usize,
    scratch: Vec<u8>,
}

impl Groups<'_> {
    /// The next group.
    ///
    /// # Errors
    /// Where the spill cannot be read.
    pub fn advance(&mut self) -> Result<Option<Group>> {
        while self.part < self.tables.len() {
            if self.at == 0 {
                let mut bytes = Vec::new();
                let read = self.tables.bytes(self.part, &mut bytes)?.to_vec();
                self.scratch = read;
            }
            if self.at < self.scratch.len() {
                let mut from = Cursor(&self.scratch[self.at..]);
                let mut group = Group::default();
                group.read(&mut from, self.tables.detail);
                self.at = self.scratch.len() - from.0.len();
                return Ok(Some(group));
            }
            (self.part, self.at) = (self.part + 1, 0);
        }
        Ok(None)
    }
}

/// Packs groups that come in canonical order.
pub struct Packer {
    parts: Vec<Part>,
    bytes: Vec<u8>,
    sizes: Sizes,
    by_position: ByPosition,
    detail: bool,
    budget: Arc<Budget>,
}

impl Packer {
    /// Nothing packed yet.
    pub fn new(detail: bool, budget: Arc<Budget>) -> Self {
        Self {
            parts: Vec::new(),
            bytes: Vec::new(),
            sizes: Sizes::default(),
            by_position: ByPosition::default(),
            detail,
            budget,
        }
    }

    /// The next group.
    ///
    /// # Errors
    /// Where the spill cannot be written.
    pub fn push(&mut self, group: &Group) -> Result<()> {
        group.write(self.detail, &mut self.bytes);
        self.sizes.add(group);
        self.by_position.add(group);
        if self.bytes.len() >= PART { self.cut() } else { Ok(()) }
    }

    fn cut(&mut self) -> Result<()> {
        let bytes = std::mem::take(&mut self.bytes);
        let (sizes, by_position) = (std::mem::take(&mut self.sizes), std::mem::take(&mut self.by_position));
        self.parts.push(Part::new(bytes, sizes, by_position, Some(&self.budget))?);
        Ok(())
    }

    /// Tables of all that was packed.
    ///
    /// # Errors
    /// Where the spill cannot be written.
    pub fn into_tables(mut self) -> Result<Tables> {
        if !self.bytes.is_empty() {
            self.cut()?;
        }
        Ok(Tables::new(self.parts, self.detail, self.budget))
    }
}

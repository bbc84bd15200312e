//! The memory budget of a job: who holds how much, and what is left for records before they spill.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::spill::Spill;

/// A job's memory.
pub struct Budget {
    limit: usize,
    /// Held by dictionaries, tables and partitions in work: everything that is no block of a store.
    others: AtomicUsize,
    spill: Arc<Spill>,
}

impl Budget {
    /// `limit` bytes; what does not fit goes to an unnamed, encrypted file in `folder`.
    pub fn new(limit: usize, folder: &Path) -> Self {
        // A quarter is for what nobody counts: row groups being decoded, partitions in work, what allocators keep.
        Self { limit, others: AtomicUsize::new(limit / 4), spill: Arc::new(Spill::new(folder)) }
    }

    /// More than there is: nothing is spilled.
    pub fn unlimited() -> Arc<Self> {
        Arc::new(Self::new(usize::MAX, Path::new("")))
    }

    /// Says that `bytes` more are held, until what it returns is dropped.
    #[must_use]
    pub fn holding(self: &Arc<Self>, bytes: usize) -> Held {
        self.hold(bytes);
        Held { budget: self.clone(), bytes }
    }

    /// The whole budget.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Says that `bytes` more are held by something that is no store.
    pub fn hold(&self, bytes: usize) {
        self.others.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Says that they are not held any more.
    pub fn let_go(&self, bytes: usize) {
        self.others.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Held by everything but stores.
    pub fn held(&self) -> usize {
        self.others.load(Ordering::Relaxed)
    }

    /// What may be held besides now, by stores and by work that needs it at once: at least an eighth, for with less a job
    /// would spill every block it fills.
    pub fn left(&self) -> usize {
        self.limit.saturating_sub(self.held()).max(self.limit / 8)
    }

    /// Where the rest goes.
    pub fn spill(&self) -> &Arc<Spill> {
        &self.spill
    }
}

/// Bytes that a budget knows of.
pub struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Held {
    /// Whose they are.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.let_go(self.bytes);
    }
}

//! Bytes at rest: in memory, or in the spill where the budget is used up.

use std::sync::Arc;

use crate::budget::{Budget, Held};
use crate::error::Result;
use crate::spill::{Extent, Spill};

/// Bytes that are read more than once. Dropped, they give back what they held, memory or disk.
pub struct Blob(Place);

enum Place {
    Memory { bytes: Vec<u8>, _held: Option<Held> },
    Spilled(Option<Extent>, Arc<Spill>),
}

impl Blob {
    /// Puts `bytes` to rest; without a budget in memory.
    ///
    /// # Errors
    /// Where the spill cannot be written.
    pub fn new(mut bytes: Vec<u8>, budget: Option<&Arc<Budget>>) -> Result<Self> {
        Ok(Self(match budget {
            Some(budget) if budget.held().saturating_add(bytes.len()) > budget.limit() / 8 * 5 => {
                Place::Spilled(Some(budget.spill().write(&mut bytes)?), budget.spill().clone())
            }
            _ => {
                bytes.shrink_to_fit();
                let held = budget.map(|budget| budget.holding(bytes.len()));
                Place::Memory { bytes, _held: held }
            }
        }))
    }

    /// The bytes; those in the spill are read into `scratch`.
    ///
    /// # Errors
    /// Where the spill cannot be read.
    pub fn bytes<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<&'a [u8]> {
        match &self.0 {
            Place::Memory { bytes, .. } => Ok(bytes),
            Place::Spilled(Some(extent), spill) => {
                scratch.clear();
                spill.read(extent, scratch)?;
                Ok(scratch)
            }
            Place::Spilled(None, _) => Ok(&[]),
        }
    }

    /// The bytes, where they are in memory.
    pub fn in_memory(&self) -> Option<&[u8]> {
        match &self.0 {
            Place::Memory { bytes, .. } => Some(bytes),
            Place::Spilled(..) => None,
        }
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        if let Place::Spilled(extent, spill) = &mut self.0
            && let Some(extent) = extent.take()
        {
            // Where the disk cannot take it back now, it does with the end of the spill.
            let _ = spill.free(extent);
        }
    }
}

//! Bytes at rest: in memory, or in the spill where the budget is used up.

use std::sync::Arc;

use crate::budget::Budget;
use crate::error::Result;
use crate::spill::{Extent, Spill};

/// Bytes that are read more than once.
pub struct Blob(Place);

enum Place {
    Memory(Vec<u8>),
    Spilled(Extent, Arc<Spill>),
}

impl Blob {
    /// Puts `bytes` to rest; without a budget in memory.
    ///
    /// # Errors
    /// Where the spill cannot be written.
    pub fn new(mut bytes: Vec<u8>, budget: Option<&Budget>) -> Result<Self> {
        Ok(Self(match budget {
            Some(budget) if budget.held() + bytes.len() > budget.limit() / 8 * 5 => {
                Place::Spilled(budget.spill().write(&mut bytes)?, budget.spill().clone())
            }
            _ => {
                bytes.shrink_to_fit();
                if let Some(budget) = budget {
                    budget.hold(bytes.len());
                }
                Place::Memory(bytes)
            }
        }))
    }

    /// The bytes; those in the spill are read into `scratch`.
    ///
    /// # Errors
    /// Where the spill cannot be read.
    pub fn bytes<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<&'a [u8]> {
        match &self.0 {
            Place::Memory(bytes) => Ok(bytes),
            Place::Spilled(extent, spill) => {
                scratch.clear();
                spill.read(extent, scratch)?;
                Ok(scratch)
            }
        }
    }
}

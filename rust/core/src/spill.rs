//! placeholder until merged
use std::path::Path;
use crate::error::{Error, Result};
/// x
pub struct Extent;
/// x
pub struct Spill;
impl Spill {
    /// x
    pub fn new(_: &Path) -> Self { Self }
    /// x
    pub fn write(&self, _: &mut Vec<u8>) -> Result<Extent> { Err(Error::internal("spill")) }
    /// x
    pub fn read(&self, _: &Extent, _: &mut Vec<u8>) -> Result<()> { Err(Error::internal("spill")) }
    /// x
    pub fn free(&self, _: &Extent) {}
}

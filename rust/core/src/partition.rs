//! Scattering records to partitions, in blocks of bytes that are used again and again.
//!
//! The store is the one place where records of a job rest between passes. It keeps within its share of the memory
//! budget: what does not fit is written to the spill, fullest partition first, and comes back with the partition.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::budget::Budget;
use crate::error::Result;
use crate::spill::Extent;

/// Bytes of a block. Fresh memory costs as much as the work done in it, so blocks are recycled; a worker holds one for
/// each partition it writes to, so they are small. Records never span blocks.
pub const BLOCK: usize = 16 << 10;

/// Blocks that one spilled extent gathers: a megabyte, so that disks see long writes.
const EXTENT_BLOCKS: usize = 64;

/// Records of one kind in one partition.
#[derive(Default)]
struct Part {
    blocks: Vec<Vec<u8>>,
    extents: Vec<Extent>,
}

/// Byte records of several kinds, by partition.
pub struct Store<'b> {
    budget: &'b Budget,
    partitions: usize,
    parts: Vec<Mutex<Part>>,
    /// Blocks in memory of each part: whom to spill.
    held: Vec<AtomicUsize>,
    free: Mutex<Vec<Vec<u8>>>,
    /// Bytes of all blocks, those in use and those waiting.
    allocated: AtomicUsize,
}

impl<'b> Store<'b> {
    /// An empty store.
    pub fn new(budget: &'b Budget, kinds: usize, partitions: usize) -> Self {
        Self {
            budget,
            partitions,
            parts: (0..kinds * partitions).map(|_| Mutex::default()).collect(),
            held: (0..kinds * partitions).map(|_| AtomicUsize::new(0)).collect(),
            free: Mutex::default(),
            allocated: AtomicUsize::new(0),
        }
    }

    /// How many partitions each kind has.
    pub fn partitions(&self) -> usize {
        self.partitions
    }

    /// A worker's entrance for records of one kind.
    pub fn scatter(&self, kind: usize) -> Scatter<'_, 'b> {
        Scatter { store: self, kind, open: (0..self.partitions).map(|_| Vec::new()).collect() }
    }

    /// Takes a partition's records out, in chunks of whole records, in no particular order.
    ///
    /// # Errors
    /// Where the spill cannot be read.
    pub fn take(&self, kind: usize, partition: usize) -> Result<Vec<Vec<u8>>> {
        let at = kind * self.partitions + partition;
        let part = {
            let mut part = self.parts[at].lock().unwrap_or_else(PoisonError::into_inner);
            self.held[at].store(0, Ordering::Relaxed);
            std::mem::take(&mut *part)
        };
        let mut chunks = part.blocks;
        for extent in part.extents {
            let mut chunk = Vec::new();
            self.budget.spill().read(&extent, &mut chunk)?;
            self.budget.spill().free(extent)?;
            chunks.push(chunk);
        }
        Ok(chunks)
    }

    /// Gives back what [`Store::take`] gave out.
    pub fn recycle(&self, chunks: &mut Vec<Vec<u8>>) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        for mut chunk in chunks.drain(..).filter(|c| c.capacity() == BLOCK) {
            if self.allocated.load(Ordering::Relaxed) > self.budget.left() {
                self.allocated.fetch_sub(BLOCK, Ordering::Relaxed);
            } else {
                chunk.clear();
                free.push(chunk);
            }
        }
    }

    /// Makes the store as small as the budget now wants it, though nobody asks for a block.
    ///
    /// # Errors
    /// Where the spill cannot be written.
    pub fn fit(&self) -> Result<()> {
        while self.allocated.load(Ordering::Relaxed) > self.budget.left() {
            let waiting = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
            if waiting.is_some() {
                self.allocated.fetch_sub(BLOCK, Ordering::Relaxed);
            } else if !self.spill_fullest()? {
                break;
            }
        }
        Ok(())
    }

    fn block(&self) -> Result<Vec<u8>> {
        loop {
            if let Some(block) = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop() {
                return Ok(block);
            }
            let over = self.allocated.load(Ordering::Relaxed) + BLOCK > self.budget.left();
            if !over || !self.spill_fullest()? {
                self.allocated.fetch_add(BLOCK, Ordering::Relaxed);
                return Ok(Vec::with_capacity(BLOCK));
            }
        }
    }

    fn put(&self, at: usize, block: Vec<u8>) {
        let mut part = self.parts[at].lock().unwrap_or_else(PoisonError::into_inner);
        part.blocks.push(block);
        self.held[at].fetch_add(1, Ordering::Relaxed);
    }

    /// Writes the part with most blocks in memory to the spill; false where no part has any.
    fn spill_fullest(&self) -> Result<bool> {
        let fullest = (0..self.held.len()).max_by_key(|at| self.held[*at].load(Ordering::Relaxed));
        let Some(at) = fullest.filter(|at| self.held[*at].load(Ordering::Relaxed) > 0) else {
            return Ok(false);
        };
        // Locked until the extent is back in the part: whoever takes the partition meanwhile must not miss it.
        let mut part = self.parts[at].lock().unwrap_or_else(PoisonError::into_inner);
        let from = part.blocks.len().saturating_sub(EXTENT_BLOCKS);
        let mut blocks = part.blocks.split_off(from);
        if blocks.is_empty() {
            return Ok(true); // somebody else was faster
        }
        self.held[at].fetch_sub(blocks.len(), Ordering::Relaxed);
        let mut bytes = Vec::with_capacity(blocks.iter().map(Vec::len).sum());
        blocks.iter().for_each(|b| bytes.extend_from_slice(b));
        part.extents.push(self.budget.spill().write(&mut bytes)?);
        drop(part);
        self.recycle(&mut blocks);
        Ok(true)
    }
}

/// A worker's open blocks, one a partition.
pub struct Scatter<'s, 'b> {
    store: &'s Store<'b>,
    kind: usize,
    open: Vec<Vec<u8>>,
}

impl Scatter<'_, '_> {
    /// Sends `record`, of at most [`BLOCK`] bytes, to `partition`.
    ///
    /// # Errors
    /// Where the spill cannot be written.
    #[inline]
    pub fn push(&mut self, partition: usize, record: &[u8]) -> Result<()> {
        self.room(partition, record.len())?.extend_from_slice(record);
        Ok(())
    }

    /// The block of `partition` that a record of at most `len` bytes, and of at most [`BLOCK`], is to be appended to.
    ///
    /// # Errors
    /// Where the spill cannot be written.
    #[inline]
    pub fn room(&mut self, partition: usize, len: usize) -> Result<&mut Vec<u8>> {
        let block = &self.open[partition];
        if block.capacity() - block.len() < len {
            self.renew(partition)?;
        }
        Ok(&mut self.open[partition])
    }

    #[cold]
    fn renew(&mut self, partition: usize) -> Result<()> {
        let fresh = self.store.block()?;
        let full = std::mem::replace(&mut self.open[partition], fresh);
        if !full.is_empty() {
            self.store.put(self.kind * self.store.partitions + partition, full);
        }
        Ok(())
    }

    /// Hands all open blocks over. A scatter that is dropped without it was on its way to an error.
    pub fn finish(&mut self) {
        for (partition, block) in self.open.iter_mut().enumerate().filter(|(_, b)| b.capacity() > 0) {
            self.store.put(self.kind * self.store.partitions + partition, std::mem::take(block));
        }
    }
}

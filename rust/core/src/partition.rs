//! Scattering records to partitions: per-worker buffers of cache lines, appended to shared chunks.
//!
//! The store is the one place where records of a job rest between passes, so a budget and a spill live behind
//! [`Store::append`] and [`Store::take`] and nowhere else.

use std::sync::{Mutex, PoisonError};

/// Records a worker gathers for a partition before it takes the partition's lock.
const BUFFER: usize = 32;

/// Records in a chunk: small enough to waste little, large enough that chunks are few. Chunks never grow, because
/// growing means copying, and fresh memory costs as much as the work done in it.
const CHUNK: usize = 1024;

/// Records of one kind, by partition.
pub struct Store<T> {
    partitions: Vec<Mutex<Vec<Vec<T>>>>,
}

impl<T: Copy> Store<T> {
    /// An empty store.
    pub fn new(partitions: usize) -> Self {
        Self { partitions: (0..partitions).map(|_| Mutex::default()).collect() }
    }

    /// Appends records that must stay together and in order.
    pub fn append(&self, partition: usize, mut records: &[T]) {
        let mut chunks = self.partitions[partition].lock().unwrap_or_else(PoisonError::into_inner);
        while !records.is_empty() {
            if chunks.last().is_none_or(|c| c.len() == CHUNK) {
                chunks.push(Vec::with_capacity(CHUNK));
            }
            let Some(chunk) = chunks.last_mut() else { return };
            let (now, later) = records.split_at(records.len().min(CHUNK - chunk.len()));
            chunk.extend_from_slice(now);
            records = later;
        }
    }

    /// Moves a partition's records to `into`, in no particular order, and frees what held them.
    pub fn take(&self, partition: usize, into: &mut Vec<T>) {
        into.clear();
        let chunks = self.chunks(partition);
        into.reserve(chunks.iter().map(Vec::len).sum());
        for chunk in chunks {
            into.extend_from_slice(&chunk);
        }
    }

    /// Takes a partition's records out one by one.
    pub fn drain(&self, partition: usize) -> impl Iterator<Item = T> + use<T> {
        self.chunks(partition).into_iter().flatten()
    }

    fn chunks(&self, partition: usize) -> Vec<Vec<T>> {
        std::mem::take(&mut *self.partitions[partition].lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many partitions.
    pub fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// A worker's entrance.
    pub fn scatter(&self) -> Scatter<'_, T> {
        Scatter { store: self, buffers: (0..self.partitions()).map(|_| Vec::new()).collect() }
    }
}

/// A worker's buffers in front of a [`Store`]; flushed when dropped.
pub struct Scatter<'a, T: Copy> {
    store: &'a Store<T>,
    buffers: Vec<Vec<T>>,
}

impl<T: Copy> Scatter<'_, T> {
    /// Sends `record` to `partition`.
    #[inline]
    pub fn push(&mut self, partition: usize, record: T) {
        let buffer = &mut self.buffers[partition];
        if buffer.capacity() == 0 {
            buffer.reserve_exact(BUFFER);
        }
        buffer.push(record);
        if buffer.len() == BUFFER {
            self.store.append(partition, buffer);
            buffer.clear();
        }
    }
}

impl<T: Copy> Drop for Scatter<'_, T> {
    fn drop(&mut self) {
        for (partition, buffer) in self.buffers.iter().enumerate().filter(|(_, b)| !b.is_empty()) {
            self.store.append(partition, buffer);
        }
    }
}

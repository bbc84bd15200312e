//! Scattering records to partitions: per-worker buffers of cache lines, appended to shared chunks.
//!
//! The store is the one place where records of a job rest between passes, so a budget and a spill live behind
//! [`Store::append`] and [`Store::take`] and nowhere else.

use std::sync::{Mutex, PoisonError};

/// Records a worker gathers for a partition before it takes the partition's lock.
const BUFFER: usize = 32;

/// Records of one kind, by partition.
pub struct Store<T> {
    partitions: Vec<Mutex<Vec<T>>>,
}

impl<T: Copy> Store<T> {
    /// An empty store.
    pub fn new(partitions: usize) -> Self {
        Self { partitions: (0..partitions).map(|_| Mutex::default()).collect() }
    }

    /// Appends records that must stay together and in order.
    pub fn append(&self, partition: usize, records: &[T]) {
        self.partitions[partition].lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(records);
    }

    /// Takes a partition's records out, in no particular order.
    pub fn take(&self, partition: usize) -> Vec<T> {
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

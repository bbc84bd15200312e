//! Logs in Parquet files, read by any number of threads.
//!
//! [`open`] looks at the footers and says whether the files can be read here; [`ParquetInput`] then yields batches.
//! Each thread works on a row group of its own as long as there are any, so at most one a thread is open. Text that the
//! file codes by dictionary comes as a dictionary, the same one for all batches of a row group, so that whatever is
//! done for each entry is done once a row group. Nothing is believed: damaged files are errors, and text that is not
//! UTF-8 comes as binary.

mod file;
mod flags;
mod group;
mod kind;
mod leaf;
mod levels;
mod node;
mod numbers;
mod one_group;
mod open;
mod other;
mod stream;
mod text;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use hardneg_core::batches::Batches;
use hardneg_core::error::Result;

use crate::metadata::caught;
use file::LogFile;
pub use file::{Elsewhere, Part, Place};
use group::OpenGroup;
use kind::Kind;
use node::Node;
pub use node::Of;
pub use open::{Files, open};
pub use stream::ParquetStream;

/// Rows of a batch where nothing else is asked for.
pub const BATCH_ROWS: usize = 65_536;

/// The wanted columns of a log's Parquet files.
pub struct ParquetInput {
    files: Vec<Arc<LogFile>>,
    /// Files and their row groups that have rows.
    groups: Vec<(usize, usize)>,
    columns: Vec<(String, Kind)>,
    /// For each file, where each of `columns` is.
    nodes: Vec<Vec<Node>>,
    schema: SchemaRef,
    batch_rows: usize,
    pool: Mutex<Pool>,
    back: Condvar,
}

/// Row groups between two batches.
#[derive(Default)]
struct Pool {
    waiting: Vec<OpenGroup>,
    next: usize,
    /// Row groups with a thread that decodes a batch just now.
    busy: usize,
    failed: bool,
}

/// What a thread does next.
enum Turn {
    Continue(OpenGroup),
    Open(usize, usize),
}

impl ParquetInput {
    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for work; None where none will come.
    fn turn(&self) -> Option<Turn> {
        let me = std::thread::current().id();
        let mut pool = self.pool();
        loop {
            if pool.failed {
                return None;
            }
            let mine = pool.waiting.iter().position(|g| g.reader == me);
            if mine.is_none() && pool.next < self.groups.len() {
                let (file, group) = self.groups[pool.next];
                pool.next += 1;
                pool.busy += 1;
                return Some(Turn::Open(file, group));
            }
            // No row group of its own, and none is left to open: then it helps with another's.
            if let Some(at) = mine.or_else(|| pool.waiting.len().checked_sub(1)) {
                pool.busy += 1;
                return Some(Turn::Continue(pool.waiting.swap_remove(at)));
            }
            if pool.busy == 0 {
                return None;
            }
            pool = self.back.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Where the columns of a row group lie in its file.
    fn parts(&self, (file, group): (usize, usize)) -> Vec<Part> {
        self.files[file].parts(group, self.nodes[file].iter().flat_map(|node| node.leaves.clone()))
    }

    fn open_group(&self, file: usize, group: usize) -> Result<OpenGroup> {
        let at = &self.files[file];
        // Files differ in where they lie; of what comes next, only that of the same file is known to it.
        let next = self.groups.get(self.pool().next).filter(|(next, _)| *next == file);
        let ahead = next.map(|next| self.parts(*next)).unwrap_or_default();
        let bytes = at.bytes(&self.parts((file, group)), &ahead)?;
        let mut columns = Vec::with_capacity(self.columns.len());
        for ((name, kind), node) in self.columns.iter().zip(&self.nodes[file]) {
            columns.push((name.clone(), kind.open(at, &bytes, (group, node), self.batch_rows)?));
        }
        let left = at.metadata.row_group(group).num_rows().unsigned_abs() as usize;
        Ok(OpenGroup { columns, left, file: at.name().into(), reader: std::thread::current().id() })
    }

    fn decode(&self, turn: Turn) -> Result<(OpenGroup, RecordBatch)> {
        let (name, mut group) = match turn {
            Turn::Continue(group) => (group.file.clone(), Ok(group)),
            Turn::Open(file, group) => {
                let name = self.files[file].name();
                (name.into(), guarded(name, || self.open_group(file, group)))
            }
        };
        let batch = guarded(&name, || {
            group.as_mut().map_or_else(|_| Ok(None), |g| g.batch(self.batch_rows).map(Some))
        })?;
        let mut group = group?;
        group.reader = std::thread::current().id();
        Ok((group, batch.unwrap_or_else(|| RecordBatch::new_empty(self.schema.clone()))))
    }
}

/// Text comes from batch to batch in the coding the file has it in, as a dictionary or plain, and as binary where it is
/// not UTF-8; the schema tells the first of these. [`ParquetStream`] holds to the schema.
impl Batches for ParquetInput {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn rows(&self) -> Option<u64> {
        let of = |&(file, group): &(usize, usize)| {
            self.files[file].metadata.row_group(group).num_rows().unsigned_abs()
        };
        Some(self.groups.iter().map(of).fold(0, u64::saturating_add))
    }

    fn next(&self) -> Option<Result<RecordBatch>> {
        let turn = self.turn()?;
        let decoded = self.decode(turn);
        let mut pool = self.pool();
        pool.busy -= 1;
        let batch = match decoded {
            Ok((group, batch)) => {
                if group.left > 0 {
                    pool.waiting.push(group);
                }
                Ok(batch)
            }
            Err(e) => {
                // Another thread has told of its error already; one is enough.
                if pool.failed {
                    return None;
                }
                pool.failed = true;
                pool.waiting.clear();
                Err(e)
            }
        };
        drop(pool);
        self.back.notify_all();
        Some(batch)
    }
}

/// Runs `read`; a panic of the Parquet library, which some damaged files bring about, is an error like any other.
pub(crate) fn guarded<T>(name: &str, read: impl FnOnce() -> Result<T>) -> Result<T> {
    caught(read).unwrap_or_else(|| Err(file::broken(name, "a page or the footer is not what it says")))
}

//! A pseudonymised copy of Parquet files by their pages: `docs/ARCHITECTURE.md`, anonymize.
//!
//! An identifier column whose pages are dictionary-coded holds every identifier once a row group, in the dictionary page.
//! A new dictionary page with pseudonyms in the same order makes the column one of pseudonyms, whatever its data pages,
//! which are copied as they lie in the file. So are all pages of the other columns that were asked for. Where that cannot
//! be, a column chunk is decoded and encoded, and said to be.
//!
//! Nothing else of a file is copied: no column that was not asked for, no page statistics, page index, bloom filter,
//! key-value metadata, sort order, or bytes between pages.

mod chunk;
mod dictionary;
mod encode;
mod ids;
mod output;
mod plan;
mod recode;
mod run;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use hardneg_core::error::Result;
use hardneg_core::pseudonym::Pseudonymizer;

use plan::Input;

/// A column of the copy.
pub struct Column {
    /// What the copy calls it.
    pub name: String,
    /// What the files call it: a name of the top level.
    pub path: String,
    /// What replaces its values; None copies them.
    pub pseudonyms: Option<Pseudonymizer>,
}

/// What became of a column's row groups. A row group of a nested column counts once for every leaf.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct How {
    /// Row groups whose pages were copied.
    pub copied: u64,
    /// Row groups whose dictionary was rewritten, and data pages copied.
    pub rewritten: u64,
    /// Why → row groups that were decoded and encoded.
    pub recoded: BTreeMap<&'static str, u64>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The copy is written: rows, and what became of each column, in the order asked for.
    Copied {
        /// Rows of the copy, which are those of the files.
        rows: u64,
        /// One for each column.
        how: Vec<How>,
    },
    /// Nothing is written, for this reason: the caller decodes the log instead.
    Refused(String),
}

/// Copies `columns` of `files`, one after another, into `out`, which is empty.
///
/// Rows stay as they are, all of them and in their order; values of copied columns too. Pseudonyms are those of
/// [`hardneg_core::rewrite::pseudonymize`], in a column of 16 bytes fixed length; empty identifiers become null. The same
/// input gives the same bytes for any number of threads.
///
/// Memory: one column chunk for each thread, as it lies in the file; decoded where it is decoded.
///
/// `threads` 0 takes every core. `watch` is called about ten times a second on the caller's thread; an error it gives stops
/// the work.
///
/// # Errors
/// [`hardneg_core::error::Error::data`] for files that cannot be read or an output that cannot be written, and whatever
/// `watch` gives.
pub fn copy(
    files: &[PathBuf],
    columns: &[Column],
    out: File,
    threads: usize,
    watch: &mut dyn FnMut() -> Result<()>,
) -> Result<Outcome> {
    let inputs = files.iter().map(|path| Input::open(path)).collect::<Result<Vec<_>>>()?;
    let mut optional = vec![false; columns.len()];
    let mut plan = match plan::plan(&inputs, columns, &optional) {
        Ok(plan) => plan,
        Err(why) => return Ok(Outcome::Refused(why)),
    };
    if run::need_nulls(&inputs, columns, &plan, &mut optional)? {
        plan = match plan::plan(&inputs, columns, &optional) {
            Ok(plan) => plan,
            Err(why) => return Ok(Outcome::Refused(why)),
        };
    }
    run::run(&inputs, columns, plan, out, threads, watch)
}

//! The work on all threads: chunks are prepared in any order and written in theirs.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use bytes::Bytes;
use hardneg_core::error::{Error, Result};
use hardneg_core::workers;
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{self, Chunk, Fault};
use super::dictionary::{has_empty, rewritten};
use super::output::Output;
use super::plan::{Input, Plan, Task};
use super::recode::recoded;
use super::{Column, How, Outcome};

const NOT_CODED: &str = "pages that are not dictionary-coded";
const EMPTY: &str = "empty values, which become null";
const NO_NULLS: &str = "a column without nulls, in which empty values would become null";

/// What became of a chunk.
enum Done {
    Copied,
    Rewritten,
    Recoded(&'static str),
}

/// Everything between pages and bytes that goes wrong is the file's fault; what the crate says could quote it.
fn damaged(inputs: &[Input], columns: &[Column], task: &Task, fault: Fault) -> Error {
    let file = inputs[task.file].path.file_name().unwrap_or_default().to_string_lossy();
    let what = match fault {
        Fault::Unreadable => {
            "its pages cannot be read: damaged, encrypted, or compressed in a way that is not supported; write the file again"
        }
        Fault::Checksum => {
            "the file is damaged: a page is not what its checksum says; write or copy it again, or leave it out"
        }
    };
    Error::data(format!("{file}: column {:?}, row group {}: {what}", columns[task.column].path, task.group))
}

fn unwritable(e: &ParquetError) -> Error {
    let why = match e {
        ParquetError::External(e) => e.downcast_ref::<std::io::Error>().map(|e| e.kind().to_string()),
        _ => None,
    };
    Error::data(format!("the output cannot be written: {}", why.as_deref().unwrap_or("not a Parquet file")))
}

/// The bytes of a task's chunk.
fn read(inputs: &[Input], task: &Task) -> Option<Bytes> {
    let input = &inputs[task.file];
    let (start, len) = chunk::place(task.meta(inputs), input.len)?;
    let mut file = File::open(&input.path).ok()?;
    file.seek(SeekFrom::Start(start)).ok()?;
    let mut bytes = Vec::with_capacity(usize::try_from(len).ok()?);
    file.take(len).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 == len).then(|| bytes.into())
}

/// Marks identifier columns that cannot hold nulls and have to: some value is empty, or may be.
///
/// # Errors
/// [`Error::data`] for pages that cannot be read.
pub(super) fn need_nulls(
    inputs: &[Input],
    columns: &[Column],
    plan: &Plan,
    optional: &mut [bool],
) -> Result<bool> {
    let mut any = false;
    for task in &plan.tasks {
        let meta = task.meta(inputs);
        let Some(kind) = task.kind.filter(|kind| kind.can_be_empty()) else { continue };
        if meta.column_descr().max_def_level() > 0 || optional[task.column] {
            continue;
        }
        let failed = || damaged(inputs, columns, task, Fault::Unreadable);
        let bytes = read(inputs, task).ok_or_else(failed)?;
        let pages =
            chunk::pages(&bytes, meta.num_values()).map_err(|fault| damaged(inputs, columns, task, fault))?;
        if !chunk::all_coded(&pages) || has_empty(&bytes, meta, kind).map_err(|_| failed())? {
            optional[task.column] = true;
            any = true;
        }
    }
    Ok(any)
}

/// A task's chunk, ready to be written.
fn prepared(
    inputs: &[Input],
    columns: &[Column],
    task: &Task,
    column: ColumnDescPtr,
) -> Result<(Chunk, Done)> {
    let failed = || damaged(inputs, columns, task, Fault::Unreadable);
    let meta = task.meta(inputs);
    let bytes = read(inputs, task).ok_or_else(failed)?;
    let mut pages =
        chunk::pages(&bytes, meta.num_values()).map_err(|fault| damaged(inputs, columns, task, fault))?;
    let (codec, values) = (meta.compression_codec(), meta.num_values());
    let flat = meta.column_descr().max_rep_level() == 0;
    if flat && values != inputs[task.file].meta.row_group(task.group).num_rows() {
        return Err(failed());
    }
    let (Some(pseudonymizer), Some(kind)) = (&columns[task.column].pseudonyms, task.kind) else {
        return Ok((Chunk { pages, codec, values, statistics: chunk::statistics(meta) }, Done::Copied));
    };
    let why = if meta.column_descr().max_def_level() != column.max_def_level() {
        NO_NULLS
    } else if !chunk::all_coded(&pages) {
        NOT_CODED
    } else {
        match rewritten(&pages[0], &bytes, meta, kind, pseudonymizer).map_err(|_| failed())? {
            Some(page) => {
                pages[0] = page;
                let nulls = meta.statistics().and_then(|s| s.null_count_opt());
                let statistics = Some(chunk::pseudonym_statistics(nulls));
                return Ok((Chunk { pages, codec, values, statistics }, Done::Rewritten));
            }
            None => EMPTY,
        }
    };
    drop(pages);
    let chunk = recoded(bytes, meta, kind, pseudonymizer, column).map_err(|_| failed())?;
    Ok((chunk, Done::Recoded(why)))
}

/// Carries a plan out.
///
/// # Errors
/// As [`super::copy`].
pub(super) fn run(
    inputs: &[Input],
    columns: &[Column],
    plan: Plan,
    out: File,
    threads: usize,
    watch: &mut dyn FnMut() -> Result<()>,
) -> Result<Outcome> {
    let mut output = Output::new(out, plan.schema).map_err(|e| unwritable(&e))?;
    let schema = output.schema().clone();
    let mut how = vec![How::default(); columns.len()];
    workers::ordered(
        plan.tasks.len(),
        workers::threads(threads),
        watch,
        |i| prepared(inputs, columns, &plan.tasks[i], schema.column(plan.tasks[i].out_leaf)),
        |i, (chunk, done)| {
            let task = &plan.tasks[i];
            output.append(task.out_leaf, chunk).map_err(|e| unwritable(&e))?;
            let how = &mut how[task.column];
            match done {
                Done::Copied => how.copied += 1,
                Done::Rewritten => how.rewritten += 1,
                Done::Recoded(why) => *how.recoded.entry(why).or_default() += 1,
            }
            Ok(())
        },
    )?;
    output.finish(&plan.rows).map_err(|e| unwritable(&e))?;
    Ok(Outcome::Copied { rows: plan.rows.iter().sum::<i64>() as u64, how })
}

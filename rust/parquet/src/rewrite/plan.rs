//! What becomes of each column: the schema of the output, or why the pages cannot be copied.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hardneg_core::error::{Error, Result};
use parquet::basic::Repetition;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::schema::types::{Type, TypePtr};

use super::Column;
use super::encode::column_type;
use super::ids::Kind;
use crate::metadata::{decoded, footer};

/// An input file.
pub(super) struct Input {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Its length in bytes.
    pub(super) len: u64,
    /// Its footer.
    pub(super) meta: ParquetMetaData,
}

impl Input {
    /// Reads the footer of a file.
    ///
    /// # Errors
    /// [`Error::data`] where there is none.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let unreadable = || {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Error::data(format!(
                "{name}: cannot be read as Parquet: damaged, encrypted or cut short; write it again"
            ))
        };
        let file = File::open(path).map_err(|_| unreadable())?;
        let len = file.metadata().map_err(|_| unreadable())?.len();
        let footer = footer(&file).map_err(|_| unreadable())?;
        let meta = decoded(&footer).ok().flatten().ok_or_else(unreadable)?;
        Ok(Self { path: path.to_owned(), len, meta })
    }

    /// The top-level column of this name, and its leaves.
    fn column(&self, name: &str) -> Option<(TypePtr, Vec<usize>)> {
        let schema = self.meta.file_metadata().schema_descr();
        let leaves: Vec<usize> =
            (0..schema.num_columns()).filter(|leaf| schema.get_column_root(*leaf).name() == name).collect();
        Some((schema.get_column_root_ptr(*leaves.first()?), leaves))
    }
}

/// One column chunk of the output.
pub(super) struct Task {
    /// Which input.
    pub(super) file: usize,
    /// Which of its row groups.
    pub(super) group: usize,
    /// Which of its leaves.
    pub(super) leaf: usize,
    /// Which leaf of the output.
    pub(super) out_leaf: usize,
    /// Which of the columns asked for.
    pub(super) column: usize,
    /// How identifiers are read.
    pub(super) kind: Option<Kind>,
}

impl Task {
    /// The chunk's footer entry.
    pub(super) fn meta<'a>(&self, inputs: &'a [Input]) -> &'a ColumnChunkMetaData {
        inputs[self.file].meta.row_group(self.group).column(self.leaf)
    }
}

/// The work, in the order of the output.
pub(super) struct Plan {
    /// Root of the output's schema.
    pub(super) schema: TypePtr,
    /// Column chunks, row group by row group.
    pub(super) tasks: Vec<Task>,
    /// Rows of the row groups.
    pub(super) rows: Vec<i64>,
}

/// Plans a copy of `columns`; `optional[i]` says that column i must be able to hold nulls. Otherwise why pages cannot be
/// copied.
pub(super) fn plan(
    inputs: &[Input],
    columns: &[Column],
    optional: &[bool],
) -> std::result::Result<Plan, String> {
    let mut fields: Vec<TypePtr> = Vec::new();
    let mut leaves: Vec<Vec<(Vec<usize>, Option<Kind>)>> = Vec::new();
    for (i, column) in columns.iter().enumerate() {
        let mut field: Option<TypePtr> = None;
        let mut of_files = Vec::new();
        for input in inputs {
            let (found, leaves) = input
                .column(&column.path)
                .ok_or_else(|| format!("{} is no column of the top level in every file", column.name))?;
            let (made, kind) = output_type(column, &found, optional[i])?;
            if field.as_ref().is_some_and(|field| **field != made) {
                return Err(format!("{} has not the same type in every file", column.name));
            }
            field.get_or_insert(Arc::new(made));
            of_files.push((leaves, kind));
        }
        fields.extend(field);
        leaves.push(of_files);
    }
    let schema = Type::group_type_builder("schema").with_fields(fields).build();
    let schema = Arc::new(schema.map_err(|_| "the schema is none that can be written")?);
    let (mut tasks, mut rows) = (Vec::new(), Vec::new());
    for (file, input) in inputs.iter().enumerate() {
        for (group, found) in input.meta.row_groups().iter().enumerate() {
            // Row groups without rows, which some writers leave, may be without pages too.
            if found.num_rows() <= 0 {
                continue;
            }
            rows.push(found.num_rows());
            let mut out_leaf = 0;
            for (column, of_files) in leaves.iter().enumerate() {
                let (leaves, kind) = &of_files[file];
                for leaf in leaves {
                    tasks.push(Task { file, group, leaf: *leaf, out_leaf, column, kind: *kind });
                    out_leaf += 1;
                }
            }
        }
    }
    if rows.len() > i16::MAX as usize {
        return Err(format!("{} row groups are more than one file may have", rows.len()));
    }
    Ok(Plan { schema, tasks, rows })
}

/// The type that a column has in the output, and how identifiers are read.
fn output_type(
    column: &Column,
    found: &Type,
    optional: bool,
) -> std::result::Result<(Type, Option<Kind>), String> {
    let failed = |_| format!("the type of {} is none that can be written", column.name);
    if column.pseudonyms.is_some() {
        let kind =
            Kind::of(found).ok_or_else(|| format!("the type of {} is not text or integer", column.name))?;
        let info = found.get_basic_info();
        let repetition = if optional { Repetition::OPTIONAL } else { info.repetition() };
        return Ok((column_type(&column.name, repetition).map_err(failed)?, Some(kind)));
    }
    let made = match found {
        Type::PrimitiveType { basic_info: info, physical_type, type_length, scale, precision } => {
            Type::primitive_type_builder(&column.name, *physical_type)
                .with_repetition(info.repetition())
                .with_converted_type(info.converted_type())
                .with_logical_type(info.logical_type_ref().cloned())
                .with_length(*type_length)
                .with_scale(*scale)
                .with_precision(*precision)
                .build()
        }
        Type::GroupType { basic_info: info, fields } => Type::group_type_builder(&column.name)
            .with_repetition(info.repetition())
            .with_converted_type(info.converted_type())
            .with_logical_type(info.logical_type_ref().cloned())
            .with_fields(fields.clone())
            .build(),
    };
    Ok((made.map_err(failed)?, None))
}

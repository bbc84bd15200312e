//! Where a column is in the tree of a file's schema.

use std::sync::Arc;

use parquet::basic::{ConvertedType, LogicalType, Repetition};
use parquet::errors::Result;
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor, Type, TypePtr};

/// Which column of a file is meant.
#[derive(Debug, Clone)]
pub enum Of {
    /// The one at this path, fields of structs after dots. Where a plain name has dots in it, it wins.
    Path(String),
    /// The leaf that has this number: its values in the lists and structs that it is in, without their other fields.
    Leaf(usize),
}

impl From<&str> for Of {
    fn from(path: &str) -> Self {
        Self::Path(path.into())
    }
}

/// A column: a leaf, or all that is in a list, a map or a struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// Its leaves, in order: at least one.
    pub(super) leaves: std::ops::Range<usize>,
    /// Structs that it is in.
    pub(super) depth: usize,
    /// Whether it is a leaf with one value a row.
    pub(super) is_flat: bool,
    /// Of a leaf that is read by itself: the field of the top level that it is in, and the leaves before that.
    pub(super) alone: Option<(usize, usize)>,
}

impl Node {
    /// None where there is no such column, or several.
    pub(super) fn find(schema: &SchemaDescriptor, of: &Of) -> Option<Self> {
        match of {
            Of::Path(path) => Self::at(schema, path),
            Of::Leaf(at) => Self::leaf(schema, *at),
        }
    }

    fn leaf(schema: &SchemaDescriptor, at: usize) -> Option<Self> {
        let column = schema.columns().get(at)?;
        let is_flat = column.max_rep_level() == 0;
        let depth = if is_flat { column.path().parts().len() - 1 } else { 0 };
        let top = schema.get_column_root_idx(at);
        let first = leaves(&schema.root_schema().get_fields()[..top]);
        Some(Self { leaves: at..at + 1, depth, is_flat, alone: Some((top, first)) })
    }

    /// The schema that it is read by, and how many leaves of the file's stand before that one's.
    ///
    /// A leaf by itself is read by that of its field alone, in which maps are lists of structs: the library has none without
    /// keys or without values. `as_binary`: text is said to be binary.
    pub(super) fn schema(&self, file: &SchemaDescPtr, as_binary: bool) -> Result<(SchemaDescPtr, usize)> {
        let fields = file.root_schema().get_fields();
        let (fields, first) = match self.alone {
            Some((top, first)) => (&fields[top..=top], first),
            None if as_binary => (fields, 0),
            None => return Ok((file.clone(), 0)),
        };
        let fields = fields.iter().map(|f| said(f, self.alone.is_none(), !as_binary).map(Arc::new));
        let fields = fields.collect::<Result<Vec<_>>>()?;
        let root = Type::group_type_builder(file.root_schema().name()).with_fields(fields).build()?;
        Ok((Arc::new(SchemaDescriptor::new(Arc::new(root))), first))
    }

    fn at(schema: &SchemaDescriptor, path: &str) -> Option<Self> {
        let mut fields = schema.root_schema().get_fields();
        let (mut first, mut depth, mut rest) = (0, 0, path);
        // As the Python side finds columns: the whole rest of the path first, then up to its next dot.
        let at = loop {
            if fields.iter().any(|f| f.name() == rest) {
                break the_one(fields, rest)?;
            }
            let (name, below) = rest.split_once('.')?;
            let at = the_one(fields, name).filter(|at| is_struct(&fields[*at]))?;
            first += leaves(&fields[..at]);
            fields = fields[at].get_fields();
            depth += 1;
            rest = below;
        };
        let found = fields.get(at)?;
        first += leaves(&fields[..at]);
        let leaves = first..first + leaves(std::slice::from_ref(found));
        let is_flat = found.is_primitive() && schema.column(first).max_rep_level() == 0;
        (!leaves.is_empty()).then_some(Self { leaves, depth, is_flat, alone: None })
    }
}

/// The field of this name; None where there is none, or several.
fn the_one(fields: &[TypePtr], name: &str) -> Option<usize> {
    let mut named = fields.iter().enumerate().filter(|(_, f)| f.name() == name);
    let (at, _) = named.next()?;
    named.next().is_none().then_some(at)
}

fn is_map(t: &Type) -> bool {
    let info = t.get_basic_info();
    matches!(info.converted_type(), ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE)
        || info.logical_type_ref() == Some(&LogicalType::Map)
}

fn is_struct(t: &Type) -> bool {
    let info = t.get_basic_info();
    let is_list =
        info.converted_type() == ConvertedType::LIST || info.logical_type_ref() == Some(&LogicalType::List);
    let repeats = info.has_repetition() && info.repetition() == Repetition::REPEATED;
    t.is_group() && !is_map(t) && !is_list && !repeats
}

/// The type with `maps` and `texts` said to be such, or not.
fn said(t: &Type, maps: bool, texts: bool) -> Result<Type> {
    let info = t.get_basic_info();
    match t {
        Type::PrimitiveType { physical_type, .. } => {
            let is_text = matches!(info.logical_type_ref(), Some(LogicalType::String | LogicalType::Json))
                || matches!(info.converted_type(), ConvertedType::UTF8 | ConvertedType::JSON);
            if texts || !is_text {
                return Ok(t.clone());
            }
            Type::primitive_type_builder(t.name(), *physical_type).with_repetition(info.repetition()).build()
        }
        Type::GroupType { fields, .. } => {
            let fields = fields.iter().map(|f| said(f, maps, texts).map(Arc::new)).collect::<Result<_>>()?;
            let mut builder = Type::group_type_builder(t.name()).with_fields(fields);
            if info.has_repetition() {
                builder = builder.with_repetition(info.repetition());
            }
            if maps || !is_map(t) {
                builder = builder
                    .with_converted_type(info.converted_type())
                    .with_logical_type(info.logical_type_ref().cloned());
            }
            builder.build()
        }
    }
}

fn leaves(fields: &[TypePtr]) -> usize {
    fields.iter().map(|f| if f.is_group() { leaves(f.get_fields()) } else { 1 }).sum()
}

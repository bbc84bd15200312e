//! Where a column is in the tree of a file's schema.

use parquet::basic::{ConvertedType, LogicalType, Repetition};
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

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
        if column.max_rep_level() == 0 {
            return Some(Self { leaves: at..at + 1, depth: column.path().parts().len() - 1, is_flat: true });
        }
        // The library has no maps without keys or without values: of one all leaves are read.
        let (mut fields, mut first) = (schema.root_schema().get_fields(), 0);
        loop {
            let (mut below, mut begun) = (None, first);
            for field in fields {
                let next = begun + leaves(std::slice::from_ref(field));
                if (begun..next).contains(&at) {
                    below = Some((field, begun..next));
                    break;
                }
                begun = next;
            }
            let (field, range) = below?;
            if is_map(field) || field.is_primitive() {
                return Some(Self { leaves: range, depth: 0, is_flat: false });
            }
            (fields, first) = (field.get_fields(), range.start);
        }
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
        (!leaves.is_empty()).then_some(Self { leaves, depth, is_flat })
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

fn leaves(fields: &[TypePtr]) -> usize {
    fields.iter().map(|f| if f.is_group() { leaves(f.get_fields()) } else { 1 }).sum()
}

//! Which of the decoders reads a column, and the Arrow type it comes in.

use std::ops::Range;

use arrow_array::types::*;
use arrow_schema::{DataType, TimeUnit};
use hardneg_core::error::Result;
use parquet::arrow::{ProjectionMask, parquet_to_arrow_schema_by_columns};
use parquet::basic::Type as Physical;
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::schema::types::SchemaDescriptor;

use super::file::{FileBytes, LogFile, broken};
use super::flags::Flags;
use super::leaf::{Column, Leaf, decodes};
use super::node::Node;
use super::numbers::Numbers;
use super::other::Other;
use super::text::Text;

/// Bytes of the values of a fixed length in one batch.
const WIDEST: usize = 1 << 30;

/// A kind of column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// BYTE_ARRAY, said to be UTF-8 or not.
    Text { utf8: bool },
    /// Of fixed width, as this Arrow type.
    Number(DataType),
    /// BOOLEAN.
    Flag,
    /// All else, as this Arrow type; `told`: as the Arrow schema in the file has it.
    Other { t: DataType, told: bool },
}

impl Kind {
    /// Of a column; None where the Parquet library has no Arrow type for it.
    pub(super) fn of(metadata: &ParquetMetaData, node: &Node) -> Option<Self> {
        let file = metadata.file_metadata();
        let (schema, first) = node.schema(&file.schema_descr_ptr(), false).ok()?;
        let leaves = node.leaves.start - first..node.leaves.end - first;
        let plain = arrow_type(&schema, &leaves, node.depth, None)?;
        // What the Arrow schema in the file adds: durations that Parquet holds as integers, time zones, list layouts.
        let told = match node.alone {
            None => arrow_type(&schema, &leaves, node.depth, file.key_value_metadata())?,
            Some(_) => plain.clone(),
        };
        // Of dictionaries the library makes those of text alone.
        let told = if has_other_dictionaries(&told) { plain.clone() } else { told };
        if !node.is_flat {
            return Some(Self::Other { told: told != plain, t: told });
        }
        let value = match &told {
            DataType::Dictionary(_, value) => value,
            t => t,
        };
        let same = value == &plain
            || matches!((&plain, value), (DataType::Timestamp(a, _), DataType::Timestamp(b, _)) if a == b);
        let text =
            |t: &DataType| t.is_string() || t.is_binary() && !matches!(t, DataType::FixedSizeBinary(_));
        Some(match plain {
            DataType::Utf8 | DataType::Binary if text(value) => Self::Text { utf8: plain == DataType::Utf8 },
            DataType::Boolean if same => Self::Flag,
            t if same && number(&t, schema.column(leaves.start).physical_type()) => Self::Number(t),
            plain => Self::Other { told: told != plain, t: told },
        })
    }

    /// The type it is announced in.
    pub(super) fn data_type(&self) -> DataType {
        let dictionary = |t| DataType::Dictionary(Box::new(DataType::Int32), Box::new(t));
        match self {
            Self::Text { utf8: true } => dictionary(DataType::Utf8),
            Self::Text { utf8: false } => dictionary(DataType::Binary),
            Self::Number(t) | Self::Other { t, .. } => t.clone(),
            Self::Flag => DataType::Boolean,
        }
    }

    /// Opens a column of row group `group`.
    pub(super) fn open(
        &self,
        file: &LogFile,
        bytes: &FileBytes,
        (group, node): (usize, &Node),
        batch_rows: usize,
    ) -> Result<Box<dyn Column>> {
        let row_group = file.metadata.row_group(group);
        let rows = row_group.num_rows().unsigned_abs() as usize;
        let other = |text| {
            // The library takes memory for values that are null, too.
            let of = |leaf| usize::try_from(row_group.column(leaf).column_descr().type_length()).unwrap_or(0);
            let width: usize = node.leaves.clone().map(of).sum();
            if width.saturating_mul(rows.min(batch_rows)) > WIDEST {
                return Err(broken(file.name(), "values of a fixed length that no log has"));
            }
            let told = !matches!(self, Self::Other { told: false, .. });
            let column = Other::new(file, bytes, (group, node), (text, told), batch_rows);
            column.map(|c| Box::new(c) as Box<dyn Column>)
        };
        if !node.is_flat {
            return other(None);
        }
        let chunk = row_group.column(node.leaves.start);
        if !chunk.encodings().all(decodes) {
            return other(if let Self::Text { utf8 } = self { Some(*utf8) } else { None });
        }
        macro_rules! leaf {
            ($values:expr) => {
                Ok(Box::new(Leaf::new(file.name(), bytes.clone(), (chunk, rows), $values)?))
            };
        }
        macro_rules! number {
            ($t:expr, $($pattern:pat => $arrow:ty),+) => {
                match $t {
                    $($pattern => leaf!(Numbers::<$arrow>::new($t.clone())),)+
                    _ => other(None),
                }
            };
        }
        match self {
            Self::Text { utf8 } => leaf!(Text::new(*utf8)),
            Self::Flag => leaf!(Flags::new()),
            Self::Other { .. } => other(None),
            Self::Number(t) => number!(t,
                DataType::Int8 => Int8Type, DataType::Int16 => Int16Type,
                DataType::Int32 => Int32Type, DataType::Int64 => Int64Type,
                DataType::UInt8 => UInt8Type, DataType::UInt16 => UInt16Type,
                DataType::UInt32 => UInt32Type, DataType::UInt64 => UInt64Type,
                DataType::Float32 => Float32Type, DataType::Float64 => Float64Type,
                DataType::Date32 => Date32Type,
                DataType::Time32(TimeUnit::Second) => Time32SecondType,
                DataType::Time32(_) => Time32MillisecondType,
                DataType::Time64(TimeUnit::Microsecond) => Time64MicrosecondType,
                DataType::Time64(_) => Time64NanosecondType,
                DataType::Timestamp(TimeUnit::Millisecond, _) => TimestampMillisecondType,
                DataType::Timestamp(TimeUnit::Microsecond, _) => TimestampMicrosecondType,
                DataType::Timestamp(TimeUnit::Nanosecond, _) => TimestampNanosecondType
            ),
        }
    }
}

/// Whether values of `t` are held as [`Numbers`] reads them: timestamps can also be INT96, which are other numbers.
fn number(t: &DataType, physical: Physical) -> bool {
    match t {
        DataType::Int64 | DataType::UInt64 | DataType::Time64(_) | DataType::Timestamp(..) => {
            physical == Physical::INT64
        }
        DataType::Date32 | DataType::Time32(_) => physical == Physical::INT32,
        DataType::Float32 => physical == Physical::FLOAT,
        DataType::Float64 => physical == Physical::DOUBLE,
        t => t.is_integer() && physical == Physical::INT32,
    }
}

/// The Arrow type of the leaves of a column that is `depth` structs down.
fn arrow_type(
    schema: &SchemaDescriptor,
    leaves: &Range<usize>,
    depth: usize,
    told: Option<&Vec<KeyValue>>,
) -> Option<DataType> {
    let mask = ProjectionMask::leaves(schema, leaves.clone());
    let schema = parquet_to_arrow_schema_by_columns(schema, mask, told).ok()?;
    let mut t = schema.fields().first()?.data_type().clone();
    for _ in 0..depth {
        let DataType::Struct(fields) = &t else { return None };
        t = fields.first()?.data_type().clone();
    }
    Some(t)
}

/// Whether there are dictionaries of anything but text or binary of any length in a type.
fn has_other_dictionaries(t: &DataType) -> bool {
    match t {
        DataType::Dictionary(_, value) => {
            !(value.is_string() || value.is_binary()) || matches!(**value, DataType::FixedSizeBinary(_))
        }
        DataType::Struct(fields) => fields.iter().any(|f| has_other_dictionaries(f.data_type())),
        DataType::List(f)
        | DataType::LargeList(f)
        | DataType::ListView(f)
        | DataType::LargeListView(f)
        | DataType::FixedSizeList(f, _)
        | DataType::Map(f, _) => has_other_dictionaries(f.data_type()),
        _ => false,
    }
}

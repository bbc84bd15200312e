//! Columns of identifiers: which types can be, and their values as the bytes that are pseudonymised.
//!
//! Text and binary are their bytes, whole numbers their decimal digits: the rule of `hardneg_core::text::TextColumn`.

use std::borrow::Cow;

use hardneg_core::pseudonym::{Pseudonym, Pseudonymizer};
use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::schema::types::Type;

/// How the values of an identifier column are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes of any length; empty is null.
    Text,
    /// Bytes of this length.
    Fixed(usize),
    /// 32 bits; whether signed.
    Int32(bool),
    /// 64 bits; whether signed.
    Int64(bool),
}

impl Kind {
    /// The kind of a column; None where it is no identifier that this module reads, or lies inside others.
    pub(super) fn of(column: &Type) -> Option<Self> {
        let Type::PrimitiveType { basic_info, physical_type, type_length, .. } = column else {
            return None;
        };
        if basic_info.repetition() == Repetition::REPEATED {
            return None;
        }
        let (logical, converted) = (basic_info.logical_type_ref(), basic_info.converted_type());
        let signed = match (logical, converted) {
            (Some(LogicalType::Integer(int)), _) => Some(int.is_signed),
            (None, ConvertedType::NONE) => Some(true),
            (
                None,
                ConvertedType::INT_8 | ConvertedType::INT_16 | ConvertedType::INT_32 | ConvertedType::INT_64,
            ) => Some(true),
            (
                None,
                ConvertedType::UINT_8
                | ConvertedType::UINT_16
                | ConvertedType::UINT_32
                | ConvertedType::UINT_64,
            ) => Some(false),
            _ => None,
        };
        match physical_type {
            Physical::BYTE_ARRAY => {
                let text = matches!(logical, None | Some(LogicalType::String | LogicalType::Enum))
                    && matches!(converted, ConvertedType::NONE | ConvertedType::UTF8 | ConvertedType::ENUM);
                text.then_some(Self::Text)
            }
            Physical::FIXED_LEN_BYTE_ARRAY => {
                let plain = logical.is_none() && converted == ConvertedType::NONE;
                usize::try_from(*type_length).ok().filter(|n| plain && *n > 0).map(Self::Fixed)
            }
            Physical::INT32 => signed.map(Self::Int32),
            Physical::INT64 => signed.map(Self::Int64),
            _ => None,
        }
    }

    /// Whether a value can be empty, and so stand for null.
    pub(super) fn can_be_empty(self) -> bool {
        self == Self::Text
    }

    /// The values of a dictionary page's body, PLAIN; None where it does not hold exactly `n`.
    pub(super) fn plain(self, body: &[u8], n: usize) -> Option<Vec<Cow<'_, [u8]>>> {
        // Every value takes a byte or more, so a count that lies cannot make this large.
        let mut values = Vec::with_capacity(n.min(body.len()));
        let mut rest = body;
        for _ in 0..n {
            let width = match self {
                Self::Text => {
                    let (len, after) = rest.split_first_chunk()?;
                    rest = after;
                    u32::from_le_bytes(*len) as usize
                }
                Self::Fixed(width) => width,
                Self::Int32(_) => 4,
                Self::Int64(_) => 8,
            };
            let (value, after) = rest.split_at_checked(width)?;
            rest = after;
            values.push(match self {
                Self::Text | Self::Fixed(_) => Cow::Borrowed(value),
                Self::Int32(_) => self.number(i32::from_le_bytes(value.try_into().ok()?).into()),
                Self::Int64(_) => self.number(i64::from_le_bytes(value.try_into().ok()?)),
            });
        }
        rest.is_empty().then_some(values)
    }

    /// The decimal digits of a number as Parquet holds it: two's complement of the column's width.
    pub(super) fn number(self, value: i64) -> Cow<'static, [u8]> {
        let digits = match self {
            Self::Int32(false) => (value as u32).to_string(),
            Self::Int64(false) => (value as u64).to_string(),
            _ => value.to_string(),
        };
        Cow::Owned(digits.into_bytes())
    }
}

/// Pseudonyms of values.
pub(super) fn pseudonyms<V: AsRef<[u8]>>(pseudonymizer: &Pseudonymizer, values: &[V]) -> Vec<Pseudonym> {
    values.iter().map(|value| pseudonymizer.pseudonym(value.as_ref())).collect()
}

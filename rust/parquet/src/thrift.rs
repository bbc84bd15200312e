//! Thrift's compact protocol (Apache Thrift, `thrift-compact-protocol.md`), as far as Parquet's headers and footers need
//! it.

/// Structs and lists within each other: Parquet's own footers go nine deep.
const MAX_DEPTH: u8 = 16;

pub(crate) const STRUCT: u8 = 12;

/// What a value must be.
pub(crate) enum Shape {
    /// Of 16, 32 or 64 bits: all are one varint.
    Integer,
    Byte,
    Flag,
    Double,
    /// Text, too.
    Bytes,
    List(&'static Shape),
    /// Fields by id; others may be anything.
    Struct(&'static [(i64, Shape)]),
}

impl Shape {
    fn fits(&self, kind: u8) -> bool {
        match self {
            Self::Flag => matches!(kind, 1 | 2),
            Self::Byte => kind == 3,
            Self::Integer => matches!(kind, 4..=6),
            Self::Double => kind == 7,
            Self::Bytes => kind == 8,
            Self::List(_) => kind == 9,
            Self::Struct(_) => kind == STRUCT,
        }
    }
}

/// A reader; every method is None at the end of the bytes, or where they make no sense.
pub(crate) struct Thrift<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
}

impl Thrift<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn skip_bytes(&mut self, n: u64) -> Option<()> {
        let at = self.at.checked_add(usize::try_from(n).ok()?)?;
        (at <= self.bytes.len()).then(|| self.at = at)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    pub(crate) fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Calls `each` with id and type of every field of a struct; it must read the field's value.
    pub(crate) fn fields(&mut self, each: &mut dyn FnMut(&mut Self, i64, u8) -> Option<()>) -> Option<()> {
        let mut id: i64 = 0;
        loop {
            let byte = self.byte()?;
            if byte & 0x0f == 0 {
                return Some(());
            }
            id = match byte >> 4 {
                0 => self.zigzag()?,
                delta => id.checked_add(i64::from(delta))?,
            };
            // Ids have 16 bits, and readers that cut off the others would take it for another.
            i16::try_from(id).ok()?;
            each(self, id, byte & 0x0f)?;
        }
    }

    /// How many elements the list or set that begins here has; goes on at the first.
    pub(crate) fn list(&mut self) -> Option<u64> {
        let head = self.byte()?;
        let n = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        // Flags in lists take a byte each, for some readers none; no list of ours has any. All others take at least one,
        // so there are no more than bytes.
        (n == 0 || head & 0x0f > 2).then_some(n)
    }

    /// Steps over a value of a struct's field; None where it is not of the shape.
    pub(crate) fn skip(&mut self, kind: u8, shape: Option<&Shape>, depth: u8) -> Option<()> {
        if depth > MAX_DEPTH || shape.is_some_and(|shape| !shape.fits(kind)) {
            return None;
        }
        match kind {
            1 | 2 => Some(()),
            3 => self.skip_bytes(1),
            4..=6 => self.varint().map(|_| ()),
            7 => self.skip_bytes(8),
            8 => {
                let n = self.varint()?;
                self.skip_bytes(n)
            }
            9 | 10 => {
                let from = self.at;
                let n = self.list()?;
                let element = self.bytes[from] & 0x0f;
                let of = if let Some(Shape::List(of)) = shape { Some(*of) } else { None };
                (0..n).try_for_each(|_| self.skip(element, of, depth + 1))
            }
            STRUCT => {
                let known = if let Some(Shape::Struct(known)) = shape { *known } else { &[] };
                let mut seen = 0_u32;
                self.fields(&mut |thrift, id, kind| {
                    let place = known.iter().position(|(known, _)| *known == id);
                    // Of a field that comes twice some readers take the first, some the last, and nobody writes it.
                    let bit = place.map_or(0, |place| 1 << place);
                    if seen & bit != 0 {
                        return None;
                    }
                    seen |= bit;
                    thrift.skip(kind, place.map(|place| &known[place].1), depth + 1)
                })
            }
            _ => None,
        }
    }
}

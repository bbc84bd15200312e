//! Sections with checksums.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

use crate::error::Error;

const MAGIC: &[u8; 8] = b"HNCOUNTS";

/// Of the whole file. A change of the facts, of the sections or of how groups are packed is a new version.
pub(super) const VERSION: u32 = 2;

/// Kind and length.
const HEAD: usize = 9;
const CHECKSUM: usize = 32;

/// Of a section's content; the spill takes no longer blocks either.
const LONGEST: u64 = 1 << 30;

/// Kinds of sections.
pub(super) mod kind {
    pub(in super::super) const FACTS: u8 = 1;
    pub(in super::super) const QUERIES: u8 = 2;
    pub(in super::super) const DOCS: u8 = 3;
    pub(in super::super) const PART: u8 = 4;
    pub(in super::super) const END: u8 = 5;
}

/// What is wrong with a file.
#[derive(Debug)]
pub(super) enum Fault {
    /// Reading failed.
    Io(io::Error),
    /// What was read could not be kept.
    Core(Error),
    /// No file of counts.
    Foreign,
    /// Of a version that is not known.
    Version(u32),
    /// It ends too soon.
    Short,
    /// It is not what was written.
    Damaged,
}

impl From<io::Error> for Fault {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

impl From<Error> for Fault {
    fn from(e: Error) -> Self {
        Self::Core(e)
    }
}

/// Writes sections, each with the checksum of all that went before.
pub(super) struct Writer<W> {
    to: W,
    sum: Sha256,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(to: W) -> io::Result<Self> {
        let mut out = Self { to, sum: Sha256::new() };
        out.put(MAGIC)?;
        out.put(&VERSION.to_le_bytes())?;
        Ok(out)
    }

    /// A section of these pieces.
    pub(super) fn section(&mut self, kind: u8, pieces: &[&[u8]]) -> io::Result<()> {
        let len: u64 = pieces.iter().map(|p| p.len() as u64).sum();
        if len > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.put(&[kind])?;
        self.put(&len.to_le_bytes())?;
        for piece in pieces {
            self.put(piece)?;
        }
        let sum = self.sum.clone().finalize();
        self.put(&sum)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.to.write_all(bytes)
    }
}

/// Reads sections, and hands out none whose checksum is wrong.
pub(super) struct Reader<R> {
    from: R,
    /// Bytes that the file still has.
    left: u64,
    sum: Sha256,
}

impl<R: Read> Reader<R> {
    /// Reads `from`, which has `len` bytes.
    pub(super) fn new(from: R, len: u64) -> Result<Self, Fault> {
        let mut file = Self { from, left: len, sum: Sha256::new() };
        let magic: [u8; MAGIC.len()] = file.array().map_err(foreign)?;
        if &magic != MAGIC {
            return Err(Fault::Foreign);
        }
        match u32::from_le_bytes(file.array()?) {
            VERSION => Ok(file),
            other => Err(Fault::Version(other)),
        }
    }

    /// Reads the next section into `content`, in place of what that held; returns its kind.
    pub(super) fn section(&mut self, content: &mut Vec<u8>) -> Result<u8, Fault> {
        let head: [u8; HEAD] = self.array()?;
        let mut rest = &head[1..];
        let len = take(&mut rest).map(u64::from_le_bytes).ok_or(Fault::Damaged)?;
        if len > self.left.saturating_sub(CHECKSUM as u64) {
            return Err(Fault::Short);
        }
        if len > LONGEST {
            return Err(Fault::Damaged);
        }
        content.clear();
        content.resize(usize::try_from(len).map_err(|_| Fault::Short)?, 0);
        self.from.read_exact(content)?;
        self.left -= len;
        self.sum.update(content.as_slice());
        let expected = self.sum.clone().finalize();
        let found: [u8; CHECKSUM] = self.array()?;
        if expected[..] == found[..] { Ok(head[0]) } else { Err(Fault::Damaged) }
    }

    /// Whether nothing is left.
    pub(super) fn is_at_end(&self) -> bool {
        self.left == 0
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.left = self.left.checked_sub(N as u64).ok_or(Fault::Short)?;
        let mut out = [0; N];
        self.from.read_exact(&mut out)?;
        self.sum.update(out);
        Ok(out)
    }
}

/// What is too short for a name is no file of ours.
fn foreign(fault: Fault) -> Fault {
    match fault {
        Fault::Short => Fault::Foreign,
        other => other,
    }
}

/// The next bytes, where there are so many.
pub(super) fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*head)
}

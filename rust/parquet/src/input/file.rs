//! A Parquet file, here or elsewhere: its footer, and reading at any place from any thread.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::buf::Reader;
use bytes::{Buf, Bytes};
use hardneg_core::error::{Error, Result};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, Length};

use crate::metadata::{END, Nonsense, decoded, footer, footer_len, place};
use crate::{lists, pages};

use super::text::TOO_LONG;

/// Last bytes of a file whose footer is encrypted.
const ENCRYPTED: &[u8; 4] = b"PARE";

/// Where a file of a log lies.
#[derive(Clone)]
pub enum Place {
    /// On this machine.
    Path(PathBuf),
    /// On another file system, which hands over parts of it.
    Elsewhere(Arc<dyn Elsewhere>),
}

impl<P: Into<PathBuf>> From<P> for Place {
    fn from(path: P) -> Self {
        Self::Path(path.into())
    }
}

/// A file on another file system.
pub trait Elsewhere: Send + Sync {
    /// The base name, which is what messages show.
    fn name(&self) -> &str;

    /// Its bytes.
    fn size(&self) -> u64;

    /// Parts of it, each so many bytes from some place on; `ahead` are those that will probably be asked for next.
    ///
    /// # Errors
    /// Where they cannot be had, or not whole.
    fn fetch(&self, parts: &[Part], ahead: &[Part]) -> Result<Vec<Bytes>>;
}

/// The place where a part of a file begins, and its bytes.
pub type Part = (u64, u64);

/// A file of a log as it was when it was opened.
pub(super) struct LogFile {
    place: Place,
    len: u64,
    modified: Option<SystemTime>,
    pub(super) metadata: Arc<ParquetMetaData>,
}

impl LogFile {
    /// Reads the footer; None where it is encrypted, or the library has no use for it, as others may.
    pub(super) fn open(place: &Place) -> Result<Option<Self>> {
        let name = place.name();
        let (bytes, modified) = match place {
            Place::Path(path) => FileBytes::open(path)?,
            Place::Elsewhere(file) => (FileBytes::end_of(file.as_ref())?, None),
        };
        let len = bytes.len();
        if len >= 12 && *bytes.get_bytes(len - 4, 4).map_err(|e| damaged(name, &e))? == *ENCRYPTED {
            return Ok(None);
        }
        let footer = footer(&bytes).map_err(|_| Nonsense).and_then(|footer| decoded(&footer));
        let metadata = footer.map_err(|Nonsense| {
            Error::data(format!(
                "{name}: not a Parquet file, or its end is cut off: the footer cannot be read; write or copy it again"
            ))
        })?;
        let Some(metadata) = metadata.map(Arc::new) else { return Ok(None) };
        Ok(Some(Self { place: place.clone(), len, modified, metadata }))
    }

    /// The base name, which is what messages show.
    pub(super) fn name(&self) -> &str {
        self.place.name()
    }

    /// Opens the file once more for `parts` of it, those of one row group; `ahead` are those of the next.
    pub(super) fn bytes(&self, parts: &[Part], ahead: &[Part]) -> Result<FileBytes> {
        match &self.place {
            Place::Path(path) => {
                let (bytes, modified) = FileBytes::open(path)?;
                if (bytes.len(), modified) != (self.len, self.modified) {
                    return Err(Error::data(format!(
                        "{}: the file was changed while it was read; run again when nothing writes to it",
                        self.name()
                    )));
                }
                Ok(bytes)
            }
            Place::Elsewhere(file) => {
                // Chunks that overlap would be fetched for each column.
                if parts.iter().map(|(_, len)| *len).fold(0, u64::saturating_add) > self.len {
                    return Err(broken(self.name(), "columns lie within each other"));
                }
                FileBytes::none(self.len).with(file.as_ref(), parts, ahead)
            }
        }
    }

    /// Where the chunks of some columns of a row group lie: nowhere for those of damaged footers.
    pub(super) fn parts(&self, group: usize, leaves: impl Iterator<Item = usize>) -> Vec<Part> {
        let chunks = leaves.filter_map(|leaf| place(self.metadata.row_group(group).column(leaf)));
        let inside = |(at, len): &Part| at.checked_add(*len).is_some_and(|end| end <= self.len);
        let mut parts: Vec<Part> = chunks.filter(inside).collect();
        // A column can be wanted for two.
        parts.sort_unstable();
        parts.dedup();
        parts
    }
}

impl Place {
    fn name(&self) -> &str {
        match self {
            Self::Path(path) => name(path),
            Self::Elsewhere(file) => file.name(),
        }
    }
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|n| n.to_str()).unwrap_or("a file of the log")
}

fn cannot_open(name: &str, e: &std::io::Error) -> Error {
    Error::data(match e.kind() {
        ErrorKind::NotFound => format!("{name}: no such file, or it vanished while the log was read"),
        ErrorKind::PermissionDenied => format!("{name}: no permission to read it"),
        kind => format!("{name}: cannot be opened ({kind})"),
    })
}

/// The named error for what the Parquet library says; its own words can quote values and are left out.
pub(super) fn damaged(name: &str, e: &ParquetError) -> Error {
    let what = match e {
        ParquetError::EOF(_) => "a page ends before its values do",
        ParquetError::NYI(_) => "it uses a Parquet feature that cannot be read here",
        ParquetError::External(_) => "it cannot be read from disk",
        e => said(e),
    };
    broken(name, what)
}

/// What is wrong with a page, by what its reader says: the library has no kinds of error for that.
pub(super) fn said(e: &impl std::fmt::Display) -> &'static str {
    let e = e.to_string();
    match e {
        e if e.contains(pages::CHECKSUM) => "a page is not what its checksum says",
        e if e.contains(lists::LONG_LISTS) => lists::LONG_LISTS,
        e if e.contains(pages::LONG_TEXTS) => pages::LONG_TEXTS,
        _ => "a page is not what its header says",
    }
}

/// The named error for a damaged file.
pub(super) fn broken(name: &str, what: &str) -> Error {
    if [lists::LONG_LISTS, pages::LONG_TEXTS, TOO_LONG].contains(&what) {
        return Error::data(format!("{name}: {what}"));
    }
    Error::data(format!(
        "{name}: the Parquet file is damaged or its columns are encrypted: {what}; write or copy it again, or leave it out"
    ))
}

/// Reading at any place: unlike `File`, whose clones share one position, safe from several threads.
#[derive(Clone)]
pub(super) enum FileBytes {
    /// A file on this machine.
    Disk { file: Arc<File>, len: u64 },
    /// Parts of a file.
    Held { parts: Arc<[(u64, Bytes)]>, len: u64 },
}

impl FileBytes {
    fn open(path: &Path) -> Result<(Self, Option<SystemTime>)> {
        let cannot = |e| cannot_open(name(path), &e);
        let file = File::open(path).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        Ok((Self::Disk { file: Arc::new(file), len: metadata.len() }, metadata.modified().ok()))
    }

    /// Nothing of a file that has so many bytes.
    fn none(len: u64) -> Self {
        Self::Held { parts: [].into(), len }
    }

    /// The footer, and what stands behind it.
    fn end_of(file: &dyn Elsewhere) -> Result<Self> {
        let len = file.size();
        let last = Self::none(len).with(file, &[(len - END.min(len), END.min(len))], &[])?;
        // Where there is no footer, what looks for one will say so.
        let Ok(footer) = footer_len(&last) else { return Ok(last) };
        last.with(file, &[(len - END - footer, footer)], &[])
    }

    /// With more parts of the same file.
    fn with(&self, file: &dyn Elsewhere, parts: &[Part], ahead: &[Part]) -> Result<Self> {
        let Self::Held { parts: held, len } = self else {
            return Err(Error::internal("parts of a file that is here"));
        };
        let found = file.fetch(parts, ahead)?;
        let whole = found.len() == parts.len()
            && found.iter().zip(parts).all(|(bytes, (_, len))| bytes.len() as u64 == *len);
        if !whole {
            return Err(broken(file.name(), "it ends early"));
        }
        let more = parts.iter().map(|(at, _)| *at).zip(found);
        Ok(Self::Held { parts: held.iter().cloned().chain(more).collect(), len: *len })
    }
}

#[cfg(unix)]
fn read_at(file: &File, buf: &mut [u8], at: u64) -> std::io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, at)
}

#[cfg(windows)]
fn read_at(file: &File, buf: &mut [u8], at: u64) -> std::io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buf, at)
}

/// A reader from some place on.
struct Reading<'a> {
    file: &'a File,
    at: u64,
}

impl Read for Reading<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = read_at(self.file, buf, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Length for FileBytes {
    fn len(&self) -> u64 {
        match self {
            Self::Disk { len, .. } | Self::Held { len, .. } => *len,
        }
    }
}

impl ChunkReader for FileBytes {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        // Asked for the eight bytes at the end.
        let left = self.len().saturating_sub(start).min(8);
        Ok(self.get_bytes(start, left as usize)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        // Before memory is taken for it: a damaged header can ask for anything.
        let end = start.checked_add(length as u64).filter(|end| *end <= self.len());
        let end = end.ok_or_else(|| ParquetError::EOF("beyond the end of the file".into()))?;
        match self {
            Self::Disk { file, .. } => {
                let mut out = Vec::with_capacity(length);
                Reading { file, at: start }.take(length as u64).read_to_end(&mut out)?;
                if out.len() != length {
                    return Err(ParquetError::EOF("the file ends early".into()));
                }
                Ok(out.into())
            }
            Self::Held { parts, .. } => {
                let holds = |(at, bytes): &&(u64, Bytes)| *at <= start && end - at <= bytes.len() as u64;
                let (at, bytes) = parts.iter().find(holds).ok_or_else(|| {
                    ParquetError::General("a part of the file that was not asked for".into())
                })?;
                Ok(bytes.slice((start - at) as usize..(end - at) as usize))
            }
        }
    }
}

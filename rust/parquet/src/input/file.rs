//! A Parquet file on disk: its footer, and reading at any place from any thread.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use bytes::buf::Reader;
use bytes::{Buf, Bytes};
use hardneg_core::error::{Error, Result};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, Length};

use crate::metadata::{Nonsense, decoded, footer};
use crate::pages;

/// Last bytes of a file whose footer is encrypted.
const ENCRYPTED: &[u8; 4] = b"PARE";

/// A file of a log as it was when it was opened.
pub(super) struct LogFile {
    path: PathBuf,
    len: u64,
    modified: Option<SystemTime>,
    pub(super) metadata: Arc<ParquetMetaData>,
    unannotated: OnceLock<Arc<ParquetMetaData>>,
}

impl LogFile {
    /// Reads the footer; None where it is encrypted, or the library has no use for it, as others may.
    pub(super) fn open(path: &Path) -> Result<Option<Self>> {
        let name = name(path);
        let file = File::open(path).map_err(|e| cannot_open(name, &e))?;
        let (len, modified) = identity(&file).map_err(|e| cannot_open(name, &e))?;
        let bytes = FileBytes { file: Arc::new(file), len };
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
        Ok(Some(Self { path: path.into(), len, modified, metadata, unannotated: OnceLock::new() }))
    }

    /// The footer with all text said to be binary; `make` makes it, once a file.
    pub(super) fn unannotated(
        &self,
        make: impl FnOnce() -> parquet::errors::Result<ParquetMetaData>,
    ) -> parquet::errors::Result<Arc<ParquetMetaData>> {
        if let Some(made) = self.unannotated.get() {
            return Ok(made.clone());
        }
        let made = Arc::new(make()?);
        Ok(self.unannotated.get_or_init(|| made).clone())
    }

    /// The base name, which is what messages show.
    pub(super) fn name(&self) -> &str {
        name(&self.path)
    }

    /// Opens the file once more for one row group.
    pub(super) fn bytes(&self) -> Result<FileBytes> {
        let file = File::open(&self.path).map_err(|e| cannot_open(self.name(), &e))?;
        let now = identity(&file).map_err(|e| cannot_open(self.name(), &e))?;
        if now != (self.len, self.modified) {
            return Err(Error::data(format!(
                "{}: the file was changed while it was read; run again when nothing writes to it",
                self.name()
            )));
        }
        Ok(FileBytes { file: Arc::new(file), len: self.len })
    }
}

fn identity(file: &File) -> std::io::Result<(u64, Option<SystemTime>)> {
    let metadata = file.metadata()?;
    Ok((metadata.len(), metadata.modified().ok()))
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
        e if is_checksum(e) => CHECKSUM,
        _ => "a page is not what its header says",
    };
    broken(name, what)
}

/// What is said of a page that was changed since it was written.
pub(super) const CHECKSUM: &str = "a page is not what its checksum says";

/// Whether what is said is about a page's checksum: the library has no kind of error for that.
pub(super) fn is_checksum(e: &impl std::fmt::Display) -> bool {
    e.to_string().contains(pages::CHECKSUM)
}

/// The named error for a damaged file.
pub(super) fn broken(name: &str, what: &str) -> Error {
    Error::data(format!(
        "{name}: the Parquet file is damaged or its columns are encrypted: {what}; write or copy it again, or leave it out"
    ))
}

/// Reading at any place: unlike `File`, whose clones share one position, safe from several threads.
#[derive(Clone)]
pub(super) struct FileBytes {
    file: Arc<File>,
    len: u64,
}

/// A reader from some place on.
pub(super) struct From {
    file: Arc<File>,
    at: u64,
}

impl Read for From {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = read_at(&self.file, buf, self.at)?;
        self.at += n as u64;
        Ok(n)
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

impl Length for FileBytes {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for FileBytes {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        // Asked for the eight bytes at the end.
        let left = self.len.saturating_sub(start).min(8);
        Ok(self.get_bytes(start, left as usize)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        // Before memory is taken for it: a damaged header can ask for anything.
        if start.checked_add(length as u64).is_none_or(|end| end > self.len) {
            return Err(ParquetError::EOF("beyond the end of the file".into()));
        }
        let mut out = Vec::with_capacity(length);
        From { file: self.file.clone(), at: start }.take(length as u64).read_to_end(&mut out)?;
        if out.len() != length {
            return Err(ParquetError::EOF("the file ends early".into()));
        }
        Ok(out.into())
    }
}

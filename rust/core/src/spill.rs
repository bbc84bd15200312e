//! Blocks put out to disk when memory runs short: unreadable to anybody else, and gone with the process.
//!
//! What is spilled is log data, so it never lies on a disk in the clear: every block is sealed with AES-256-GCM (NIST SP
//! 800-38D) under a random key that only this process's memory holds. The file has no name from the moment it is open,
//! so the system takes its space back however the process ends.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind as Io};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use zeroize::Zeroizing;

use crate::entropy;
use crate::error::{Error, Result};

const TAG: usize = 16;
/// Blocks start at whole pages of the file, so that freeing one gives back all of its disk and none of its neighbours'.
const PAGE: u64 = 4096;
/// What GCM can seal under one nonce is a little less than 64 GiB; nobody wants a block that long.
const LONGEST: u32 = 1 << 30;

/// Where a block lies. Not to be copied: a block is freed once.
#[derive(Debug, PartialEq, Eq)]
pub struct Extent {
    offset: u64,
    len: u32,
    // The nonce. Counted by itself instead of taken from the offset, so that it stays right if space is ever used again.
    sequence: u64,
}

impl Extent {
    /// Bytes of the block, as they were given.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether the block has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn nonce(&self) -> Nonce<aes_gcm::aead::consts::U12> {
        let mut nonce = Nonce::default();
        nonce[4..].copy_from_slice(&self.sequence.to_be_bytes());
        nonce
    }

    /// Bytes of disk it has to itself.
    fn pages(&self) -> u64 {
        (u64::from(self.len) + TAG as u64).next_multiple_of(PAGE)
    }
}

/// A file of sealed blocks, written and read by any number of threads at once.
///
/// ```
/// use hardneg_core::spill::Spill;
/// let spill = Spill::new(std::env::temp_dir());
/// let mut block = b"what does not fit into memory".to_vec();
/// let extent = spill.write(&mut block)?;
/// assert!(block.is_empty());
/// spill.read(&extent, &mut block)?;
/// assert_eq!(block, b"what does not fit into memory");
/// spill.free(extent)?;
/// # Ok::<(), hardneg_core::error::Error>(())
/// ```
pub struct Spill {
    dir: PathBuf,
    opening: Mutex<()>,
    // Boxed, so that a spill that is moved leaves no copy of its key behind.
    open: OnceLock<Box<Open>>,
    // Where the next block goes. The file only grows: no two blocks ever share a place.
    end: AtomicU64,
    sequence: AtomicU64,
    written: AtomicU64,
}

struct Open {
    file: File,
    // Wiped when dropped (features `zeroize`).
    cipher: Aes256Gcm,
}

impl Spill {
    /// A spill into directory `dir`. Nothing is made there before the first block is written.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            opening: Mutex::default(),
            open: OnceLock::new(),
            end: AtomicU64::new(0),
            sequence: AtomicU64::new(0),
            written: AtomicU64::new(0),
        }
    }

    /// Seals `block` in place and writes it. Whatever comes of it, `block` is left empty, with its capacity for the next.
    /// Every block takes whole pages of 4 KiB on disk, so blocks want to be much longer than that.
    ///
    /// # Errors
    /// Of kind [`Io`](crate::error::ErrorKind::Io) where the directory cannot be used, the disk is full, a quota or limit
    /// is reached, or writing fails; they name the directory and the remedy. [`Error::internal`] for a block of more than
    /// 1 GiB.
    pub fn write(&self, block: &mut Vec<u8>) -> Result<Extent> {
        let written = self.seal_and_write(block);
        block.clear();
        written
    }

    fn seal_and_write(&self, block: &mut Vec<u8>) -> Result<Extent> {
        let open = self.open()?;
        let len = u32::try_from(block.len())
            .ok()
            .filter(|len| *len <= LONGEST)
            .ok_or_else(|| Error::internal("a block to spill is longer than 1 GiB"))?;
        let mut extent = Extent { offset: 0, len, sequence: self.sequence.fetch_add(1, Ordering::Relaxed) };
        extent.offset = self.end.fetch_add(extent.pages(), Ordering::Relaxed);
        // The offset is sealed in: a block that turns up in the place of another is refused.
        let tag = open
            .cipher
            .encrypt_inout_detached(
                &extent.nonce(),
                &extent.offset.to_be_bytes(),
                block.as_mut_slice().into(),
            )
            .map_err(|_| Error::internal("a block to spill could not be encrypted"))?;
        block.extend_from_slice(&tag);
        open.file.write_all_at(block, extent.offset).map_err(|e| self.refused("writing", &e))?;
        self.written.fetch_add(block.len() as u64, Ordering::Relaxed);
        Ok(extent)
    }

    /// Reads a block back into `into`, in place of what that held; reuse it, and nothing is allocated.
    ///
    /// # Errors
    /// Of kind [`Io`](crate::error::ErrorKind::Io) where reading fails, or what is read is not what was written there:
    /// damaged, freed, or of another spill. `into` is empty then.
    pub fn read(&self, extent: &Extent, into: &mut Vec<u8>) -> Result<()> {
        let read = self.read_and_open(extent, into);
        if read.is_err() {
            into.clear();
        }
        read
    }

    fn read_and_open(&self, extent: &Extent, into: &mut Vec<u8>) -> Result<()> {
        let open = self.open.get().ok_or_else(|| self.damaged())?;
        into.resize(extent.len() + TAG, 0);
        open.file.read_exact_at(into, extent.offset).map_err(|e| match e.kind() {
            Io::UnexpectedEof => self.damaged(),
            _ => self.refused("reading", &e),
        })?;
        let (block, tag) = into.split_at_mut(extent.len());
        let tag = Tag::try_from(&*tag).map_err(|_| Error::internal("a tag has 16 bytes"))?;
        open.cipher
            .decrypt_inout_detached(&extent.nonce(), &extent.offset.to_be_bytes(), block.into(), &tag)
            .map_err(|_| self.damaged())?;
        into.truncate(extent.len());
        Ok(())
    }

    /// Gives the disk space of a block back, where the file system can (on Linux: ext4, XFS, Btrfs, tmpfs and others);
    /// where it cannot, the space comes back with the end of the spill.
    ///
    /// # Errors
    /// Of kind [`Io`](crate::error::ErrorKind::Io) where the file system fails.
    pub fn free(&self, extent: Extent) -> Result<()> {
        let open = self.open.get().ok_or_else(|| self.damaged())?;
        punch(&open.file, extent.offset, extent.pages()).map_err(|e| self.refused("freeing space", &e))
    }

    /// Bytes written so far, freed ones too.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    fn open(&self) -> Result<&Open> {
        if let Some(open) = self.open.get() {
            return Ok(open);
        }
        let _one = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = self.open.get() {
            return Ok(open);
        }
        let file = create(&self.dir).map_err(|e| self.refused("making its file", &e))?;
        let mut key = Zeroizing::new([0_u8; 32]);
        entropy::fill(key.as_mut_slice())?;
        Ok(self.open.get_or_init(|| Box::new(Open { file, cipher: Aes256Gcm::new((&*key).into()) })))
    }

    fn damaged(&self) -> Error {
        Error::io(format!(
            "a spilled block read back from {:?} is not what was written there: the disk or the memory is damaged; use another \
             directory (--spill-dir, or TMPDIR), or more --memory",
            self.dir
        ))
    }

    /// The system's error, without what it may quote.
    fn refused(&self, what: &str, e: &io::Error) -> Error {
        let why = match e.kind() {
            Io::StorageFull => "the disk is full",
            Io::QuotaExceeded => "the disk quota is used up",
            Io::FileTooLarge => "the limit on the size of a file is reached (ulimit -f)",
            Io::ReadOnlyFilesystem => "the file system is read-only",
            Io::PermissionDenied => "no permission to write there",
            Io::NotFound => "no such directory",
            Io::NotADirectory => "it is not a directory",
            kind => &kind.to_string(),
        };
        Error::io(format!(
            "spilling to {:?} failed at {what}: {why} ({} MB spilled so far); free space there, name another directory \
             (--spill-dir, or TMPDIR), or give more --memory",
            self.dir,
            self.written() / 1_000_000
        ))
    }
}

/// A file without a name, for this user alone.
fn create(dir: &Path) -> io::Result<File> {
    let file = tempfile::tempfile_in(dir)?;
    // Where the file never had a name it was made with the usual mode of files.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

#[cfg(target_os = "linux")]
fn punch(file: &File, offset: u64, len: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::{Errno, retry_on_intr};
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match retry_on_intr(|| fallocate(file, hole, offset, len)) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        done => Ok(done?),
    }
}

#[cfg(not(target_os = "linux"))]
fn punch(_: &File, _: u64, _: u64) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// A spill on a device that is always full.
    fn full() -> Spill {
        let spill = Spill::new("/full");
        let file = File::options().read(true).write(true).open("/dev/full").expect("Linux has it");
        let cipher = Aes256Gcm::new(&[1; 32].into());
        assert!(spill.open.set(Box::new(Open { file, cipher })).is_ok());
        spill
    }

    #[test]
    fn full_disk() {
        let mut block = b"secret".repeat(1000);
        let e = full().write(&mut block).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Io);
        let message = e.to_string();
        for part in ["\"/full\"", "the disk is full", "0 MB spilled", "--spill-dir", "TMPDIR", "--memory"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(!message.contains("secret"));
        assert!(block.is_empty());
    }

    /// Every nonce is used once, by failed writes too.
    #[test]
    fn sequence_moves_on_after_a_failure() {
        let spill = full();
        for _ in 0..3 {
            assert!(spill.write(&mut vec![1]).is_err());
        }
        assert_eq!(spill.sequence.load(Ordering::Relaxed), 3);
        assert_eq!(spill.end.load(Ordering::Relaxed), 3 * PAGE);
        assert_eq!(spill.written(), 0);
    }
}

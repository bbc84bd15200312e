//! What the fuzz targets share.

use std::path::{Path, PathBuf};

pub mod arrays;
pub mod counts;
pub mod templates;

/// Lets panics be caught where the code under test catches them; those that it does not catch still end the run.
pub fn let_panics_be_caught() {
    std::panic::set_hook(Box::new(|_| ()));
}

/// A file in memory, overwritten for each input; it goes with its folder.
pub struct Scratch {
    folder: tempfile::TempDir,
}

impl Scratch {
    /// In shared memory where there is some.
    pub fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Self { folder: folder.expect("a folder for scratch files") }
    }

    /// A file of this content.
    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("scratch files can be written");
        path
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

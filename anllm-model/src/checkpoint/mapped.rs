//! The project's one memory mapping. A tensor's bytes are mapped while it is converted and unmapped after, so that
//! the pages of a large checkpoint do not count as this process's memory for longer than one tensor.

use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::{Mmap, MmapOptions};

use super::error::CheckpointError;

/// A file opened for reading by ranges.
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    file: File,
    len: u64,
}

impl MappedFile {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be opened, or is a folder.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let file = File::open(path).map_err(|e| CheckpointError::io(path, "open the file", e))?;
        let meta = file.metadata().map_err(|e| CheckpointError::io(path, "read the file's size", e))?;
        if meta.is_dir() {
            return Err(CheckpointError::malformed(path, "expected a file, found a folder", "name the file itself"));
        }
        Ok(Self { path: path.to_owned(), file, len: meta.len() })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length in bytes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Maps `len` bytes from `offset`. The range must lie inside the file as it was when opened.
    ///
    /// # Errors
    /// When it does not, or the system refuses.
    pub fn range(&self, offset: u64, len: u64) -> Result<Mmap, CheckpointError> {
        let end = offset.checked_add(len).filter(|end| *end <= self.len);
        let (Some(_), Ok(len)) = (end, usize::try_from(len)) else {
            return Err(CheckpointError::malformed(
                &self.path,
                format!("bytes {offset} to {offset}+{len} lie outside the file, which has {} bytes", self.len),
                "the file is cut short or damaged: copy or download it again",
            ));
        };
        // SAFETY: the mapping is private and read-only, and the range was checked against the file's length. As with
        // any mapped file, another process that truncates it while it is read can raise SIGBUS; checkpoints are
        // written aside and renamed (never truncated in place), so a reader keeps the file it opened.
        #[allow(unsafe_code)]
        let map = unsafe { MmapOptions::new().offset(offset).len(len).map(&self.file) };
        map.map_err(|e| CheckpointError::io(&self.path, "map the file into memory", e))
    }
}

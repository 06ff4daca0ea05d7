//! Where a weight file's bytes are: on disk, or in the program.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::error::CheckpointError;
use super::mapped::MappedFile;

/// The bytes of one file.
#[derive(Debug)]
pub(super) enum Storage {
    /// On disk, mapped piece by piece.
    File(MappedFile),
    /// In the program, under a name for messages.
    Embedded(PathBuf, &'static [u8]),
}

/// A piece of a file.
pub(super) enum Piece {
    Mapped(Mmap),
    Embedded(&'static [u8]),
}

impl Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Embedded(bytes) => bytes,
        }
    }
}

impl Storage {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::File(file) => file.path(),
            Self::Embedded(path, _) => path,
        }
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Self::File(file) => file.len(),
            Self::Embedded(_, bytes) => bytes.len() as u64,
        }
    }

    /// `len` bytes from `offset`.
    pub(super) fn range(&self, offset: u64, len: u64) -> Result<Piece, CheckpointError> {
        let (path, bytes) = match self {
            Self::File(file) => return file.range(offset, len).map(Piece::Mapped),
            Self::Embedded(path, bytes) => (path, bytes),
        };
        let piece = usize::try_from(offset)
            .ok()
            .zip(usize::try_from(len).ok())
            .and_then(|(start, len)| bytes.get(start..start.checked_add(len)?));
        piece.map(Piece::Embedded).ok_or_else(|| {
            let what = format!("bytes {offset} to {offset}+{len} lie outside the file, which has {}", bytes.len());
            CheckpointError::malformed(path, what, "the program was built from a damaged file")
        })
    }
}

//! Reading little-endian fields out of a byte slice, where every length is checked against what is left of the file
//! before anything is allocated for it.

use std::path::Path;

use crate::checkpoint::CheckpointError;

/// The hint that goes with every message about a file that ends too early or contradicts itself.
pub(super) const DAMAGED: &str = "the file is cut short or damaged: copy or download it again";

/// A position in a file's bytes.
pub(super) struct Cursor<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(path: &'a Path, bytes: &'a [u8]) -> Self {
        Self { path, bytes, at: 0 }
    }

    /// Bytes read so far: the offset of the next field.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn left(&self) -> u64 {
        (self.bytes.len() - self.at) as u64
    }

    /// The next `len` bytes; `what` names them in the error.
    pub(super) fn take(&mut self, len: u64, what: &str) -> Result<&'a [u8], CheckpointError> {
        if len > self.left() {
            return Err(self.malformed(format!("{what} needs {len} bytes, but only {} are left", self.left())));
        }
        // `len` is at most the slice's length, so it fits.
        let end = self.at + len as usize;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    pub(super) fn fixed<const N: usize>(&mut self, what: &str) -> Result<[u8; N], CheckpointError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N as u64, what)?);
        Ok(out)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, CheckpointError> {
        self.fixed(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, CheckpointError> {
        self.fixed(what).map(u64::from_le_bytes)
    }

    /// A count of things that take at least `each` bytes apiece in the rest of the file.
    pub(super) fn count(&mut self, each: u64, what: &str) -> Result<u64, CheckpointError> {
        let count = self.u64(what)?;
        self.check_count(count, each, what)?;
        Ok(count)
    }

    /// Refuses a `count` of things, of at least `each` bytes apiece, that the rest of the file cannot hold.
    pub(super) fn check_count(&self, count: u64, each: u64, what: &str) -> Result<(), CheckpointError> {
        if count > self.left() / each.max(1) {
            return Err(self.malformed(format!(
                "{what} is {count}, at {each} bytes or more apiece, but only {} bytes are left",
                self.left()
            )));
        }
        Ok(())
    }

    /// A string: its length in bytes as `u64`, then UTF-8.
    pub(super) fn string(&mut self, what: &str) -> Result<String, CheckpointError> {
        let len = self.u64(what)?;
        let start = self.at;
        match std::str::from_utf8(self.take(len, what)?) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(self.malformed(format!("{what}, a string at byte {start}, is not UTF-8"))),
        }
    }

    /// An error at the present position.
    pub(super) fn malformed(&self, what: String) -> CheckpointError {
        CheckpointError::malformed(self.path, format!("{what} (at byte {} of {})", self.at, self.bytes.len()), DAMAGED)
    }
}

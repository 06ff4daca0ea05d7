//! Documents as tokens, in a file that is mapped: made once for each text, tokenizer and way of reading, found again
//! by a hash of all three.
//!
//! The file: a header of 32 bytes (`ANLLMTOK`, version, number of documents, number of tokens), the tokens (`u32`: the
//! id, and in the highest bit whether it is a target), the end of each document (`u64`). Little-endian.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anllm_model::checkpoint::MappedFile;

use crate::error::TrainError;

const MAGIC: &[u8; 8] = b"ANLLMTOK";
const DOING: &str = "write the tokenised text";
pub(super) const VERSION: u64 = 2;
const HEADER: usize = 32;
/// Set in tokens that the loss asks for.
const TARGET: u32 = 1 << 31;

/// One document's tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenDocument {
    /// Ids.
    pub ids: Vec<u32>,
    /// Whether the loss asks for each.
    pub targets: Vec<bool>,
}

/// A mapped file of documents.
pub struct TokenFile {
    path: PathBuf,
    map: memmap2::Mmap,
    documents: usize,
    tokens: usize,
}

impl std::fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenFile").field("path", &self.path).field("tokens", &self.tokens).finish_non_exhaustive()
    }
}

impl TokenFile {
    /// Writes `documents` to `path`, beside it first.
    ///
    /// # Errors
    /// When writing fails; there is no file at `path` then that was not there before.
    pub fn write(path: &Path, documents: &[TokenDocument]) -> Result<(), TrainError> {
        let mut writer = TokenWriter::create(path)?;
        for document in documents {
            writer.push(document)?;
        }
        writer.finish()
    }

    /// Opens a file.
    ///
    /// # Errors
    /// When it is not such a file, or cut short.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        let file = MappedFile::open(path)?;
        let bad = |found: &str| TrainError::Tokens { path: path.to_owned(), found: found.to_owned() };
        if file.len() < HEADER as u64 {
            return Err(bad("too short for a header"));
        }
        let map = file.range(0, file.len())?;
        let number = |at: usize| map[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
        if &map[..8] != MAGIC || number(8) != VERSION {
            return Err(bad("another kind of file, or another version"));
        }
        let (documents, tokens) = (number(16), number(24));
        let ends = documents.checked_mul(8).and_then(|ends| ends.checked_add(HEADER as u64));
        let expected = ends.and_then(|ends| tokens.checked_mul(4)?.checked_add(ends));
        if expected != Some(file.len()) {
            return Err(bad("a length that does not fit its header"));
        }
        Ok(Self { path: path.to_owned(), documents: documents as usize, tokens: tokens as usize, map })
    }

    /// Number of documents.
    pub fn documents(&self) -> usize {
        self.documents
    }

    /// Number of tokens of all documents.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Number of tokens of one document.
    pub fn length(&self, document: usize) -> usize {
        self.end(document) - self.start(document)
    }

    /// The ids of `length` tokens of a document from `start` on, and whether each is a target.
    pub fn span(&self, document: usize, start: usize, length: usize) -> TokenDocument {
        let first = self.start(document) + start;
        let last = (first + length).min(self.end(document));
        let (tokens, _) = self.map[HEADER + 4 * first..HEADER + 4 * last].as_chunks::<4>();
        let tokens = tokens.iter().map(|bytes| u32::from_le_bytes(*bytes));
        TokenDocument {
            ids: tokens.clone().map(|token| token & !TARGET).collect(),
            targets: tokens.map(|token| token & TARGET != 0).collect(),
        }
    }

    fn end(&self, document: usize) -> usize {
        let at = HEADER + 4 * self.tokens + 8 * document;
        let end = self.map[at..at + 8].try_into().map_or(0, u64::from_le_bytes) as usize;
        end.min(self.tokens)
    }

    fn start(&self, document: usize) -> usize {
        document.checked_sub(1).map_or(0, |before| self.end(before))
    }
}

/// A file in the making, document by document: of the text no more than the document at hand is in memory.
pub(crate) struct TokenWriter {
    path: PathBuf,
    out: std::io::BufWriter<tempfile::NamedTempFile>,
    /// Eight bytes for each document.
    ends: Vec<u64>,
}

impl TokenWriter {
    /// Begins a file that will be at `path`; it is written beside it.
    pub(crate) fn create(path: &Path) -> Result<Self, TrainError> {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let begin = || {
            fs::create_dir_all(folder)?;
            let mut out = std::io::BufWriter::with_capacity(1 << 20, tempfile::NamedTempFile::new_in(folder)?);
            out.write_all(&[0; HEADER])?;
            Ok(Self { path: path.to_owned(), out, ends: Vec::new() })
        };
        begin().map_err(|e| TrainError::io(path, DOING, e))
    }

    /// Adds a document.
    pub(crate) fn push(&mut self, document: &TokenDocument) -> Result<(), TrainError> {
        let mut write = || {
            for (id, target) in document.ids.iter().zip(&document.targets) {
                let token = id | if *target { TARGET } else { 0 };
                self.out.write_all(&token.to_le_bytes())?;
            }
            Ok(())
        };
        write().map_err(|e| TrainError::io(&self.path, DOING, e))?;
        self.ends.push(self.ends.last().copied().unwrap_or(0) + document.ids.len() as u64);
        Ok(())
    }

    /// Puts the file at its path.
    pub(crate) fn finish(mut self) -> Result<(), TrainError> {
        let mut finish = || {
            for end in &self.ends {
                self.out.write_all(&end.to_le_bytes())?;
            }
            self.out.seek(SeekFrom::Start(0))?;
            self.out.write_all(MAGIC)?;
            for number in [VERSION, self.ends.len() as u64, self.ends.last().copied().unwrap_or(0)] {
                self.out.write_all(&number.to_le_bytes())?;
            }
            self.out.flush()
        };
        finish().map_err(|e| TrainError::io(&self.path, DOING, e))?;
        let place = |path: &Path| {
            let file = self.out.into_inner().map_err(|e| e.into_error())?;
            file.as_file().sync_all()?;
            file.persist(path).map_err(|e| e.error)
        };
        place(&self.path).map(drop).map_err(|e| TrainError::io(&self.path, DOING, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/tokens.bin");
        let document =
            |ids: &[u32]| TokenDocument { ids: ids.to_vec(), targets: ids.iter().map(|i| i % 2 == 0).collect() };
        let documents = [document(&[5, 6, 7]), document(&[]), document(&[80_000, 9])];
        TokenFile::write(&path, &documents).unwrap();
        let file = TokenFile::open(&path).unwrap();
        assert_eq!((file.documents(), file.tokens()), (3, 5));
        for (number, document) in documents.iter().enumerate() {
            assert_eq!(&file.span(number, 0, 99), document);
        }
        assert_eq!(file.span(0, 1, 1), document(&[6]));

        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert!(TokenFile::open(&path).unwrap_err().to_string().contains("does not fit"));
        fs::write(&path, "no").unwrap();
        assert!(TokenFile::open(&path).unwrap_err().to_string().contains("too short"));
    }
}

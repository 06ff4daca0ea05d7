//! Documents as tokens, in a file that is mapped: made once for each text, tokenizer and way of reading, found again
//! by a hash of all three.
//!
//! The file: a header of 32 bytes (`ANLLMTOK`, version, number of documents, number of tokens), the end of each
//! document (`u64`), the ids (`u32`), one byte for each token saying whether it is a target. Little-endian.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anllm_model::checkpoint::MappedFile;

use crate::error::TrainError;

const MAGIC: &[u8; 8] = b"ANLLMTOK";
const VERSION: u64 = 1;
const HEADER: usize = 32;

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
        let io = |e| TrainError::io(path, "write the tokenised text", e);
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(io)?;
        let aside = tempfile::NamedTempFile::new_in(folder).map_err(io)?;
        let mut out = std::io::BufWriter::with_capacity(1 << 20, aside);
        let tokens: usize = documents.iter().map(|d| d.ids.len()).sum();
        let mut write = || {
            out.write_all(MAGIC)?;
            for number in [VERSION, documents.len() as u64, tokens as u64] {
                out.write_all(&number.to_le_bytes())?;
            }
            let mut end = 0u64;
            for document in documents {
                end += document.ids.len() as u64;
                out.write_all(&end.to_le_bytes())?;
            }
            for id in documents.iter().flat_map(|d| &d.ids) {
                out.write_all(&id.to_le_bytes())?;
            }
            for target in documents.iter().flat_map(|d| &d.targets) {
                out.write_all(&[u8::from(*target)])?;
            }
            Ok(())
        };
        write().map_err(io)?;
        let file = out.into_inner().map_err(|e| io(e.into_error()))?;
        file.as_file().sync_all().map_err(io)?;
        file.persist(path).map_err(|e| io(e.error))?;
        Ok(())
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
        let expected = documents.checked_mul(8).and_then(|d| tokens.checked_mul(5)?.checked_add(d + HEADER as u64));
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
        let ids = HEADER + 8 * self.documents;
        let targets = ids + 4 * self.tokens;
        let id = |at: usize| self.map[ids + 4 * at..ids + 4 * at + 4].try_into().map_or(0, u32::from_le_bytes);
        TokenDocument {
            ids: (first..last).map(id).collect(),
            targets: (first..last).map(|at| self.map[targets + at] != 0).collect(),
        }
    }

    fn end(&self, document: usize) -> usize {
        let at = HEADER + 8 * document;
        let end = self.map[at..at + 8].try_into().map_or(0, u64::from_le_bytes) as usize;
        end.min(self.tokens)
    }

    fn start(&self, document: usize) -> usize {
        document.checked_sub(1).map_or(0, |before| self.end(before))
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

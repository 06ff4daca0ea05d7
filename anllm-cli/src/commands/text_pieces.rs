//! A text file, or standard input, piece by piece.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// How much is read at a time, in bytes.
const PIECE: usize = 1 << 16;

/// The pieces of a text, each whole characters.
pub(crate) struct TextPieces {
    name: String,
    reader: Box<dyn Read + Send>,
    /// The bytes of a character that the next piece completes.
    open: Vec<u8>,
    /// Bytes read before `open`.
    done: usize,
    ended: bool,
}

impl TextPieces {
    /// Opens a file; `-` is standard input.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let (name, reader): (_, Box<dyn Read + Send>) = if path == Path::new("-") {
            ("standard input".to_owned(), Box::new(io::stdin()))
        } else {
            let name = path.display().to_string();
            let file = File::open(path).map_err(|e| unreadable(&name, &e))?;
            (name, Box::new(file))
        };
        Ok(Self { name, reader, open: Vec::new(), done: 0, ended: false })
    }

    /// A text in memory; `name` is for messages.
    pub(crate) fn of(name: &str, text: &str) -> Self {
        let reader = Box::new(io::Cursor::new(text.to_owned().into_bytes()));
        Self { name: name.to_owned(), reader, open: Vec::new(), done: 0, ended: false }
    }

    fn read(&mut self) -> anyhow::Result<Option<String>> {
        let before = self.open.len();
        let read = self.reader.by_ref().take(PIECE as u64).read_to_end(&mut self.open);
        let read = read.map_err(|e| unreadable(&self.name, &e))?;
        self.ended = read < PIECE;
        if self.open.len() == before && before == 0 {
            return Ok(None);
        }
        let whole = match std::str::from_utf8(&self.open) {
            Ok(_) => self.open.len(),
            // The last character may go on in the next piece.
            Err(e) if e.error_len().is_none() && !self.ended => e.valid_up_to(),
            Err(e) => anyhow::bail!(
                "{}: byte {} is not UTF-8 text\n  hint: convert the file, for example with `iconv -t utf-8`",
                self.name,
                self.done + e.valid_up_to()
            ),
        };
        let rest = self.open.split_off(whole);
        let piece = std::mem::replace(&mut self.open, rest);
        self.done += piece.len();
        // It was just checked.
        Ok(Some(String::from_utf8_lossy(&piece).into_owned()))
    }
}

impl Iterator for TextPieces {
    type Item = anyhow::Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let piece = self.read().transpose();
        self.ended |= matches!(piece, None | Some(Err(_)));
        piece
    }
}

fn unreadable(name: &str, error: &io::Error) -> anyhow::Error {
    anyhow::anyhow!("{name}: cannot read the text: {error}\n  hint: name a readable text file, or - for standard input")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(bytes: Vec<u8>) -> anyhow::Result<Vec<String>> {
        let reader = Box::new(io::Cursor::new(bytes));
        TextPieces { name: "a test".to_owned(), reader, open: Vec::new(), done: 0, ended: false }.collect()
    }

    #[test]
    fn characters_are_never_cut() {
        let text = format!("{}é{}", "a".repeat(PIECE - 1), "ö".repeat(PIECE));
        let read = pieces(text.clone().into_bytes()).unwrap();
        assert!(read.len() > 2 && read.concat() == text);
        assert!(pieces(Vec::new()).unwrap().is_empty());
        assert_eq!(pieces(vec![b'a'; PIECE]).unwrap().concat().len(), PIECE);
    }

    #[test]
    fn what_is_no_text_is_refused_where_it_is() {
        let mut bytes = "a".repeat(PIECE + 5).into_bytes();
        bytes.push(0xFF);
        bytes.extend(b"more");
        let message = pieces(bytes).unwrap_err().to_string();
        assert!(message.contains(&format!("byte {} is not UTF-8", PIECE + 5)), "{message}");
        let message = pieces(vec![b'a', 0xC3]).unwrap_err().to_string();
        assert!(message.contains("byte 1 is not UTF-8"), "{message}");
    }
}

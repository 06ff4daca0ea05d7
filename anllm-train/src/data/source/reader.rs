//! Bytes of a file, with the line and the byte that was reached.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use super::error::DataError;
use super::files::STDIN;

/// A file or standard input, open for reading. A byte order mark is passed over.
pub(super) struct Reader {
    pub(super) file: Arc<Path>,
    pub(super) input: Box<dyn BufRead + Send>,
    /// The line that comes next, counted from 1.
    pub(super) line: u64,
    /// Bytes before what comes next.
    pub(super) offset: u64,
    buffer: Vec<u8>,
}

impl Reader {
    pub(super) fn open(file: &Arc<Path>) -> Result<Self, DataError> {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        let mut input: Box<dyn BufRead + Send> = if **file == *Path::new(STDIN) {
            Box::new(BufReader::new(io::stdin()))
        } else {
            Box::new(BufReader::new(File::open(file).map_err(DataError::io(file, "opened"))?))
        };
        let marked = input.fill_buf().map_err(DataError::io(file, "read"))?.starts_with(MARK);
        let offset = if marked { MARK.len() } else { 0 };
        input.consume(offset);
        Ok(Self { file: Arc::clone(file), input, line: 1, offset: offset as u64, buffer: Vec::new() })
    }

    /// The next line without its end (`\n` or `\r\n`), or `None` after the last.
    pub(super) fn line(&mut self) -> Result<Option<&str>, DataError> {
        self.buffer.clear();
        let read = self.input.read_until(b'\n', &mut self.buffer).map_err(DataError::io(&self.file, "read"))?;
        if read == 0 {
            return Ok(None);
        }
        let end = self.buffer.strip_suffix(b"\n").map_or(self.buffer.len(), <[u8]>::len);
        let text = &self.buffer[..end];
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let text = utf8(&self.file, text, self.line, self.offset)?;
        self.line += 1;
        self.offset += read as u64;
        Ok(Some(text))
    }

    /// Passes over `byte`, which is the next one of `input`.
    pub(super) fn advance(&mut self, byte: u8) {
        self.input.consume(1);
        self.offset += 1;
        self.line += u64::from(byte == b'\n');
    }

    /// Everything that is left, with line ends as `\n`.
    pub(super) fn rest(mut self) -> Result<String, DataError> {
        self.buffer.clear();
        self.input.read_to_end(&mut self.buffer).map_err(DataError::io(&self.file, "read"))?;
        let text = String::from_utf8(self.buffer)
            .map_err(|e| not_utf8(&self.file, e.as_bytes(), e.utf8_error(), self.line, self.offset))?;
        Ok(if text.contains('\r') { text.replace("\r\n", "\n") } else { text })
    }
}

/// `bytes` as text; they begin at `line` and `offset` of the file.
pub(super) fn utf8<'a>(file: &Arc<Path>, bytes: &'a [u8], line: u64, offset: u64) -> Result<&'a str, DataError> {
    std::str::from_utf8(bytes).map_err(|e| not_utf8(file, bytes, e, line, offset))
}

fn not_utf8(file: &Arc<Path>, bytes: &[u8], error: std::str::Utf8Error, line: u64, offset: u64) -> DataError {
    let good = error.valid_up_to();
    let lines = bytes[..good].iter().filter(|&&b| b == b'\n').count();
    DataError::Utf8 { file: Arc::clone(file), line: line + lines as u64, offset: offset + good as u64 }
}

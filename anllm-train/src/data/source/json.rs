//! Files of JSON records: one object a line, or one array of objects.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::document::{Origin, Place};
use super::error::DataError;
use super::reader::{Reader, utf8};

/// One record and where it begins.
pub(super) type Record = (Origin, Map<String, Value>);

/// The records of a file.
pub(super) fn records(
    file: &Arc<Path>,
) -> Result<Box<dyn Iterator<Item = Result<Record, DataError>> + Send>, DataError> {
    let mut reader = Reader::open(file)?;
    let start = reader.input.fill_buf().map_err(DataError::io(file, "read"))?;
    if start.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[') {
        let mut array = Array { reader, column: 1, state: State::Before };
        Ok(Box::new(std::iter::from_fn(move || array.next_record().transpose())))
    } else {
        Ok(Box::new(std::iter::from_fn(move || next_line(&mut reader).transpose())))
    }
}

fn next_line(reader: &mut Reader) -> Result<Option<Record>, DataError> {
    let file = Arc::clone(&reader.file);
    loop {
        let number = reader.line;
        let Some(line) = reader.line()? else { return Ok(None) };
        if !line.trim().is_empty() {
            return parse(&file, line, number, 1).map(Some);
        }
    }
}

/// `text`, which begins at `line` and `column`, as a record.
fn parse(file: &Arc<Path>, text: &str, line: u64, column: u64) -> Result<Record, DataError> {
    let value = serde_json::from_str(text).map_err(|e| {
        let (l, c) = (e.line().max(1) as u64, e.column().max(1) as u64);
        // The parser appends its own idea of the place, which counts from the record's beginning.
        let message = e.to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        DataError::Json {
            file: Arc::clone(file),
            line: line + l - 1,
            column: if l == 1 { column + c - 1 } else { c },
            message,
        }
    })?;
    let origin = Origin { file: Arc::clone(file), place: Place::Line(line) };
    match value {
        Value::Object(fields) => Ok((origin, fields)),
        other => Err(DataError::NotAnObject { origin, found: type_of(&other) }),
    }
}

/// A value's type, for messages.
pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// An array, read element by element: it is cut at its commas without being parsed, so that only one element is in
/// memory.
struct Array {
    reader: Reader,
    /// Of the byte that comes next, counted from 1.
    column: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The opening bracket comes.
    Before,
    /// An element, or the end of an empty array, comes.
    First,
    /// An element comes.
    Element,
    /// The closing bracket was read.
    After,
}

impl Array {
    fn next_record(&mut self) -> Result<Option<Record>, DataError> {
        if self.state == State::Before {
            self.blank()?;
            self.byte()?;
            self.state = State::First;
        }
        self.blank()?;
        if self.state == State::After {
            return match self.peek()? {
                None => Ok(None),
                Some(_) => Err(self.error("there is more after the array's end")),
            };
        }
        if self.state == State::First && self.peek()? == Some(b']') {
            self.byte()?;
            self.state = State::After;
            return self.next_record();
        }
        let (line, column, offset) = (self.reader.line, self.column, self.reader.offset);
        let bytes = self.element()?;
        if bytes.is_empty() {
            return Err(self.error("expected an object before this comma or bracket"));
        }
        let file = &self.reader.file;
        parse(file, utf8(file, &bytes, line, offset)?, line, column).map(Some)
    }

    /// The bytes up to the comma or bracket that ends the element, which is consumed.
    fn element(&mut self) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        let mut depth = 0_u32;
        let (mut quoted, mut escaped) = (false, false);
        loop {
            let Some(byte) = self.byte()? else {
                return Err(self.error("the file ends inside the array"));
            };
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ if quoted => {}
                b'{' | b'[' => depth += 1,
                b',' if depth == 0 => {
                    self.state = State::Element;
                    return Ok(bytes);
                }
                b']' if depth == 0 => {
                    self.state = State::After;
                    return Ok(bytes);
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            bytes.push(byte);
        }
    }

    fn blank(&mut self) -> Result<(), DataError> {
        while self.peek()?.is_some_and(|b| b.is_ascii_whitespace()) {
            self.byte()?;
        }
        Ok(())
    }

    fn peek(&mut self) -> Result<Option<u8>, DataError> {
        let buffer = self.reader.input.fill_buf().map_err(DataError::io(&self.reader.file, "read"))?;
        Ok(buffer.first().copied())
    }

    fn byte(&mut self) -> Result<Option<u8>, DataError> {
        let Some(byte) = self.peek()? else { return Ok(None) };
        self.reader.advance(byte);
        if byte == b'\n' {
            self.column = 1;
        } else {
            self.column += 1;
        }
        Ok(Some(byte))
    }

    fn error(&self, message: &str) -> DataError {
        let (line, column) = (self.reader.line, self.column);
        DataError::Json { file: Arc::clone(&self.reader.file), line, column, message: message.to_owned() }
    }
}

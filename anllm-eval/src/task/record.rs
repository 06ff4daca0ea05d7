//! Records: the objects of a JSON Lines file, or of one JSON array, each with the place it came from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::error::RecordError;

/// Where a record is: a file and a line of it, or the number of an array's element, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    file: Arc<Path>,
    at: usize,
    unit: &'static str,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.file.display(), self.unit, self.at)
    }
}

/// One object of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Where it is.
    pub origin: Origin,
    /// What it says.
    pub fields: Map<String, Value>,
}

/// All records of a file.
///
/// # Errors
/// When the file cannot be read, holds something else than objects, or nothing.
pub fn records(path: &Path) -> Result<Vec<Record>, RecordError> {
    let read = |source| RecordError::Read { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(read)?;
    let file: Arc<Path> = path.into();
    // A byte order mark is no part of the text.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let found = if text.trim_start().starts_with('[') { of_array(text, &file)? } else { of_lines(text, &file)? };
    if found.is_empty() {
        return Err(RecordError::Empty { path: PathBuf::from(path) });
    }
    Ok(found)
}

fn of_lines(text: &str, file: &Arc<Path>) -> Result<Vec<Record>, RecordError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parsed = lines.map(|(number, line)| {
        let origin = Origin { file: Arc::clone(file), at: number + 1, unit: "line" };
        match serde_json::from_str(line) {
            Ok(value) => object(value, origin),
            Err(error) => {
                let message = format!("column {}: {}", error.column(), without_place(&error));
                Err(RecordError::Json { origin, message })
            }
        }
    });
    parsed.collect()
}

fn of_array(text: &str, file: &Arc<Path>) -> Result<Vec<Record>, RecordError> {
    let values: Vec<Value> = serde_json::from_str(text).map_err(|error| {
        let origin = Origin { file: Arc::clone(file), at: error.line(), unit: "line" };
        RecordError::Json { origin, message: format!("column {}: {}", error.column(), without_place(&error)) }
    })?;
    let numbered = values.into_iter().zip(1..);
    numbered.map(|(value, at)| object(value, Origin { file: Arc::clone(file), at, unit: "record" })).collect()
}

/// The parser's message without its own idea of the place, which is said already.
fn without_place(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.split(" at line ").next().unwrap_or_default().to_owned()
}

fn object(value: Value, origin: Origin) -> Result<Record, RecordError> {
    let found = match value {
        Value::Object(fields) => return Ok(Record { origin, fields }),
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
    };
    Err(RecordError::NotAnObject { origin, found })
}

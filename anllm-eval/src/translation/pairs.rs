//! Sentences and their translations, from a file.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// A sentence and its translation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// What is translated.
    pub source: String,
    /// What it should become.
    pub target: String,
}

/// A file of pairs that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// The file cannot be read.
    #[error("{path}: cannot read the sentences: {source}\n  hint: name a readable file")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not JSON.
    #[error("{path}: line {line}: not JSON: {message}\n  hint: {FORM}")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A record has not both sentences.
    #[error("{path}: record {record}: no text `{field}`\n  hint: {FORM}")]
    Missing {
        /// The file.
        path: PathBuf,
        /// Which record, counted from 1.
        record: usize,
        /// What it lacks.
        field: String,
    },
    /// There is nothing.
    #[error("{path}: the file has no sentences\n  hint: {FORM}")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

const FORM: &str = "expected a JSON array, or JSON Lines, of {\"translation\": {\"de\": …, \"en\": …}} or \
                    {\"de\": …, \"en\": …}";

/// Reads a JSON array or JSON Lines. `from` and `to` are the fields of source and target, such as `de` and `en`.
///
/// # Errors
/// Names the file, and the line or record that is wrong.
pub fn pairs(path: &Path, from: &str, to: &str) -> Result<Vec<Pair>, PairError> {
    let text = std::fs::read_to_string(path).map_err(|source| PairError::Read { path: path.to_owned(), source })?;
    let malformed = |e: serde_json::Error, line| PairError::Json {
        path: path.to_owned(),
        line: if e.line() > 1 { e.line() } else { line },
        message: e.to_string(),
    };
    let records: Vec<Value> = match text.trim_start().starts_with('[') {
        true => serde_json::from_str(&text).map_err(|e| malformed(e, 1))?,
        false => {
            let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
            lines
                .map(|(line, at)| serde_json::from_str(line).map_err(|e| malformed(e, at)))
                .collect::<Result<_, _>>()?
        }
    };
    if records.is_empty() {
        return Err(PairError::Empty { path: path.to_owned() });
    }
    let read = |(number, record): (usize, &Value)| {
        let fields = record.get("translation").unwrap_or(record);
        let field = |name: &str| {
            fields.get(name).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| PairError::Missing {
                path: path.to_owned(),
                record: number + 1,
                field: name.to_owned(),
            })
        };
        Ok(Pair { source: field(from)?, target: field(to)? })
    };
    records.iter().enumerate().map(read).collect()
}

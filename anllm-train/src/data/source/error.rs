//! What can go wrong while documents are read.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::chat::ChatError;
use super::document::{Named, Origin};

/// An error of a source.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Nothing to read from.
    #[error("no source of documents is given\n  hint: name a file, a folder, a pattern such as 'books/*.txt', or -")]
    NoSources,
    /// A weight that is none.
    #[error(
        "{path}: the weight is {weight}, expected a number above 0\n  hint: leave the source out to draw nothing from it"
    )]
    Weight {
        /// The source.
        path: String,
        /// What was given.
        weight: f64,
    },
    /// Neither a file nor a folder.
    #[error("{path}: there is no such file or folder\n  hint: relative paths start at the current folder")]
    NotFound {
        /// The source.
        path: String,
    },
    /// A pattern that matches nothing.
    #[error("{path}: no file matches this pattern\n  hint: * stands for any part of one name, ** for any folders")]
    NoMatch {
        /// The pattern.
        path: String,
    },
    /// A pattern that is none.
    #[error("{path}: this is not a pattern: {source}")]
    Pattern {
        /// The pattern.
        path: String,
        /// What is wrong with it.
        source: glob::PatternError,
    },
    /// A folder without data.
    #[error("{}: the folder holds no file with one of the extensions {extensions}", folder.display())]
    NothingUsable {
        /// The folder.
        folder: PathBuf,
        /// Those looked for.
        extensions: String,
    },
    /// What a file holds is unclear.
    #[error(
        "{}: the extension does not say what the file holds; known are {known}\n  \
         hint: set the source's format: text, jsonl or parquet",
        file.display()
    )]
    UnknownFormat {
        /// The file.
        file: PathBuf,
        /// The known extensions.
        known: String,
    },
    /// Parquet in a build that cannot read it.
    #[error(
        "{}: this build does not read Parquet\n  \
         hint: build with `--features parquet`, or convert the file to JSON lines",
        file.display()
    )]
    ParquetMissing {
        /// The file.
        file: PathBuf,
    },
    /// Standard input can be read once.
    #[error("standard input can be read only once\n  hint: save it to a file first, and name the file")]
    StdinAgain,
    /// Parquet needs to jump in its file.
    #[error("Parquet cannot be read from standard input\n  hint: save it to a file first, and name the file")]
    ParquetStdin,
    /// The system refused.
    #[error("{}: cannot be {action}: {source}", Named(file))]
    Io {
        /// The file or folder.
        file: Arc<Path>,
        /// What was tried, as "opened", "read".
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// Bytes that are not text.
    #[error(
        "{}:{line}: byte {offset} of the file is not UTF-8\n  \
         hint: convert the file first, for example: iconv -f latin1 -t utf-8",
        Named(file)
    )]
    Utf8 {
        /// The file.
        file: Arc<Path>,
        /// Counted from 1.
        line: u64,
        /// Counted from 0.
        offset: u64,
    },
    /// Not JSON.
    #[error(
        "{}:{line}:{column}: this is not JSON: {message}\n  hint: expected one object per line, or one array of objects",
        Named(file)
    )]
    Json {
        /// The file.
        file: Arc<Path>,
        /// Counted from 1.
        line: u64,
        /// In bytes, counted from 1.
        column: u64,
        /// What the parser says.
        message: String,
    },
    /// JSON, but not an object.
    #[error("{origin}: expected an object such as {{\"text\": \"…\"}}, found {found}")]
    NotAnObject {
        /// The record.
        origin: Origin,
        /// Its JSON type.
        found: &'static str,
    },
    /// A record that lacks what it should have.
    #[error(
        "{origin}: the record has the fields {found}, expected {expected}\n  \
         hint: name the field that holds the text with the source's `field`"
    )]
    Fields {
        /// The record.
        origin: Origin,
        /// Those it has.
        found: String,
        /// Those it should have.
        expected: String,
    },
    /// A field of another type.
    #[error("{origin}: {field} is {found}, expected {expected}")]
    FieldType {
        /// The record.
        origin: Origin,
        /// The field, as `messages[2].content`.
        field: String,
        /// The type it has.
        found: &'static str,
        /// The type it should have.
        expected: &'static str,
    },
    /// A chat, and nothing that says how to write it.
    #[error(
        "{origin}: the record is a chat (`messages`), but there is no chat template\n  \
         hint: take a model whose tokenizer has one, or give one"
    )]
    NoChatTemplate {
        /// The record.
        origin: Origin,
    },
    /// The chat template refused.
    #[error("{origin}: {source}")]
    Chat {
        /// The record.
        origin: Origin,
        /// What the template says.
        source: ChatError,
    },
    /// Not Parquet, or damaged.
    #[error("{}: this Parquet file cannot be read: {message}", file.display())]
    Parquet {
        /// The file.
        file: Arc<Path>,
        /// What the reader says.
        message: String,
    },
}

impl DataError {
    /// For `map_err`: the file and what was tried.
    pub(super) fn io(file: &Arc<Path>, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let file = Arc::clone(file);
        move |source| Self::Io { file, action, source }
    }
}

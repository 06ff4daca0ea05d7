//! What can go wrong while a log is written.

use std::io;
use std::path::{Path, PathBuf};

/// An error of a log file.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The system refused.
    #[error("{}: the log cannot be {action}: {source}", file.display())]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// What was tried, as "opened", "written".
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// A line that is not ours, in the middle of a log that is to be continued.
    #[error(
        "{}:{line}: expected one JSON object, found something else: {source}\n  \
         hint: is this a log of another program? give the run another folder, or move the file away",
        file.display()
    )]
    Line {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A value that has no JSON form.
    #[error("{}: this record has no JSON form: {source}", file.display())]
    Record {
        /// The file.
        file: PathBuf,
        /// What the serializer says.
        source: serde_json::Error,
    },
}

impl LogError {
    /// For `map_err`: the file and what was tried.
    pub(super) fn io(file: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { file: file.to_path_buf(), action, source }
    }
}

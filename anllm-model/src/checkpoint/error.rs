//! What can be wrong with a checkpoint on disk. Every message names the file, what was expected, what was found,
//! and what to do about it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// An error while reading or writing a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The operating system refused.
    #[error("{path}: cannot {action}: {source}\n  hint: {}", advice(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, as a verb phrase: "open the file".
        action: &'static str,
        /// The system's own reason.
        source: std::io::Error,
    },
    /// A file is not what its name says, is cut short, or contradicts itself.
    #[error("{path}: {what}\n  hint: {hint}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found, and where in the file.
        what: String,
        /// What the user can do.
        hint: String,
    },
    /// A sound file that asks for something this program does not implement.
    #[error("{path}: {what}\n  hint: {hint}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The feature, by the name the file gives it.
        what: String,
        /// What the user can do.
        hint: String,
    },
    /// A tensor that the architecture needs is not there.
    #[error("{path}: tensor `{tensor}` is missing (expected shape {expected:?})\n  hint: {hint}")]
    MissingTensor {
        /// The checkpoint.
        path: PathBuf,
        /// The tensor's Hugging Face name.
        tensor: String,
        /// The shape that the configuration implies.
        expected: Vec<usize>,
        /// What the user can do.
        hint: String,
    },
    /// A tensor's shape does not follow from the configuration.
    #[error(
        "{path}: tensor `{tensor}` has shape {found:?}, but the configuration implies {expected:?}\n  \
         hint: the configuration and the weights are from different models, or one of them is damaged"
    )]
    Shape {
        /// The checkpoint.
        path: PathBuf,
        /// The tensor's Hugging Face name.
        tensor: String,
        /// The shape that the configuration implies.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
}

/// What a user can do about a refusal of the operating system.
fn advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => "check the path",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => "check the permissions of file and folder",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free space on the disk, or choose another one",
        ErrorKind::FileTooLarge => "raise the limit on the size of files (`ulimit -f`), or choose another disk",
        _ => "check the path, and that the disk works",
    }
}

impl CheckpointError {
    pub(crate) fn io(path: &Path, action: &'static str, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), action, source }
    }

    pub(crate) fn malformed(path: &Path, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), what: what.into(), hint: hint.into() }
    }

    pub(crate) fn unsupported(path: &Path, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Unsupported { path: path.to_owned(), what: what.into(), hint: hint.into() }
    }
}

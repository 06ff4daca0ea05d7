//! What can be wrong with a configuration.

use std::fmt;
use std::path::PathBuf;

/// Where a configuration says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// In the file.
    Line {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// Nowhere in particular of the file.
    File(PathBuf),
    /// On the command line, as this override.
    Override(String),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line } => write!(f, "{}:{line}", file.display()),
            Self::File(file) => file.display().fmt(f),
            Self::Override(assignment) => write!(f, "--set {assignment}"),
        }
    }
}

/// An error of a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML.
    #[error("{}:{line}:{column}: this is not TOML: {message}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// In characters, counted from 1.
        column: usize,
        /// What the parser says.
        message: String,
    },
    /// A key that means nothing.
    #[error("{at}: there is no setting `{key}`{}", candidates)]
    UnknownKey {
        /// Where.
        at: At,
        /// With the tables around it.
        key: String,
        /// What is known there.
        candidates: Box<Candidates>,
    },
    /// A value that is not one of those known.
    #[error("{at}: `{key}` cannot be \"{value}\"{}", candidates)]
    UnknownValue {
        /// Where.
        at: At,
        /// With the tables around it.
        key: String,
        /// What was given.
        value: String,
        /// What is known there.
        candidates: Box<Candidates>,
    },
    /// A setting that must be given.
    #[error("{at}: the setting `{key}` is missing\n  hint: it has no default; add it, or give --set {key}=…")]
    Missing {
        /// The table where it belongs.
        at: At,
        /// With the tables around it.
        key: String,
    },
    /// A value of another type, or out of its range.
    #[error("{at}: `{key}`: {message}")]
    Value {
        /// Where.
        at: At,
        /// With the tables around it.
        key: String,
        /// What was found and expected.
        message: String,
    },
    /// An override that is none.
    #[error(
        "--set {assignment}: {message}\n  hint: expected key=value, as in --set optim.lr=3e-4 or --set data.0.path=books"
    )]
    Override {
        /// What was given.
        assignment: String,
        /// What is wrong with it.
        message: String,
    },
}

/// What could have been meant. It displays as a hint, on a line of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    /// The one that looks like what was given; a key with the tables around it.
    pub nearest: Option<String>,
    /// All that are known.
    pub known: Vec<String>,
}

impl fmt::Display for Candidates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { nearest: Some(nearest), .. } => write!(f, "\n  hint: did you mean `{nearest}`?"),
            Self { known, .. } if known.is_empty() => Ok(()),
            Self { known, .. } => write!(f, "\n  hint: expected one of: {}", known.join(", ")),
        }
    }
}

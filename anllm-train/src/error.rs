//! What can go wrong in a training run.

use std::path::{Path, PathBuf};

use anllm_core::ResolveError;
use anllm_model::{CheckpointError, TokenizerError};

use crate::data::source::DataError;
use crate::logs::LogError;

/// Why a run could not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A file could not be read or written.
    #[error("{path}: cannot {action}: {source}\n  hint: check that the folder is there, writable, and has room", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A file of tokens is damaged.
    #[error("{path}: not a file of tokenised text: {found}\n  hint: delete it; it is made again from the text", path = path.display())]
    Tokens {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
    },
    /// Settings that do not fit together.
    #[error("{what}\n  hint: {hint}")]
    Settings {
        /// What does not fit.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The data has no anchor, so that training would teach nothing about them.
    #[error(
        "no anchor in {tokens} tokens of training text under the rule `{rule}`\n  hint: choose a rule that fits the \
         text (model.anchors), or for `ac` let `<AC>` be inserted (data.splitter); for a model without anchors set \
         train.mask = \"full\""
    )]
    NoAnchors {
        /// The rule.
        rule: String,
        /// Tokens looked at.
        tokens: usize,
    },
    /// A loss or gradient that is no number.
    #[error(
        "step {step}: the {what} is {value}, so the weights were left as they were; rows of the step: {rows}\n  hint: \
         lower optimizer.learning_rate, or look at these rows; the last checkpoint is whole"
    )]
    NotFinite {
        /// The step that was not taken.
        step: usize,
        /// Loss or gradient norm.
        what: &'static str,
        /// What it was.
        value: f64,
        /// Which rows.
        rows: String,
    },
    /// A saved run that does not belong to this one.
    #[error(
        "{path}: the run that was saved here had another {what}: saved {found}, now {expected}\n  hint: resume with the \
         configuration it was started with, or choose another save.output", path = path.display()
    )]
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// Now.
        expected: String,
        /// Then.
        found: String,
    },
    /// Data that cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A checkpoint that cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Text that cannot be tokenised.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A rule that does not fit the vocabulary.
    #[error(transparent)]
    Rule(#[from] ResolveError),
    /// Logs that cannot be written.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl TrainError {
    pub(crate) fn io(path: &Path, action: &'static str, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), action, source }
    }

    pub(crate) fn settings(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Settings { what: what.into(), hint: hint.into() }
    }
}

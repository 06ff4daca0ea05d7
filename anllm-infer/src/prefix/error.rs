//! What can be wrong with a prefix.

use anllm_model::CheckpointError;

use crate::error::InferError;

/// An error of building, storing, joining or continuing a prefix.
#[derive(Debug, thiserror::Error)]
pub enum PrefixError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] CheckpointError),
    /// The model refused.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// A file that is no prefix cache, or not whole.
    #[error("{name}: {what}\n  hint: {hint}")]
    Damaged {
        /// The file.
        name: String,
        /// What was expected and found.
        what: String,
        /// What the user can do.
        hint: &'static str,
    },
    /// A file of another version.
    #[error(
        "{name}: a prefix cache of format {found}, but this program reads format {known}\n  \
         hint: use the program that wrote it, or build the cache again"
    )]
    Version {
        /// The file.
        name: String,
        /// Its format.
        found: u64,
        /// The one that is read.
        known: u64,
    },
    /// It was built with something else.
    #[error("{name}: built with another {what}: {found} in the prefix, {expected} here\n  hint: {hint}")]
    Other {
        /// The prefix.
        name: String,
        /// What differs.
        what: &'static str,
        /// In the prefix.
        found: String,
        /// What runs.
        expected: String,
        /// What the user can do.
        hint: &'static str,
    },
    /// It cannot be joined with others.
    #[error("{name}: cannot be merged: {why}\n  hint: {hint}")]
    Merge {
        /// The prefix.
        name: String,
        /// Why not.
        why: String,
        /// What the user can do.
        hint: &'static str,
    },
    /// Its policy is not one that this program knows.
    #[error("{name}: {reason}\n  hint: build the prefix again with --cache full or --cache anchor")]
    Policy {
        /// The prefix.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// An entry is too large for the type it is to be stored in.
    #[error("the value {value:e} does not fit entries of type {stored}\n  hint: store them in 32 bits: --entries f32")]
    Range {
        /// The value.
        value: f32,
        /// The type.
        stored: &'static str,
    },
}

impl PrefixError {
    /// A file that is no prefix cache, or not whole.
    pub(super) fn damaged(name: &str, what: impl Into<String>) -> Self {
        let hint = "the file is cut short or damaged: copy it again, or build it again with `anllm cache build`";
        Self::Damaged { name: name.to_owned(), what: what.into(), hint }
    }
}

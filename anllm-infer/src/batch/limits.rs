//! How much is done at once.

use crate::error::InferError;

/// Limits of a scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most sequences at a time.
    pub rows: usize,
    /// Tokens of one step, as far as prompts go: sequences that are writing always get their token, and one that is
    /// reading at least one. Less makes steps shorter while prompts are read, more reads prompts faster.
    pub step_tokens: usize,
    /// Bytes of all caches. A request is admitted when the most it can come to hold has room, by what its policy drops.
    pub cache_bytes: usize,
    /// Bytes in which sequences that ended are kept, for requests that begin with the same tokens; 0 keeps none.
    pub prefix_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rows: 16, step_tokens: 512, cache_bytes: usize::MAX, prefix_bytes: 0 }
    }
}

/// Why a scheduler refuses a request.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// It could never be admitted: its cache is too large.
    #[error(
        "the request can come to hold {needed} bytes of cache, and all requests together have {budget}\n  \
         hint: ask for fewer tokens, choose a policy that drops more, or give the scheduler a larger budget"
    )]
    Cache {
        /// What it may need.
        needed: usize,
        /// The budget.
        budget: usize,
    },
    /// It could never be admitted: it asks for more continuations than there are rows.
    #[error(
        "{choices} continuations of one prompt were asked for, and {rows} sequences fit beside each other\n  \
         hint: ask for 1 to {rows}"
    )]
    Rows {
        /// What was asked for.
        choices: usize,
        /// What there is.
        rows: usize,
    },
    /// Its policy is not that of the prefix which every sequence goes on from.
    #[error(
        "the request asks for the cache policy {asked}, and the prefix that it would go on from was read under {prefixes}\n  \
         hint: ask for {prefixes}, or for none"
    )]
    Policy {
        /// The request's.
        asked: String,
        /// The prefix's.
        prefixes: String,
    },
    /// The request itself is wrong.
    #[error(transparent)]
    Request(#[from] InferError),
}

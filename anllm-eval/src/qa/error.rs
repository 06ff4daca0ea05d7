//! What stops questions from being answered.

use anllm_infer::InferError;
use anllm_model::TokenizerError;

use crate::likelihood::EncodeError;
use crate::task::{Origin, QuestionError};

/// An error of question answering.
#[derive(Debug, thiserror::Error)]
pub enum QaError {
    /// A record is wrong.
    #[error(transparent)]
    Question(#[from] QuestionError),
    /// A question cannot be turned into tokens.
    #[error("{origin}: choice {choice} cannot be scored: {source}")]
    Encode {
        /// Where the record is.
        origin: Origin,
        /// Which choice, counted from 1.
        choice: usize,
        /// Why.
        source: EncodeError,
    },
    /// The demonstrations cannot be turned into tokens.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The model refused.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// The reduced cache gives other likelihoods than the mask.
    #[error(
        "{origin}: the reduced cache gives a log-likelihood of {cached}, the mask in one pass {masked}\n  \
         hint: they must agree; `anllm verify` says where they part"
    )]
    Disagree {
        /// Where the record is.
        origin: Origin,
        /// Through the cache.
        cached: f64,
        /// In one pass.
        masked: f64,
    },
}

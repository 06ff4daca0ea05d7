//! What can go wrong while a model runs.

use anllm_core::ResolveError;
use anllm_model::{CheckpointError, TokenizerError};

use crate::sampler::SamplingError;

/// An error of inference.
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// The checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The tokenizer refused.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The anchor rule does not fit the vocabulary.
    #[error(transparent)]
    Rule(#[from] ResolveError),
    /// The sampling settings contradict themselves.
    #[error(transparent)]
    Sampling(#[from] SamplingError),
    /// There is nothing to start from.
    #[error("the prompt has no tokens\n  hint: give a text of at least one token; this tokenizer adds none of its own")]
    EmptyPrompt,
    /// More tokens than positions.
    #[error(
        "the text has {tokens} tokens, but this model's context ends at {limit}\n  \
         hint: shorten the text; positions beyond the context were never trained, and anchors do not change that. A \
         policy that looks back less far reads on, such as sink:4+252 or anchor:renumber"
    )]
    TooLong {
        /// Tokens so far, with those to add.
        tokens: usize,
        /// The model's positions.
        limit: usize,
    },
    /// A policy that looks back further than the model can.
    #[error(
        "`{policy}` looks back over {span} tokens, but this model's context ends at {limit}\n  hint: let it keep fewer"
    )]
    SpanTooLong {
        /// The policy.
        policy: String,
        /// How far it looks back.
        span: usize,
        /// The model's positions.
        limit: usize,
    },
    /// More entries than positions, where entries are numbered.
    #[error(
        "under `{policy}` the cache would hold {held} entries at a time, but this model's context ends at {limit}\n  \
         hint: each anchor is an entry that stays: shorten the text, or choose a rule with fewer anchors; `sink:S+N` \
         keeps the same number forever"
    )]
    TooManyEntries {
        /// The policy.
        policy: String,
        /// Entries at a time.
        held: usize,
        /// The model's positions.
        limit: usize,
    },
    /// An id without an embedding.
    #[error(
        "token id {id} is beyond this model's vocabulary of {vocab} tokens\n  \
         hint: ids count from 0 and belong to one tokenizer: was the text encoded by another model's?"
    )]
    UnknownToken {
        /// The id.
        id: u32,
        /// Rows of the embedding.
        vocab: usize,
    },
    /// A map of attention needs one position for each token.
    #[error(
        "`{policy}` counts positions anew for each query, so that there is no one map of its attention\n  hint: choose a \
         policy that leaves positions as they are, such as anchor or window:64"
    )]
    NoMap {
        /// The policy.
        policy: String,
    },
    /// A layer that the model does not have.
    #[error("there is no layer {layer}: this model has {layers}, counted from 0")]
    NoLayer {
        /// The layer.
        layer: usize,
        /// How many there are.
        layers: usize,
    },
    /// The scores contain a NaN.
    #[error(
        "the model's scores are not numbers after {tokens} tokens\n  \
         hint: a damaged checkpoint, or a number overflowed: try --dtype f32"
    )]
    NotANumber {
        /// Tokens processed.
        tokens: usize,
    },
    /// The device failed.
    #[error("the device failed while results were read: {0}\n  hint: --device cpu does without it")]
    Device(String),
}

//! What can go wrong in a conversation.

use anllm_model::{TemplateError, TokenizerError};

use crate::error::InferError;

/// An error of a turn. The conversation is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// The template refused.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The tokenizer refused.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The model failed.
    #[error(transparent)]
    Infer(InferError),
    /// The conversation is longer than the context.
    #[error(
        "with this message the conversation has {tokens} tokens, but this model's context ends at {limit}\n  \
         hint: say it in fewer words, or start a new conversation; the old one is as it was"
    )]
    ContextFull {
        /// Tokens with the message.
        tokens: usize,
        /// The model's positions.
        limit: usize,
    },
    /// A file of a conversation holds something else.
    #[error(
        "not a saved conversation: {reason}\n  hint: `/save` writes such files: format 1, messages with role and content"
    )]
    NotSaved {
        /// What is wrong.
        reason: String,
    },
}

impl From<InferError> for ChatError {
    fn from(error: InferError) -> Self {
        match error {
            InferError::TooLong { tokens, limit } => Self::ContextFull { tokens, limit },
            other => Self::Infer(other),
        }
    }
}

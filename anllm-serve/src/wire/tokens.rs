//! `/tokenize` and `/detokenize`, in the form that vLLM has.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Object;
use super::chat::ChatMessage;

/// A text, or a conversation, to cut into tokens.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct TokenizeRequest {
    /// The model's name.
    pub(crate) model: Option<String>,
    /// A text.
    pub(crate) prompt: Option<String>,
    /// In place of a text: a conversation, written as the model reads it.
    #[schema(value_type = Option<Vec<ChatMessage>>)]
    pub(crate) messages: Option<Vec<Object<ChatMessage>>>,
    /// Whether the tokens that frame a text, such as begin-of-sequence, are added; true for a text.
    pub(crate) add_special_tokens: Option<bool>,
    /// Whether each token's text is told.
    pub(crate) return_token_strs: Option<bool>,
}

/// A text's tokens.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tokenized {
    /// How many.
    pub(crate) count: usize,
    /// How many the model reads at most.
    pub(crate) max_model_len: usize,
    /// Their ids.
    pub(crate) tokens: Vec<u32>,
    /// Their texts, if asked for.
    pub(crate) token_strs: Option<Vec<String>>,
    /// Which of them are anchors, by their place among the tokens.
    pub(crate) anchors: Vec<usize>,
}

/// Tokens to put together.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct DetokenizeRequest {
    /// The model's name.
    pub(crate) model: Option<String>,
    /// Their ids.
    pub(crate) tokens: Vec<u32>,
}

/// The text of tokens.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Detokenized {
    /// The text, without special tokens.
    pub(crate) prompt: String,
}

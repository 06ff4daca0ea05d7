//! `/v1/completions`.

use serde::Serialize;
use utoipa::ToSchema;

use super::finish::FinishReason;
use super::logprobs::CompletionLogprobs;
use super::prompt::Prompts;
use super::settings::request;
use super::usage::Usage;
use crate::trace::Row;

request! {
    /// A prompt to go on with.
    CompletionRequest {
        /// A text, a list of texts, a list of token ids, or a list of such lists.
        prompt: Prompts,
        /// How many of the likeliest tokens are told at each place, at most 20.
        #[schema(maximum = 20)]
        logprobs: Option<u32>,
        /// Whether the prompt stands before its continuation.
        echo: Option<bool>,
        /// Must be `n`, or left out.
        best_of: Option<u32>,
        /// Not supported: must be empty, or left out.
        suffix: Option<String>,
    }
}

/// Continuations, or a piece of them.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Completion {
    /// The request's name.
    pub(crate) id: String,
    /// `text_completion`.
    pub(crate) object: &'static str,
    /// When it was asked for, in seconds since 1970.
    pub(crate) created: u64,
    /// The model's name.
    pub(crate) model: String,
    /// The continuations.
    pub(crate) choices: Vec<CompletionChoice>,
    /// What the request took.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Usage>)]
    pub(crate) usage: Option<Option<Usage>>,
}

/// A continuation, or a piece of it.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub(crate) struct CompletionChoice {
    /// Its number: those of the first prompt come first.
    pub(crate) index: usize,
    /// The text.
    pub(crate) text: String,
    /// How likely its tokens were, if asked for.
    pub(crate) logprobs: Option<CompletionLogprobs>,
    /// Why it ended, if it has.
    pub(crate) finish_reason: Option<FinishReason>,
    /// What the cache did, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<Vec<Row>>,
}

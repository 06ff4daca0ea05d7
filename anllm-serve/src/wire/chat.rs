//! `/v1/chat/completions`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::finish::FinishReason;
use super::logprobs::ChatLogprobs;
use super::settings::request;
use super::usage::Usage;
use super::{Content, Object};
use crate::trace::Row;

request! {
    /// A conversation to answer.
    ChatRequest {
        /// What was said so far.
        #[schema(value_type = Vec<ChatMessage>, min_items = 1)]
        messages: Vec<Object<ChatMessage>>,
        /// Another name of `max_tokens`, and the one that holds.
        max_completion_tokens: Option<u32>,
        /// Whether each token is told with how likely it was.
        logprobs: Option<bool>,
        /// How many of the likeliest tokens are told at each place, at most 20.
        #[schema(maximum = 20)]
        top_logprobs: Option<u32>,
        /// Not supported: must be empty, or left out.
        #[schema(value_type = Option<Vec<serde_json::Value>>, max_items = 0)]
        tools: Option<Vec<Value>>,
        /// `text`, or left out.
        #[schema(value_type = Option<ResponseFormat>)]
        response_format: Option<Object<ResponseFormat>>,
    }
}

/// What one side says.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub(crate) struct ChatMessage {
    /// Who: `system`, `user`, `assistant`, or what the model's template knows besides.
    pub(crate) role: String,
    /// What: a text, or a list of parts of the type `text`.
    pub(crate) content: Content,
}

/// The form of an answer.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub(crate) struct ResponseFormat {
    /// `text`.
    #[serde(rename = "type")]
    #[schema(pattern = "^text$")]
    pub(crate) kind: String,
}

/// Answers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ChatCompletion {
    /// The request's name.
    pub(crate) id: String,
    /// `chat.completion`.
    pub(crate) object: &'static str,
    /// When it was asked for, in seconds since 1970.
    pub(crate) created: u64,
    /// The model's name.
    pub(crate) model: String,
    /// The answers.
    pub(crate) choices: Vec<ChatChoice>,
    /// What the request took.
    pub(crate) usage: Usage,
}

/// An answer.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ChatChoice {
    /// Its number.
    pub(crate) index: usize,
    /// The answer.
    pub(crate) message: Answer,
    /// How likely its tokens were, if asked for.
    pub(crate) logprobs: Option<ChatLogprobs>,
    /// Why it ended.
    pub(crate) finish_reason: Option<FinishReason>,
    /// What the cache did, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<Vec<Row>>,
}

/// What the model says.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Answer {
    /// `assistant`.
    pub(crate) role: &'static str,
    /// What.
    pub(crate) content: String,
    /// Never anything: models that refuse say so in their text.
    pub(crate) refusal: Option<String>,
}

/// A piece of an answer.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ChatChunk {
    /// The request's name.
    pub(crate) id: String,
    /// `chat.completion.chunk`.
    pub(crate) object: &'static str,
    /// When it was asked for, in seconds since 1970.
    pub(crate) created: u64,
    /// The model's name.
    pub(crate) model: String,
    /// The answers that have something new.
    pub(crate) choices: Vec<ChunkChoice>,
    /// What the request took, in the last chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Usage>)]
    pub(crate) usage: Option<Option<Usage>>,
}

/// What is new of an answer.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub(crate) struct ChunkChoice {
    /// Its number.
    pub(crate) index: usize,
    /// What is new.
    pub(crate) delta: Delta,
    /// How likely its tokens were, if asked for.
    pub(crate) logprobs: Option<ChatLogprobs>,
    /// Why it ended, if it has.
    pub(crate) finish_reason: Option<FinishReason>,
    /// What the cache did, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<Vec<Row>>,
}

/// What is new.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Delta {
    /// `assistant`, at the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<&'static str>,
    /// More text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<String>,
}

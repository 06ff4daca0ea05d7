//! Why an answer ended, in OpenAI's words.

use anllm_infer::StopReason;
use serde::Serialize;
use utoipa::ToSchema;

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FinishReason {
    /// The model ended it, or a stop text came.
    Stop,
    /// The token limit was reached, or the model's context is full.
    Length,
}

impl FinishReason {
    /// `None` where the answer is not what was asked for: it was broken off.
    pub(crate) fn of(reason: StopReason) -> Option<Self> {
        match reason {
            StopReason::Eos | StopReason::Stop => Some(Self::Stop),
            StopReason::Length | StopReason::Context => Some(Self::Length),
            StopReason::Interrupted | StopReason::Deadline => None,
        }
    }
}

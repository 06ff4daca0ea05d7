//! What generation gives, while it goes on and at its end.

use anllm_core::CacheStats;
use serde::Serialize;

use crate::sampler::TokenLogprobs;

/// Why a continuation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The model ended the text.
    Eos,
    /// The token limit was reached.
    Length,
    /// A stop text or a stop token came.
    Stop,
    /// The model's context is full.
    Context,
    /// The caller asked for it.
    Interrupted,
    /// Time was up.
    Deadline,
}

/// What one step of a continuation adds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece<'a> {
    /// Text that is sure: empty where a token completes none or might begin a stop text.
    pub text: &'a str,
    /// The new token; none where text that was held back comes out at the end.
    pub token: Option<u32>,
    /// How likely it was, where that was asked for.
    pub logprobs: Option<&'a TokenLogprobs>,
}

/// How long it took. Rates are 0 where nothing was timed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Timing {
    /// Seconds from the request to the first token.
    pub ttft_s: f64,
    /// Seconds of prefill.
    pub prefill_s: f64,
    /// Prompt tokens per second.
    pub prefill_tps: f64,
    /// Seconds of decoding.
    pub decode_s: f64,
    /// Decode steps per second.
    pub decode_tps: f64,
}

/// A finished continuation.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// The new text.
    pub text: String,
    /// The new tokens, an end-of-sequence token included.
    pub tokens: Vec<u32>,
    /// How likely each new token was, where that was asked for.
    pub logprobs: Vec<TokenLogprobs>,
    /// How likely each of the prompt's tokens was, where that was asked for. Nothing is known of those that were there
    /// before, and of the first.
    pub prompt_logprobs: Vec<Option<TokenLogprobs>>,
    /// Why it ended.
    pub stop_reason: StopReason,
    /// The cache's account.
    pub kv: CacheStats,
    /// The prompt's tokens that another request had already read.
    pub cached_tokens: usize,
    /// How long it took.
    pub timing: Timing,
}

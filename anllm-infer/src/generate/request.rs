//! What to generate.

use std::time::Instant;

use anllm_core::Policy;

use crate::sampler::Sampling;

/// What to generate.
#[derive(Debug, Clone)]
pub struct Request {
    /// The prompt's tokens.
    pub prompt: Vec<u32>,
    /// What the session has read last: text and penalties go on from it.
    pub before: Vec<u32>,
    /// The most tokens to add.
    pub max_new_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Texts that end the continuation; none of them is shown.
    pub stop: Vec<String>,
    /// Tokens that end the continuation, beside the model's own; their text is not shown.
    pub stop_tokens: Vec<u32>,
    /// Whether end-of-sequence tokens are passed over.
    pub ignore_eos: bool,
    /// Cache policy.
    pub policy: Policy,
    /// How many of the likeliest tokens are told at each new one, with the probability of the one that was taken;
    /// `Some(0)` tells that alone.
    pub logprobs: Option<usize>,
    /// The same for the prompt's tokens.
    pub prompt_logprobs: Option<usize>,
    /// When to end, done or not.
    pub deadline: Option<Instant>,
}

impl Request {
    /// The best 128 tokens behind `prompt`, until the model ends the text. Fields say what else is wanted:
    /// `Request { stop, ..Request::new(prompt, policy) }`.
    pub fn new(prompt: Vec<u32>, policy: impl Into<Policy>) -> Self {
        Self {
            prompt,
            before: Vec::new(),
            max_new_tokens: 128,
            sampling: Sampling::default(),
            stop: Vec::new(),
            stop_tokens: Vec::new(),
            ignore_eos: false,
            policy: policy.into(),
            logprobs: None,
            prompt_logprobs: None,
            deadline: None,
        }
    }
}

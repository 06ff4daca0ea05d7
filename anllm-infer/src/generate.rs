//! From a prompt to a continuation.

use std::ops::ControlFlow;
use std::time::Instant;

use anllm_core::{CacheStats, Policy};
use anllm_kernels::Kernels;
use anllm_model::Tokenizer;
use serde::Serialize;

use crate::engine::Engine;
use crate::error::InferError;
use crate::sampler::{Sampler, Sampling};
use crate::stop::{StopMatcher, Stopped};

/// What to generate.
#[derive(Debug, Clone)]
pub struct Request {
    /// The prompt's tokens.
    pub prompt: Vec<u32>,
    /// The most tokens to add.
    pub max_new_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Texts that end the continuation; none of them is shown.
    pub stop: Vec<String>,
    /// Whether end-of-sequence tokens are passed over.
    pub ignore_eos: bool,
    /// Cache policy.
    pub policy: Policy,
}

/// Why a continuation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The model ended the text.
    Eos,
    /// The token limit was reached.
    Length,
    /// A stop text came.
    Stop,
    /// The model's context is full.
    Context,
    /// The caller asked for it.
    Interrupted,
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
    /// Why it ended.
    pub stop_reason: StopReason,
    /// The cache's account.
    pub kv: CacheStats,
    /// How long it took.
    pub timing: Timing,
}

impl<B: Kernels> Engine<B> {
    /// Continues a prompt. `show` is given each piece of text as soon as it is sure, or an empty one where a token
    /// completes none, and may break off.
    ///
    /// # Errors
    /// When the prompt is empty or too long, or the settings are out of range.
    pub fn generate(
        &self,
        tokenizer: &Tokenizer,
        request: Request,
        mut show: impl FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Generation, InferError> {
        let mut sampler = Sampler::new(request.sampling)?;
        let mut session = self.session(request.policy);
        let mut stops = StopMatcher::new(request.stop);
        let mut stream = tokenizer.stream(&request.prompt)?;
        let prompt_tokens = request.prompt.len();
        let mut history = request.prompt;
        let mut text = String::new();

        let start = Instant::now();
        let mut logits = self.prefill(&mut session, &history)?;
        let prefill_s = start.elapsed().as_secs_f64();
        let mut ttft_s = prefill_s;
        let mut steps = 0;

        let stop_reason = loop {
            let made = history.len() - prompt_tokens;
            if made == request.max_new_tokens {
                break StopReason::Length;
            }
            let Some(id) = sampler.sample(&mut logits, &history) else {
                return Err(InferError::NotANumber { tokens: session.seen() });
            };
            history.push(id);
            if made == 0 {
                ttft_s = start.elapsed().as_secs_f64();
            }
            if self.config().eos.contains(&id) && !request.ignore_eos {
                break StopReason::Eos;
            }
            let (sure, stopped) = stops.push(&stream.push(id)?);
            text.push_str(&sure);
            if show(&sure).is_break() {
                break StopReason::Interrupted;
            }
            if stopped == Stopped::Yes {
                break StopReason::Stop;
            }
            if self.is_full(&session) {
                break StopReason::Context;
            }
            // The last token's successor is never asked for, so that it is not computed.
            if made + 1 < request.max_new_tokens {
                logits = self.prefill(&mut session, &[id])?;
                steps += 1;
            }
        };
        if stop_reason != StopReason::Stop {
            let (mut rest, stopped) = stops.push(&stream.finish()?);
            if stopped == Stopped::No {
                rest.push_str(&stops.finish());
            }
            text.push_str(&rest);
            if !rest.is_empty() && stop_reason != StopReason::Interrupted {
                // Nothing is left to break off from.
                let _ = show(&rest);
            }
        }
        let decode_s = start.elapsed().as_secs_f64() - prefill_s;
        let rate = |count: usize, seconds: f64| if count == 0 { 0.0 } else { count as f64 / seconds };
        Ok(Generation {
            text,
            tokens: history.split_off(prompt_tokens),
            stop_reason,
            kv: session.stats(),
            timing: Timing {
                ttft_s,
                prefill_s,
                prefill_tps: rate(prompt_tokens, prefill_s),
                decode_s,
                decode_tps: rate(steps, decode_s),
            },
        })
    }
}

//! One prompt on its way to a continuation, apart from the model: which tokens go to it next, and what its scores lead
//! to. Requests alone and requests side by side go the same way.

use std::ops::ControlFlow;
use std::time::Instant;

use anllm_core::CacheStats;
use anllm_model::{TextStream, Tokenizer};

use super::clock::Clock;
use super::outcome::{Generation, Piece, StopReason};
use super::request::Request;
use crate::engine::Wanted;
use crate::error::InferError;
use crate::sampler::{Sampler, TokenLogprobs};
use crate::stop::{StopMatcher, Stopped};

/// The state of one continuation.
#[derive(Debug)]
pub(crate) struct Continuation<'t> {
    request: Request,
    /// End-of-sequence tokens that count.
    eos: Vec<u32>,
    sampler: Sampler,
    stops: StopMatcher,
    stream: TextStream<'t>,
    /// The prompt and every token since.
    history: Vec<u32>,
    /// Tokens of the prompt that the model has read.
    read: usize,
    /// Of these, how many it did not have to read for this request.
    cached: usize,
    text: String,
    logprobs: Vec<TokenLogprobs>,
    prompt_logprobs: Vec<Option<TokenLogprobs>>,
    clock: Clock,
}

/// A token that was drawn.
#[derive(Debug)]
pub(crate) struct Chosen {
    id: u32,
    logprobs: Option<TokenLogprobs>,
    /// Why the continuation ends with it, if it does.
    ends: Option<StopReason>,
    /// The text that it completes, as the tokenizer has it.
    text: String,
}

impl<'t> Continuation<'t> {
    /// Where every prompt token is scored, this many go at a time: scores are as wide as the vocabulary.
    const SCORED_AT_ONCE: usize = 64;

    /// `eos` are the model's end-of-sequence tokens.
    pub(crate) fn new(tokenizer: &'t Tokenizer, request: Request, eos: &[u32]) -> Result<Self, InferError> {
        Ok(Self {
            sampler: Sampler::new(request.sampling.clone())?,
            eos: if request.ignore_eos { Vec::new() } else { eos.to_vec() },
            stops: StopMatcher::new(request.stop.iter().cloned()),
            stream: tokenizer.stream(&[&request.before[..], &request.prompt].concat())?,
            history: request.prompt.clone(),
            read: 0,
            cached: 0,
            text: String::new(),
            logprobs: Vec::new(),
            prompt_logprobs: Vec::new(),
            clock: Clock::submitted_now(),
            request,
        })
    }

    /// Another continuation of the same prompt, which has been read.
    pub(crate) fn sibling(&self, tokenizer: &'t Tokenizer, seed: u64) -> Result<Self, InferError> {
        let mut request = self.request.clone();
        request.sampling.seed = seed;
        let new = Self::new(tokenizer, request, &self.eos)?;
        let prompt_logprobs = self.prompt_logprobs.clone();
        Ok(Self { read: self.read, cached: self.cached, prompt_logprobs, clock: self.clock, ..new })
    }

    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    /// The prompt and every token since.
    pub(crate) fn history(&self) -> &[u32] {
        &self.history
    }

    fn prompt_len(&self) -> usize {
        self.request.prompt.len()
    }

    /// New tokens.
    pub(crate) fn made(&self) -> usize {
        self.history.len() - self.prompt_len()
    }

    /// Whether the model has read the prompt, so that each step makes a token.
    pub(crate) fn is_writing(&self) -> bool {
        self.read == self.prompt_len()
    }

    /// Tokens of the prompt that the model has not read.
    pub(crate) fn left_to_read(&self) -> usize {
        self.prompt_len() - self.read
    }

    /// Tokens that the model still has to process, at most.
    pub(crate) fn most_to_come(&self) -> usize {
        // The last token's successor is never asked for, so that it is not processed.
        self.left_to_read().saturating_add(self.request.max_new_tokens.saturating_sub(self.made().max(1)))
    }

    /// The session has the prompt's first `tokens` already.
    pub(crate) fn skip(&mut self, tokens: usize) {
        self.read = tokens.min(self.prompt_len());
        self.cached = self.read;
    }

    /// What the model processes next, at most `limit` tokens, and whose scores are wanted.
    pub(crate) fn next(&mut self, limit: usize) -> (&[u32], Wanted) {
        self.clock.starts();
        let prompt = &self.history[..self.request.prompt.len()];
        if self.read == prompt.len() {
            return (&self.history[self.history.len() - 1..], Wanted::Last);
        }
        let scored = self.request.prompt_logprobs.is_some();
        let limit = if scored { limit.min(Self::SCORED_AT_ONCE) } else { limit };
        let rest = &prompt[self.read..];
        let chunk = &rest[..rest.len().min(limit.max(1))];
        let wanted = match chunk.len() == rest.len() {
            _ if scored => Wanted::Every,
            true => Wanted::Last,
            false => Wanted::Nothing,
        };
        (chunk, wanted)
    }

    /// Takes note that the model has processed `tokens`, with these scores `[n, V]` of what was wanted. Returns the last
    /// token's, once the prompt has been read.
    pub(crate) fn processed<'s>(
        &mut self,
        tokens: usize,
        scores: &'s mut [f32],
        vocab: usize,
    ) -> Option<&'s mut [f32]> {
        if self.is_writing() {
            self.clock.steps();
            return Some(scores);
        }
        if let Some(top) = self.request.prompt_logprobs {
            // Nothing is known of the first token.
            self.prompt_logprobs.resize(self.prompt_logprobs.len().max(self.read + 1), None);
            let followed = &self.history[self.read + 1..];
            let known = scores.chunks_exact(vocab).take(tokens).zip(followed);
            self.prompt_logprobs.extend(known.map(|(scores, &id)| Some(TokenLogprobs::of(scores, id, top))));
        }
        self.read += tokens;
        if !self.is_writing() {
            return None;
        }
        self.clock.has_read();
        let last = scores.len() - vocab;
        Some(&mut scores[last..])
    }

    /// Draws the next token from scores `[V]`; none where no token is to be made.
    ///
    /// # Errors
    /// When no score is a number, or the tokenizer does not know the token.
    pub(crate) fn choose(&mut self, scores: &mut [f32]) -> Result<Option<Chosen>, InferError> {
        if self.made() == self.request.max_new_tokens {
            return Ok(None);
        }
        // Probabilities are the model's own, before any setting bends them.
        let own = self.request.logprobs.map(|top| (scores.to_vec(), top));
        let id = match &self.request.before[..] {
            [] => self.sampler.sample(scores, &self.history),
            before => self.sampler.sample(scores, &[before, &self.history].concat()),
        };
        let Some(id) = id else {
            return Err(InferError::NotANumber { tokens: self.history.len() });
        };
        let logprobs = own.map(|(scores, top)| TokenLogprobs::of(&scores, id, top));
        let ends = match () {
            () if self.eos.contains(&id) => Some(StopReason::Eos),
            () if self.request.stop_tokens.contains(&id) => Some(StopReason::Stop),
            () => None,
        };
        let text = match ends {
            // Such a token has no text that anybody should see.
            Some(_) => String::new(),
            None => self.stream.push(id)?,
        };
        Ok(Some(Chosen { id, logprobs, ends, text }))
    }

    /// Appends what was drawn and shows what it makes sure. `full` says that the context holds no more tokens. Returns
    /// why the continuation ends, if it does.
    pub(crate) fn accept(
        &mut self,
        chosen: Option<Chosen>,
        full: bool,
        show: impl FnOnce(&Piece<'_>) -> ControlFlow<()>,
    ) -> Option<StopReason> {
        let Some(Chosen { id, logprobs, ends, text }) = chosen else {
            return Some(StopReason::Length);
        };
        self.history.push(id);
        self.logprobs.extend(logprobs);
        self.clock.has_token();
        let (text, stopped) = match ends {
            Some(_) => (text, Stopped::No),
            None => self.stops.push(&text),
        };
        self.text.push_str(&text);
        let logprobs = self.request.logprobs.and(self.logprobs.last());
        let shown = show(&Piece { text: &text, token: Some(id), logprobs });
        match () {
            () if ends.is_some() => ends,
            () if shown.is_break() => Some(StopReason::Interrupted),
            () if stopped == Stopped::Yes => Some(StopReason::Stop),
            () if full => Some(StopReason::Context),
            () if self.made() == self.request.max_new_tokens => Some(StopReason::Length),
            () if self.is_late() => Some(StopReason::Deadline),
            () => None,
        }
    }

    /// Whether time is up.
    pub(crate) fn is_late(&self) -> bool {
        self.request.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Ends it: shows what was held back, and gives the account.
    ///
    /// # Errors
    /// When the tokenizer does not know a token.
    pub(crate) fn finish(
        mut self,
        reason: StopReason,
        kv: CacheStats,
        show: impl FnOnce(&Piece<'_>),
    ) -> Result<Generation, InferError> {
        let ended_by_text = reason == StopReason::Stop && !self.ended_by_token();
        if !ended_by_text {
            let (mut rest, stopped) = self.stops.push(&self.stream.finish()?);
            if stopped == Stopped::No {
                rest.push_str(&self.stops.finish());
            }
            self.text.push_str(&rest);
            if !rest.is_empty() && reason != StopReason::Interrupted {
                show(&Piece { text: &rest, token: None, logprobs: None });
            }
        }
        let prompt = self.request.prompt.len();
        Ok(Generation {
            text: self.text,
            tokens: self.history.split_off(prompt),
            logprobs: self.logprobs,
            prompt_logprobs: self.prompt_logprobs,
            stop_reason: reason,
            kv,
            cached_tokens: self.cached,
            timing: self.clock.timing(prompt - self.cached),
        })
    }

    fn ended_by_token(&self) -> bool {
        self.history.last().is_some_and(|id| self.made() > 0 && self.request.stop_tokens.contains(id))
    }
}

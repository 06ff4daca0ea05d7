//! From a prompt to a continuation.

mod clock;
mod continuation;
mod outcome;
mod request;

use std::ops::ControlFlow;

use anllm_kernels::Kernels;
use anllm_model::Tokenizer;

pub(crate) use continuation::{Chosen, Continuation};
pub use outcome::{Generation, Piece, StopReason, Timing};
pub use request::Request;

use crate::engine::{Engine, Feed, Session};
use crate::error::InferError;

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
        let mut session = self.session(request.policy.clone());
        self.generate_in(&mut session, tokenizer, request, |piece, _| show(piece.text))
    }

    /// Continues a prompt behind what `session` holds, under the session's policy. `show` is given each step's piece
    /// with the session as it stands, an empty one after each part of a long prompt, and may break off.
    ///
    /// Afterwards the session holds all but the last token: nobody asked for its successor.
    ///
    /// # Errors
    /// As [`Self::generate`]; the session then may have read a part of the prompt.
    pub fn generate_in(
        &self,
        session: &mut Session<B>,
        tokenizer: &Tokenizer,
        request: Request,
        mut show: impl FnMut(&Piece<'_>, &Session<B>) -> ControlFlow<()>,
    ) -> Result<Generation, InferError> {
        let mut continuation = self.start(tokenizer, request, session)?;
        let reason = loop {
            let (ids, wanted) = continuation.next(self.prefill_chunk());
            let count = ids.len();
            let scores = self.feed(&mut [Feed { session: &mut *session, ids, wanted }])?;
            let mut scores = scores.into_values();
            let reason = match continuation.processed(count, &mut scores, self.decoder().vocab_size()) {
                None if continuation.is_late() => Some(StopReason::Deadline),
                // Long prompts can be broken off too.
                None => show(&Piece { text: "", token: None, logprobs: None }, session)
                    .is_break()
                    .then_some(StopReason::Interrupted),
                Some(scores) => {
                    let chosen = continuation.choose(scores)?;
                    continuation.accept(chosen, self.is_full(session), |piece| show(piece, session))
                }
            };
            if let Some(reason) = reason {
                break reason;
            }
        };
        continuation.finish(reason, session.stats(), |piece| {
            // Nothing is left to break off from.
            let _ = show(piece, session);
        })
    }

    /// Checks a request that continues `session`.
    pub(crate) fn start<'t>(
        &self,
        tokenizer: &'t Tokenizer,
        request: Request,
        session: &Session<B>,
    ) -> Result<Continuation<'t>, InferError> {
        self.check(session, &request.prompt)?;
        let biased: Vec<u32> = request.sampling.bias.iter().map(|(id, _)| *id).collect();
        self.check_ids(&biased)?;
        Continuation::new(tokenizer, request, &self.config().eos)
    }
}

//! Whether a text fits the positions a model was trained for, which depends on how far a policy looks back.

use anllm_core::{CachePolicy, Span};
use anllm_kernels::Kernels;

use super::{Engine, Session};
use crate::error::InferError;

impl<B: Kernels> Engine<B> {
    /// Checks `ids` that come next in `session`.
    pub(crate) fn check(&self, session: &Session<B>, ids: &[u32]) -> Result<(), InferError> {
        if ids.is_empty() {
            return Err(InferError::EmptyPrompt);
        }
        self.check_ids(ids)?;
        let (ledger, policy) = (session.cache().ledger(), session.cache().policy());
        let limit = self.config().max_positions;
        match policy.span() {
            // Most texts are far from the limit: then nothing has to be counted in advance.
            Span::Entries if ledger.entries().len() + ids.len() > limit => {
                match ledger.most_held(policy, session.places_of(ids)) {
                    held if held > limit => Err(InferError::TooManyEntries { policy: policy.name(), held, limit }),
                    _ => Ok(()),
                }
            }
            _ => self.check_length(policy, ledger.seen() + ids.len()),
        }
    }

    /// Checks a text of so many tokens that is processed as a whole.
    pub(crate) fn check_length(&self, policy: &dyn CachePolicy, tokens: usize) -> Result<(), InferError> {
        let limit = self.config().max_positions;
        match policy.span() {
            Span::Text if tokens > limit => Err(InferError::TooLong { tokens, limit }),
            Span::Tokens(span) if span.min(tokens) > limit => {
                Err(InferError::SpanTooLong { policy: policy.name(), span, limit })
            }
            _ => Ok(()),
        }
    }

    /// Whether the context has no place for another token.
    pub(crate) fn is_full(&self, session: &Session<B>) -> bool {
        // Any token will do: a longer segment never holds less than a closed one.
        let next = session.places_of(&[0]).map(|place| anllm_core::Place { anchor: false, ..place });
        let (ledger, policy) = (session.cache().ledger(), session.cache().policy());
        let limit = self.config().max_positions;
        match policy.span() {
            Span::Entries => ledger.most_held(policy, next) > limit,
            _ => self.check_length(policy, ledger.seen() + 1).is_err(),
        }
    }
}

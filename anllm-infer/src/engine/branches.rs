//! Several continuations of a session in one pass, which leaves the session as it is.

use anllm_core::Branches;
use anllm_kernels::Kernels;
use burn::tensor::Tensor;

use super::{Engine, Session};
use crate::error::InferError;

/// Continuations of a session: a tree of runs of tokens.
#[derive(Debug, Clone)]
pub struct Continuations {
    branches: Branches,
    /// The tokens of all runs, in the order of the row.
    ids: Vec<u32>,
}

impl Continuations {
    /// Tokens of all runs.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

impl<B: Kernels> Engine<B> {
    /// No continuations yet of what `session` has seen.
    pub fn continuations(&self, session: &Session<B>) -> Continuations {
        Continuations { branches: Branches::new(session.tracker()), ids: Vec::new() }
    }

    /// Adds a run of tokens behind the run `parent`, or behind what the session has seen: its number, and which token of
    /// the row is its first.
    ///
    /// # Panics
    /// When there is no run `parent`.
    pub fn branch(&self, continuations: &mut Continuations, parent: Option<usize>, ids: &[u32]) -> (usize, usize) {
        let is_anchor = |token: usize, position| self.matcher().is_anchor(ids[token], position);
        let run = continuations.branches.push(parent, ids.len(), is_anchor);
        continuations.ids.extend(ids);
        (run, continuations.branches.slots(run).start)
    }

    /// Hidden states `[1, T, C]` of all runs' tokens, ready for the decoder's head. A token sees what it would see if its
    /// path were the whole text. The session stays as it is.
    ///
    /// The policy must not [renumber](Session::renumbers).
    ///
    /// # Errors
    /// When there are no tokens, one is unknown, or a path ends beyond what the policy lets the model see.
    pub fn forward_branches(
        &self,
        session: &Session<B>,
        continuations: &Continuations,
    ) -> Result<Tensor<B, 3>, InferError> {
        let Continuations { branches, ids } = continuations;
        let Some(last) = branches.last_position() else { return Err(InferError::EmptyPrompt) };
        self.check_ids(ids)?;
        self.check_length(session.cache().policy(), last + 1)?;
        Ok(self.decoder().forward_branches(ids, branches, session.cache()))
    }
}

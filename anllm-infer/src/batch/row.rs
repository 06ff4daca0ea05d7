//! One sequence in a scheduler.

use anllm_kernels::Kernels;

use super::event::RequestId;
use crate::engine::Session;
use crate::generate::Continuation;

/// A request that waits for room.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    pub(super) id: RequestId,
    /// Continuations of its prompt.
    pub(super) choices: usize,
    pub(super) continuation: Continuation<'a>,
    /// The most entries that each can come to hold.
    pub(super) most_entries: usize,
}

/// A sequence that takes part in each step.
#[derive(Debug)]
pub(super) struct Row<'a, B: Kernels> {
    pub(super) id: RequestId,
    pub(super) choice: usize,
    /// How many continuations branch off once the prompt has been read.
    pub(super) branches: usize,
    pub(super) session: Session<B>,
    pub(super) continuation: Continuation<'a>,
    pub(super) most_entries: usize,
    /// After how many tokens, those of what it goes on from among them, the sequence is copied into the store: where
    /// another prompt was seen to part from it.
    pub(super) keep_at: Option<usize>,
}

impl<B: Kernels> Row<'_, B> {
    /// How many of the prompt's tokens may go at once.
    pub(super) fn readable(&self) -> usize {
        let left = self.continuation.left_to_read();
        self.keep_at.map_or(left, |keep_at| left.min(keep_at - self.session.seen()))
    }

    /// The most bytes that it and its branches can come to occupy, as things stand: each entry that was dropped makes
    /// it less.
    pub(super) fn reserved_bytes(&self) -> usize {
        let to_come = self.session.cache().ledger().entries().len().saturating_add(self.continuation.most_to_come());
        let most = self.session.bytes_for(self.most_entries.min(to_come)).max(self.session.allocated_bytes());
        most * (1 + self.branches)
    }
}

//! What a scheduler takes from its store of prefixes, and gives to it.

use anllm_kernels::Kernels;

use super::row::Row;
use crate::engine::Session;
use crate::generate::Continuation;
use crate::prefix::{PrefixStore, StoreStats};

/// A store, if there is one.
#[derive(Debug)]
pub(super) struct Prefixes<B: Kernels> {
    store: Option<PrefixStore<B>>,
    /// Tokens that stand before those of every request: the store does not know them.
    base: usize,
}

/// Fewer tokens are not worth a copy of their cache.
const WORTH_KEEPING: usize = 16;

impl<B: Kernels> Prefixes<B> {
    pub(super) fn new(bytes: usize, base: usize) -> Self {
        Self { store: (bytes > 0).then(|| PrefixStore::new(bytes)), base }
    }

    pub(super) fn stats(&self) -> StoreStats {
        self.store.as_ref().map_or_else(StoreStats::default, PrefixStore::stats)
    }

    /// The session that a request starts from, `empty` unless its beginning is known, and where a copy is worth keeping.
    pub(super) fn start(
        &mut self,
        continuation: &mut Continuation<'_>,
        empty: Session<B>,
    ) -> (Session<B>, Option<usize>) {
        let request = continuation.request();
        // Scores of tokens that were read for somebody else are gone.
        let (Some(store), None) = (&mut self.store, request.prompt_logprobs) else {
            return (empty, None);
        };
        let parting = store.parting(&request.policy, &request.prompt);
        let (known, session) = store.longest(&request.policy, &request.prompt).unwrap_or((0, empty));
        continuation.skip(known);
        (session, (parting >= known + WORTH_KEEPING).then_some(self.base + parting))
    }

    /// Keeps a copy of `row` where that was planned.
    pub(super) fn pass_by(&mut self, row: &mut Row<'_, B>) {
        let read = row.session.seen();
        if let Some(store) = &mut self.store
            && row.keep_at.take_if(|at| *at == read).is_some()
        {
            let policy = &row.continuation.request().policy;
            store.insert(policy, &row.continuation.history()[..read - self.base], row.session.clone());
        }
    }

    /// Keeps a sequence that ended, for who goes on from there.
    pub(super) fn keep(&mut self, continuation: &Continuation<'_>, session: Session<B>) {
        let seen = session.seen() - self.base;
        if let Some(store) = &mut self.store
            && seen >= WORTH_KEEPING
        {
            store.insert(&continuation.request().policy, &continuation.history()[..seen], session);
        }
    }
}

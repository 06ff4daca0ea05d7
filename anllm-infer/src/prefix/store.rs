//! Prefixes in memory, shared between the requests of one engine.
//!
//! What a sequence holds after a number of tokens depends on these tokens and the policy alone, so that a later request
//! that begins with the same ones goes on from a copy. Entries that a policy dropped cannot come back: a sequence is of
//! use to requests that begin with *all* its tokens. So it is kept where a prompt ends, where an answer ends (a
//! conversation goes on there), and where two prompts were seen to part.

use std::sync::Arc;

use anllm_core::Policy;
use anllm_kernels::Kernels;
use serde::Serialize;

use crate::engine::Session;

/// Sequences by their tokens, the least recently used forgotten first.
///
/// It belongs to one engine: tokens mean nothing to another, and neither does its anchor rule.
#[derive(Debug)]
pub struct PrefixStore<B: Kernels> {
    budget: usize,
    held: Vec<Held<B>>,
    /// Counts uses, to tell which was the latest.
    clock: u64,
    stats: StoreStats,
}

/// One sequence.
#[derive(Debug)]
struct Held<B: Kernels> {
    policy: String,
    ids: Arc<[u32]>,
    session: Session<B>,
    used: u64,
}

/// What a store holds, and what it was good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct StoreStats {
    /// Sequences held.
    pub sequences: usize,
    /// Bytes of their caches' buffers and tokens.
    pub bytes: usize,
    /// Requests that found their beginning.
    pub hits: u64,
    /// Requests that did not.
    pub misses: u64,
    /// Tokens that did not have to be read again.
    pub tokens_saved: u64,
}

impl<B: Kernels> Held<B> {
    fn bytes(&self) -> usize {
        self.session.allocated_bytes() + size_of_val(&*self.ids)
    }

    fn is(&self, policy: &str, ids: &[u32]) -> bool {
        self.policy == policy && *self.ids == *ids
    }
}

impl<B: Kernels> PrefixStore<B> {
    /// An empty store for at most `budget` bytes.
    pub fn new(budget: usize) -> Self {
        Self { budget, held: Vec::new(), clock: 0, stats: StoreStats::default() }
    }

    /// The account so far.
    pub fn stats(&self) -> StoreStats {
        let bytes = self.held.iter().map(Held::bytes).sum();
        StoreStats { sequences: self.held.len(), bytes, ..self.stats }
    }

    /// A copy of the sequence with the longest beginning of `ids` under `policy`, and how many tokens that is. It leaves
    /// at least the last token, whose scores somebody wants to see.
    pub fn longest(&mut self, policy: &Policy, ids: &[u32]) -> Option<(usize, Session<B>)> {
        let name = policy.name();
        let begins =
            |held: &&mut Held<B>| held.policy == name && held.ids.len() < ids.len() && ids.starts_with(&held.ids);
        let Some(found) = self.held.iter_mut().filter(begins).max_by_key(|held| held.ids.len()) else {
            self.stats.misses += 1;
            return None;
        };
        self.clock += 1;
        found.used = self.clock;
        self.stats.hits += 1;
        self.stats.tokens_saved += found.ids.len() as u64;
        Some((found.ids.len(), found.session.clone()))
    }

    /// How many tokens `ids` have in common with a sequence under `policy`, at most all but the last: where it is worth
    /// keeping one for the next that begins so.
    pub fn parting(&self, policy: &Policy, ids: &[u32]) -> usize {
        let name = policy.name();
        let of_policy = self.held.iter().filter(|held| held.policy == name);
        let common = of_policy.map(|held| held.ids.iter().zip(ids).take_while(|(a, b)| a == b).count());
        common.max().unwrap_or(0).min(ids.len().saturating_sub(1))
    }

    /// Keeps `session`, which has read exactly `ids` under its policy, behind the beginning that all of this store's
    /// sequences share, if they do. What is larger than the whole budget is not kept.
    pub fn insert(&mut self, policy: &Policy, ids: &[u32], session: Session<B>) {
        self.clock += 1;
        let (policy, used) = (policy.name(), self.clock);
        debug_assert!(session.seen() >= ids.len(), "a session of other tokens");
        if let Some(known) = self.held.iter_mut().find(|held| held.is(&policy, ids)) {
            known.used = used;
            return;
        }
        let new = Held { policy, ids: ids.into(), session, used };
        let room = self.budget.saturating_sub(new.bytes());
        if new.bytes() > self.budget {
            return;
        }
        self.shrink_to(room);
        self.held.push(new);
    }

    /// Forgets the least recently used until the rest takes at most `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        let mut total: usize = self.held.iter().map(Held::bytes).sum();
        while total > bytes {
            let oldest = self.held.iter().enumerate().min_by_key(|(_, held)| held.used).map(|(place, _)| place);
            let Some(oldest) = oldest else { return };
            total -= self.held.swap_remove(oldest).bytes();
        }
    }
}

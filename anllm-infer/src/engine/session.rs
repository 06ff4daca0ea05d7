//! One sequence: its cache, and where its next token stands.

use std::sync::Arc;

use anllm_core::{AnchorMatcher, CacheStats, Place, Policy, Positions, SegmentTracker};
use anllm_kernels::Kernels;
use anllm_model::{Decoder, KvCache};
use burn::tensor::Tensor;

/// The state of one request.
#[derive(Debug, Clone)]
pub struct Session<B: Kernels> {
    cache: KvCache<B>,
    tracker: SegmentTracker,
    matcher: Arc<AnchorMatcher>,
}

impl<B: Kernels> Session<B> {
    pub(super) fn new(cache: KvCache<B>, matcher: Arc<AnchorMatcher>) -> Self {
        Self { cache, tracker: SegmentTracker::default(), matcher }
    }

    /// A sequence as another session left it: its cache, and where its next token stands.
    pub(crate) fn restore(cache: KvCache<B>, tracker: SegmentTracker, matcher: Arc<AnchorMatcher>) -> Self {
        Self { cache, tracker, matcher }
    }

    /// The cache, and where the next token stands.
    pub(crate) fn parts(&self) -> (&KvCache<B>, &SegmentTracker) {
        (&self.cache, &self.tracker)
    }

    /// Tokens processed.
    pub fn seen(&self) -> usize {
        self.cache.ledger().seen()
    }

    /// Seen, kept, peak and bytes so far.
    pub fn stats(&self) -> CacheStats {
        self.cache.stats()
    }

    /// Bytes that the cache's buffers occupy, empty slots included.
    pub fn allocated_bytes(&self) -> usize {
        self.cache.allocated_bytes()
    }

    /// What tokens see, and what is kept.
    pub fn policy(&self) -> Policy {
        self.cache.shared_policy()
    }

    /// Whether the policy counts positions anew: then texts cannot lie side by side.
    pub fn renumbers(&self) -> bool {
        self.cache.policy().positions() == Positions::Renumbered
    }

    /// What the sequence holds.
    pub(crate) fn cache(&self) -> &KvCache<B> {
        &self.cache
    }

    /// Where the next tokens will stand.
    pub(super) fn tracker(&self) -> SegmentTracker {
        self.tracker
    }

    /// Where `ids` would stand if they came next.
    pub(super) fn places_of(&self, ids: &[u32]) -> impl Iterator<Item = Place> {
        let mut tracker = self.tracker;
        ids.iter().map(move |&id| tracker.push(self.matcher.is_anchor(id, tracker.position())))
    }

    /// Bytes that the cache's buffers would occupy to hold `entries`.
    pub fn bytes_for(&self, entries: usize) -> usize {
        self.cache.bytes_for(entries)
    }

    /// Runs `ids` through the decoder: hidden states `[1, T, C]`.
    pub(crate) fn forward(&mut self, decoder: &Decoder<B>, ids: &[u32]) -> Tensor<B, 3> {
        let places = self.place(ids);
        decoder.forward_cached(ids, &places, &mut self.cache)
    }

    /// Where the next tokens stand; from then on they count as placed.
    pub(super) fn place(&mut self, ids: &[u32]) -> Vec<Place> {
        let mut place = |&id: &u32| self.tracker.push(self.matcher.is_anchor(id, self.tracker.position()));
        ids.iter().map(&mut place).collect()
    }

    /// What the sequence holds.
    pub(super) fn cache_mut(&mut self) -> &mut KvCache<B> {
        &mut self.cache
    }
}

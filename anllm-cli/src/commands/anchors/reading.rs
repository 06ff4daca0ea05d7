//! A text, cut into tokens and segments, with what a cache would keep of it.

use anllm_core::{AnchorMatcher, AnchorPolicy, AnchorRule, CacheStats, Place, Policy, Segments, simulate};

use super::spelling::Token;

/// Bytes of one element of a cache in f32.
const F32: usize = 4;

/// A text with everything that is shown of it.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    /// Where the text came from, for people.
    pub(super) source: String,
    /// The rule that chose the anchors.
    pub(super) rule: AnchorRule,
    /// The tokens.
    pub(super) ids: Vec<u32>,
    /// How each token is written; as long as `ids`.
    pub(super) tokens: Vec<Token>,
    /// Where each token stands; as long as `ids`.
    pub(super) segments: Segments,
    /// Length of each segment.
    pub(super) lengths: Vec<usize>,
    /// What tokens see, and what the cache keeps.
    pub(super) policy: Policy,
    /// What the cache holds after the text, in f32.
    pub(super) cache: CacheStats,
    /// Bytes that the anchor policy's cache would hold.
    pub(super) anchor_bytes: usize,
}

impl Reading {
    /// Places the tokens. `kv_elements` is the number of cached elements for each token, over all layers.
    pub(super) fn new(
        source: String,
        matcher: &AnchorMatcher,
        ids: Vec<u32>,
        tokens: Vec<Token>,
        policy: Policy,
        kv_elements: usize,
    ) -> Self {
        let segments = matcher.segments(&ids);
        let lengths = segments.lengths();
        let cache = simulate(&*policy, &segments, kv_elements * F32);
        let anchor_bytes = simulate(&AnchorPolicy, &segments, kv_elements * F32).bytes;
        Self { source, rule: matcher.rule().clone(), ids, tokens, segments, lengths, policy, cache, anchor_bytes }
    }

    /// Every token with its place, in order.
    pub(super) fn places(&self) -> impl Iterator<Item = (&Place, &Token)> {
        self.segments.places().iter().zip(&self.tokens)
    }

    /// Length of the longest segment.
    pub(super) fn longest(&self) -> usize {
        self.lengths.iter().copied().max().unwrap_or(0)
    }

    /// Mean length of a segment.
    pub(super) fn mean(&self) -> f64 {
        self.ids.len() as f64 / self.lengths.len().max(1) as f64
    }

    /// Index of each segment's first token, with the segment's length.
    pub(super) fn spans(&self) -> impl Iterator<Item = (usize, usize)> {
        self.lengths.iter().scan(0, |next, &len| {
            let start = *next;
            *next += len;
            Some((start, len))
        })
    }

    /// Number of (query, key) pairs that the policy lets attention look at.
    pub(super) fn visible_pairs(&self) -> u64 {
        anllm_core::visible_pairs(&*self.policy, &self.segments)
    }

    /// Number of (query, key) pairs under causal attention.
    pub(super) fn causal_pairs(&self) -> u64 {
        let tokens = self.ids.len() as u64;
        tokens * (tokens + 1) / 2
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::commands::anchors::spelling;

    /// A reading in which each word is a token, as an ordinary tokenizer would spell it, and `anchors` are anchors.
    pub(in crate::commands::anchors) fn reading(words: &[&str], anchors: &[usize]) -> Reading {
        let ids: Vec<u32> = (0u32..).take(words.len()).collect();
        let tokens = spelling::join(words.iter().map(|w| spelling::Raw::Bytes(w.as_bytes().to_vec())).collect());
        let policy = AnchorPolicy.into();
        let mut reading = Reading::new("a test".to_owned(), &AnchorMatcher::none(), ids, tokens, policy, 16);
        reading.segments = Segments::from_anchors(words.len(), anchors);
        reading.lengths = reading.segments.lengths();
        reading.cache = simulate(&AnchorPolicy, &reading.segments, 64);
        reading.rule = AnchorRule::Endpoint;
        reading
    }

    #[test]
    fn counts_what_the_segments_say() {
        let reading = reading(&["a", " b", ".", " c", ".", " d"], &[2, 4]);
        assert_eq!(reading.lengths, [3, 2, 1]);
        assert_eq!((reading.longest(), reading.mean()), (3, 2.0));
        assert_eq!(reading.spans().collect::<Vec<_>>(), [(0, 3), (3, 2), (5, 1)]);
        assert_eq!((reading.cache.kept, reading.cache.bytes, reading.cache.full_bytes), (3, 3 * 64, 6 * 64));
        assert_eq!(reading.causal_pairs(), 21);
    }
}

//! What the reduced cache holds, from the segments alone. Core's `simulate` steps a cache through the text, which for
//! a whole book takes minutes; for one document under the anchor policy the same account is a sum over segments.

use anllm_core::{AnchorPolicy, CachePolicy, CacheStats, Segments};

/// The account that [`anllm_core::simulate`] gives for the anchor policy, of a single document.
pub(super) fn account(segments: &Segments, bytes_per_entry: usize) -> CacheStats {
    let seen = segments.len();
    // The n-th segment is held together with the n anchors before it.
    let held: Vec<usize> = segments.lengths().into_iter().enumerate().map(|(earlier, len)| earlier + len).collect();
    let peak = held.iter().copied().max().unwrap_or(0);
    let kept = match segments.places().last() {
        Some(last) if !last.anchor => held.last().copied().unwrap_or(0),
        _ => segments.anchors().len(),
    };
    CacheStats {
        policy: AnchorPolicy.name(),
        seen,
        kept,
        peak,
        bytes: kept * bytes_per_entry,
        full_bytes: seen * bytes_per_entry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_simulated_cache_on_every_small_text() {
        for tokens in 0..=9usize {
            for choice in 0..1usize << tokens {
                let flags: Vec<bool> = (0..tokens).map(|i| choice >> i & 1 == 1).collect();
                let segments = Segments::from_flags(&flags);
                let simulated = anllm_core::simulate(&AnchorPolicy, &segments, 64);
                assert_eq!(account(&segments, 64), simulated, "anchors {flags:?}");
            }
        }
    }
}

//! What a cache costs and what it saves.

use serde::Serialize;

use crate::ledger::Ledger;
use crate::policy::CachePolicy;
use crate::segments::Segments;

/// The account of one sequence's cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CacheStats {
    /// The policy's name.
    pub policy: String,
    /// Tokens processed.
    pub seen: usize,
    /// Entries held now.
    pub kept: usize,
    /// The most entries that one-token steps hold at a time: under the anchor policy the anchors and the longest
    /// segment so far.
    pub peak: usize,
    /// Bytes of keys and values of the entries held, over all layers.
    pub bytes: usize,
    /// Bytes that a full cache would hold for the same tokens.
    pub full_bytes: usize,
}

impl CacheStats {
    pub(crate) fn new(policy: &dyn CachePolicy, ledger: &Ledger, bytes_per_entry: usize) -> Self {
        let kept = ledger.entries().len();
        Self {
            policy: policy.name(),
            seen: ledger.seen(),
            kept,
            peak: ledger.peak(),
            bytes: kept * bytes_per_entry,
            full_bytes: ledger.seen() * bytes_per_entry,
        }
    }

    /// The paper's C⇓: the share of a full cache's entries that is not kept, from 0 to 1.
    pub fn reduction(&self) -> f64 {
        if self.seen == 0 { 0.0 } else { 1.0 - self.kept as f64 / self.seen as f64 }
    }
}

/// How many (query, key) pairs `policy` lets attention look at: the work it has to do.
pub fn visible_pairs(policy: &dyn CachePolicy, segments: &Segments) -> u64 {
    /// Tokens planned at a time: what each of them sees is forgotten again.
    const CHUNK: usize = 256;
    let mut ledger = Ledger::default();
    let chunks = segments.places().chunks(CHUNK);
    chunks.map(|chunk| ledger.advance(policy, chunk).reach.pairs() as u64).sum()
}

/// The account a sequence would leave behind, without running a model. For several documents, the last one's entries
/// remain.
pub fn simulate(policy: &dyn CachePolicy, segments: &Segments, bytes_per_entry: usize) -> CacheStats {
    let mut ledger = Ledger::default();
    for place in segments.places() {
        ledger.enter(policy, *place);
    }
    ledger.stats(policy, bytes_per_entry)
}

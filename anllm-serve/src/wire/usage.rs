//! What a request took: tokens, and what the cache kept of them.

use anllm_core::CacheStats;
use anllm_infer::Generation;
use serde::Serialize;
use utoipa::ToSchema;

/// What a request took.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Usage {
    /// Tokens of all prompts.
    pub(crate) prompt_tokens: usize,
    /// Tokens that were made.
    pub(crate) completion_tokens: usize,
    /// Both.
    pub(crate) total_tokens: usize,
    /// Of the prompts.
    pub(crate) prompt_tokens_details: PromptDetails,
    /// What the caches held at the end, of all sequences of the request.
    pub(crate) kv: Kept,
}

/// Of the prompts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct PromptDetails {
    /// Tokens that had been read for an earlier request.
    pub(crate) cached_tokens: usize,
}

/// The caches' account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Kept {
    /// The cache policy.
    pub(crate) policy: String,
    /// Tokens processed: the entries that a full cache would hold.
    pub(crate) seen: usize,
    /// Entries held at the end.
    pub(crate) kept: usize,
    /// The most entries that one sequence held at a time.
    pub(crate) peak: usize,
    /// Bytes of the entries held.
    pub(crate) bytes: usize,
    /// Bytes that a full cache would hold.
    pub(crate) full_bytes: usize,
}

impl Usage {
    /// Counts a prompt, once for all its continuations.
    pub(crate) fn prompt(&mut self, tokens: usize) {
        self.prompt_tokens += tokens;
        self.total_tokens += tokens;
    }

    /// Counts a continuation that ended; the `first` of its prompt also what it did not have to read.
    pub(crate) fn continuation(&mut self, generation: &Generation, first: bool) {
        self.completion_tokens += generation.tokens.len();
        self.total_tokens += generation.tokens.len();
        if first {
            self.prompt_tokens_details.cached_tokens += generation.cached_tokens;
        }
        let CacheStats { policy, seen, kept, peak, bytes, full_bytes } = &generation.kv;
        let kv = &mut self.kv;
        kv.policy.clone_from(policy);
        kv.seen += seen;
        kv.kept += kept;
        kv.peak = kv.peak.max(*peak);
        kv.bytes += bytes;
        kv.full_bytes += full_bytes;
    }
}

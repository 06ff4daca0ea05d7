//! Ways to run the same questions: the rows of the paper's table.

use anllm_core::{FullPolicy, Policy};
use anllm_eval::qa::Sharing;

/// A way to answer.
#[derive(Debug, Clone)]
pub(super) struct Mode {
    /// `full`, `mask` or `cache`.
    pub(super) name: &'static str,
    pub(super) policy: Policy,
    pub(super) sharing: Sharing,
}

impl Mode {
    /// The policy's mask in one pass.
    pub(super) const MASK: &'static str = "mask";
    /// The policy's cache, read once for all questions.
    pub(super) const CACHE: &'static str = "cache";

    /// The policy's own way, or all three of the paper's table.
    pub(super) fn all(policy: &Policy, paper: bool) -> Vec<Self> {
        let cached = |name, policy: Policy| Self { name, policy, sharing: Sharing::Cached };
        let own = cached(Self::CACHE, policy.clone());
        if !paper {
            return vec![own];
        }
        let masked = Self { name: Self::MASK, policy: policy.clone(), sharing: Sharing::OnePass };
        vec![cached("full", FullPolicy.into()), masked, own]
    }
}

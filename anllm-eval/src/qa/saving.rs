//! What the cache of the demonstrations costs and saves.

use anllm_core::{Policy, simulate};
use anllm_infer::Engine;
use anllm_kernels::Kernels;
use serde::Serialize;

use super::prepared::Prepared;

/// The account of the demonstrations' cache: means over questions. Without demonstrations all is 0.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Saving {
    /// The paper's C⇓: the share of a full cache's entries that is not kept, from 0 to 1.
    pub kv_reduction: f64,
    /// Tokens of the demonstrations.
    pub prefix_tokens: f64,
    /// Entries kept of them.
    pub kept: f64,
    /// Bytes of these entries.
    pub bytes: f64,
    /// Bytes of the most entries that are held at a time while they are read.
    pub peak_bytes: f64,
    /// Bytes that a full cache holds.
    pub full_bytes: f64,
}

impl Saving {
    /// Under `policy`.
    pub fn of<B: Kernels>(engine: &Engine<B>, prepared: &Prepared, policy: &Policy) -> Self {
        let bytes_per_entry = engine.bytes_per_entry();
        let mut sum = Self::default();
        let mut questions = 0.0;
        for group in &prepared.groups {
            let stats = simulate(&**policy, &engine.matcher().segments(&group.beginning), bytes_per_entry);
            let members = group.members.len() as f64;
            questions += members;
            sum.prefix_tokens += members * stats.seen as f64;
            sum.kept += members * stats.kept as f64;
            sum.bytes += members * stats.bytes as f64;
            sum.peak_bytes += members * (stats.peak * bytes_per_entry) as f64;
            sum.full_bytes += members * stats.full_bytes as f64;
        }
        let mean = |value: f64| value / f64::max(questions, 1.0);
        Self {
            kv_reduction: if sum.prefix_tokens > 0.0 { 1.0 - sum.kept / sum.prefix_tokens } else { 0.0 },
            prefix_tokens: mean(sum.prefix_tokens),
            kept: mean(sum.kept),
            bytes: mean(sum.bytes),
            peak_bytes: mean(sum.peak_bytes),
            full_bytes: mean(sum.full_bytes),
        }
    }
}

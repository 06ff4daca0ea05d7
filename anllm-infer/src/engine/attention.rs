//! What tokens look at, for pictures.

use anllm_core::{CachePolicy, Positions, Segments};
use anllm_kernels::Kernels;

use super::{Engine, read};
use crate::error::InferError;

/// What share of each query goes to each key, in one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct AttentionMap {
    /// Query heads, `H`.
    pub heads: usize,
    /// Where the tokens stand, `T` of them.
    pub segments: Segments,
    /// `[H, T, T]`, row-major: a row for each query, a column for each key.
    pub shares: Vec<f32>,
}

impl AttentionMap {
    /// The shares `[T, T]` of one head.
    pub fn head(&self, head: usize) -> Option<&[f32]> {
        let size = self.segments.len().pow(2);
        self.shares.get(head * size..(head + 1) * size)
    }

    /// The mean over all heads, `[T, T]`.
    pub fn mean(&self) -> Vec<f32> {
        let size = self.segments.len().pow(2);
        let mut mean = vec![0.0; size];
        for head in self.shares.chunks(size.max(1)) {
            for (sum, share) in mean.iter_mut().zip(head) {
                *sum += share / self.heads as f32;
            }
        }
        mean
    }
}

impl<B: Kernels> Engine<B> {
    /// What the tokens `ids` look at in block `layer`, counted from 0, under `policy`'s mask. Memory grows with the square
    /// of their number.
    ///
    /// # Errors
    /// When there are no ids, one is unknown, they are more than the context, there is no such layer, or the policy
    /// counts positions anew.
    pub fn attention(&self, ids: &[u32], policy: &dyn CachePolicy, layer: usize) -> Result<AttentionMap, InferError> {
        if ids.is_empty() {
            return Err(InferError::EmptyPrompt);
        }
        self.check_ids(ids)?;
        self.check_length(policy, ids.len())?;
        if policy.positions() == Positions::Renumbered {
            return Err(InferError::NoMap { policy: policy.name() });
        }
        let layers = self.decoder().blocks.len();
        if layer >= layers {
            return Err(InferError::NoLayer { layer, layers });
        }
        let segments = self.matcher().segments(ids);
        let shares = self.decoder().attention_shares(ids, segments.places(), policy, layer);
        let [heads, _, _] = shares.dims();
        Ok(AttentionMap { heads, segments, shares: read(shares)? })
    }
}

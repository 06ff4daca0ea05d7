//! Several sequences in one pass, each behind its own cache.
//!
//! The tokens of all of them, however many each brings, stand in one row `[1, ΣT, C]` for everything that looks at one
//! token alone: embedding, norms, projections, MLP, head. Weights are read once for all. Only attention goes sequence by
//! sequence. There is no padding, and sequences come and go between passes without anything being copied.

use anllm_core::Place;
use anllm_kernels::Kernels;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::model::{Decoder, on_device};
use crate::cache::{Chunk, KvCache, Part};

/// The next tokens of one sequence.
#[derive(Debug)]
pub struct RaggedRow<'a, B: Backend> {
    /// `T` ids, at least one.
    pub ids: &'a [u32],
    /// `T` places.
    pub places: &'a [Place],
    /// What the sequence holds before them; afterwards, what survives.
    pub cache: &'a mut KvCache<B>,
}

impl<B: Kernels> Decoder<B> {
    /// The next tokens of several sequences: a part of a prompt, one token that was just made, or both beside each
    /// other. Returns hidden states `[1, ΣT, C]`, sequence after sequence.
    pub fn forward_ragged(&self, rows: &mut [RaggedRow<'_, B>]) -> Tensor<B, 3> {
        let device = self.device();
        let mut positions = Vec::new();
        let mut chunks = Vec::with_capacity(rows.len());
        for row in &mut *rows {
            let plan = row.cache.advance(row.places);
            positions.extend_from_slice(&plan.positions);
            chunks.push(Chunk::new(plan, self, &device));
        }
        let rotary = self.rotary(&positions, 1, self.dtype(), &device);
        let ids = rows.iter().flat_map(|row| row.ids.iter().copied());
        let mut x = self.embed(on_device(ids, &device), 1, self.dtype());
        for (number, block) in self.blocks.iter().enumerate() {
            let layers = rows.iter_mut().map(|row| row.cache.layer_mut(number));
            let mut parts: Vec<_> = chunks.iter().zip(layers).map(|(chunk, layer)| Part { chunk, layer }).collect();
            x = block.forward_cached(x, &rotary, &mut parts);
        }
        self.norm.forward(x)
    }

    /// The next tokens of the sequence that `cache` holds, at `places`. Returns hidden states `[1, T, C]`; the cache
    /// is left with what survives.
    pub fn forward_cached(&self, ids: &[u32], places: &[Place], cache: &mut KvCache<B>) -> Tensor<B, 3> {
        self.forward_ragged(&mut [RaggedRow { ids, places, cache }])
    }
}

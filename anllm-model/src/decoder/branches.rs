//! Several continuations of one sequence in one pass, which leaves its cache as it is.

use anllm_core::Branches;
use anllm_kernels::Kernels;
use burn::tensor::Tensor;

use super::model::{Decoder, on_device};
use crate::cache::{Chunk, KvCache, Part};

impl<B: Kernels> Decoder<B> {
    /// Several continuations of the sequence that `cache` holds, `ids` those of all runs of `branches` in order. Returns
    /// hidden states `[1, T, C]`.
    pub fn forward_branches(&self, ids: &[u32], branches: &Branches, cache: &KvCache<B>) -> Tensor<B, 3> {
        let device = self.device();
        let plan = cache.plan(branches);
        let rotary = self.rotary(&plan.positions, 1, self.dtype(), &device);
        let chunk = Chunk::new(plan, self, &device);
        // Shares the buffers; nothing of the row survives in it.
        let mut aside = cache.clone();
        let mut x = self.embed(on_device(ids.iter().copied(), &device), 1, self.dtype());
        for (number, block) in self.blocks.iter().enumerate() {
            let part = Part { chunk: &chunk, layer: aside.layer_mut(number) };
            x = block.forward_cached(x, &rotary, &mut [part]);
        }
        self.norm.forward(x)
    }
}

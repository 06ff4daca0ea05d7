//! Attention written out: what share of each query goes to each key. For pictures and tests; memory grows with the
//! square of the row.

use anllm_core::{CachePolicy, Place};
use anllm_kernels::{Kernels, product};
use burn::tensor::activation::softmax;
use burn::tensor::{DType, FloatDType, Tensor, TensorData};

use super::batch::{Batch, Row, Sight};
use super::mask::lowest;
use super::model::Decoder;

impl<B: Kernels> Decoder<B> {
    /// The shares of block `layer` when `ids` are read as one row under `policy`'s mask: `[H, T, T]`, a row for each
    /// query, a column for each key. Every query's shares sum to 1, and what it does not see has none.
    ///
    /// The policy must see tokens at their [original positions](anllm_core::Positions::Original), and there must be
    /// such a layer.
    pub fn attention_shares(
        &self,
        ids: &[u32],
        places: &[Place],
        policy: &dyn CachePolicy,
        layer: usize,
    ) -> Tensor<B, 3> {
        let batch = Batch::new(self, &[Row { ids, places }], Sight::Policy(policy));
        let mut x = self.embed_batch(&batch);
        for block in &self.blocks[..layer] {
            x = block.forward(x, &batch.rotary, &batch.mask);
        }
        let block = &self.blocks[layer];
        let p = block.attention.project(x, &block.attention_norm, &batch.rotary);
        let [_, tokens, heads, width] = p.query.dims();
        let [_, _, groups, _] = p.key.dims();
        // The queries that share a key head become rows of one matrix.
        let query = p.query.swap_dims(1, 2).reshape([1, groups, heads / groups * tokens, width]);
        let scores = product(query, p.key.swap_dims(1, 2).transpose()).cast(FloatDType::F32);
        let scores = scores.mul_scalar((width as f64).powf(-0.5)).reshape([heads, tokens, tokens]);
        softmax(scores + hidden(places, policy, &self.device()), 2)
    }
}

/// `[1, T, T]`: 0 where a query sees a key, else so low that no share is left.
fn hidden<B: Kernels>(places: &[Place], policy: &dyn CachePolicy, device: &B::Device) -> Tensor<B, 3> {
    let bias = |query, key| if policy.visible(query, key) { 0.0 } else { lowest(DType::F32) };
    let values: Vec<f32> = places.iter().flat_map(|query| places.iter().map(move |key| bias(query, key))).collect();
    Tensor::from_data(TensorData::new(values, [1, places.len(), places.len()]), (device, DType::F32))
}

//! The whole decoder: embedding, blocks, last norm, head.

use anllm_core::{CachePolicy, Place};
use anllm_kernels::Kernels;
use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, FloatDType, Int, Tensor, TensorData};

use super::batch::{Batch, Row, Sight};
use super::block::Block;
use super::linear::Linear;
use super::norm::RmsNorm;
use super::rotary::Rotary;
use super::weight::Weight;

/// A Llama-family decoder.
#[derive(Module, Debug)]
pub struct Decoder<B: Backend> {
    /// `[V, C]`.
    pub embedding: Weight<B>,
    /// The blocks, first to last.
    pub blocks: Vec<Block<B>>,
    /// Before the head, `[C]`.
    pub norm: RmsNorm<B>,
    /// `[V, C]`; none where the embedding serves.
    pub head: Option<Linear<B>>,
    /// Radians per position for each pair of channels, `D/2` of them.
    pub frequencies: Vec<f64>,
    /// What cosines and sines are multiplied by.
    pub amplitude: f64,
}

impl<B: Kernels> Decoder<B> {
    /// The device the weights are on.
    pub fn device(&self) -> B::Device {
        self.norm.weight.val().device()
    }

    /// The type of activations and cache.
    pub fn dtype(&self) -> DType {
        self.norm.weight.val().dtype()
    }

    /// Width of the vocabulary, `V`.
    pub fn vocab_size(&self) -> usize {
        self.embedding.dims()[0]
    }

    /// One whole row under `policy`'s mask, without a cache: the reference that every cache is checked against.
    /// Returns hidden states `[1, T, C]`, ready for [`Self::logits`].
    ///
    /// Memory grows with the row; on backends without a kernel for attention with its square.
    pub fn forward(&self, ids: &[u32], places: &[Place], policy: &dyn CachePolicy) -> Tensor<B, 3> {
        self.forward_batch(&Batch::new(self, &[Row { ids, places }], Sight::Policy(policy)))
    }

    /// Whole rows at once: hidden states `[B, T, C]`.
    pub fn forward_batch(&self, batch: &Batch<B>) -> Tensor<B, 3> {
        let mut x = self.embed_batch(batch);
        for block in &self.blocks {
            x = block.forward(x, &batch.rotary, &batch.mask);
        }
        self.norm.forward(x)
    }

    /// The embeddings of a batch, `[B, T, C]`: what the first block takes.
    pub fn embed_batch(&self, batch: &Batch<B>) -> Tensor<B, 3> {
        self.embed(batch.ids.clone(), batch.rows, batch.dtype)
    }

    /// The matrix that turns hidden states into scores, `[V, C]`: the head's, or the embedding where that serves.
    pub fn output_weight(&self) -> &Weight<B> {
        self.head.as_ref().map_or(&self.embedding, |head| &head.weight)
    }

    /// Next-token scores of hidden states `[B, T, C]`: `[B, T, V]`.
    pub fn logits(&self, hidden: Tensor<B, 3>) -> Tensor<B, 3> {
        match &self.head {
            Some(head) => head.forward(hidden),
            None => Linear { weight: self.embedding.clone(), bias: None, adapter: None }.forward(hidden),
        }
    }

    /// The decoder without its adapters: what it was before they learned.
    #[must_use]
    pub fn without_adapters(mut self) -> Self {
        self.each_linear(|linear, _| Linear { adapter: None, ..linear });
        self
    }

    /// The decoder with its adapters added to the weights they stand beside.
    #[must_use]
    pub fn merged(mut self) -> Self {
        self.each_linear(|linear, _| linear.merged());
        self
    }

    /// Replaces every linear layer of the blocks. `change` is told the layer's Hugging Face name, `….q_proj`.
    pub fn each_linear(&mut self, mut change: impl FnMut(Linear<B>, &str) -> Linear<B>) {
        for (number, block) in self.blocks.iter_mut().enumerate() {
            let Block { attention, mlp, .. } = block;
            let layers = [
                ("self_attn.q_proj", &mut attention.query),
                ("self_attn.k_proj", &mut attention.key),
                ("self_attn.v_proj", &mut attention.value),
                ("self_attn.o_proj", &mut attention.output),
                ("mlp.gate_proj", &mut mlp.gate),
                ("mlp.up_proj", &mut mlp.up),
                ("mlp.down_proj", &mut mlp.down),
            ];
            for (part, linear) in layers {
                *linear = change(linear.clone(), &format!("model.layers.{number}.{part}"));
            }
        }
    }

    pub(crate) fn rotary(&self, positions: &[usize], rows: usize, dtype: DType, device: &B::Device) -> Rotary<B> {
        Rotary::new(&self.frequencies, self.amplitude, positions, rows, dtype, device)
    }

    /// Ids of `rows` rows, `[B·T]`, to `[B, T, C]`.
    pub(super) fn embed(&self, ids: Tensor<B, 1, Int>, rows: usize, dtype: DType) -> Tensor<B, 3> {
        let x = self.embedding.rows(ids, FloatDType::from(dtype));
        let [count, width] = x.dims();
        x.reshape([rows, count / rows.max(1), width])
    }
}

/// Token ids as a tensor.
pub(super) fn on_device<B: Kernels>(ids: impl Iterator<Item = u32>, device: &B::Device) -> Tensor<B, 1, Int> {
    let ids: Vec<i32> = ids.map(|id| id as i32).collect();
    let count = ids.len();
    Tensor::from_data(TensorData::new(ids, [count]), device)
}

//! One block: attention and MLP, each normalised before and added after.

use anllm_kernels::Kernels;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::attention::{Attention, attend};
use super::mask::AttentionMask;
use super::mlp::Mlp;
use super::norm::RmsNorm;
use super::rotary::Rotary;
use crate::cache::{self, Part};

/// A decoder block.
#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    /// Before attention, `[C]`.
    pub attention_norm: RmsNorm<B>,
    /// Attention.
    pub attention: Attention<B>,
    /// Before the MLP, `[C]`.
    pub mlp_norm: RmsNorm<B>,
    /// MLP.
    pub mlp: Mlp<B>,
}

impl<B: Kernels> Block<B> {
    /// Whole rows: `x` is `[B, T, C]`.
    pub fn forward(&self, x: Tensor<B, 3>, rotary: &Rotary<B>, mask: &AttentionMask<B>) -> Tensor<B, 3> {
        let p = self.attention.project(x.clone(), &self.attention_norm, rotary);
        self.finish(x, attend(p.query, p.key, p.value, mask))
    }

    /// The next tokens of several sequences, one after another: `x` is `[1, ΣT, C]`. Reads each one's cache, and leaves
    /// in it what survives.
    pub(crate) fn forward_cached(
        &self,
        x: Tensor<B, 3>,
        rotary: &Rotary<B>,
        parts: &mut [Part<'_, B>],
    ) -> Tensor<B, 3> {
        let p = self.attention.project(x.clone(), &self.attention_norm, rotary);
        self.finish(x, cache::attend(p, parts))
    }

    fn finish(&self, x: Tensor<B, 3>, heads: Tensor<B, 4>) -> Tensor<B, 3> {
        self.mlp.add_to(self.attention.add_to(x, heads), &self.mlp_norm)
    }
}

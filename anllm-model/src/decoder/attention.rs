//! Grouped-query attention over any set of visible keys.

use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::backend::Backend;
use burn::tensor::{FloatDType, Tensor};

use super::linear::Linear;
use super::mask::AttentionMask;
use super::norm::RmsNorm;
use super::rotary::Rotary;

/// The projections of one attention layer.
#[derive(Module, Debug)]
pub struct Attention<B: Backend> {
    /// `[H·D, C]`.
    pub query: Linear<B>,
    /// `[K·D, C]`.
    pub key: Linear<B>,
    /// `[K·D, C]`.
    pub value: Linear<B>,
    /// `[C, H·D]`.
    pub output: Linear<B>,
    /// Norm of each query head, `[D]` (Qwen 3).
    pub query_norm: Option<RmsNorm<B>>,
    /// Norm of each key head, `[D]` (Qwen 3).
    pub key_norm: Option<RmsNorm<B>>,
    /// `D`.
    pub head_dim: usize,
}

/// Queries, keys and values of the same tokens, positions applied: `[B, H, T, D]` and twice `[B, K, T, D]`.
pub(crate) struct Projected<B: Backend> {
    pub(crate) query: Tensor<B, 4>,
    pub(crate) key: Tensor<B, 4>,
    pub(crate) value: Tensor<B, 4>,
}

impl<B: Backend> Attention<B> {
    /// From `x`, `[B, T, C]`.
    pub(crate) fn project(&self, x: Tensor<B, 3>, rotary: &Rotary<B>) -> Projected<B> {
        let query = self.split(self.query.forward(x.clone()));
        let key = self.split(self.key.forward(x.clone()));
        let value = self.split(self.value.forward(x));
        let norm = |norm: &Option<RmsNorm<B>>, x| match norm {
            Some(norm) => norm.forward(x),
            None => x,
        };
        let query = norm(&self.query_norm, query).swap_dims(1, 2);
        let key = norm(&self.key_norm, key).swap_dims(1, 2);
        Projected { query: rotary.apply(query), key: rotary.apply(key), value: value.swap_dims(1, 2) }
    }

    /// `[B, T, heads·D]` to `[B, T, heads, D]`.
    fn split(&self, x: Tensor<B, 3>) -> Tensor<B, 4> {
        let [rows, tokens, width] = x.dims();
        x.reshape([rows, tokens, width / self.head_dim, self.head_dim])
    }

    /// Joins the heads `[B, H, T, D]` and projects back to `[B, T, C]`.
    pub(crate) fn join(&self, heads: Tensor<B, 4>) -> Tensor<B, 3> {
        let [rows, number, tokens, width] = heads.dims();
        self.output.forward(heads.swap_dims(1, 2).reshape([rows, tokens, number * width]))
    }
}

/// `softmax(q·kᵀ/√D)·v` over the visible keys.
///
/// `query` is `[B, H, T, D]`, `key` and `value` are `[B, K, S, D]` with `H` a multiple of `K`. Every query must see a
/// key. The result is `[B, H, T, D]`.
pub fn attend<B: Backend>(
    query: Tensor<B, 4>,
    key: Tensor<B, 4>,
    value: Tensor<B, 4>,
    mask: &AttentionMask<B>,
) -> Tensor<B, 4> {
    let [rows, heads, tokens, width] = query.dims();
    let [_, groups, keys, _] = key.dims();
    // The queries that share a key head become rows of one matrix, so that keys are never repeated.
    let folded = heads / groups * tokens;
    let query = query.mul_scalar((width as f64).powf(-0.5)).reshape([rows, groups, folded, width]);
    let scores = query.matmul(key.transpose());
    let dtype = scores.dtype();
    let scores = match mask {
        AttentionMask::All => scores,
        _ => mask.apply(scores.reshape([rows, heads, tokens, keys])).reshape([rows, groups, folded, keys]),
    };
    let shares = softmax(scores.cast(FloatDType::F32), 3).cast(FloatDType::from(dtype));
    shares.matmul(value).reshape([rows, heads, tokens, width])
}

//! Grouped-query attention over any set of visible keys.

use anllm_kernels::{Kernels, product};
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

/// Queries, keys and values of the same tokens, positions applied: `[B, T, H, D]` and twice `[B, T, K, D]`.
pub(crate) struct Projected<B: Backend> {
    pub(crate) query: Tensor<B, 4>,
    pub(crate) key: Tensor<B, 4>,
    pub(crate) value: Tensor<B, 4>,
}

impl<B: Backend> Projected<B> {
    /// `count` of the tokens, from `start` on.
    pub(crate) fn tokens(&self, start: usize, count: usize) -> Self {
        let of = |all: &Tensor<B, 4>| all.clone().narrow(1, start, count);
        Self { query: of(&self.query), key: of(&self.key), value: of(&self.value) }
    }
}

impl<B: Kernels> Attention<B> {
    /// From `x`, `[B, T, C]`, which `norm` comes before.
    pub(crate) fn project(&self, x: Tensor<B, 3>, norm: &RmsNorm<B>, rotary: &Rotary<B>) -> Projected<B> {
        let projected = Linear::forward_each_of_norm(x, norm, [&self.query, &self.key, &self.value]);
        let [query, key, value] = projected.map(|x| self.split(x));
        let norm = |norm: &Option<RmsNorm<B>>, x| match norm {
            Some(norm) => norm.forward(x),
            None => x,
        };
        let query = rotary.apply(norm(&self.query_norm, query));
        let key = rotary.apply(norm(&self.key_norm, key));
        Projected { query, key, value }
    }

    /// `[B, T, heads·D]` to `[B, T, heads, D]`.
    fn split(&self, x: Tensor<B, 3>) -> Tensor<B, 4> {
        let [rows, tokens, width] = x.dims();
        x.reshape([rows, tokens, width / self.head_dim, self.head_dim])
    }

    /// Joins the heads `[B, T, H, D]`, projects them back and adds them to `x`, `[B, T, C]`.
    pub(crate) fn add_to(&self, x: Tensor<B, 3>, heads: Tensor<B, 4>) -> Tensor<B, 3> {
        let [rows, tokens, number, width] = heads.dims();
        self.output.add_to(x, heads.reshape([rows, tokens, number * width]))
    }
}

/// `softmax(q·kᵀ/√D)·v` over the visible keys.
///
/// `query` is `[B, T, H, D]`, `key` and `value` are `[B, S, K, D]` with `H` a multiple of `K`. Every query must see a
/// key. The result is `[B, T, H, D]`.
pub(super) fn attend<B: Kernels>(
    query: Tensor<B, 4>,
    key: Tensor<B, 4>,
    value: Tensor<B, 4>,
    mask: &AttentionMask<B>,
) -> Tensor<B, 4> {
    match mask {
        AttentionMask::Reaches(reaches) => match anllm_kernels::attend(query, key, value, reaches) {
            Ok(heads) => heads,
            // The decoder cut both out of the same tokens.
            Err(misfit) => unreachable!("{misfit}"),
        },
        AttentionMask::Bias(bias) => attend_biased(query, key, value, bias.clone()),
        AttentionMask::Renumbered(rows) => {
            let row = |x: &Tensor<B, 4>, number| x.clone().narrow(0, number, 1);
            let heads = rows.iter().enumerate().map(|(number, renumbered)| {
                match renumbered.attend(row(&query, number), row(&key, number), row(&value, number)) {
                    Ok(heads) => heads,
                    Err(misfit) => unreachable!("{misfit}"),
                }
            });
            Tensor::cat(heads.collect(), 0)
        }
    }
}

/// The same with a bias on every score, `[B | 1, 1, T, S]`, written out.
fn attend_biased<B: Kernels>(
    query: Tensor<B, 4>,
    key: Tensor<B, 4>,
    value: Tensor<B, 4>,
    bias: Tensor<B, 4>,
) -> Tensor<B, 4> {
    let [rows, tokens, heads, width] = query.dims();
    let [_, keys, groups, _] = key.dims();
    // The queries that share a key head become rows of one matrix, so that keys are never repeated.
    let folded = [rows, groups, heads / groups * tokens];
    let query = query.mul_scalar((width as f64).powf(-0.5)).swap_dims(1, 2);
    let query = query.reshape([folded[0], folded[1], folded[2], width]);
    let scores = product(query, key.swap_dims(1, 2).transpose());
    let dtype = scores.dtype();
    let scores = scores.reshape([rows, heads, tokens, keys]) + bias;
    let shares = softmax(scores.cast(FloatDType::F32), 3).cast(FloatDType::from(dtype));
    let shares = shares.reshape([folded[0], folded[1], folded[2], keys]);
    product(shares, value.swap_dims(1, 2)).reshape([rows, heads, tokens, width]).swap_dims(1, 2)
}

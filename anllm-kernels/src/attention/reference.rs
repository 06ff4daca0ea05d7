//! Attention with the matrix of scores written out: the plain meaning that kernels are tested against, and what
//! backends without a kernel run.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{DType, FloatDType, Tensor};

use super::{Attended, AttentionGradients, Reaches};
use crate::kernels::Kernels;
use crate::linear::product;
use crate::primitive::{primitive, tensor};

/// Sizes of one call. Queries that share a key head become rows of one matrix, so that keys are never repeated.
#[derive(Clone, Copy)]
struct Sizes {
    rows: usize,
    tokens: usize,
    heads: usize,
    groups: usize,
    width: usize,
    keys: usize,
}

impl Sizes {
    fn of<B: Kernels>(query: &Tensor<B, 4>, key: &Tensor<B, 4>) -> Self {
        let [rows, tokens, heads, width] = query.dims();
        let [_, keys, groups, _] = key.dims();
        Self { rows, tokens, heads, groups, width, keys }
    }

    fn scale(self) -> f64 {
        (self.width as f64).powf(-0.5)
    }

    /// `[B, T, H, D]` to `[B, K, (H/K)·T, D]`.
    fn fold<B: Kernels>(self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let Self { rows, tokens, heads, groups, .. } = self;
        let width = x.dims()[3];
        x.swap_dims(1, 2).reshape([rows, groups, heads / groups * tokens, width])
    }

    /// The way back.
    fn unfold<B: Kernels>(self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let Self { rows, tokens, heads, .. } = self;
        let width = x.dims()[3];
        x.reshape([rows, heads, tokens, width]).swap_dims(1, 2)
    }

    /// Scores `[B, K, (H/K)·T, S]` in 32 bits, very low where the query does not reach the key.
    fn scores<B: Kernels>(self, query: &Tensor<B, 4>, key: &Tensor<B, 4>, reaches: &Reaches<B>) -> Tensor<B, 4> {
        let Self { rows, tokens, heads, groups, keys, .. } = self;
        let scores = product(query.clone(), key.clone().transpose()).cast(FloatDType::F32);
        if reaches.all() {
            return scores;
        }
        let hidden = reaches.hidden(&scores.device()).expand([rows, heads, tokens, keys]);
        // Low enough that the share is 0, yet finite: infinities turn into NaN in some fused kernels.
        let scores = scores.reshape([rows, heads, tokens, keys]).mask_fill(hidden, -1e30);
        scores.reshape([rows, groups, heads / groups * tokens, keys])
    }
}

pub(crate) fn forward<B: Kernels>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    reaches: &Reaches<B>,
) -> Attended<B> {
    let [query, key, value] = [query, key, value].map(tensor::<B, 4>);
    let sizes = Sizes::of(&query, &key);
    let dtype = query.dtype();
    let query = sizes.fold(query.mul_scalar(sizes.scale()));
    let scores = sizes.scores(&query, &key.swap_dims(1, 2), reaches);
    let highest = scores.clone().max_dim(3);
    let weights = (scores - highest.clone()).exp();
    let sum = weights.clone().sum_dim(3);
    let shares = narrow(weights / sum.clone(), dtype);
    let output = sizes.unfold(product(shares, value.swap_dims(1, 2)));
    let log_sum: Tensor<B, 3> = sizes.unfold(sum.log() + highest).squeeze_dim(3);
    Attended { output: primitive(output), log_sum: primitive(log_sum) }
}

pub(crate) fn backward<B: Kernels>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    attended: Attended<B>,
    slope: FloatTensor<B>,
    reaches: &Reaches<B>,
) -> AttentionGradients<B> {
    let [query, key, value, output, slope] = [query, key, value, attended.output, slope].map(tensor::<B, 4>);
    let sizes = Sizes::of(&query, &key);
    let dtype = query.dtype();
    let query = sizes.fold(query.mul_scalar(sizes.scale()));
    let (key, value) = (key.swap_dims(1, 2), value.swap_dims(1, 2));
    let (output, slope) = (sizes.fold(output), sizes.fold(slope));
    let log_sum = sizes.fold(tensor::<B, 3>(attended.log_sum).unsqueeze_dim(3));

    let shares = (sizes.scores(&query, &key, reaches) - log_sum).exp();
    let of_value = product(narrow(shares.clone(), dtype).transpose(), slope.clone());
    // ∂L/∂score = share·(g·v − g·o), the mean of g·v over the shares being g·o.
    let mean = (slope.clone() * output).cast(FloatDType::F32).sum_dim(3);
    let of_shares = product(slope, value.transpose()).cast(FloatDType::F32);
    let of_scores = narrow(shares * (of_shares - mean), dtype);
    let of_query = product(of_scores.clone(), key).mul_scalar(sizes.scale());
    let of_key = product(of_scores.transpose(), query);
    AttentionGradients {
        query: primitive(sizes.unfold(of_query)),
        key: primitive(of_key.swap_dims(1, 2)),
        value: primitive(of_value.swap_dims(1, 2)),
    }
}

fn narrow<B: Kernels>(x: Tensor<B, 4>, dtype: DType) -> Tensor<B, 4> {
    x.cast(FloatDType::from(dtype))
}

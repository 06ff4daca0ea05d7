//! Attention in two parts: over some of the keys, over the others, and joined by the logarithms of their sums.
//!
//! With `e` the sum of a part's exponentials and `o` its output, `softmax(…)·v` over both parts is
//! `(e₁·o₁ + e₂·o₂) / (e₁ + e₂)`, and only the difference of the logarithms is needed for it.

use burn::tensor::activation::sigmoid;
use burn::tensor::backend::Backend;
use burn::tensor::{FloatDType, Tensor};

use super::{Reaches, ShapeError, misfit};
use crate::kernels::Kernels;
use crate::primitive::{primitive, tensor};

/// Attention over some of the keys a query sees.
#[derive(Debug, Clone)]
pub struct Summed<B: Backend> {
    /// `[B, T, H, D]`.
    pub output: Tensor<B, 4>,
    /// `log Σ exp(q·k/√D)` over those keys, `[B, T, H]`, in 32 bits.
    pub log_sum: Tensor<B, 3>,
}

/// [`attend`](super::attend) with the sums that [`join`] needs. For inference: no gradient flows through the sums.
///
/// # Errors
/// As [`attend`](super::attend); also when there is no query.
pub fn attend_summed<B: Kernels>(
    query: Tensor<B, 4>,
    key: Tensor<B, 4>,
    value: Tensor<B, 4>,
    reaches: &Reaches<B>,
) -> Result<Summed<B>, ShapeError> {
    let (q, k, v) = (query.dims(), key.dims(), value.dims());
    let empty = q.contains(&0).then(|| "there is no query".to_owned());
    if let Some(reason) = empty.or_else(|| misfit(q, k, v, reaches)) {
        return Err(ShapeError { query: q, key: k, value: v, reason });
    }
    let attended = B::reach_attention(primitive(query), primitive(key), primitive(value), reaches);
    Ok(Summed { output: tensor(attended.output), log_sum: tensor(attended.log_sum) })
}

/// Attention over the keys of both parts, `[B, T, H, D]`. A query that saw nothing in a part has a very low sum there.
pub fn join<B: Backend>(one: Summed<B>, other: Summed<B>) -> Tensor<B, 4> {
    let dtype = FloatDType::from(one.output.dtype());
    // e₁ / (e₁ + e₂), a logistic function of the difference; the other share is the rest of it.
    let difference = one.log_sum.cast(FloatDType::F32) - other.log_sum.cast(FloatDType::F32);
    let share = sigmoid(difference).unsqueeze_dim::<4>(3);
    let (one, other) = (one.output.cast(FloatDType::F32), other.output.cast(FloatDType::F32));
    (other.clone() + (one - other) * share).cast(dtype)
}

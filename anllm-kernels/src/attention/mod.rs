//! Attention over what each query reaches.

mod join;
#[cfg(feature = "cube")]
pub(crate) mod lists;
pub(crate) mod next;
mod reaches;
pub(crate) mod reference;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;

use crate::kernels::Kernels;
use crate::primitive::{primitive, tensor};

pub use join::{Summed, attend_summed, join};
pub use next::{Next, Sequence, SequencePrimitives, attend_next};
pub use reaches::Reaches;

/// What attention gives, and what its backward pass needs of it.
#[derive(Debug, Clone)]
pub struct Attended<B: Backend> {
    /// `[B, T, H, D]`.
    pub output: FloatTensor<B>,
    /// `log Σ exp(q·k/√D)` over the keys that the query reaches, `[B, T, H]`, in 32 bits.
    pub log_sum: FloatTensor<B>,
}

/// The gradients of attention's inputs, each in the shape of the input.
#[derive(Debug, Clone)]
pub struct AttentionGradients<B: Backend> {
    /// `[B, T, H, D]`.
    pub query: FloatTensor<B>,
    /// `[B, S, K, D]`.
    pub key: FloatTensor<B>,
    /// `[B, S, K, D]`.
    pub value: FloatTensor<B>,
}

/// Tensors that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "attention of query {query:?} (expected [B, T, H, D]) over key {key:?} and value {value:?} (expected [B, S, K, D], H a multiple of K): {reason}"
)]
pub struct ShapeError {
    query: [usize; 4],
    key: [usize; 4],
    value: [usize; 4],
    reason: String,
}

/// `softmax(q·kᵀ/√D)·v` over what each query reaches, and nothing else.
///
/// `query` is `[B, T, H, D]`; `key` and `value` are `[B, S, K, D]`, shared by `H/K` query heads each and never repeated.
/// The result is `[B, T, H, D]`. Memory grows with `T + S`, not with their product, where the backend has a kernel.
///
/// # Errors
/// When the shapes do not fit each other or the reaches, or a query reaches nothing.
pub fn attend<B: Kernels>(
    query: Tensor<B, 4>,
    key: Tensor<B, 4>,
    value: Tensor<B, 4>,
    reaches: &Reaches<B>,
) -> Result<Tensor<B, 4>, ShapeError> {
    let (q, k, v) = (query.dims(), key.dims(), value.dims());
    if let Some(reason) = misfit(q, k, v, reaches) {
        return Err(ShapeError { query: q, key: k, value: v, reason });
    }
    if q.contains(&0) {
        return Ok(query);
    }
    Ok(tensor(B::reach_attention(primitive(query), primitive(key), primitive(value), reaches).output))
}

fn misfit<B: Backend>(
    [rows, tokens, heads, width]: [usize; 4],
    key: [usize; 4],
    value: [usize; 4],
    reaches: &Reaches<B>,
) -> Option<String> {
    let [key_rows, keys, groups, key_width] = key;
    if key != value {
        return Some("key and value differ in shape".to_owned());
    }
    if key_rows != rows {
        return Some(format!("{rows} rows of queries and {key_rows} of keys"));
    }
    if key_width != width {
        return Some(format!("heads of queries are {width} wide and those of keys {key_width}"));
    }
    if groups == 0 || heads % groups != 0 {
        return Some(format!("{heads} query heads cannot share {groups} key heads"));
    }
    reaches.misfit(rows, tokens, keys)
}

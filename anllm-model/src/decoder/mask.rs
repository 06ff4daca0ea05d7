//! What attention may look at.

use anllm_kernels::Reaches;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};

use super::renumbered::Renumbered;

/// Which keys each query sees.
#[derive(Debug, Clone)]
pub enum AttentionMask<B: Backend> {
    /// Those that it reaches, all alike.
    Reaches(Reaches<B>),
    /// `[B | 1, 1, T, S]`, added to the scores: 0 where the query sees the key, the logarithm of the key's remaining
    /// weight where it is being faded out, very low where it is hidden.
    Bias(Tensor<B, 4>),
    /// Those that it reaches, at positions counted anew: one for each row.
    Renumbered(Vec<Renumbered<B>>),
}

/// A score so low that its share is 0, yet finite: infinities turn into NaN in some fused kernels.
pub(crate) fn lowest(dtype: DType) -> f32 {
    match dtype {
        DType::F16 => -65504.0,
        _ => -1e30,
    }
}

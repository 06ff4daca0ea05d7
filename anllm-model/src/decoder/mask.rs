//! What attention may look at, as a tensor on the device.

use anllm_core::DenseMask;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, DType, Tensor};

/// Which keys each query sees.
#[derive(Debug, Clone)]
pub enum AttentionMask<B: Backend> {
    /// Every query sees every key.
    All,
    /// `[B | 1, 1, T, S]`, true where the query does *not* see the key.
    Hidden(Tensor<B, 4, Bool>),
    /// `[B | 1, 1, T, S]`, added to the scores: 0 where the query sees the key, the logarithm of the key's remaining
    /// weight where it is being faded out, very low where it is hidden.
    Bias(Tensor<B, 4>),
}

impl<B: Backend> AttentionMask<B> {
    /// The same mask for every row; `None` is [`Self::All`].
    pub fn from_dense(mask: Option<&DenseMask>, device: &B::Device) -> Self {
        mask.map_or(Self::All, |mask| Self::Hidden(mask.hidden::<B>(device).unsqueeze()))
    }

    /// Lowers the scores `[B, H, T, S]` of what is not seen.
    pub(crate) fn apply(&self, scores: Tensor<B, 4>) -> Tensor<B, 4> {
        let shape = scores.shape();
        match self {
            Self::All => scores,
            Self::Hidden(hidden) => {
                let lowest = lowest(scores.dtype());
                scores.mask_fill(hidden.clone().expand(shape), lowest)
            }
            Self::Bias(bias) => scores + bias.clone(),
        }
    }
}

/// A score so low that its share is 0, yet finite: infinities turn into NaN in some fused kernels.
pub(crate) fn lowest(dtype: DType) -> f32 {
    match dtype {
        DType::F16 => -65504.0,
        _ => -1e30,
    }
}

//! Root-mean-square normalisation: `y = x / √(mean(x²) + ε) · w`, computed in 32 bits whatever the weights' width.

use anllm_kernels::{Kernels, rms_norm};
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, FloatDType, Tensor};

/// RMS norm over the last dimension.
#[derive(Module, Debug)]
pub struct RmsNorm<B: Backend> {
    /// `[width]`.
    pub weight: Param<Tensor<B, 1>>,
    /// ε, inside the root.
    pub eps: f64,
}

impl<B: Kernels> RmsNorm<B> {
    /// From the checkpoint's weight, `[width]`.
    pub fn new(weight: Tensor<B, 1>, eps: f64) -> Self {
        Self { weight: Param::from_tensor(weight), eps }
    }

    /// `[…, width]` to the same shape.
    pub fn forward<const N: usize>(&self, x: Tensor<B, N>) -> Tensor<B, N> {
        let weight = self.weight_as(x.dtype());
        rms_norm(x, weight, self.eps)
    }

    /// The weight as floats of `dtype`, `[width]`.
    pub(super) fn weight_as(&self, dtype: DType) -> Tensor<B, 1> {
        self.weight.val().cast(FloatDType::from(dtype))
    }
}

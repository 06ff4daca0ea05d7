//! Low-rank adapters (LoRA, Hu et al. 2021): a frozen linear layer learns by two small matrices beside it,
//! `y = x·Wᵀ + α/r · dropout(x)·Aᵀ·Bᵀ`.

use anllm_kernels::{Kernels, product};
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, FloatDType, Tensor};

/// The low-rank part of a linear layer `[out, in]`.
#[derive(Module, Debug)]
pub struct Adapter<B: Backend> {
    /// `A`, `[r, in]`.
    pub down: Param<Tensor<B, 2>>,
    /// `B`, `[out, r]`; zero at first, so that training starts from the model as it is.
    pub up: Param<Tensor<B, 2>>,
    /// `α/r`.
    pub scale: f64,
    /// Share of inputs that are left out while training.
    pub dropout: f64,
}

impl<B: Kernels> Adapter<B> {
    /// From its matrices, `A` `[r, in]` and `B` `[out, r]`.
    pub fn new(down: Tensor<B, 2>, up: Tensor<B, 2>, scale: f64, dropout: f64) -> Self {
        Self { down: Param::from_tensor(down), up: Param::from_tensor(up), scale, dropout }
    }

    /// What is added to the layer's output: `[N, in]` to `[N, out]`. Dropout acts where gradients are tracked.
    pub(crate) fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let x = if self.dropout > 0.0 && B::ad_enabled(&x.device()) {
            let kept = 1.0 - self.dropout;
            let keep = x.random_like(Distribution::Bernoulli(kept));
            x * keep.div_scalar(kept)
        } else {
            x
        };
        let dtype = FloatDType::from(x.dtype());
        let [down, up] = [&self.down, &self.up].map(|matrix| matrix.val().cast(dtype).transpose());
        product(product(x, down), up).mul_scalar(self.scale)
    }

    /// What merging adds to the weight, `[out, in]`.
    pub(crate) fn delta(&self) -> Tensor<B, 2> {
        product(self.up.val(), self.down.val()).mul_scalar(self.scale)
    }
}

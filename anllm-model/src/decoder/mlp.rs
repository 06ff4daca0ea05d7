//! The gated MLP: `down(silu(gate(x)) · up(x))`.

use anllm_kernels::Kernels;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::linear::Linear;
use super::norm::RmsNorm;

/// SwiGLU feed-forward layer.
#[derive(Module, Debug)]
pub struct Mlp<B: Backend> {
    /// `[M, C]`.
    pub gate: Linear<B>,
    /// `[M, C]`.
    pub up: Linear<B>,
    /// `[C, M]`.
    pub down: Linear<B>,
}

impl<B: Kernels> Mlp<B> {
    /// `x + mlp(norm(x))`, `[B, T, C]`.
    pub fn add_to(&self, x: Tensor<B, 3>, norm: &RmsNorm<B>) -> Tensor<B, 3> {
        let [gate, up] = Linear::forward_each_of_norm(x.clone(), norm, [&self.gate, &self.up]);
        self.down.add_gated_to(x, gate, up)
    }
}

//! The gated MLP: `down(silu(gate(x)) · up(x))`.

use anllm_kernels::{Kernels, swiglu};
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::linear::Linear;

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
    /// `[B, T, C]` to the same shape.
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let [gate, up] = Linear::forward_each(x, [&self.gate, &self.up]);
        let [rows, tokens, width] = gate.dims();
        let flat = [rows * tokens, width];
        self.down.forward(swiglu(gate.reshape(flat), up.reshape(flat)).reshape([rows, tokens, width]))
    }
}

//! The gated MLP: `down(silu(gate(x)) · up(x))`.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::silu;
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

impl<B: Backend> Mlp<B> {
    /// `[B, T, C]` to the same shape.
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let gate = silu(self.gate.forward(x.clone()));
        self.down.forward(gate * self.up.forward(x))
    }
}

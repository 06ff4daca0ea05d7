//! Backward passes: the same kernels under Burn's automatic differentiation.

mod attention;
mod gate;
mod linear;
mod norm;
mod product;
mod rotary;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::tensor::ops::FloatTensor;

use crate::attention::{Attended, AttentionGradients, Reaches, reference};
use crate::kernels::Kernels;
use crate::rotary::Turn;

impl<B: Kernels, C: CheckpointStrategy> Kernels for Autodiff<B, C> {
    fn reach_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        reaches: &Reaches<Self>,
    ) -> Attended<Self> {
        attention::attention::<B, C>(query, key, value, &reaches.inner())
    }

    /// Only a second derivative would ask for this.
    fn reach_attention_backward(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        attended: Attended<Self>,
        slope: FloatTensor<Self>,
        reaches: &Reaches<Self>,
    ) -> AttentionGradients<Self> {
        reference::backward(query, key, value, attended, slope, reaches)
    }

    fn rotate(x: FloatTensor<Self>, cos: FloatTensor<Self>, sin: FloatTensor<Self>, turn: Turn) -> FloatTensor<Self> {
        rotary::rotate::<B, C>(x, cos, sin, turn)
    }

    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        norm::rms_norm::<B, C>(x, weight, epsilon)
    }

    fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        gate::swiglu::<B, C>(gate, up)
    }

    fn product(lhs: FloatTensor<Self>, rhs: FloatTensor<Self>) -> FloatTensor<Self> {
        product::product::<B, C>(lhs, rhs)
    }

    fn times_transposed(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::linear::<B, C>(x, weight)
    }
}

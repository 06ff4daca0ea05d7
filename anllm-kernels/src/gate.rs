//! The gate of the MLP: `silu(gate) · up`, with `silu(x) = x / (1 + exp(−x))`.

use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, silu};
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;

use crate::kernels::Kernels;
use crate::primitive::{primitive, tensor};

/// `silu(gate) · up`, both `[N, C]` (Shazeer 2020).
pub fn swiglu<B: Kernels>(gate: Tensor<B, 2>, up: Tensor<B, 2>) -> Tensor<B, 2> {
    tensor(B::swiglu(primitive(gate), primitive(up)))
}

pub(crate) fn reference<B: Backend>(gate: FloatTensor<B>, up: FloatTensor<B>) -> FloatTensor<B> {
    primitive(silu(tensor::<B, 2>(gate)) * tensor(up))
}

pub(crate) fn reference_backward<B: Backend>(
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
    slope: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let [gate, up, slope] = [gate, up, slope].map(tensor::<B, 2>);
    let share = sigmoid(gate.clone());
    let value = gate * share.clone();
    // silu′ = σ + x·σ·(1 − σ)
    let bend = share.clone() + value.clone() * (share.neg().add_scalar(1.0));
    (primitive(slope.clone() * up * bend), primitive(slope * value))
}

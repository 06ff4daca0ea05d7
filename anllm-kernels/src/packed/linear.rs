//! Products with packed matrices, and with what a decoder does just before and after them: for one token alone each
//! operation of its own costs as much as some thousand multiplications.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorData};

use super::PackedMatrix;
use crate::kernels::Kernels;
use crate::linear::product;
use crate::primitive::{primitive, tensor};

/// `x·weightᵀ`: `x` is `[N, in]`, `weight` `[out, in]`.
pub fn linear_packed<B: Kernels>(x: Tensor<B, 2>, weight: &PackedMatrix) -> Tensor<B, 2> {
    let [result] = linear_packed_each(x, [weight]);
    result
}

/// `x·weightᵀ` with each of some weights `[out, in]`: `x` is `[N, in]`. Faster than one after the other where `x` has few
/// rows.
pub fn linear_packed_each<B: Kernels, const W: usize>(
    x: Tensor<B, 2>,
    weights: [&PackedMatrix; W],
) -> [Tensor<B, 2>; W] {
    B::times_packed_each(primitive(x), weights).map(tensor)
}

/// [`linear_packed_each`] of [`rms_norm`](crate::rms_norm)`(x, norm, epsilon)`: `norm` is `[in]`.
pub fn norm_linear_packed_each<B: Kernels, const W: usize>(
    x: Tensor<B, 2>,
    norm: Tensor<B, 1>,
    epsilon: f64,
    weights: [&PackedMatrix; W],
) -> [Tensor<B, 2>; W] {
    B::norm_times_packed_each(primitive(x), primitive(norm), epsilon, weights).map(tensor)
}

/// `sum + x·weightᵀ`: `sum` is `[N, out]`, `x` `[N, in]`, `weight` `[out, in]`. In place where this is the only holder of
/// `sum` and the backend can.
pub fn add_linear_packed<B: Kernels>(sum: Tensor<B, 2>, x: Tensor<B, 2>, weight: &PackedMatrix) -> Tensor<B, 2> {
    tensor(B::add_packed(primitive(sum), primitive(x), weight))
}

/// [`add_linear_packed`] of [`swiglu`](crate::swiglu)`(gate, up)`, both `[N, in]`.
pub fn add_gated_packed<B: Kernels>(
    sum: Tensor<B, 2>,
    gate: Tensor<B, 2>,
    up: Tensor<B, 2>,
    weight: &PackedMatrix,
) -> Tensor<B, 2> {
    tensor(B::add_gated_packed(primitive(sum), primitive(gate), primitive(up), weight))
}

pub(crate) fn reference<B: Kernels>(x: FloatTensor<B>, weight: &PackedMatrix) -> FloatTensor<B> {
    let x = tensor::<B, 2>(x);
    let values = TensorData::new(weight.values(), weight.dims());
    let weight = Tensor::<B, 2>::from_data(values, (&x.device(), x.dtype()));
    primitive(product(x, weight.transpose()))
}

pub(crate) fn norm_reference<B: Kernels, const W: usize>(
    x: FloatTensor<B>,
    norm: FloatTensor<B>,
    epsilon: f64,
    weights: [&PackedMatrix; W],
) -> [FloatTensor<B>; W] {
    B::times_packed_each(B::rms_norm(x, norm, epsilon), weights)
}

pub(crate) fn add_reference<B: Kernels>(
    sum: FloatTensor<B>,
    x: FloatTensor<B>,
    weight: &PackedMatrix,
) -> FloatTensor<B> {
    let [product] = B::times_packed_each(x, [weight]);
    B::float_add(sum, product)
}

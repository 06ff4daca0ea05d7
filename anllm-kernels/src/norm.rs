//! Root-mean-square normalisation (Zhang and Sennrich 2019), in 32 bits whatever the weights' width.

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{FloatDType, Tensor};

use crate::kernels::Kernels;
use crate::primitive::{primitive, tensor};

/// `x / √(mean(x²) + ε) · weight` over the last dimension: `x` is `[…, C]`, `weight` `[C]`.
pub fn rms_norm<B: Kernels, const N: usize>(x: Tensor<B, N>, weight: Tensor<B, 1>, epsilon: f64) -> Tensor<B, N> {
    let shape = x.shape();
    let width = weight.dims()[0];
    let rows = shape.num_elements() / width.max(1);
    let x = primitive(x.reshape([rows, width]));
    tensor::<B, 2>(B::rms_norm(x, primitive(weight), epsilon)).reshape(shape)
}

/// `√(mean(x²) + ε)`, `[N, 1]`. One divides by it: a reciprocal is an estimate of twelve bits on some backends.
fn root<B: Backend>(x: &Tensor<B, 2>, epsilon: f64) -> Tensor<B, 2> {
    (x.clone() * x.clone()).mean_dim(1).add_scalar(epsilon).sqrt()
}

pub(crate) fn reference<B: Backend>(x: FloatTensor<B>, weight: FloatTensor<B>, epsilon: f64) -> FloatTensor<B> {
    let x = tensor::<B, 2>(x);
    let dtype: FloatDType = x.dtype().into();
    let x = x.cast(FloatDType::F32);
    let root = root(&x, epsilon);
    primitive((x / root).cast(dtype) * tensor::<B, 1>(weight).unsqueeze())
}

pub(crate) fn reference_backward<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    epsilon: f64,
    slope: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let (x, slope) = (tensor::<B, 2>(x), tensor::<B, 2>(slope));
    let dtype: FloatDType = x.dtype().into();
    let (x, slope) = (x.cast(FloatDType::F32), slope.cast(FloatDType::F32));
    let weight = tensor::<B, 1>(weight).cast(FloatDType::F32).unsqueeze::<2>();
    let root = root(&x, epsilon);
    let normal = x / root.clone();
    let of_weight = (slope.clone() * normal.clone()).sum_dim(0).squeeze_dim::<1>(0);
    // With n = x/r: ∂L/∂x = (g·w − n·mean(g·w·n))/r.
    let pull = slope * weight;
    let along = (pull.clone() * normal.clone()).mean_dim(1);
    let of_x = (pull - normal * along) / root;
    (primitive(of_x.cast(dtype)), primitive(of_weight.cast(dtype)))
}

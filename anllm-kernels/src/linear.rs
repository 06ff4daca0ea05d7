//! Matrix products.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{FloatDType, Tensor};

use crate::kernels::Kernels;
use crate::primitive::{primitive, tensor};

/// `x·weightᵀ`, in the type of `x`: `x` is `[N, in]`, `weight` `[out, in]` as checkpoints store it.
///
/// The gradient of the weight is worked out as `[out, in]`, not as the transpose of something.
pub fn linear<B: Kernels>(x: Tensor<B, 2>, weight: Tensor<B, 2>) -> Tensor<B, 2> {
    tensor(B::times_transposed(primitive(x), primitive(weight)))
}

/// `lhs·rhs` of matrices, or of as many matrices one beside the other: 32-bit floats keep their precision on every backend.
pub fn product<B: Kernels, const N: usize>(lhs: Tensor<B, N>, rhs: Tensor<B, N>) -> Tensor<B, N> {
    tensor(B::product(primitive(lhs), primitive(rhs)))
}

/// `sum + lhs·rhs`, of the type of `sum`: `[M, N]`, `[M, K]` and `[K, N]`. In place where this is the only holder of `sum`
/// and the backend can, so that a large sum is not written anew for each product that comes to it.
pub fn add_product<B: Kernels>(sum: Tensor<B, 2>, lhs: Tensor<B, 2>, rhs: Tensor<B, 2>) -> Tensor<B, 2> {
    tensor(B::add_product(primitive(sum), primitive(lhs), primitive(rhs)))
}

pub(crate) fn add_product_reference<B: Kernels>(
    sum: FloatTensor<B>,
    lhs: FloatTensor<B>,
    rhs: FloatTensor<B>,
) -> FloatTensor<B> {
    let (sum, part) = (tensor::<B, 2>(sum), tensor::<B, 2>(B::product(lhs, rhs)));
    let part = part.cast(FloatDType::from(sum.dtype()));
    primitive(sum + part)
}

pub(crate) fn reference<B: Kernels>(x: FloatTensor<B>, weight: FloatTensor<B>) -> FloatTensor<B> {
    let (x, weight) = (tensor::<B, 2>(x), tensor::<B, 2>(weight));
    let weight = weight.cast(FloatDType::from(x.dtype()));
    primitive(product(x, weight.transpose()))
}

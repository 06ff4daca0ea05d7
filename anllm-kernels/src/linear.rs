//! The matrix product of a linear layer.

use burn::tensor::backend::Backend;
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

pub(crate) fn reference<B: Backend>(x: FloatTensor<B>, weight: FloatTensor<B>) -> FloatTensor<B> {
    let (x, weight) = (tensor::<B, 2>(x), tensor::<B, 2>(weight));
    let weight = weight.cast(FloatDType::from(x.dtype()));
    primitive(x.matmul(weight.transpose()))
}

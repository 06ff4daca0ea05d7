//! Between tensors and the primitives that backends work on.

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};

/// The tensor of a primitive.
pub(crate) fn tensor<B: Backend, const N: usize>(primitive: FloatTensor<B>) -> Tensor<B, N> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

/// The primitive of a tensor.
pub(crate) fn primitive<B: Backend, const N: usize>(tensor: Tensor<B, N>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

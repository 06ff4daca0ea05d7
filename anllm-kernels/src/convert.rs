//! Floats of another type.

use burn::tensor::{FloatDType, Tensor};

use crate::kernels::Kernels;
use crate::primitive::{primitive, tensor};

/// `x` as floats of type `dtype`, each the nearest that the type has.
pub fn convert<B: Kernels, const N: usize>(x: Tensor<B, N>, dtype: FloatDType) -> Tensor<B, N> {
    if FloatDType::from(x.dtype()) == dtype { x } else { tensor(B::convert(primitive(x), dtype)) }
}

//! One element of each row.

use burn::tensor::{Int, Tensor};

use crate::kernels::Kernels;
use crate::primitive::{primitive, tensor};

/// Element `columns[n]` of row `n` of `x`, `[N, C]` and `[N, 1]`: `[N, 1]`, such as the score of each row's answer.
pub fn pick<B: Kernels>(x: Tensor<B, 2>, columns: Tensor<B, 2, Int>) -> Tensor<B, 2> {
    tensor(B::pick(primitive(x), columns.into_primitive()))
}

//! Kernels for GPUs, written once in CubeCL for CUDA, WGSL and SPIR-V.

mod attention;
mod fusion;
mod pick;
mod product;

use burn::tensor::DType;
use burn::tensor::ops::{FloatTensor, FloatTensorOps, IntTensor, QTensorOps, QuantizedTensor};
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime, FloatElement};
use burn_fusion::Fusion;

use crate::attention::{Attended, AttentionGradients, Reaches};
use crate::kernels::Kernels;

impl<R: CubeRuntime, F: FloatElement, BT: BoolElement> Kernels for Fusion<CubeBackend<R, F, i32, BT>> {
    const MULTIPLIES_QUANTIZED: bool = true;

    fn reach_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        reaches: &Reaches<Self>,
    ) -> Attended<Self> {
        attention::forward(query, key, value, reaches)
    }

    fn reach_attention_backward(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        attended: Attended<Self>,
        slope: FloatTensor<Self>,
        reaches: &Reaches<Self>,
    ) -> AttentionGradients<Self> {
        attention::backward(query, key, value, attended, slope, reaches)
    }

    fn pick(x: FloatTensor<Self>, columns: IntTensor<Self>) -> FloatTensor<Self> {
        let fits = x.dtype == DType::F32 && columns.dtype == DType::I32 && columns.shape[0] == x.shape[0];
        match fits && columns.shape.as_slice()[1..] == [1] && !x.shape.as_slice().contains(&0) {
            true => pick::pick(x, columns),
            false => Self::float_gather(1, x, columns),
        }
    }

    fn product(lhs: FloatTensor<Self>, rhs: FloatTensor<Self>) -> FloatTensor<Self> {
        let elements = |tensor: &FloatTensor<Self>| tensor.shape.num_elements();
        let batches = |tensor: &FloatTensor<Self>| tensor.shape[..tensor.shape.num_dims() - 2].to_vec();
        let whole = lhs.dtype == DType::F32 && rhs.dtype == DType::F32 && batches(&lhs) == batches(&rhs);
        match whole && elements(&lhs) > 0 && elements(&rhs) > 0 {
            true => product::product(lhs, rhs),
            false => Self::float_matmul(lhs, rhs),
        }
    }

    fn times_quantized(x: FloatTensor<Self>, weight: QuantizedTensor<Self>) -> FloatTensor<Self> {
        let weight = Self::q_swap_dims(weight, 0, 1);
        product::product(x, weight)
    }
}

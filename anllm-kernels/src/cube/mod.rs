//! Kernels for GPUs, written once in CubeCL for CUDA, WGSL and SPIR-V.

mod attention;
mod fusion;

use burn::tensor::ops::FloatTensor;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime, FloatElement};
use burn_fusion::Fusion;

use crate::attention::{Attended, AttentionGradients, Reaches};
use crate::kernels::Kernels;

impl<R: CubeRuntime, F: FloatElement, BT: BoolElement> Kernels for Fusion<CubeBackend<R, F, i32, BT>> {
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
}

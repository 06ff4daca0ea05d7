//! Backends without kernels of their own: Burn's operations do the work, fused where the backend fuses.

#[cfg(any(feature = "ndarray", feature = "wgpu", feature = "cuda"))]
use crate::kernels::Kernels;

#[cfg(feature = "ndarray")]
impl Kernels for burn_ndarray::NdArray<f32> {}

#[cfg(feature = "cuda")]
impl Kernels for burn_cuda::Cuda<f32, i32> {}

/// Through WGSL, whose booleans take 32 bits.
#[cfg(feature = "wgpu")]
impl Kernels for burn_wgpu::Wgpu<f32, i32, u32> {}

/// Through SPIR-V.
#[cfg(feature = "wgpu")]
impl Kernels for burn_wgpu::Wgpu<f32, i32, u8> {}

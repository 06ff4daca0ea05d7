//! Backends without kernels of their own: Burn's operations do the work.

#[cfg(feature = "ndarray")]
impl crate::kernels::Kernels for burn_ndarray::NdArray<f32> {}

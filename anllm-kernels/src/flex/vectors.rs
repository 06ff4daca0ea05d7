//! Products and sums along slices, with whole vectors wherever there are any.

use pulp::Simd;

/// `sum += factor·x`; both have the same length.
#[inline(always)]
pub(super) fn add_scaled<S: Simd>(simd: S, factor: f32, x: &[f32], sum: &mut [f32]) {
    let factor = simd.splat_f32s(factor);
    let (x_whole, x_rest) = S::as_simd_f32s(x);
    let (sum_whole, sum_rest) = S::as_mut_simd_f32s(sum);
    for (sum, x) in sum_whole.iter_mut().zip(x_whole) {
        *sum = simd.mul_add_f32s(*x, factor, *sum);
    }
    if !x_rest.is_empty() {
        let added = simd.mul_add_f32s(simd.partial_load_f32s(x_rest), factor, simd.partial_load_f32s(sum_rest));
        simd.partial_store_f32s(sum_rest, added);
    }
}

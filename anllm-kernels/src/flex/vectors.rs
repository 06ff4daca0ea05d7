//! Products and sums along slices, with whole vectors wherever there are any.

use pulp::Simd;

/// `Σ a·b`; both have the same length.
#[inline(always)]
pub(super) fn product<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let (a_whole, a_rest) = S::as_simd_f32s(a);
    let (b_whole, b_rest) = S::as_simd_f32s(b);
    let (a_fours, a_ones) = pulp::as_arrays::<4, _>(a_whole);
    let (b_fours, b_ones) = pulp::as_arrays::<4, _>(b_whole);
    // Several sums, since one addition has to wait for the one before it.
    let zero = simd.splat_f32s(0.0);
    let (mut p, mut q, mut r, mut s) = (zero, zero, zero, zero);
    for ([a0, a1, a2, a3], [b0, b1, b2, b3]) in a_fours.iter().zip(b_fours) {
        p = simd.mul_add_f32s(*a0, *b0, p);
        q = simd.mul_add_f32s(*a1, *b1, q);
        r = simd.mul_add_f32s(*a2, *b2, r);
        s = simd.mul_add_f32s(*a3, *b3, s);
    }
    for (a, b) in a_ones.iter().zip(b_ones) {
        p = simd.mul_add_f32s(*a, *b, p);
    }
    if !a_rest.is_empty() {
        q = simd.mul_add_f32s(simd.partial_load_f32s(a_rest), simd.partial_load_f32s(b_rest), q);
    }
    simd.reduce_sum_f32s(simd.add_f32s(simd.add_f32s(p, q), simd.add_f32s(r, s)))
}

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

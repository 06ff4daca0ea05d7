//! What the numbers of vectors add up to.

#[cfg(target_arch = "x86_64")]
use std::any::Any;

use pulp::Simd;

/// Vectors that are added up together.
pub(super) const TOGETHER: usize = 4;

/// The sum of each vector. Four together take less than half of the steps that they take one by one: each step adds halves
/// of two vectors side by side in one.
#[inline(always)]
pub(super) fn sums<S: Simd>(simd: S, vectors: [S::f32s; TOGETHER]) -> [f32; TOGETHER] {
    // Which processor it is is known when this is compiled: nothing of the questions is left.
    #[cfg(target_arch = "x86_64")]
    {
        let simd: &dyn Any = &simd;
        if let Some(simd) = simd.downcast_ref::<pulp::x86::V4>() {
            return x86::sums_of_16(*simd, bytemuck::cast(vectors));
        }
        if let Some(simd) = simd.downcast_ref::<pulp::x86::V3>() {
            return x86::sums_of_8(*simd, bytemuck::cast(vectors));
        }
    }
    let mut sums = [0.0; TOGETHER];
    for (sum, vector) in sums.iter_mut().zip(vectors) {
        *sum = simd.reduce_sum_f32s(vector);
    }
    sums
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__m128, __m256, __m512};

    use pulp::x86::{V3, V4};
    use pulp::{cast, f32x4, f32x8, f32x16};

    /// AVX-512.
    #[inline(always)]
    pub(super) fn sums_of_16(simd: V4, [a, b, c, d]: [f32x16; 4]) -> [f32; 4] {
        let avx512 = simd.avx512f;
        let [a, b, c, d]: [__m512; 4] = [cast(a), cast(b), cast(c), cast(d)];
        // a₀ b₀ a₁ b₁ of each quarter, where a₀ is the sum of two of its numbers.
        let ab = avx512._mm512_add_ps(avx512._mm512_unpacklo_ps(a, b), avx512._mm512_unpackhi_ps(a, b));
        let cd = avx512._mm512_add_ps(avx512._mm512_unpacklo_ps(c, d), avx512._mm512_unpackhi_ps(c, d));
        // a b c d of each quarter.
        let quarters =
            avx512._mm512_add_ps(avx512._mm512_shuffle_ps::<0x44>(ab, cd), avx512._mm512_shuffle_ps::<0xEE>(ab, cd));
        let [low, high]: [f32x8; 2] = cast(cast::<_, f32x16>(quarters));
        joined(*simd, simd.add_f32x8(low, high))
    }

    /// AVX2.
    #[inline(always)]
    pub(super) fn sums_of_8(simd: V3, [a, b, c, d]: [f32x8; 4]) -> [f32; 4] {
        let avx = simd.avx;
        let [a, b, c, d]: [__m256; 4] = [cast(a), cast(b), cast(c), cast(d)];
        let ab = avx._mm256_add_ps(avx._mm256_unpacklo_ps(a, b), avx._mm256_unpackhi_ps(a, b));
        let cd = avx._mm256_add_ps(avx._mm256_unpacklo_ps(c, d), avx._mm256_unpackhi_ps(c, d));
        let halves = avx._mm256_add_ps(avx._mm256_shuffle_ps::<0x44>(ab, cd), avx._mm256_shuffle_ps::<0xEE>(ab, cd));
        joined(simd, cast(halves))
    }

    /// Both halves together.
    #[inline(always)]
    fn joined(simd: V3, halves: f32x8) -> [f32; 4] {
        let [low, high]: [f32x4; 2] = cast(halves);
        let [low, high]: [__m128; 2] = [cast(low), cast(high)];
        cast(cast::<_, f32x4>(simd.sse._mm_add_ps(low, high)))
    }
}

#[cfg(test)]
mod tests {
    use pulp::{Scalar, WithSimd};

    use super::*;

    /// Four vectors, whose first numbers are 1, 10, 100 and 1,000, and each further number twice the one before.
    struct Vectors;

    impl WithSimd for Vectors {
        type Output = (usize, [f32; TOGETHER]);

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
            let mut vectors = [simd.splat_f32s(0.0); TOGETHER];
            for (vector, first) in vectors.iter_mut().zip([1.0, 10.0, 100.0, 1000.0]) {
                let numbers: Vec<f32> = (0..S::F32_LANES).map(|i| first * (1 << i) as f32).collect();
                *vector = simd.partial_load_f32s(&numbers);
            }
            (S::F32_LANES, sums(simd, vectors))
        }
    }

    fn check((lanes, sums): (usize, [f32; TOGETHER])) {
        let all = ((1_u32 << lanes) - 1) as f32;
        // All are whole numbers that a float holds, up to some rounding of the last.
        for (sum, first) in sums.into_iter().zip([1.0, 10.0, 100.0, 1000.0]) {
            let exact = first * all;
            assert!((sum - exact).abs() <= 1e-6 * exact, "{lanes} numbers from {first}: {sum}, exactly {exact}");
        }
    }

    #[test]
    fn every_number_of_every_vector_counts_once() {
        check(Simd::vectorize(Scalar, Vectors));
        check(pulp::Arch::new().dispatch(Vectors));
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            check(Simd::vectorize(simd, Vectors));
        }
    }
}

//! `2^x` on a vector.

use pulp::Simd;

/// `2^x` to within two units in the last place; 0 below −126.
///
/// The integer part of `x` goes into the exponent bits, the rest, at most a half, through the Taylor series of
/// `2^f = exp(f·ln 2)` to its seventh term, whose next one is below 2⁻²⁶.
#[inline(always)]
pub(super) fn exp2<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    const TAYLOR: [f32; 8] = [
        1.525_273_4e-5,
        1.540_353e-4,
        1.333_355_8e-3,
        9.618_129e-3,
        5.550_411e-2,
        2.402_265e-1,
        std::f32::consts::LN_2,
        1.0,
    ];
    // Adding 1.5·2²³ leaves the nearest integer in the low bits.
    const ROUNDER: f32 = 12_582_912.0;
    let low = simd.splat_f32s(-126.0);
    let tiny = simd.less_than_f32s(x, low);
    let x = simd.min_f32s(simd.max_f32s(x, low), simd.splat_f32s(126.0));
    let rounded = simd.add_f32s(x, simd.splat_f32s(ROUNDER));
    let rest = simd.sub_f32s(x, simd.sub_f32s(rounded, simd.splat_f32s(ROUNDER)));
    let mut power = simd.splat_f32s(TAYLOR[0]);
    for term in &TAYLOR[1..] {
        power = simd.mul_add_f32s(power, rest, simd.splat_f32s(*term));
    }
    let exponent = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(rounded), simd.splat_u32s(23));
    let bits = simd.add_u32s(simd.transmute_u32s_f32s(power), exponent);
    simd.select_f32s(tiny, simd.splat_f32s(0.0), simd.transmute_f32s_u32s(bits))
}

/// `1 / (1 + exp(−x))`.
#[inline(always)]
pub(super) fn sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let decay = exp2(simd, simd.mul_f32s(x, simd.splat_f32s(-std::f32::consts::LOG2_E)));
    simd.div_f32s(one, simd.add_f32s(one, decay))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Powers<'a>(&'a [f32], &'a mut [f32]);

    impl pulp::WithSimd for Powers<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            for (x, y) in self.0.chunks(S::F32_LANES).zip(self.1.chunks_mut(S::F32_LANES)) {
                simd.partial_store_f32s(y, exp2(simd, simd.partial_load_f32s(x)));
            }
        }
    }

    #[test]
    fn powers_of_two_are_close_to_the_librarys() {
        let x: Vec<f32> = (-1259..1259).map(|i| i as f32 * 0.1 + 0.037).collect();
        let mut y = vec![0.0; x.len()];
        pulp::Arch::new().dispatch(Powers(&x, &mut y));
        for (x, y) in x.iter().zip(&y) {
            let exact = f64::from(*x).exp2();
            assert!((f64::from(*y) - exact).abs() <= 3e-7 * exact, "2^{x}: {y}, exactly {exact}");
        }
        let mut y = [1.0; 2];
        pulp::Arch::new().dispatch(Powers(&[-1e30, -127.0], &mut y));
        assert_eq!(y, [0.0, 0.0]);
    }
}

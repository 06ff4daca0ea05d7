//! Floats of 16 bits as floats of 32: one at a time, in steps that compilers make vectors of wherever they stand, and sixteen
//! in lanes.

use half::{bf16, f16};

use super::lanes::Lanes;
use crate::packed::ROWS;

/// A float of 16 bits.
pub(super) trait Widen: Copy {
    /// The same number.
    fn wide(self) -> f32;

    /// The same sixteen.
    fn wide_on<L: Lanes>(lanes: L, narrow: &[Self; ROWS]) -> L::Floats;
}

impl Widen for bf16 {
    #[inline(always)]
    fn wide(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    #[inline(always)]
    fn wide_on<L: Lanes>(lanes: L, narrow: &[Self; ROWS]) -> L::Floats {
        lanes.brains(bytemuck::cast_ref(narrow))
    }
}

impl Widen for f16 {
    #[inline(always)]
    fn wide(self) -> f32 {
        /// Where a 32-bit float's exponent stands.
        const EXPONENT: u32 = 23;
        /// By what the offset of its exponents is higher.
        const HIGHER: u32 = (127 - 15) << EXPONENT;
        let bits = u32::from(self.to_bits());
        let (sign, rest) = ((bits & 0x8000) << 16, (bits & 0x7FFF) << 13);
        // The highest exponent stands for what is no finite number, in both types.
        let normal = rest + if rest < 31 << EXPONENT { HIGHER } else { 2 * HIGHER };
        // Below the lowest one, the leading bit is not implied: it is let in, and subtracted.
        let lowest = HIGHER + (1 << EXPONENT);
        let subnormal = f32::from_bits(rest + lowest) - f32::from_bits(lowest);
        let bits = if rest < 1 << EXPONENT { subnormal.to_bits() } else { normal };
        f32::from_bits(bits | sign)
    }

    #[inline(always)]
    fn wide_on<L: Lanes>(lanes: L, narrow: &[Self; ROWS]) -> L::Floats {
        lanes.any_halves(bytemuck::cast_ref(narrow))
    }
}

#[cfg(test)]
mod tests {
    use super::super::lanes::Plain;
    use super::*;

    #[test]
    fn every_16_bit_float_becomes_the_same_number() {
        for bits in 0..=u16::MAX {
            let (half, brain) = (f16::from_bits(bits), bf16::from_bits(bits));
            assert!(
                half.wide().to_bits() == half.to_f32().to_bits() || half.is_nan() && half.wide().is_nan(),
                "{bits:#x}"
            );
            assert!(brain.wide().to_bits() == brain.to_f32().to_bits() || brain.is_nan() && brain.wide().is_nan());
        }
    }

    #[test]
    fn lanes_of_every_kind_agree() {
        /// Sixteen at a time, as on their own.
        fn check<L: Lanes, E: Widen + bytemuck::Pod>(lanes: L, name: &str) {
            let all: Vec<u16> = (0..=u16::MAX).collect();
            let all: &[E] = bytemuck::cast_slice(&all);
            for narrow in all.as_chunks().0 {
                for (wide, narrow) in lanes.rows(E::wide_on(lanes, narrow)).into_iter().zip(narrow) {
                    let expected = narrow.wide();
                    let same = wide.to_bits() == expected.to_bits() || wide.is_nan() && expected.is_nan();
                    assert!(same, "{name}: {wide} instead of {expected}");
                }
            }
        }
        check::<_, f16>(Plain, "halves on plain lanes");
        check::<_, bf16>(Plain, "bf16 on plain lanes");
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(simd) = pulp::x86::V3::try_new() {
                check::<_, f16>(simd, "halves on AVX2");
                check::<_, bf16>(simd, "bf16 on AVX2");
            }
            if let Some(simd) = pulp::x86::V4::try_new() {
                check::<_, f16>(simd, "halves on AVX-512");
                check::<_, bf16>(simd, "bf16 on AVX-512");
            }
        }
    }
}

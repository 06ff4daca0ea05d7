//! Floats of 16 bits as floats of 32, in steps that compilers make vectors of wherever they stand.

use half::{bf16, f16};

/// A float of 16 bits.
pub(super) trait Widen: Copy {
    /// The same number.
    fn wide(self) -> f32;
}

impl Widen for bf16 {
    #[inline(always)]
    fn wide(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
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
}

#[cfg(test)]
mod tests {
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
}

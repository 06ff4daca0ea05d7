//! Activations as integers for weights of 4 bits: three digits of 8 bits with sign, and one scale for each block of 32.
//!
//! The products of bytes with nibbles are added in 16 bits, twice as many at once as those of 16-bit integers are in 32.
//! Three digits have 24 bits, as many as the float: what is lost is what the greatest value of the block rounds away, too.

use bytemuck::{Pod, Zeroable};

use super::activations::{Activations, ROUNDER, greatest};
use crate::packed::VALUES;

/// Digits of an activation, the highest first.
pub(super) const DIGITS: usize = 3;
/// What a digit is worth in steps of the one before it.
pub(super) const STEP: f32 = 1.0 / BASE;
/// Half a step is 127 of the next digit's.
const BASE: f32 = 254.0;
/// The greatest digit.
const MOST: f32 = 127.0;

/// 32 activations.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Digits {
    /// Four digits each, in order.
    pub(super) digits: [[i32; VALUES / 4]; DIGITS],
    /// What a step of the highest digit is worth.
    pub(super) scale: f32,
    /// The activations' sum.
    pub(super) sum: f32,
}

impl Activations for Digits {
    #[inline(always)]
    fn of(values: &[f32; VALUES]) -> Self {
        let greatest = greatest(values);
        // A block whose inverse would not be finite is as good as 0.
        let inverse = if greatest > 1e-30 { MOST / greatest } else { 0.0 };
        let scale = greatest / MOST;
        let mut digits = [[0i8; VALUES]; DIGITS];
        let mut sums = [0; DIGITS];
        let mut rest = *values;
        for rest in &mut rest {
            *rest *= inverse;
        }
        // One digit of all values after the other: the loops become vectors.
        for (digits, sum) in digits.iter_mut().zip(&mut sums) {
            for (digit, rest) in digits.iter_mut().zip(&mut rest) {
                let rounded = *rest + ROUNDER;
                *digit = rounded.to_bits() as i8;
                *rest = (*rest - (rounded - ROUNDER)) * BASE;
            }
            for digit in &*digits {
                *sum += i32::from(*digit);
            }
        }
        let sum = (sums[0] as f32 + (sums[1] as f32 + sums[2] as f32 * STEP) * STEP) * scale;
        Self { digits: bytemuck::cast(digits), scale, sum }
    }
}

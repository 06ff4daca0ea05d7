//! Activations as integers: two of 16 bits, a coarse one and what it leaves, and one scale for each block of 32.
//!
//! Other runtimes take 8 bits, an error of up to 1/254 of the block's greatest value; here it is what a float's own
//! rounding is, so that products with packed weights are those of their values.

use bytemuck::{Pod, Zeroable};

use super::activations::{Activations, ROUNDER, greatest};
use crate::packed::VALUES;

/// 32 activations.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Rounded {
    /// Two 16-bit integers each.
    pub(super) coarse: [i32; VALUES / 2],
    /// What they leave, in steps of [`FINE`].
    pub(super) fine: [i32; VALUES / 2],
    /// What a coarse step is worth.
    pub(super) scale: f32,
}

/// Fine steps in a coarse one: half a coarse step is 32,767 of them.
const FINER: f32 = 65_534.0;
/// A fine step, in coarse ones.
pub(super) const FINE: f32 = 1.0 / FINER;
/// The greatest integer.
const MOST: f32 = 32_767.0;
impl Activations for Rounded {
    #[inline(always)]
    fn of(values: &[f32; VALUES]) -> Self {
        let greatest = greatest(values);
        // A block whose inverse would not be finite is as good as 0.
        let inverse = if greatest > 1e-30 { MOST / greatest } else { 0.0 };
        let (mut coarse, mut fine) = ([0i16; VALUES], [0i16; VALUES]);
        for i in 0..VALUES {
            let steps = values[i] * inverse;
            let rounded = steps + ROUNDER;
            coarse[i] = rounded.to_bits() as i16;
            fine[i] = ((steps - (rounded - ROUNDER)) * FINER + ROUNDER).to_bits() as i16;
        }
        Self { coarse: bytemuck::cast(coarse), fine: bytemuck::cast(fine), scale: greatest / MOST }
    }
}

//! Activations as integers: two of 16 bits, a coarse one and what it leaves, and one scale for each block of 32.
//!
//! Other runtimes take 8 bits, an error of up to 1/254 of the block's greatest value; here it is what a float's own
//! rounding is, so that products with packed weights are those of their values.

use bytemuck::{Pod, Zeroable};

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
/// Adding this leaves a float no bits for fractions: its lowest 16 bits are the rounded number's.
pub(super) const ROUNDER: f32 = 12_582_912.0;

/// The greatest absolute value; not a number where one of them is not finite.
#[inline(always)]
pub(super) fn greatest(values: &[f32; VALUES]) -> f32 {
    let mut highest = [0.0f32; 8];
    // 0, but for values that are not finite: what is not a number must not become one.
    let mut flaw = [0.0f32; 8];
    for values in values.as_chunks::<8>().0 {
        for i in 0..8 {
            highest[i] = highest[i].max(values[i].abs());
            flaw[i] += values[i] * 0.0;
        }
    }
    let highest = highest.iter().fold(0.0f32, |a, b| a.max(*b));
    if flaw.iter().sum::<f32>() == 0.0 { highest } else { f32::NAN }
}

impl Rounded {
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

/// `x`, `[N, columns·32]`, as `[N, columns]`.
pub(super) fn rounded(x: &[f32]) -> Vec<Rounded> {
    let mut blocks = vec![Rounded::zeroed(); x.len() / VALUES];
    pulp::Arch::new().dispatch(Into { x, blocks: &mut blocks });
    blocks
}

/// A closure would be a function of its own, which knows nothing of the processor's vectors.
struct Into<'a> {
    x: &'a [f32],
    blocks: &'a mut [Rounded],
}

impl pulp::WithSimd for Into<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        for (x, block) in self.x.as_chunks::<VALUES>().0.iter().zip(self.blocks) {
            *block = Rounded::of(x);
        }
    }
}

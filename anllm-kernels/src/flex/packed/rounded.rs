//! Activations as integers: 16 bits and one scale for each block of 32, an error of at most 1/65,534 of the block's
//! greatest value.
//!
//! Eight bits are what other runtimes take, and 250 times coarser; 16-bit products take hardly longer, because in each
//! block the same scaling follows either.

use bytemuck::{Pod, Zeroable};

use crate::packed::VALUES;

/// 32 activations.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Rounded {
    /// Two 16-bit integers each.
    pub(super) pairs: [i32; VALUES / 2],
    /// What an integer step is worth.
    pub(super) scale: f32,
    /// The sum of the integers.
    pub(super) sum: i32,
}

/// The greatest integer.
const MOST: f32 = 32_767.0;
/// Adding this leaves a float no bits for fractions: its lowest 16 bits are the rounded number's.
const ROUNDER: f32 = 12_582_912.0;

impl Rounded {
    /// Of `values`, at most 32; absent ones are 0.
    #[inline(always)]
    fn of(values: &[f32]) -> Self {
        let mut block = [0.0; VALUES];
        block[..values.len()].copy_from_slice(values);
        let mut highest = [0.0f32; 8];
        for values in block.as_chunks::<8>().0 {
            for i in 0..8 {
                // NaN is lost in `max` and found again below, where it is multiplied.
                highest[i] = highest[i].max(values[i].abs());
            }
        }
        let highest = highest.iter().fold(0.0f32, |a, b| a.max(*b));
        // Blocks of 0, and those whose inverse would not be finite, are worth nothing.
        let inverse = if highest > 1e-30 { MOST / highest } else { 0.0 };
        let mut integers = [0i16; VALUES];
        let mut sums = [0i32; VALUES];
        for i in 0..VALUES {
            integers[i] = (block[i] * inverse + ROUNDER).to_bits() as i16;
            sums[i] = i32::from(integers[i]);
        }
        let bad = values.iter().any(|value| !value.is_finite());
        let scale = if bad { f32::NAN } else { highest / MOST };
        Self { pairs: bytemuck::cast(integers), scale, sum: sums.iter().sum() }
    }
}

/// The rows of `x`, `[N, in]`, as `[N, ⌈in/32⌉]`.
pub(super) fn rounded(x: &[f32], width: usize) -> Vec<Rounded> {
    let arch = pulp::Arch::new();
    let columns = width.div_ceil(VALUES);
    let mut blocks = vec![Rounded::zeroed(); x.len() / width * columns];
    arch.dispatch(|| {
        for (x, blocks) in x.chunks_exact(width).zip(blocks.chunks_exact_mut(columns)) {
            for (x, block) in x.chunks(VALUES).zip(blocks) {
                *block = Rounded::of(x);
            }
        }
    });
    blocks
}

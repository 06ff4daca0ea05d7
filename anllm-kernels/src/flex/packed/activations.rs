//! Rows of activations as blocks of integers, of either kind.

use bytemuck::Pod;

use crate::packed::VALUES;

/// 32 activations as integers.
pub(super) trait Activations: Pod {
    /// The nearest integers there are to them.
    fn of(values: &[f32; VALUES]) -> Self;
}

/// `x`, `[N, columns·32]`, as `[N, columns]`.
pub(super) fn integers<T: Activations>(x: &[f32]) -> Vec<T> {
    let mut blocks = vec![T::zeroed(); x.len() / VALUES];
    pulp::Arch::new().dispatch(Into { x, blocks: &mut blocks });
    blocks
}

/// A closure would be a function of its own, which knows nothing of the processor's vectors.
struct Into<'a, T> {
    x: &'a [f32],
    blocks: &'a mut [T],
}

impl<T: Activations> pulp::WithSimd for Into<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        for (x, block) in self.x.as_chunks::<VALUES>().0.iter().zip(self.blocks) {
            *block = T::of(x);
        }
    }
}

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

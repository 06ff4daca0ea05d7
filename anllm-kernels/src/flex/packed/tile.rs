//! Rows of `x` with sixteen rows of the weights at a time.

use super::super::lanes::{Lanes, OnLanes};
use super::blocks::Multiplied;
use super::rounded::{FINE, Rounded};
use crate::packed::{ROWS, VALUES};

/// Rows of integers with some groups of rows of the weights.
pub(super) struct Integers<'a, T> {
    /// `[N, columns]`.
    pub(super) x: &'a [Rounded],
    /// `N`.
    pub(super) rows: usize,
    /// `[groups, columns]`.
    pub(super) blocks: &'a [T],
    pub(super) columns: usize,
    /// `[groups, N, 16]`.
    pub(super) sums: &'a mut [f32],
}

impl<T: Multiplied> OnLanes for Integers<'_, T> {
    #[inline(always)]
    fn on<L: Lanes>(self, lanes: L) {
        let Self { x, rows, blocks, columns, sums } = self;
        for (blocks, sums) in blocks.chunks_exact(columns).zip(sums.chunks_exact_mut(rows * ROWS)) {
            for (x, sums) in x.chunks(2 * columns).zip(sums.chunks_mut(2 * ROWS)) {
                match x.len() == 2 * columns {
                    true => integers::<_, _, 2>(lanes, x, blocks, columns, sums),
                    false => integers::<_, _, 1>(lanes, x, blocks, columns, sums),
                }
            }
        }
    }
}

/// Some sixteens of rows of the weights as panels.
pub(super) struct Unpacked<'a, T> {
    /// `[groups, columns]`.
    pub(super) blocks: &'a [T],
    /// `[groups·columns·32, 16]`.
    pub(super) panels: &'a mut [[f32; ROWS]],
}

impl<T: Multiplied> OnLanes for Unpacked<'_, T> {
    #[inline(always)]
    fn on<L: Lanes>(self, lanes: L) {
        for (block, panel) in self.blocks.iter().zip(self.panels.as_chunks_mut().0) {
            unpack(lanes, block, panel);
        }
    }
}

/// The values of a block.
#[inline(always)]
fn unpack<L: Lanes, T: Multiplied>(lanes: L, block: &T, panel: &mut [[f32; ROWS]; VALUES]) {
    let scales = block.scales(lanes);
    let minima = match block.minima(lanes) {
        Some(minima) => minima,
        None => lanes.times(scales, -(T::SHIFT as f32)),
    };
    for (quarter, panel) in panel.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        for (pairs, panel) in block.pairs(lanes, quarter).into_iter().zip(panel.as_chunks_mut::<2>().0) {
            let [even, odd] = lanes.split(pairs);
            panel[0] = lanes.rows(lanes.add_product(scales, even, minima));
            panel[1] = lanes.rows(lanes.add_product(scales, odd, minima));
        }
    }
}

/// `N` rows of integers, `[N, columns]`.
#[inline(always)]
fn integers<L: Lanes, T: Multiplied, const N: usize>(
    lanes: L,
    x: &[Rounded],
    blocks: &[T],
    columns: usize,
    sums: &mut [f32],
) {
    let mut totals = [lanes.floats(0.0); N];
    for (column, block) in blocks.iter().enumerate() {
        let mut inputs = [&x[column]; N];
        for n in 1..N {
            inputs[n] = &x[n * columns + column];
        }
        let (mut coarse, mut fine) = ([lanes.ints(0); N], [lanes.ints(0); N]);
        for n in 0..N {
            // Σ (q − s)·x = Σ q·x − s·Σ x
            coarse[n] = lanes.ints(-T::SHIFT * inputs[n].coarse_sum);
            fine[n] = lanes.ints(-T::SHIFT * inputs[n].fine_sum);
        }
        for quarter in 0..4 {
            for (i, pairs) in block.pairs(lanes, quarter).into_iter().enumerate() {
                for n in 0..N {
                    coarse[n] = lanes.add_products(pairs, inputs[n].coarse[4 * quarter + i], coarse[n]);
                    fine[n] = lanes.add_products(pairs, inputs[n].fine[4 * quarter + i], fine[n]);
                }
            }
        }
        let (scales, minima) = (block.scales(lanes), block.minima(lanes));
        for n in 0..N {
            // Σ (d·q + m)·x = d·Σ q·x + m·Σ x
            let both = lanes.add(lanes.converted(fine[n]), FINE, lanes.converted(coarse[n]));
            let scale = inputs[n].scale;
            totals[n] = lanes.add_product(scales, lanes.times(both, scale), totals[n]);
            if let Some(minima) = minima {
                let sum = (inputs[n].coarse_sum as f32 + inputs[n].fine_sum as f32 * FINE) * scale;
                totals[n] = lanes.add(minima, sum, totals[n]);
            }
        }
    }
    for (sums, totals) in sums.chunks_exact_mut(ROWS).zip(totals) {
        sums.copy_from_slice(&lanes.rows(totals));
    }
}

//! Some rows of `x` with sixteen rows of the weights at a time.

use super::super::lanes::{Lanes, OnLanes};
use super::blocks::Multiplied;
use super::rounded::{FINE, Rounded};
use crate::packed::{ROWS, VALUES};

/// Rows of floats that stand side by side.
pub(super) const TILE: usize = 8;
/// Tiles that stay in the second cache while all weights of a piece are multiplied with them.
const STRIP: usize = 16;

/// The rows of `x`.
#[derive(Clone, Copy)]
pub(super) enum Input<'a> {
    /// `[N, columns]` blocks of integers.
    Integers(&'a [Rounded]),
    /// `[⌈N/8⌉, columns·32]`, eight rows side by side; those that are not there are 0.
    Floats(&'a [[f32; TILE]]),
}

/// Some groups of rows of the weights.
pub(super) struct Piece<'a, T> {
    pub(super) x: Input<'a>,
    /// `N`.
    pub(super) rows: usize,
    /// `[groups, columns]`.
    pub(super) blocks: &'a [T],
    pub(super) columns: usize,
    /// `[groups, N, 16]`.
    pub(super) sums: &'a mut [f32],
}

impl<T: Multiplied> OnLanes for Piece<'_, T> {
    #[inline(always)]
    fn on<L: Lanes>(self, lanes: L) {
        let Self { x, rows, blocks, columns, sums } = self;
        let groups = || blocks.chunks_exact(columns);
        match x {
            Input::Integers(x) => {
                for (blocks, sums) in groups().zip(sums.chunks_exact_mut(rows * ROWS)) {
                    for (x, sums) in x.chunks(2 * columns).zip(sums.chunks_mut(2 * ROWS)) {
                        match x.len() == 2 * columns {
                            true => integers::<_, _, 2>(lanes, x, blocks, columns, sums),
                            false => integers::<_, _, 1>(lanes, x, blocks, columns, sums),
                        }
                    }
                }
            }
            Input::Floats(x) => {
                for (number, x) in x.chunks(STRIP * columns * VALUES).enumerate() {
                    let first = number * STRIP * TILE * ROWS;
                    for (blocks, sums) in groups().zip(sums.chunks_exact_mut(rows * ROWS)) {
                        let sums = sums[first..].chunks_mut(TILE * ROWS);
                        for (x, sums) in x.chunks_exact(columns * VALUES).zip(sums) {
                            tile(lanes, x, blocks, sums);
                        }
                    }
                }
            }
        }
    }
}

/// Eight rows of floats, at once where so many sums fit into registers.
#[inline(always)]
fn tile<L: Lanes, T: Multiplied>(lanes: L, x: &[[f32; TILE]], blocks: &[T], sums: &mut [f32]) {
    if L::MANY_REGISTERS {
        floats::<_, _, 8, 0>(lanes, x, blocks, sums);
        return;
    }
    let (first, second) = sums.split_at_mut(sums.len().min(4 * ROWS));
    floats::<_, _, 4, 0>(lanes, x, blocks, first);
    if !second.is_empty() {
        floats::<_, _, 4, 4>(lanes, x, blocks, second);
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

/// `N` rows of a tile, from `FIRST` on: `x` is `[columns·32]`.
#[inline(always)]
fn floats<L: Lanes, T: Multiplied, const N: usize, const FIRST: usize>(
    lanes: L,
    x: &[[f32; TILE]],
    blocks: &[T],
    sums: &mut [f32],
) {
    let mut totals = [lanes.floats(0.0); N];
    for (block, x) in blocks.iter().zip(x.as_chunks::<VALUES>().0) {
        let scales = block.scales(lanes);
        let minima = match block.minima(lanes) {
            Some(minima) => minima,
            None => lanes.times(scales, -(T::SHIFT as f32)),
        };
        for (quarter, x) in x.as_chunks::<8>().0.iter().enumerate() {
            for (pairs, x) in block.pairs(lanes, quarter).into_iter().zip(x.as_chunks::<2>().0) {
                let [even, odd] = lanes.split(pairs);
                let even = lanes.add_product(scales, even, minima);
                let odd = lanes.add_product(scales, odd, minima);
                for n in 0..N {
                    totals[n] = lanes.add(even, x[0][FIRST + n], totals[n]);
                    totals[n] = lanes.add(odd, x[1][FIRST + n], totals[n]);
                }
            }
        }
    }
    for (sums, totals) in sums.chunks_exact_mut(ROWS).zip(totals) {
        sums.copy_from_slice(&lanes.rows(totals));
    }
}

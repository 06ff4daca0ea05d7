//! Rows of `x` with sixteen rows of the weights at a time.

use super::super::lanes::{Lanes, OnLanes};
use super::Inputs;
use super::blocks::{Floats, Multiplied, Nibbled, Scaled};
use super::digits::{DIGITS, Digits, STEP};
use super::rounded::{FINE, Rounded};
use crate::packed::{Bytes, ROWS, VALUES};

/// A few rows with some groups of rows of the weights.
pub(super) struct Rows<'a, T> {
    pub(super) inputs: Inputs<'a>,
    /// `[groups, columns]`.
    pub(super) blocks: &'a [T],
    /// `[groups, N, 16]`.
    pub(super) sums: &'a mut [f32],
}

impl<T: Multiplied> OnLanes for Rows<'_, T> {
    #[inline(always)]
    fn on<L: Lanes>(self, lanes: L) {
        let Self { inputs, blocks, sums } = self;
        let each = blocks.chunks_exact(inputs.columns).zip(sums.chunks_exact_mut(inputs.rows * ROWS));
        each.for_each(|(blocks, sums)| T::product(lanes, inputs, blocks, sums));
    }
}

/// Floats as 32-bit floats.
#[inline(always)]
pub(super) fn widen<L: Lanes, T: Floats>(lanes: L, block: &T, panel: &mut [[f32; ROWS]; VALUES]) {
    for (i, panel) in panel.iter_mut().enumerate() {
        *panel = lanes.rows(block.value(lanes, i));
    }
}

/// Rows of floats, some at a time: the weights stay in the nearest cache between two looks.
#[inline(always)]
pub(super) fn floats<L: Lanes, T: Floats>(lanes: L, inputs: Inputs<'_>, blocks: &[T], sums: &mut [f32]) {
    /// Rows whose sums, and the parts they are made of, fit into the registers of any processor.
    const AT_ONCE: usize = 3;
    let width = inputs.columns * VALUES;
    let x = inputs.floats.chunks(AT_ONCE * width);
    for (x, sums) in x.zip(sums.chunks_mut(AT_ONCE * ROWS)) {
        match sums.len() / ROWS {
            1 => some_floats::<_, _, 1>(lanes, x, blocks, sums),
            2 => some_floats::<_, _, 2>(lanes, x, blocks, sums),
            _ => some_floats::<_, _, AT_ONCE>(lanes, x, blocks, sums),
        }
    }
}

/// `N` rows of floats, `[N, columns·32]`. Eight products are added to each other before they are to the rest, so that the
/// processor has several such sums to go on with.
#[inline(always)]
fn some_floats<L: Lanes, T: Floats, const N: usize>(lanes: L, x: &[f32], blocks: &[T], sums: &mut [f32]) {
    const PART: usize = 8;
    let width = blocks.len() * VALUES;
    let x: [&[[f32; PART]]; N] = std::array::from_fn(|n| x[n * width..][..width].as_chunks().0);
    let mut totals = [lanes.floats(0.0); N];
    for (column, block) in blocks.iter().enumerate() {
        lanes.fetch(blocks.as_ptr().wrapping_add(column + ahead::<T>()));
        for part in 0..VALUES / PART {
            let mut inputs = [&[0.0; PART]; N];
            let mut parts = [lanes.floats(0.0); N];
            for n in 0..N {
                inputs[n] = &x[n][column * (VALUES / PART) + part];
            }
            for (i, value) in (part * PART..(part + 1) * PART).enumerate() {
                let weights = block.value(lanes, value);
                for n in 0..N {
                    parts[n] = lanes.add(weights, inputs[n][i], parts[n]);
                }
            }
            for n in 0..N {
                totals[n] = lanes.add(parts[n], 1.0, totals[n]);
            }
        }
    }
    for (sums, totals) in sums.chunks_exact_mut(ROWS).zip(totals) {
        sums.copy_from_slice(&lanes.rows(totals));
    }
}

/// The values of a block.
#[inline(always)]
pub(super) fn unpack<L: Lanes, T: Scaled>(lanes: L, block: &T, panel: &mut [[f32; ROWS]; VALUES]) {
    let scales = block.scales(lanes);
    let minima = block.minima(lanes, scales);
    for (quarter, panel) in panel.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        for (pairs, [first, second]) in block.pairs(lanes, quarter).into_iter().zip(T::PLACES) {
            let [low, high] = lanes.split(pairs);
            panel[first] = lanes.rows(lanes.add_product(scales, low, minima));
            panel[second] = lanes.rows(lanes.add_product(scales, high, minima));
        }
    }
}

/// How far ahead of what is multiplied weights are asked for, in blocks.
const fn ahead<T>() -> usize {
    const BYTES: usize = 4096;
    BYTES.div_ceil(size_of::<T>())
}

/// Rows of 16-bit integers with weights of 8 bits, two rows at a time.
#[inline(always)]
pub(super) fn integers<L: Lanes>(lanes: L, inputs: Inputs<'_>, blocks: &[Bytes], sums: &mut [f32]) {
    let x = inputs.integers.chunks(2 * inputs.columns);
    for (x, sums) in x.zip(sums.chunks_mut(2 * ROWS)) {
        match sums.len() == 2 * ROWS {
            true => some_integers::<_, 2>(lanes, x, blocks, sums),
            false => some_integers::<_, 1>(lanes, x, blocks, sums),
        }
    }
}

/// `N` rows of integers, `[N, columns]`.
#[inline(always)]
fn some_integers<L: Lanes, const N: usize>(lanes: L, x: &[Rounded], blocks: &[Bytes], sums: &mut [f32]) {
    let columns = blocks.len();
    let mut totals = [lanes.floats(0.0); N];
    for (column, block) in blocks.iter().enumerate() {
        lanes.fetch(blocks.as_ptr().wrapping_add(column + ahead::<Bytes>()));
        let mut inputs = [&x[column]; N];
        for n in 1..N {
            inputs[n] = &x[n * columns + column];
        }
        let (mut coarse, mut fine) = ([lanes.ints(0); N], [lanes.ints(0); N]);
        for quarter in 0..4 {
            for (i, pairs) in block.pairs(lanes, quarter).into_iter().enumerate() {
                for n in 0..N {
                    coarse[n] = lanes.add_products(pairs, inputs[n].coarse[4 * quarter + i], coarse[n]);
                    fine[n] = lanes.add_products(pairs, inputs[n].fine[4 * quarter + i], fine[n]);
                }
            }
        }
        let scales = block.scales(lanes);
        for n in 0..N {
            let both = lanes.add(lanes.converted(fine[n]), FINE, lanes.converted(coarse[n]));
            totals[n] = lanes.add_product(scales, lanes.times(both, inputs[n].scale), totals[n]);
        }
    }
    for (sums, totals) in sums.chunks_exact_mut(ROWS).zip(totals) {
        sums.copy_from_slice(&lanes.rows(totals));
    }
}

/// Rows of digits with weights of 4 bits, two rows at a time.
#[inline(always)]
pub(super) fn digits<L: Lanes, T: Nibbled>(lanes: L, inputs: Inputs<'_>, blocks: &[T], sums: &mut [f32]) {
    let x = inputs.digits.chunks(2 * inputs.columns);
    for (x, sums) in x.zip(sums.chunks_mut(2 * ROWS)) {
        match sums.len() == 2 * ROWS {
            true => some_digits::<_, _, 2>(lanes, x, blocks, sums),
            false => some_digits::<_, _, 1>(lanes, x, blocks, sums),
        }
    }
}

/// `N` rows of digits, `[N, columns]`. Products of a block's nibbles with one digit fit into sums of 16 bits.
#[inline(always)]
fn some_digits<L: Lanes, T: Nibbled, const N: usize>(lanes: L, x: &[Digits], blocks: &[T], sums: &mut [f32]) {
    let columns = blocks.len();
    let mut totals = [lanes.floats(0.0); N];
    for (column, block) in blocks.iter().enumerate() {
        lanes.fetch(blocks.as_ptr().wrapping_add(column + ahead::<T>()));
        let mut inputs = [&x[column]; N];
        for n in 1..N {
            inputs[n] = &x[n * columns + column];
        }
        let mut parts = [[lanes.shorts(); DIGITS]; N];
        for quarter in 0..4 {
            for (half, quads) in block.quads(lanes, quarter).into_iter().enumerate() {
                for n in 0..N {
                    for (digits, part) in inputs[n].digits.iter().zip(&mut parts[n]) {
                        *part = lanes.add_quads(quads, digits[2 * quarter + half], *part);
                    }
                }
            }
        }
        let scales = block.scales(lanes);
        let minima = block.minima(lanes, scales);
        for n in 0..N {
            let mut all = lanes.converted(lanes.joined(parts[n][DIGITS - 1]));
            for digit in (0..DIGITS - 1).rev() {
                all = lanes.add(all, STEP, lanes.converted(lanes.joined(parts[n][digit])));
            }
            // Σ (d·q + m)·x = d·Σ q·x + m·Σ x
            totals[n] = lanes.add_product(scales, lanes.times(all, inputs[n].scale), totals[n]);
            totals[n] = lanes.add(minima, inputs[n].sum, totals[n]);
        }
    }
    for (sums, totals) in sums.chunks_exact_mut(ROWS).zip(totals) {
        sums.copy_from_slice(&lanes.rows(totals));
    }
}

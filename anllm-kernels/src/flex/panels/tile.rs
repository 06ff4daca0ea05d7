//! Many rows with panels. Two panels at a time where there are registers for the sums: a number of a row is then loaded
//! once for 32 products, and the multipliers do not wait for loads.

use super::super::lanes::{Lanes, OnLanes};
use crate::packed::ROWS;

/// Values of a row between two looks at where it lies.
const BLOCK: usize = 8;
/// Panels that stand beside each other while rows are multiplied, where the processor has registers for both.
pub(in crate::flex) const PAIR: usize = 2;

/// Some rows, `stride` floats apart, times some panels `[width, 16]`.
pub(in crate::flex) struct Product<'a, 'b> {
    pub(in crate::flex) x: &'a [f32],
    pub(in crate::flex) stride: usize,
    /// One panel after another, up to [`PAIR`] of them: `[panels·width, 16]`.
    pub(in crate::flex) panels: &'a [[f32; ROWS]],
    pub(in crate::flex) width: usize,
    pub(in crate::flex) into: &'a mut [&'b mut [f32]],
    /// The first column that is written of each row: sixteen for each panel, or as many as there are left.
    pub(in crate::flex) first: usize,
    /// Whether it comes to what is there.
    pub(in crate::flex) more: bool,
}

impl OnLanes for Product<'_, '_> {
    #[inline(always)]
    fn on<L: Lanes>(mut self, lanes: L) {
        match L::PANELS == PAIR && self.panels.len() == PAIR * self.width {
            true => self.rows::<_, PAIR>(lanes),
            false => self.rows::<_, 1>(lanes),
        }
    }
}

impl Product<'_, '_> {
    /// All rows, some at a time, with `P` panels at a time.
    #[inline(always)]
    fn rows<L: Lanes, const P: usize>(&mut self, lanes: L) {
        let rows = self.into.len();
        // As even as can be: a tile of few rows waits for its own sums.
        let tiles = rows.div_ceil(L::AT_ONCE);
        for tile in 0..tiles {
            let part = rows * tile / tiles..rows * (tile + 1) / tiles;
            for number in 0..self.panels.len() / (P * self.width) {
                match part.len() {
                    1 => self.some::<_, 1, P>(lanes, part.start, number),
                    2 => self.some::<_, 2, P>(lanes, part.start, number),
                    3 => self.some::<_, 3, P>(lanes, part.start, number),
                    4 => self.some::<_, 4, P>(lanes, part.start, number),
                    5 => self.some::<_, 5, P>(lanes, part.start, number),
                    6 => self.some::<_, 6, P>(lanes, part.start, number),
                    7 if L::AT_ONCE >= 7 => self.some::<_, 7, P>(lanes, part.start, number),
                    8 if L::AT_ONCE >= 8 => self.some::<_, 8, P>(lanes, part.start, number),
                    9 if L::AT_ONCE >= 9 => self.some::<_, 9, P>(lanes, part.start, number),
                    10 if L::AT_ONCE >= 10 => self.some::<_, 10, P>(lanes, part.start, number),
                    11 if L::AT_ONCE >= 11 => self.some::<_, 11, P>(lanes, part.start, number),
                    12 if L::AT_ONCE >= 12 => self.some::<_, 12, P>(lanes, part.start, number),
                    more => unreachable!("{more} rows at once, of {} at most", L::AT_ONCE),
                }
            }
        }
    }

    /// `N` rows from `row` on with `P` panels: a number of a row, once in a register, is multiplied into all of them.
    #[inline(always)]
    fn some<L: Lanes, const N: usize, const P: usize>(&mut self, lanes: L, row: usize, number: usize) {
        let Self { x, stride, panels, width, .. } = *self;
        let x: [&[f32]; N] = std::array::from_fn(|n| &x[(row + n) * stride..][..width]);
        let panels: [&[[f32; ROWS]]; P] = std::array::from_fn(|p| &panels[(number * P + p) * width..][..width]);
        let blocks: [&[[f32; BLOCK]]; N] = std::array::from_fn(|n| x[n].as_chunks().0);
        let whole: [&[[[f32; ROWS]; BLOCK]]; P] = panels.map(|panel| panel.as_chunks().0);
        let mut sums = [[lanes.floats(0.0); N]; P];
        for number in 0..width / BLOCK {
            // Looked up once for several weights: as many bounds are not checked in the innermost loop.
            let x: [&[f32; BLOCK]; N] = std::array::from_fn(|n| &blocks[n][number]);
            let panels: [&[[f32; ROWS]; BLOCK]; P] = std::array::from_fn(|p| &whole[p][number]);
            for i in 0..BLOCK {
                let mut weights = [lanes.floats(0.0); P];
                for p in 0..P {
                    weights[p] = lanes.load(&panels[p][i]);
                }
                for n in 0..N {
                    let value = lanes.floats(x[n][i]);
                    for p in 0..P {
                        sums[p][n] = lanes.add_product(weights[p], value, sums[p][n]);
                    }
                }
            }
        }
        for i in width / BLOCK * BLOCK..width {
            for p in 0..P {
                let weights = lanes.load(&panels[p][i]);
                for n in 0..N {
                    sums[p][n] = lanes.add(weights, x[n][i], sums[p][n]);
                }
            }
        }
        for (p, sums) in sums.into_iter().enumerate() {
            let first = self.first + (number * P + p) * ROWS;
            for (into, sums) in self.into[row..row + N].iter_mut().zip(sums) {
                let into = &mut into[first..];
                let count = into.len().min(ROWS);
                let sums = lanes.rows(sums);
                match self.more {
                    false => into[..count].copy_from_slice(&sums[..count]),
                    true => into.iter_mut().zip(sums).for_each(|(into, sum)| *into += sum),
                }
            }
        }
    }
}

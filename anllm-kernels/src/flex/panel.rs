//! Many rows with sixteen rows of a weight matrix, which stand as floats side by side: a *panel* `[in, 16]`, small enough
//! for the processor's caches, made once for all rows of `x`. Two panels at a time where there are registers for the sums:
//! a number of `x` is then loaded once for 32 products, and the multipliers do not wait for loads.

use super::lanes::{Lanes, OnLanes};
use crate::packed::ROWS;

/// Some columns of every row of a result: what one thread writes.
pub(super) type Columns<'a> = Vec<&'a mut [f32]>;

/// Cuts `result`, `[N, out]`, into pieces of `wide` columns.
pub(super) fn columns(result: &mut [f32], out: usize, wide: usize) -> Vec<Columns<'_>> {
    let rows = result.len() / out.max(1);
    let mut pieces: Vec<Columns<'_>> = (0..out.div_ceil(wide)).map(|_| Vec::with_capacity(rows)).collect();
    for row in result.chunks_exact_mut(out.max(1)) {
        row.chunks_mut(wide).zip(&mut pieces).for_each(|(row, piece)| piece.push(row));
    }
    pieces
}

/// Values of a row between two looks at where it lies.
const BLOCK: usize = 8;
/// Multiplications that are worth a thread's attention.
const WORK: usize = 1 << 18;

/// Panels that stand beside each other while rows are multiplied, where the processor has registers for both.
pub(super) const PAIR: usize = 2;

/// Sixteens of columns that one thread takes at a time, for `rows` rows of `width` values.
pub(super) fn groups_at_once(rows: usize, width: usize) -> usize {
    (WORK / (rows * width * ROWS).max(1)).max(1).next_multiple_of(PAIR)
}

/// `x` `[N, in]` times some panels `[in, 16]`.
pub(super) struct Product<'a, 'b> {
    pub(super) x: &'a [f32],
    /// One panel after another, up to [`PAIR`] of them: `[panels·in, 16]`.
    pub(super) panels: &'a [[f32; ROWS]],
    /// `in`.
    pub(super) width: usize,
    pub(super) into: &'a mut Columns<'b>,
    /// The first column that is written of each row: sixteen for each panel, or as many as there are left.
    pub(super) first: usize,
}

impl OnLanes for Product<'_, '_> {
    #[inline(always)]
    fn on<L: Lanes>(self, lanes: L) {
        let Self { x, panels, width, into, first } = self;
        if L::PANELS == PAIR && panels.len() == PAIR * width {
            let (left, right) = panels.split_at(width);
            return rows(lanes, x, [left, right], into, first);
        }
        for (number, panel) in panels.chunks_exact(width).enumerate() {
            rows(lanes, x, [panel], into, first + number * ROWS);
        }
    }
}

/// All rows, some at a time.
#[inline(always)]
fn rows<L: Lanes, const P: usize>(
    lanes: L,
    x: &[f32],
    panels: [&[[f32; ROWS]]; P],
    into: &mut Columns<'_>,
    first: usize,
) {
    let width = panels[0].len();
    let rows = into.len();
    // As even as can be: a tile of few rows waits for its own sums.
    let tiles = rows.div_ceil(L::AT_ONCE);
    for tile in 0..tiles {
        let part = rows * tile / tiles..rows * (tile + 1) / tiles;
        let x = &x[part.start * width..part.end * width];
        let into = &mut into[part];
        match into.len() {
            1 => some::<_, 1, P>(lanes, x, panels, into, first),
            2 => some::<_, 2, P>(lanes, x, panels, into, first),
            3 => some::<_, 3, P>(lanes, x, panels, into, first),
            4 => some::<_, 4, P>(lanes, x, panels, into, first),
            5 => some::<_, 5, P>(lanes, x, panels, into, first),
            6 => some::<_, 6, P>(lanes, x, panels, into, first),
            7 if L::AT_ONCE >= 7 => some::<_, 7, P>(lanes, x, panels, into, first),
            8 if L::AT_ONCE >= 8 => some::<_, 8, P>(lanes, x, panels, into, first),
            9 if L::AT_ONCE >= 9 => some::<_, 9, P>(lanes, x, panels, into, first),
            10 if L::AT_ONCE >= 10 => some::<_, 10, P>(lanes, x, panels, into, first),
            11 if L::AT_ONCE >= 11 => some::<_, 11, P>(lanes, x, panels, into, first),
            12 if L::AT_ONCE >= 12 => some::<_, 12, P>(lanes, x, panels, into, first),
            more => unreachable!("{more} rows at once, of {} at most", L::AT_ONCE),
        }
    }
}

/// `N` rows with `P` panels: a number of a row, once in a register, is multiplied into all of them.
#[inline(always)]
fn some<L: Lanes, const N: usize, const P: usize>(
    lanes: L,
    x: &[f32],
    panels: [&[[f32; ROWS]]; P],
    into: &mut [&mut [f32]],
    first: usize,
) {
    let width = panels[0].len();
    let x: [&[f32]; N] = std::array::from_fn(|n| &x[n * width..][..width]);
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
        for (into, sums) in into.iter_mut().zip(sums) {
            let into = &mut into[first + p * ROWS..];
            let count = into.len().min(ROWS);
            into[..count].copy_from_slice(&lanes.rows(sums)[..count]);
        }
    }
}

//! Many rows with sixteen rows of a weight matrix, which stand as floats side by side: a *panel* `[in, 16]`, small enough
//! for the processor's caches, made once for all rows of `x`.

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

/// Sixteens of columns that one thread takes at a time, for `rows` rows of `width` values.
pub(super) fn groups_at_once(rows: usize, width: usize) -> usize {
    (WORK / (rows * width * ROWS).max(1)).max(1)
}

/// `x` `[N, in]` times a panel `[in, 16]`.
pub(super) struct Product<'a, 'b> {
    pub(super) x: &'a [f32],
    pub(super) panel: &'a [[f32; ROWS]],
    pub(super) into: &'a mut Columns<'b>,
    /// The first column that is written of each row: sixteen, or as many as there are left.
    pub(super) first: usize,
}

impl OnLanes for Product<'_, '_> {
    #[inline(always)]
    fn on<L: Lanes>(self, lanes: L) {
        let Self { x, panel, into, first } = self;
        let width = panel.len();
        let rows = into.len();
        // As even as can be: a tile of few rows waits for its own sums.
        let tiles = rows.div_ceil(L::AT_ONCE);
        for tile in 0..tiles {
            let part = rows * tile / tiles..rows * (tile + 1) / tiles;
            let x = &x[part.start * width..part.end * width];
            let into = &mut into[part];
            match into.len() {
                1 => some::<_, 1>(lanes, x, panel, into, first),
                2 => some::<_, 2>(lanes, x, panel, into, first),
                3 => some::<_, 3>(lanes, x, panel, into, first),
                4 => some::<_, 4>(lanes, x, panel, into, first),
                5 => some::<_, 5>(lanes, x, panel, into, first),
                6 => some::<_, 6>(lanes, x, panel, into, first),
                7 if L::AT_ONCE >= 7 => some::<_, 7>(lanes, x, panel, into, first),
                8 if L::AT_ONCE >= 8 => some::<_, 8>(lanes, x, panel, into, first),
                more => unreachable!("{more} rows at once, of {} at most", L::AT_ONCE),
            }
        }
    }
}

/// `N` rows.
#[inline(always)]
fn some<L: Lanes, const N: usize>(lanes: L, x: &[f32], panel: &[[f32; ROWS]], into: &mut [&mut [f32]], first: usize) {
    let width = panel.len();
    let x: [&[f32]; N] = std::array::from_fn(|n| &x[n * width..][..width]);
    let blocks: [&[[f32; BLOCK]]; N] = std::array::from_fn(|n| x[n].as_chunks().0);
    let (whole, rest) = panel.as_chunks::<BLOCK>();
    let mut sums = [lanes.floats(0.0); N];
    for (number, weights) in whole.iter().enumerate() {
        // Looked up once for several weights: as many bounds are not checked in the innermost loop.
        let x: [&[f32; BLOCK]; N] = std::array::from_fn(|n| &blocks[n][number]);
        for (i, weights) in weights.iter().enumerate() {
            let weights = lanes.load(weights);
            for n in 0..N {
                sums[n] = lanes.add(weights, x[n][i], sums[n]);
            }
        }
    }
    for (i, weights) in rest.iter().enumerate() {
        let weights = lanes.load(weights);
        for n in 0..N {
            sums[n] = lanes.add(weights, x[n][BLOCK * whole.len() + i], sums[n]);
        }
    }
    for (into, sums) in into.iter_mut().zip(sums) {
        let into = &mut into[first..];
        let count = into.len().min(ROWS);
        into[..count].copy_from_slice(&lanes.rows(sums)[..count]);
    }
}

//! Products of many rows. Sixteen columns of the right matrix at a time stand as floats side by side, a *panel*
//! `[inner, 16]` that stays in the processor's caches and is made once for all rows of the left one, however the right
//! matrix is stored.

mod floats;
mod tile;
mod turned;

use std::ops::Range;

use rayon::prelude::*;

pub(super) use floats::{Across, Down};
pub(super) use tile::{PAIR, Product};
pub(super) use turned::turned;

use super::lanes::{self, Lanes, OnLanes};
use crate::packed::ROWS;

/// The right matrix of a product, `[inner, out]`.
pub(super) trait Right: Sync {
    /// Sixteen columns from `first` on, of the rows `inner`, as a panel. Columns beyond the last may hold anything.
    fn fill<L: Lanes>(&self, lanes: L, first: usize, inner: Range<usize>, panel: &mut [[f32; ROWS]]);
}

/// The left matrix of a product: `rows` lines of `inner` floats, which begin `stride` floats apart.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    pub(super) numbers: &'a [f32],
    pub(super) rows: usize,
    pub(super) inner: usize,
    pub(super) stride: usize,
}

impl<'a> Left<'a> {
    /// Lines of `inner` floats, one after another.
    pub(super) fn lines(numbers: &'a [f32], inner: usize) -> Self {
        Self { numbers, rows: numbers.len() / inner.max(1), inner, stride: inner }
    }
}

/// Rows of a panel: two panels beside each other stay in the second nearest cache.
const DEEP: usize = 2048;
/// Multiplications that are worth a thread's attention.
const WORK: usize = 1 << 18;
/// Pieces that a product of some size is cut into at least.
const PIECES: usize = 8;
/// Rows that are worth panels of their own.
const WORTHWHILE: usize = 128;
/// Rows that go through panels together: they stay in the farthest cache from one pair of panels to the next.
const HIGH: usize = 2048;

/// `left` `[N, inner]` times `right` `[inner, out]`, as `result` or added to it, `[N, out]`. A number of the result depends
/// on its row and its column alone, whatever stands beside them.
pub(super) fn multiply(left: Left<'_>, right: &impl Right, result: &mut [f32], more: bool) {
    let Left { rows, inner, .. } = left;
    let out = result.len() / rows.max(1);
    if rows * inner * out == 0 {
        return;
    }
    let wide = (WORK / (rows * inner * ROWS)).max(1).next_multiple_of(PAIR) * ROWS;
    // A narrow result is cut along its rows as well, and so is a high one.
    let parts = PIECES.div_ceil(out.div_ceil(wide)).min(rows / WORTHWHILE).max(1);
    let high = rows.div_ceil(parts.max(rows.div_ceil(HIGH)));
    let mut pieces = Vec::new();
    for (part, result) in result.chunks_mut(high * out).enumerate() {
        let columns = columns(result, out, wide).into_iter().enumerate();
        pieces.extend(columns.map(|(column, into)| Piece {
            left,
            right,
            row: part * high,
            column: column * wide,
            into,
        }));
    }
    pieces.into_par_iter().for_each(|piece| piece.multiply(more));
}

/// Some columns of some rows of the result: what one thread writes.
struct Piece<'a, 'b, R> {
    left: Left<'a>,
    right: &'a R,
    /// The first row.
    row: usize,
    /// The first column.
    column: usize,
    into: Vec<&'b mut [f32]>,
}

impl<R: Right> Piece<'_, '_, R> {
    fn multiply(mut self, more: bool) {
        let Left { inner, stride, numbers, .. } = self.left;
        let count = self.into.first().map_or(0, |line| line.len());
        let mut panels = vec![[0.0; ROWS]; PAIR * inner.min(DEEP)];
        for start in (0..inner).step_by(DEEP) {
            let deep = start..(start + DEEP).min(inner);
            for first in (0..count).step_by(PAIR * ROWS) {
                let groups = (count - first).div_ceil(ROWS).min(PAIR);
                let panels = &mut panels[..groups * deep.len()];
                lanes::run(Filled { right: self.right, first: self.column + first, inner: deep.clone(), panels });
                let x = &numbers[self.row * stride + start..];
                let into = &mut self.into;
                lanes::run(Product { x, stride, panels, width: deep.len(), into, first, more: more || start > 0 });
            }
        }
    }
}

/// Panels beside each other, made on the widest vectors.
struct Filled<'a, R> {
    right: &'a R,
    first: usize,
    inner: Range<usize>,
    panels: &'a mut [[f32; ROWS]],
}

impl<R: Right> OnLanes for Filled<'_, R> {
    #[inline(always)]
    fn on<L: Lanes>(self, lanes: L) {
        let Self { right, first, inner, panels } = self;
        for (number, panel) in panels.chunks_exact_mut(inner.len()).enumerate() {
            right.fill(lanes, first + number * ROWS, inner.clone(), panel);
        }
    }
}

/// Cuts `result`, `[N, out]`, into pieces of `wide` columns: a slice of each row.
fn columns(result: &mut [f32], out: usize, wide: usize) -> Vec<Vec<&mut [f32]>> {
    let rows = result.len() / out.max(1);
    let mut pieces: Vec<Vec<_>> = (0..out.div_ceil(wide)).map(|_| Vec::with_capacity(rows)).collect();
    for row in result.chunks_exact_mut(out.max(1)) {
        row.chunks_mut(wide).zip(&mut pieces).for_each(|(row, piece)| piece.push(row));
    }
    pieces
}

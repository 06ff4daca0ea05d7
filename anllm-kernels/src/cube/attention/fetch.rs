//! From a tensor's memory to what a cube's units share.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::runs::FAR;
use super::tile::{SIDE, Tile};

/// The lines of one key head in one row: `T·H/K`, token by token.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Lines {
    /// Which row.
    pub(super) row: usize,
    /// Which key head.
    pub(super) group: usize,
    /// `H/K`.
    pub(super) sharing: usize,
}

#[cube]
impl Lines {
    /// The lines of `query`, `[B, T, H, D]`, that share a key head of `key`, `[B, S, K, D]`.
    pub(super) fn of(query: &Tensor<f32>, key: &Tensor<f32>, row: usize, group: usize) -> Lines {
        Lines { row, group, sharing: query.shape(2) / key.shape(2) }
    }

    /// Where a line starts in a tensor `[B, T, H]` or `[B, T, H, D]`.
    pub(super) fn start(&self, of: &Tensor<f32>, line: usize) -> usize {
        let head = self.group * self.sharing + line % self.sharing;
        self.row * of.stride(0) + line / self.sharing * of.stride(1) + head * of.stride(2)
    }

    /// Where a key starts in a tensor `[B, S, K, D]`. Its kind says what its place is: one in `far`, `[R, F]`, or a slot.
    pub(super) fn start_of_key(&self, of: &Tensor<f32>, far: &Tensor<i32>, kind: usize, place: usize) -> usize {
        let mut slot = place;
        if kind == FAR {
            slot = far[self.row % far.shape(0) * far.stride(0) + place] as usize;
        }
        self.row * of.stride(0) + slot * of.stride(1) + self.group * of.stride(2)
    }
}

/// Lines `first..` of `from`, `[B, T, H, D]`, times `scale`, `each` for every row of units; 0 from line `end` on.
#[cube]
pub(super) fn fetch_lines(
    from: &Tensor<f32>,
    to: &mut SharedMemory<f32>,
    lines: &Lines,
    first: usize,
    end: usize,
    scale: f32,
    #[comptime] each: usize,
    #[comptime] tile: Tile,
) {
    #[unroll]
    for l in 0..each {
        let place = UNIT_POS_Y as usize + l * SIDE;
        let line = first + place;
        let start = lines.start(from, line);
        copy(from, to, start, place, line < end, scale, tile);
    }
}

/// Keys of one kind, from place `first` on, out of `from`, `[B, S, K, D]`; 0 from place `end` on.
#[cube]
pub(super) fn fetch_keys(
    from: &Tensor<f32>,
    to: &mut SharedMemory<f32>,
    far: &Tensor<i32>,
    lines: &Lines,
    kind: usize,
    first: usize,
    end: usize,
    #[comptime] each: usize,
    #[comptime] tile: Tile,
) {
    #[unroll]
    for k in 0..each {
        let place = UNIT_POS_Y as usize + k * SIDE;
        let there = first + place < end;
        let mut start = 0usize.runtime();
        if there {
            start = lines.start_of_key(from, far, kind, first + place);
        }
        copy(from, to, start, place, there, 1.0, tile);
    }
}

/// One line or key times `scale`, or zeros: a row of units copies it.
#[cube]
fn copy(
    from: &Tensor<f32>,
    to: &mut SharedMemory<f32>,
    start: usize,
    place: usize,
    there: bool,
    scale: f32,
    #[comptime] tile: Tile,
) {
    for column in 0..comptime!(tile.columns()) {
        let element = UNIT_POS_X as usize + column * SIDE;
        let mut value = 0.0f32.runtime();
        if there && element < comptime!(tile.width) {
            value = from[start + element] * scale;
        }
        to[place * comptime!(tile.pitch()) + element] = value;
    }
}

/// One row of a result times `scale`: a row of units writes it.
#[cube]
pub(super) fn store(
    to: &mut Tensor<f32>,
    start: usize,
    values: &Array<f32>,
    row: usize,
    scale: f32,
    #[comptime] tile: Tile,
) {
    #[unroll]
    for c in 0..comptime!(tile.columns()) {
        let element = UNIT_POS_X as usize + c * SIDE;
        if element < comptime!(tile.width) {
            to[start + element] = values[row * comptime!(tile.columns()) + c] * scale;
        }
    }
}

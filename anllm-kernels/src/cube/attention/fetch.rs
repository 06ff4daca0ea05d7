//! From a tensor's memory to what a cube's units share.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::seen::FAR;
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
    /// How many lines there are.
    pub(super) count: usize,
}

#[cube]
impl Lines {
    /// The lines of `query`, `[B, T, H, D]`, that share a key head of `key`, `[B, S, K, D]`.
    pub(super) fn of(query: &Tensor<f32>, key: &Tensor<f32>, row: usize, group: usize) -> Lines {
        let sharing = query.shape(2) / key.shape(2);
        Lines { row, group, sharing, count: query.shape(1) * sharing }
    }

    /// Where a line starts in a tensor `[B, T, H]` or `[B, T, H, D]`.
    pub(super) fn start(&self, of: &Tensor<f32>, line: usize) -> usize {
        let head = self.group * self.sharing + line % self.sharing;
        self.row * of.stride(0) + line / self.sharing * of.stride(1) + head * of.stride(2)
    }
}

/// Lines `first..` of `from`, `[B, T, H, D]`, times `scale`; 0 beyond the last line and the head's width.
#[cube]
pub(super) fn fetch_lines(
    from: &Tensor<f32>,
    to: &mut SharedMemory<f32>,
    lines: &Lines,
    first: usize,
    scale: f32,
    #[comptime] tile: Tile,
) {
    #[unroll]
    for i in 0..comptime!(tile.unit_lines()) {
        let place = UNIT_POS_Y as usize + i * SIDE;
        let line = first + place;
        copy(from, to, lines.start(from, line), place, line < lines.count, scale, tile);
    }
}

/// The slot of a key: near ones are named by it, far ones by their place in `far`, `[R, F]`.
#[cube]
pub(super) fn slot(far: &Tensor<i32>, row: usize, kind: usize, place: usize) -> usize {
    let mut slot = place;
    if kind == FAR {
        slot = far[row % far.shape(0) * far.stride(0) + place] as usize;
    }
    slot
}

/// Keys `first..end` of one kind from `key`, `[B, S, K, D]`; 0 from `end` on.
#[cube]
pub(super) fn fetch_keys(
    from: &Tensor<f32>,
    to: &mut SharedMemory<f32>,
    far: &Tensor<i32>,
    lines: &Lines,
    kind: usize,
    first: u32,
    end: u32,
    #[comptime] tile: Tile,
) {
    #[unroll]
    for k in 0..comptime!(tile.unit_keys()) {
        let place = UNIT_POS_Y + comptime!((k * SIDE) as u32);
        let there = first + place < end;
        let mut start = 0;
        if there {
            let slot = slot(far, lines.row, kind, (first + place) as usize);
            start = lines.row * from.stride(0) + slot * from.stride(1) + lines.group * from.stride(2);
        }
        copy(from, to, start, place as usize, there, 1.0, tile);
    }
}

/// One line or key times `scale`, or zeros: what each unit in a row of units has to copy.
#[cube]
pub(super) fn copy(
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
        let mut value = 0.0f32;
        if there && element < comptime!(tile.width) {
            value = from[start + element] * scale;
        }
        to[place * comptime!(tile.pitch()) + element] = value;
    }
}

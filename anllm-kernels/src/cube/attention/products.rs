//! Products of small matrices in shared memory, each unit with its part of the result in registers.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::tile::{SIDE, Tile};

/// `a·bᵀ` over the head's width, `[held, D]` times `[passing, D]`: this unit's `[unit_held, unit_passing]` of it.
#[cube]
pub(super) fn scores(a: &SharedMemory<f32>, b: &SharedMemory<f32>, #[comptime] tile: Tile) -> Array<f32> {
    let rows = comptime!(tile.unit_held());
    let columns = comptime!(tile.unit_passing());
    let pitch = comptime!(tile.pitch());
    let mut sums = zeros(comptime!(rows * columns));
    let mut right = Array::<f32>::new(columns);
    for element in 0..comptime!(tile.width) {
        #[unroll]
        for c in 0..columns {
            right[c] = b[(UNIT_POS_X as usize + c * SIDE) * pitch + element];
        }
        #[unroll]
        for r in 0..rows {
            let left = a[(UNIT_POS_Y as usize + r * SIDE) * pitch + element];
            #[unroll]
            for c in 0..columns {
                sums[r * columns + c] += left * right[c];
            }
        }
    }
    sums
}

/// Adds `weights·b`, `[held, passing]` times `[passing, D]`, to this unit's `[unit_held, columns]` of the sums.
#[cube]
pub(super) fn weighted(
    weights: &SharedMemory<f32>,
    b: &SharedMemory<f32>,
    sums: &mut Array<f32>,
    #[comptime] tile: Tile,
) {
    let columns = comptime!(tile.columns());
    let mut right = Array::<f32>::new(columns);
    for from in 0..comptime!(tile.passing) {
        #[unroll]
        for c in 0..columns {
            right[c] = b[from * comptime!(tile.pitch()) + UNIT_POS_X as usize + c * SIDE];
        }
        #[unroll]
        for r in 0..comptime!(tile.unit_held()) {
            let weight = weights[(UNIT_POS_Y as usize + r * SIDE) * comptime!(tile.score_pitch()) + from];
            #[unroll]
            for c in 0..columns {
                sums[r * columns + c] += weight * right[c];
            }
        }
    }
}

/// Registers that hold 0.
#[cube]
pub(super) fn zeros(#[comptime] count: usize) -> Array<f32> {
    let mut all = Array::<f32>::new(count);
    #[unroll]
    for i in 0..count {
        all[i] = 0.0;
    }
    all
}

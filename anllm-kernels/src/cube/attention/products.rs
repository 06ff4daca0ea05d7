//! Products of small matrices in shared memory, each unit holding its part of the result in registers.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::tile::{SIDE, Tile};

/// `a·bᵀ` over the head's width: `[lines, D]` times `[keys, D]`, into this unit's lines × keys.
#[cube]
pub(super) fn scores(a: &SharedMemory<f32>, b: &SharedMemory<f32>, #[comptime] tile: Tile) -> Array<f32> {
    let lines = comptime!(tile.unit_lines());
    let keys = comptime!(tile.unit_keys());
    let pitch = comptime!(tile.pitch());
    let mut sums = zeros(comptime!(lines * keys));
    let mut right = Array::<f32>::new(keys);
    for element in 0..comptime!(tile.width) {
        #[unroll]
        for k in 0..keys {
            right[k] = b[(UNIT_POS_X as usize + k * SIDE) * pitch + element];
        }
        #[unroll]
        for l in 0..lines {
            let left = a[(UNIT_POS_Y as usize + l * SIDE) * pitch + element];
            #[unroll]
            for k in 0..keys {
                sums[l * keys + k] += left * right[k];
            }
        }
    }
    sums
}

/// Adds `weights·b` over the keys, `[lines, keys]` times `[keys, D]`, to this unit's lines × columns.
#[cube]
pub(super) fn weighted(
    weights: &SharedMemory<f32>,
    b: &SharedMemory<f32>,
    sums: &mut Array<f32>,
    #[comptime] tile: Tile,
) {
    let columns = comptime!(tile.columns());
    let mut right = Array::<f32>::new(columns);
    for key in 0..comptime!(tile.keys) {
        #[unroll]
        for c in 0..columns {
            right[c] = b[key * comptime!(tile.pitch()) + UNIT_POS_X as usize + c * SIDE];
        }
        #[unroll]
        for l in 0..comptime!(tile.unit_lines()) {
            let weight = weights[(UNIT_POS_Y as usize + l * SIDE) * comptime!(tile.score_pitch()) + key];
            #[unroll]
            for c in 0..columns {
                sums[l * columns + c] += weight * right[c];
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

//! The forward kernel: a cube for each tile of lines, which walks over the far and then over the near keys of its
//! queries with an online softmax (Milakov and Gimelshein 2018).

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::fetch::{Lines, fetch_keys, fetch_lines};
use super::products::{scores, weighted, zeros};
use super::seen::{self, KINDS, Seen};
use super::tile::{SIDE, Tile};

/// The score of a key that a line does not see. Finite, since infinity has no literal in WGSL.
const HIDDEN: f32 = -1e30;

/// Numbers of 32 bits in the shared memory of a cube.
pub(super) fn shared(tile: Tile) -> usize {
    (tile.lines + 2 * tile.keys) * tile.pitch() + tile.lines * (tile.score_pitch() + SIDE) + seen::shared(tile)
}

/// `query` and `output` are `[B, T, H, D]`, `key` and `value` `[B, S, K, D]`, `looks` `[R, T, 4]`, `far` `[R, F]`,
/// `log_sum` `[B, T, H]`. Cubes: tiles of lines × key heads × rows, key heads changing fastest.
#[cube(launch)]
pub(super) fn forward(
    query: &Tensor<f32>,
    key: &Tensor<f32>,
    value: &Tensor<f32>,
    looks: &Tensor<i32>,
    far: &Tensor<i32>,
    output: &mut Tensor<f32>,
    log_sum: &mut Tensor<f32>,
    scale: f32,
    #[comptime] tile: Tile,
) {
    let groups = key.shape(2);
    let tiles = (query.shape(1) * (query.shape(2) / groups)).div_ceil(comptime!(tile.lines));
    let row = CUBE_POS / groups / tiles;
    // Cubes come in whole rows of a grid.
    if row >= query.shape(0) {
        terminate!();
    }
    let lines = Lines::of(query, key, row, CUBE_POS % groups);
    let first = CUBE_POS / groups % tiles * comptime!(tile.lines);
    let (x, y) = (UNIT_POS_X as usize, UNIT_POS_Y as usize);

    let mut queries = SharedMemory::<f32>::new(comptime!(tile.lines * tile.pitch()));
    let mut keys = SharedMemory::<f32>::new(comptime!(tile.keys * tile.pitch()));
    let mut values = SharedMemory::<f32>::new(comptime!(tile.keys * tile.pitch()));
    let mut shares = SharedMemory::<f32>::new(comptime!(tile.lines * tile.score_pitch()));
    // What each unit found in its keys, `[lines, SIDE]`.
    let mut found = SharedMemory::<f32>::new(comptime!(tile.lines * SIDE));
    let unit_lines = comptime!(tile.unit_lines());
    let unit_keys = comptime!(tile.unit_keys());
    let columns = comptime!(tile.columns());
    let mut highest = Array::<f32>::new(unit_lines);
    // Of this unit's keys only, until the end.
    let mut sums = zeros(unit_lines);
    let mut result = zeros(comptime!(unit_lines * columns));
    #[unroll]
    for l in 0..unit_lines {
        highest[l] = HIDDEN;
    }

    fetch_lines(query, &mut queries, &lines, first, scale, tile);
    let seen = Seen::fetch(looks, &lines, first, tile);
    sync_cube();
    for kind in 0..KINDS {
        let hull = seen.hull(kind);
        let mut start = hull.start;
        while start < hull.end {
            fetch_keys(key, &mut keys, far, &lines, kind, start, hull.end, tile);
            fetch_keys(value, &mut values, far, &lines, kind, start, hull.end, tile);
            sync_cube();
            let mut scores = scores(&queries, &keys, tile);
            #[unroll]
            for l in 0..unit_lines {
                let run = seen.of(kind, y + l * SIDE);
                let mut best = HIDDEN.runtime();
                #[unroll]
                for k in 0..unit_keys {
                    let place = start + comptime!((k * SIDE) as u32) + UNIT_POS_X;
                    if place < run.start || place >= run.end {
                        scores[l * unit_keys + k] = HIDDEN;
                    }
                    best = max(best, scores[l * unit_keys + k]);
                }
                found[(y + l * SIDE) * SIDE + x] = best;
            }
            sync_cube();
            #[unroll]
            for l in 0..unit_lines {
                let line = y + l * SIDE;
                let mut best = highest[l];
                for unit in 0..SIDE {
                    best = max(best, found[line * SIDE + unit]);
                }
                let shrink = (highest[l] - best).exp();
                highest[l] = best;
                sums[l] *= shrink;
                #[unroll]
                for k in 0..unit_keys {
                    let mut share = 0.0f32.runtime();
                    if scores[l * unit_keys + k] > HIDDEN {
                        share = (scores[l * unit_keys + k] - best).exp();
                    }
                    sums[l] += share;
                    shares[line * comptime!(tile.score_pitch()) + x + k * SIDE] = share;
                }
                #[unroll]
                for c in 0..columns {
                    result[l * columns + c] *= shrink;
                }
            }
            sync_cube();
            weighted(&shares, &values, &mut result, tile);
            sync_cube();
            start += comptime!(tile.keys as u32);
        }
    }

    #[unroll]
    for l in 0..unit_lines {
        found[(y + l * SIDE) * SIDE + x] = sums[l];
    }
    sync_cube();
    #[unroll]
    for l in 0..unit_lines {
        let line = y + l * SIDE;
        let mut sum = 0.0f32.runtime();
        for unit in 0..SIDE {
            sum += found[line * SIDE + unit];
        }
        if first + line < lines.count {
            let start = lines.start(output, first + line);
            #[unroll]
            for c in 0..columns {
                if x + c * SIDE < comptime!(tile.width) {
                    output[start + x + c * SIDE] = result[l * columns + c] / sum;
                }
            }
            if x == 0 {
                let place = lines.start(log_sum, first + line);
                log_sum[place] = highest[l] + sum.ln();
            }
        }
    }
}

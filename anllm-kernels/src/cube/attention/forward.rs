//! The forward kernel: a cube holds a tile of lines and walks over their far, then over their near keys, with an online
//! softmax (Milakov and Gimelshein 2018).

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::fetch::{Lines, fetch_keys, fetch_lines, store};
use super::products::{scores, weighted, zeros};
use super::runs::{KINDS, Runs, look};
use super::tile::{SIDE, Tile};

/// The score of a key that a line does not see. Finite, since infinity has no literal in WGSL.
const HIDDEN: f32 = -1e30;

/// Numbers of 32 bits in the shared memory of a cube.
pub(super) fn shared(tile: Tile) -> usize {
    let rows = tile.score_pitch() + SIDE + 2 * KINDS;
    (tile.held + 2 * tile.passing) * tile.pitch() + tile.held * rows
}

/// `query` and `output` are `[B, T, H, D]`, `key` and `value` `[B, S, K, D]`, `looks` `[R, T, 4]`, `far` `[R, F]`,
/// `log_sum` `[B, T, H]`. A cube for each row, tile of lines and key head, key heads changing fastest.
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
    let count = query.shape(1) * (query.shape(2) / groups);
    let tiles = count.div_ceil(comptime!(tile.held));
    let row = CUBE_POS / groups / tiles;
    // The grid's last row of cubes may not be full.
    if row >= query.shape(0) {
        terminate!();
    }
    let lines = Lines::of(query, key, row, CUBE_POS % groups);
    let first = CUBE_POS / groups % tiles * comptime!(tile.held);
    let (x, y) = (UNIT_POS_X as usize, UNIT_POS_Y as usize);
    let rows = comptime!(tile.unit_held());
    let each = comptime!(tile.unit_passing());
    let columns = comptime!(tile.columns());

    let mut queries = SharedMemory::<f32>::new(comptime!(tile.held * tile.pitch()));
    let mut keys = SharedMemory::<f32>::new(comptime!(tile.passing * tile.pitch()));
    let mut values = SharedMemory::<f32>::new(comptime!(tile.passing * tile.pitch()));
    let mut shares = SharedMemory::<f32>::new(comptime!(tile.held * tile.score_pitch()));
    // What each unit of a row found in its keys, `[held, SIDE]`.
    let mut found = SharedMemory::<f32>::new(comptime!(tile.held * SIDE));
    let mut seen = Runs::new(comptime!(KINDS * tile.held));

    fetch_lines(query, &mut queries, &lines, first, count, scale, rows, tile);
    let place = UNIT_POS as usize;
    if place < comptime!(tile.held) {
        #[unroll]
        for kind in 0..KINDS {
            seen.set(kind * comptime!(tile.held) + place, look(looks, &lines, first + place, count, kind));
        }
    }
    sync_cube();

    let mut highest = Array::<f32>::new(rows);
    #[unroll]
    for r in 0..rows {
        highest[r] = HIDDEN;
    }
    // Over this unit's keys only, until the end.
    let mut sums = zeros(rows);
    let mut result = zeros(comptime!(rows * columns));
    for kind in 0..KINDS {
        let hull = seen.hull(kind * comptime!(tile.held), tile.held);
        let mut start = hull.start;
        while start < hull.end {
            fetch_keys(key, &mut keys, far, &lines, kind, start as usize, hull.end as usize, each, tile);
            fetch_keys(value, &mut values, far, &lines, kind, start as usize, hull.end as usize, each, tile);
            sync_cube();
            let mut scores = scores(&queries, &keys, tile);
            #[unroll]
            for r in 0..rows {
                let run = seen.get(kind * comptime!(tile.held) + y + r * SIDE);
                let mut best = HIDDEN.runtime();
                #[unroll]
                for k in 0..each {
                    let place = start + UNIT_POS_X + comptime!((k * SIDE) as u32);
                    if place < run.start || place >= run.end {
                        scores[r * each + k] = HIDDEN;
                    }
                    best = max(best, scores[r * each + k]);
                }
                found[(y + r * SIDE) * SIDE + x] = best;
            }
            sync_cube();
            #[unroll]
            for r in 0..rows {
                let line = y + r * SIDE;
                let mut best = highest[r];
                for unit in 0..SIDE {
                    best = max(best, found[line * SIDE + unit]);
                }
                let shrink = (highest[r] - best).exp();
                highest[r] = best;
                sums[r] *= shrink;
                #[unroll]
                for k in 0..each {
                    let mut share = (scores[r * each + k] - best).exp();
                    // What is no number stays none.
                    if scores[r * each + k] <= HIDDEN {
                        share = 0.0;
                    }
                    sums[r] += share;
                    shares[line * comptime!(tile.score_pitch()) + x + k * SIDE] = share;
                }
                #[unroll]
                for c in 0..columns {
                    result[r * columns + c] *= shrink;
                }
            }
            sync_cube();
            weighted(&shares, &values, &mut result, tile);
            sync_cube();
            start += comptime!(tile.passing as u32);
        }
    }

    #[unroll]
    for r in 0..rows {
        found[(y + r * SIDE) * SIDE + x] = sums[r];
    }
    sync_cube();
    #[unroll]
    for r in 0..rows {
        let line = y + r * SIDE;
        let mut sum = 0.0f32.runtime();
        for unit in 0..SIDE {
            sum += found[line * SIDE + unit];
        }
        if first + line < count {
            let start = lines.start(output, first + line);
            store(output, start, &result, r, 1.0 / sum, tile);
            if x == 0 {
                let place = lines.start(log_sum, first + line);
                log_sum[place] = highest[r] + sum.ln();
            }
        }
    }
}

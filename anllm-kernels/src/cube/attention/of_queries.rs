//! The gradient of the queries: the walk of the forward kernel once more, with the shares worked out from the sums.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::fetch::{Lines, fetch_keys, fetch_lines, store};
use super::products::{scores, weighted, zeros};
use super::runs::{KINDS, Runs, look};
use super::tile::{SIDE, Tile};

/// Numbers of 32 bits in the shared memory of a cube.
pub(super) fn shared(tile: Tile) -> usize {
    let rows = tile.score_pitch() + SIDE + 2 * KINDS;
    2 * (tile.held + tile.passing) * tile.pitch() + tile.held * rows
}

/// `query`, `output`, `slope` (the output's gradient) and `of_query` are `[B, T, H, D]`, `key` and `value`
/// `[B, S, K, D]`, `looks` `[R, T, 4]`, `far` `[R, F]`, `log_sum` `[B, T, H]`.
///
/// `means`, `[B, T, H]`, takes `slope·output`, which the keys' gradients need too: `∂L/∂score = share·(g·v − g·o)`, the
/// mean of `g·v` over the shares being `g·o`. Cubes are those of the forward kernel.
#[cube(launch)]
pub(super) fn of_queries(
    query: &Tensor<f32>,
    key: &Tensor<f32>,
    value: &Tensor<f32>,
    output: &Tensor<f32>,
    log_sum: &Tensor<f32>,
    slope: &Tensor<f32>,
    looks: &Tensor<i32>,
    far: &Tensor<i32>,
    of_query: &mut Tensor<f32>,
    means: &mut Tensor<f32>,
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
    let mut slopes = SharedMemory::<f32>::new(comptime!(tile.held * tile.pitch()));
    let mut keys = SharedMemory::<f32>::new(comptime!(tile.passing * tile.pitch()));
    let mut values = SharedMemory::<f32>::new(comptime!(tile.passing * tile.pitch()));
    let mut of_scores = SharedMemory::<f32>::new(comptime!(tile.held * tile.score_pitch()));
    // What each unit of a row found in its elements, `[held, SIDE]`.
    let mut found = SharedMemory::<f32>::new(comptime!(tile.held * SIDE));
    let mut seen = Runs::new(comptime!(KINDS * tile.held));

    fetch_lines(query, &mut queries, &lines, first, count, scale, rows, tile);
    fetch_lines(slope, &mut slopes, &lines, first, count, 1.0, rows, tile);
    let place = UNIT_POS as usize;
    if place < comptime!(tile.held) {
        #[unroll]
        for kind in 0..KINDS {
            seen.set(kind * comptime!(tile.held) + place, look(looks, &lines, first + place, count, kind));
        }
    }
    let mut sums = zeros(rows);
    #[unroll]
    for r in 0..rows {
        let line = first + y + r * SIDE;
        let mut product = 0.0f32.runtime();
        if line < count {
            sums[r] = log_sum[lines.start(log_sum, line)];
            let (left, right) = (lines.start(slope, line), lines.start(output, line));
            for c in 0..columns {
                let element = x + c * SIDE;
                if element < comptime!(tile.width) {
                    product += slope[left + element] * output[right + element];
                }
            }
        }
        found[(y + r * SIDE) * SIDE + x] = product;
    }
    sync_cube();
    let mut mean = zeros(rows);
    #[unroll]
    for r in 0..rows {
        let line = y + r * SIDE;
        for unit in 0..SIDE {
            mean[r] += found[line * SIDE + unit];
        }
        if x == 0 && first + line < count {
            let place = lines.start(means, first + line);
            means[place] = mean[r];
        }
    }

    let mut result = zeros(comptime!(rows * columns));
    for kind in 0..KINDS {
        let hull = seen.hull(kind * comptime!(tile.held), tile.held);
        let mut start = hull.start;
        while start < hull.end {
            fetch_keys(key, &mut keys, far, &lines, kind, start as usize, hull.end as usize, each, tile);
            fetch_keys(value, &mut values, far, &lines, kind, start as usize, hull.end as usize, each, tile);
            sync_cube();
            let found = scores(&queries, &keys, tile);
            let of_shares = scores(&slopes, &values, tile);
            #[unroll]
            for r in 0..rows {
                let line = y + r * SIDE;
                let run = seen.get(kind * comptime!(tile.held) + line);
                #[unroll]
                for k in 0..each {
                    let place = start + UNIT_POS_X + comptime!((k * SIDE) as u32);
                    let mut of_score = 0.0f32.runtime();
                    if place >= run.start && place < run.end {
                        of_score = (found[r * each + k] - sums[r]).exp() * (of_shares[r * each + k] - mean[r]);
                    }
                    of_scores[line * comptime!(tile.score_pitch()) + x + k * SIDE] = of_score;
                }
            }
            sync_cube();
            weighted(&of_scores, &keys, &mut result, tile);
            sync_cube();
            start += comptime!(tile.passing as u32);
        }
    }

    #[unroll]
    for r in 0..rows {
        let line = first + y + r * SIDE;
        if line < count {
            let start = lines.start(of_query, line);
            store(of_query, start, &result, r, scale, tile);
        }
    }
}

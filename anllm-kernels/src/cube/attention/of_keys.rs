//! The gradients of keys and values: a cube holds a tile of keys of one kind and walks over the lines that look at them.
//!
//! Each number has one owner, so that nothing is added in an order that changes from run to run. A key that is seen from
//! afar has two or more, in the far list and in the near runs: its sums are added up by [`gather`].

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::fetch::{Lines, fetch_keys, fetch_lines, store};
use super::products::{scores, weighted, zeros};
use super::runs::{Run, Runs, look};
use super::tile::{SIDE, Tile};

/// Numbers of 32 bits in the shared memory of a cube.
pub(super) fn shared(tile: Tile) -> usize {
    let rows = 2 * tile.score_pitch() + 2;
    2 * (tile.held + tile.passing) * tile.pitch() + tile.held * rows + 4 * tile.passing
}

/// `query` and `slope` are `[B, T, H, D]`, `key` and `value` `[B, S, K, D]`, `log_sum` and `means` `[B, T, H]`, `looks`
/// `[R, T, 4]`, `far` `[R, F]`.
///
/// `lookers`, `[R, N, 2]`, are the queries to ask for each of the `N` keys of the kind: `S` near ones, or `F` far ones.
/// `of_key` and `of_value` are `[P, B, N, K, D]`: the queries of a row may be cut into `P` pieces, for more cubes than
/// there are tiles of keys. A cube for each piece, row, tile of keys and key head, key heads changing fastest.
#[cube(launch)]
pub(super) fn of_keys(
    query: &Tensor<f32>,
    key: &Tensor<f32>,
    value: &Tensor<f32>,
    slope: &Tensor<f32>,
    log_sum: &Tensor<f32>,
    means: &Tensor<f32>,
    looks: &Tensor<i32>,
    far: &Tensor<i32>,
    lookers: &Tensor<i32>,
    of_key: &mut Tensor<f32>,
    of_value: &mut Tensor<f32>,
    scale: f32,
    #[comptime] kind: usize,
    #[comptime] tile: Tile,
) {
    let groups = key.shape(2);
    let count = of_key.shape(2);
    let tiles = count.div_ceil(comptime!(tile.held));
    let row = CUBE_POS / groups / tiles % query.shape(0);
    let piece = CUBE_POS / groups / tiles / query.shape(0);
    // The grid's last row of cubes may not be full.
    if piece >= of_key.shape(0) {
        terminate!();
    }
    let lines = Lines::of(query, key, row, CUBE_POS % groups);
    let first = CUBE_POS / groups % tiles * comptime!(tile.held);
    let (x, y) = (UNIT_POS_X as usize, UNIT_POS_Y as usize);
    let rows = comptime!(tile.unit_held());
    let each = comptime!(tile.unit_passing());
    let columns = comptime!(tile.columns());

    let mut keys = SharedMemory::<f32>::new(comptime!(tile.held * tile.pitch()));
    let mut values = SharedMemory::<f32>::new(comptime!(tile.held * tile.pitch()));
    let mut queries = SharedMemory::<f32>::new(comptime!(tile.passing * tile.pitch()));
    let mut slopes = SharedMemory::<f32>::new(comptime!(tile.passing * tile.pitch()));
    let mut shares = SharedMemory::<f32>::new(comptime!(tile.held * tile.score_pitch()));
    let mut of_scores = SharedMemory::<f32>::new(comptime!(tile.held * tile.score_pitch()));
    let mut asked = Runs::new(tile.held);
    let mut seen = Runs::new(tile.passing);
    let mut sums = SharedMemory::<f32>::new(tile.passing);
    let mut mean = SharedMemory::<f32>::new(tile.passing);

    fetch_keys(key, &mut keys, far, &lines, kind, first, count, rows, tile);
    fetch_keys(value, &mut values, far, &lines, kind, first, count, rows, tile);
    let place = UNIT_POS as usize;
    if place < comptime!(tile.held) {
        let mut run = Run { start: 0u32.runtime(), end: 0u32.runtime() };
        if first + place < count {
            let at = row % lookers.shape(0) * lookers.stride(0) + (first + place) * lookers.stride(1);
            run.start = lookers[at] as u32;
            run.end = lookers[at + 1] as u32;
        }
        asked.set(place, run);
    }
    sync_cube();

    let hull = asked.hull(0, tile.held);
    let length = query.shape(1).div_ceil(of_key.shape(0));
    let end = min(hull.end as usize, (piece + 1) * length) * lines.sharing;
    let mut start = max(hull.start as usize, piece * length) * lines.sharing;
    let mut result_of_key = zeros(comptime!(rows * columns));
    let mut result_of_value = zeros(comptime!(rows * columns));
    while start < end {
        fetch_lines(query, &mut queries, &lines, start, end, scale, each, tile);
        fetch_lines(slope, &mut slopes, &lines, start, end, 1.0, each, tile);
        if place < comptime!(tile.passing) {
            let line = start + place;
            seen.set(place, look(looks, &lines, line, end, kind));
            if line < end {
                sums[place] = log_sum[lines.start(log_sum, line)];
                mean[place] = means[lines.start(means, line)];
            }
        }
        sync_cube();
        let found = scores(&keys, &queries, tile);
        let of_shares = scores(&values, &slopes, tile);
        #[unroll]
        for l in 0..each {
            let line = x + l * SIDE;
            let run = seen.get(line);
            #[unroll]
            for r in 0..rows {
                let key = (first + y + r * SIDE) as u32;
                let mut share = 0.0f32.runtime();
                let mut of_score = 0.0f32.runtime();
                if key >= run.start && key < run.end {
                    share = (found[r * each + l] - sums[line]).exp();
                    of_score = share * (of_shares[r * each + l] - mean[line]);
                }
                shares[(y + r * SIDE) * comptime!(tile.score_pitch()) + line] = share;
                of_scores[(y + r * SIDE) * comptime!(tile.score_pitch()) + line] = of_score;
            }
        }
        sync_cube();
        weighted(&shares, &slopes, &mut result_of_value, tile);
        weighted(&of_scores, &queries, &mut result_of_key, tile);
        sync_cube();
        start += comptime!(tile.passing);
    }

    #[unroll]
    for r in 0..rows {
        let key = first + y + r * SIDE;
        if key < count {
            let place = piece * of_key.stride(0) + row * of_key.stride(1);
            let start = place + key * of_key.stride(2) + lines.group * of_key.stride(3);
            store(of_key, start, &result_of_key, r, 1.0, tile);
            store(of_value, start, &result_of_value, r, 1.0, tile);
        }
    }
}

/// Adds what far keys have, `[P, B, F, K, D]`, to the gradients of their slots, `[1, B, S, K, D]`, in the order of the
/// list and the pieces. `starts` is `[R, S + 1]`, `places` `[R, F]`; a unit for each element of the gradients.
#[cube(launch)]
pub(super) fn gather(
    far_of_key: &Tensor<f32>,
    far_of_value: &Tensor<f32>,
    starts: &Tensor<i32>,
    places: &Tensor<i32>,
    of_key: &mut Tensor<f32>,
    of_value: &mut Tensor<f32>,
) {
    let at = CUBE_POS * CUBE_DIM as usize + UNIT_POS as usize;
    if at >= of_key.shape(1) * of_key.stride(1) {
        terminate!();
    }
    let row = at / of_key.stride(1);
    let slot = at % of_key.stride(1) / of_key.stride(2);
    let element = at % of_key.stride(2);
    let start = row % starts.shape(0) * starts.stride(0) + slot;
    let end = starts[start + 1];
    let mut next = starts[start];
    let mut sum_of_key = 0.0f32.runtime();
    let mut sum_of_value = 0.0f32.runtime();
    while next < end {
        let place = places[row % places.shape(0) * places.stride(0) + next as usize] as usize;
        for piece in 0..far_of_key.shape(0) {
            let piece = piece * far_of_key.stride(0);
            let from = piece + row * far_of_key.stride(1) + place * far_of_key.stride(2) + element;
            sum_of_key += far_of_key[from];
            sum_of_value += far_of_value[from];
        }
        next += 1;
    }
    of_key[at] += sum_of_key;
    of_value[at] += sum_of_value;
}

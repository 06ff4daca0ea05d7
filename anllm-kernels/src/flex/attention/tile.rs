//! What forward and backward do with a tile: products of its queries with strips of keys, masks, sums over keys.

use std::ops::Range;

use pulp::Simd;

use super::pack::{QUAD, STRIP};

/// Keys of one step of the online softmax.
pub(super) const BLOCK: usize = 4 * STRIP;

/// The score of a key that a lane does not reach: its power is 0.
pub(super) const HIDDEN: f32 = -1e30;

/// A tile's queries or gradients, element by element: `out` `[D]` are vectors whose lanes are tokens. Lanes beyond the last
/// token are 0.
#[inline(always)]
pub(super) fn stand<'a, S: Simd>(token: impl Fn(usize) -> &'a [f32], count: usize, scale: f32, out: &mut [S::f32s]) {
    let lanes = S::F32_LANES;
    let flat: &mut [f32] = bytemuck::cast_slice_mut(out);
    flat.fill(0.0);
    for lane in 0..count {
        for (x, place) in token(lane).iter().zip(flat[lane..].iter_mut().step_by(lanes)) {
            *place = *x * scale;
        }
    }
}

/// One token of a tile, scaled, back in a line: the way back from [`stand`].
#[inline(always)]
pub(super) fn lie<S: Simd>(tile: &[S::f32s], lane: usize, scale: f32, line: &mut [f32]) {
    let flat: &[f32] = bytemuck::cast_slice(tile);
    for (out, x) in line.iter_mut().zip(flat[lane..].iter().step_by(S::F32_LANES)) {
        *out = *x * scale;
    }
}

/// A block's scores, or what becomes of them: one vector for each key, of each of `V` vectors of queries.
pub(super) type Scores<S, const V: usize> = [[<S as Simd>::f32s; BLOCK]; V];

/// Products of `V` vectors of queries, `tile` `[V, D]`, with the strips that hold a block's keys, `K` keys at a time.
#[inline(always)]
pub(super) fn products<S: Simd, const V: usize, const K: usize>(
    simd: S,
    tile: &[S::f32s],
    strips: &[f32],
    out: &mut Scores<S, V>,
) {
    let width = tile.len() / V;
    let mut queries: [&[S::f32s]; V] = [&[]; V];
    for v in 0..V {
        queries[v] = &tile[v * width..][..width];
    }
    for (number, strip) in strips.chunks_exact(width * STRIP).enumerate() {
        let strip = &strip.as_chunks::<STRIP>().0[..width];
        for part in (0..STRIP).step_by(K) {
            let mut sums = [[simd.splat_f32s(0.0); V]; K];
            for i in 0..width {
                for k in 0..K {
                    let key = simd.splat_f32s(strip[i][part + k]);
                    for v in 0..V {
                        sums[k][v] = simd.mul_add_f32s(queries[v][i], key, sums[k][v]);
                    }
                }
            }
            for k in 0..K {
                for v in 0..V {
                    out[v][number * STRIP + part + k] = sums[k][v];
                }
            }
        }
    }
}

/// Where each lane's keys start and end.
#[derive(Clone, Copy)]
pub(super) struct Lanes<S: Simd> {
    start: S::u32s,
    end: S::u32s,
    /// Keys that all lanes reach.
    common: (usize, usize),
}

impl<S: Simd> Lanes<S> {
    /// From one range for each lane that holds a token.
    #[inline(always)]
    pub(super) fn new(simd: S, ranges: &[Range<usize>]) -> Self {
        let mut start = simd.splat_u32s(0);
        let mut end = simd.splat_u32s(0);
        let starts: &mut [u32] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut start));
        let ends: &mut [u32] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut end));
        for ((range, start), end) in ranges.iter().zip(starts).zip(ends) {
            *start = range.start as u32;
            *end = range.end as u32;
        }
        let all = ranges.len() == S::F32_LANES;
        let first = ranges.iter().map(|range| range.start).max().unwrap_or(0);
        let last = if all { ranges.iter().map(|range| range.end).min().unwrap_or(0) } else { 0 };
        Self { start, end, common: (first, last) }
    }

    /// Replaces the values of keys `first..` by `hidden` in the lanes that do not reach them.
    #[inline(always)]
    pub(super) fn hide(&self, simd: S, first: usize, values: &mut [S::f32s], hidden: f32) {
        if first >= self.common.0 && first + values.len() <= self.common.1 {
            return;
        }
        let hidden = simd.splat_f32s(hidden);
        for (key, value) in (first as u32..).zip(values) {
            let key = simd.splat_u32s(key);
            let inside =
                simd.and_m32s(simd.greater_than_or_equal_u32s(key, self.start), simd.less_than_u32s(key, self.end));
            *value = simd.select_f32s(inside, *value, hidden);
        }
    }
}

/// Vectors of some keys, as [`quads`](super::pack::quads) lays them out.
#[derive(Clone, Copy)]
pub(super) struct Quads<'a> {
    /// `[quads, keys, QUAD]`.
    pub(super) elements: &'a [f32],
    /// How many keys were laid out.
    pub(super) keys: usize,
}

/// `sums = decay · sums + Σ weight · vector` over the keys `block`, for `V` vectors of queries, `Q` quads of elements at
/// a time: `sums` is `[V, D]`.
#[inline(always)]
pub(super) fn gather<S: Simd, const V: usize, const Q: usize>(
    simd: S,
    weights: &Scores<S, V>,
    quads: Quads<'_>,
    block: Range<usize>,
    decay: [S::f32s; V],
    sums: &mut [S::f32s],
) {
    let width = sums.len() / V;
    let count = block.len();
    let elements = quads.elements.as_chunks::<QUAD>().0;
    let mut shares: [&[S::f32s]; V] = [&[]; V];
    for v in 0..V {
        shares[v] = &weights[v][..count];
    }
    for first in (0..width.div_ceil(QUAD)).step_by(Q) {
        let mut lines: [&[[f32; QUAD]]; Q] = [&[]; Q];
        let mut held = [[[simd.splat_f32s(0.0); V]; QUAD]; Q];
        for q in 0..Q {
            lines[q] = &elements[(first + q) * quads.keys + block.start..][..count];
            for e in 0..QUAD.min(width.saturating_sub((first + q) * QUAD)) {
                for v in 0..V {
                    held[q][e][v] = simd.mul_f32s(sums[v * width + (first + q) * QUAD + e], decay[v]);
                }
            }
        }
        for key in 0..count {
            for q in 0..Q {
                for e in 0..QUAD {
                    let x = simd.splat_f32s(lines[q][key][e]);
                    for v in 0..V {
                        held[q][e][v] = simd.mul_add_f32s(shares[v][key], x, held[q][e][v]);
                    }
                }
            }
        }
        for q in 0..Q {
            for e in 0..QUAD.min(width.saturating_sub((first + q) * QUAD)) {
                for v in 0..V {
                    sums[v * width + (first + q) * QUAD + e] = held[q][e][v];
                }
            }
        }
    }
}

/// Adds, for each key, `Σ weight · token` over the tile's lanes to the key's sums.
///
/// `tokens` is `[lanes, W]` and `sums` `[keys, W]`, in vectors along the head's width.
#[inline(always)]
pub(super) fn scatter<S: Simd>(simd: S, weights: &[S::f32s], tokens: &[S::f32s], sums: &mut [S::f32s]) {
    const KEYS: usize = 4;
    let lanes = S::F32_LANES;
    let width = tokens.len() / lanes;
    let weights: &[f32] = bytemuck::cast_slice(weights);
    let mut key = 0;
    let keys = sums.len() / width;
    while key + KEYS <= keys {
        let weights: [&[f32]; KEYS] = std::array::from_fn(|i| &weights[(key + i) * lanes..(key + i + 1) * lanes]);
        let mut column = 0;
        while column + 2 <= width {
            let mut held = [[simd.splat_f32s(0.0); 2]; KEYS];
            for lane in 0..lanes {
                let (left, right) = (tokens[lane * width + column], tokens[lane * width + column + 1]);
                for (held, weights) in held.iter_mut().zip(&weights) {
                    let weight = simd.splat_f32s(weights[lane]);
                    held[0] = simd.mul_add_f32s(weight, left, held[0]);
                    held[1] = simd.mul_add_f32s(weight, right, held[1]);
                }
            }
            for (i, held) in held.iter().enumerate() {
                let place = (key + i) * width + column;
                sums[place] = simd.add_f32s(sums[place], held[0]);
                sums[place + 1] = simd.add_f32s(sums[place + 1], held[1]);
            }
            column += 2;
        }
        if column < width {
            for (i, weights) in weights.iter().enumerate() {
                let place = (key + i) * width + column;
                sums[place] = along(simd, weights, tokens, column, sums[place]);
            }
        }
        key += KEYS;
    }
    for key in key..keys {
        for column in 0..width {
            let place = key * width + column;
            sums[place] = along(simd, &weights[key * lanes..(key + 1) * lanes], tokens, column, sums[place]);
        }
    }
}

/// `sum + Σ weight · token` of one vector of the width.
#[inline(always)]
fn along<S: Simd>(simd: S, weights: &[f32], tokens: &[S::f32s], column: usize, mut sum: S::f32s) -> S::f32s {
    let width = tokens.len() / S::F32_LANES;
    for (weight, token) in weights.iter().zip(tokens.chunks_exact(width)) {
        sum = simd.mul_add_f32s(simd.splat_f32s(*weight), token[column], sum);
    }
    sum
}

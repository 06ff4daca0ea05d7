//! What forward and backward do with a tile: products of its queries with strips of keys, masks, sums over keys.

use std::ops::Range;

use pulp::Simd;

use super::pack::STRIP;

/// Keys of one step of the online softmax.
pub(super) const BLOCK: usize = 4 * STRIP;

/// The score of a key that a lane does not reach: its power is 0.
pub(super) const HIDDEN: f32 = -1e30;

/// A tile's queries or gradients, element by element: `[D]` vectors whose lanes are tokens. Lanes beyond the last token
/// are 0.
#[inline(always)]
pub(super) fn stand<'a, S: Simd>(
    token: impl Fn(usize) -> &'a [f32],
    count: usize,
    scale: f32,
    width: usize,
    out: &mut Vec<S::f32s>,
) {
    let lanes = S::F32_LANES;
    out.clear();
    out.resize(width, bytemuck::Zeroable::zeroed());
    let flat: &mut [f32] = bytemuck::cast_slice_mut(out);
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

/// Products of the tile with the strips that hold the keys of `block`: one vector for each key.
#[inline(always)]
pub(super) fn products<S: Simd>(simd: S, tile: &[S::f32s], strips: &[f32], out: &mut [S::f32s]) {
    for (strip, out) in strips.chunks_exact(tile.len() * STRIP).zip(out.chunks_exact_mut(STRIP)) {
        let mut sums = [simd.splat_f32s(0.0); STRIP];
        for (query, keys) in tile.iter().zip(strip.chunks_exact(STRIP)) {
            for (sum, key) in sums.iter_mut().zip(keys) {
                *sum = simd.mul_add_f32s(*query, simd.splat_f32s(*key), *sum);
            }
        }
        out.copy_from_slice(&sums);
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

/// Adds `Σ weight · line` over keys to the tile's sums, `[D]`: `lines` is `[keys, D]`.
#[inline(always)]
pub(super) fn gather<S: Simd>(simd: S, weights: &[S::f32s], lines: &[f32], sums: &mut [S::f32s]) {
    const AT_ONCE: usize = 8;
    let width = sums.len();
    let mut start = 0;
    while start + AT_ONCE <= width {
        let mut held = [simd.splat_f32s(0.0); AT_ONCE];
        held.copy_from_slice(&sums[start..start + AT_ONCE]);
        for (weight, line) in weights.iter().zip(lines.chunks_exact(width)) {
            for (sum, x) in held.iter_mut().zip(&line[start..start + AT_ONCE]) {
                *sum = simd.mul_add_f32s(*weight, simd.splat_f32s(*x), *sum);
            }
        }
        sums[start..start + AT_ONCE].copy_from_slice(&held);
        start += AT_ONCE;
    }
    for (element, sum) in sums.iter_mut().enumerate().skip(start) {
        for (weight, line) in weights.iter().zip(lines.chunks_exact(width)) {
            *sum = simd.mul_add_f32s(*weight, simd.splat_f32s(line[element]), *sum);
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

//! What one token sees of a few keys.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::super::super::exp::exp2;
use super::super::super::vectors::add_scaled;
use super::entries::{Entries, Lines};
use super::{Part, SPAN, Token};

/// Heads that look at a key together, and keys that they look at together: nine sums, which leave registers enough of any
/// processor for what they are made of.
const HEADS: usize = 3;
const KEYS: usize = 3;
/// At least as many scores as a vector of any processor holds.
const LANES: usize = 16;

/// Some keys, at most [`SPAN`], for all heads.
pub(super) struct Span<'a> {
    pub(super) token: &'a Token<'a>,
    /// Which of those that the token reaches.
    pub(super) range: Range<usize>,
}

impl Span<'_> {
    /// Leaves `part` as it is where there are no keys.
    pub(super) fn take(&self, part: Part<'_>) {
        if self.range.is_empty() {
            return;
        }
        // Whole vectors of each head's scores, however long they are; those beyond the keys come to nothing.
        let padded = self.range.len().next_multiple_of(LANES);
        let mut scores = vec![f32::NEG_INFINITY; self.token.sizes.heads * padded];
        Arch::new().dispatch(Look { span: self, padded, scores: &mut scores, part });
    }
}

/// Scores, as powers of two, from them shares, and the values weighted with these.
struct Look<'a> {
    span: &'a Span<'a>,
    padded: usize,
    /// `[H, padded]`.
    scores: &'a mut [f32],
    part: Part<'a>,
}

impl WithSimd for Look<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { span: Span { token, range }, padded, scores, part } = self;
        let Token { sizes, query, key, value, slots } = token;
        let (groups, width, sharing) = (sizes.groups, sizes.width, sizes.sharing());
        let mut reached = [0; SPAN];
        let reached = &mut reached[..range.len()];
        for (slot, number) in reached.iter_mut().zip(range.clone()) {
            *slot = slots.get(number);
            key.fetch(*slot, groups);
        }
        let mut room = Vec::new();
        let keys = key.lines(reached, groups, &mut room);
        for group in 0..groups {
            let scores = &mut scores[group * sharing * padded..(group + 1) * sharing * padded];
            for (number, scores) in scores.chunks_mut(HEADS * padded).enumerate() {
                let first = group * sharing + number * HEADS;
                let [a, b, c] = [first, first + 1, first + 2];
                let score = Score { keys: &keys, group, padded, scale: sizes.scale(), slots: reached, values: value };
                match scores.len() / padded {
                    1 => score.of(simd, [query.get(0, 0, a)], scores),
                    2 => score.of(simd, [query.get(0, 0, a), query.get(0, 0, b)], scores),
                    _ => score.of(simd, [query.get(0, 0, a), query.get(0, 0, b), query.get(0, 0, c)], scores),
                }
            }
        }
        for (head, scores) in scores.chunks_exact_mut(padded).enumerate() {
            let scores = S::as_mut_simd_f32s(scores).0;
            let mut highest = simd.splat_f32s(f32::NEG_INFINITY);
            for scores in &*scores {
                highest = simd.max_f32s(highest, *scores);
            }
            let highest = simd.reduce_max_f32s(highest);
            let shift = simd.splat_f32s(highest);
            let mut sum = simd.splat_f32s(0.0);
            for scores in scores {
                *scores = exp2(simd, simd.sub_f32s(*scores, shift));
                sum = simd.add_f32s(sum, *scores);
            }
            part.highest[head] = highest;
            part.sums[head] = simd.reduce_sum_f32s(sum);
        }
        let values = value.lines(reached, groups, &mut room);
        for group in 0..groups {
            let heads = group * sharing..(group + 1) * sharing;
            let outputs = part.values[heads.start * width..heads.end * width].chunks_mut(HEADS * width);
            for (first, output) in heads.step_by(HEADS).zip(outputs) {
                let shares = &scores[first * padded..];
                let weigh = Weigh { values: &values, group, count: range.len(), padded, shares };
                match output.len() / width {
                    1 => weigh.of::<S, 1>(simd, output),
                    2 => weigh.of::<S, 2>(simd, output),
                    _ => weigh.of::<S, HEADS>(simd, output),
                }
            }
        }
    }
}

/// What some heads score.
struct Score<'a> {
    keys: &'a Lines<'a>,
    group: usize,
    /// From one head's scores to the next one's.
    padded: usize,
    scale: f32,
    /// Where the keys are, and their values.
    slots: &'a [usize],
    values: &'a Entries<'a>,
}

impl Score<'_> {
    /// `scores` `[N, padded]`: `N` queries with each key, times `scale`.
    #[inline(always)]
    fn of<S: Simd, const N: usize>(&self, simd: S, queries: [&[f32]; N], scores: &mut [f32]) {
        let whole = self.slots.len() / KEYS * KEYS;
        for first in (0..whole).step_by(KEYS) {
            self.some::<S, N, KEYS>(simd, queries, first, scores);
        }
        for number in whole..self.slots.len() {
            self.some::<S, N, 1>(simd, queries, number, scores);
        }
    }

    /// `M` keys from `first` on.
    #[inline(always)]
    fn some<S: Simd, const N: usize, const M: usize>(
        &self,
        simd: S,
        queries: [&[f32]; N],
        first: usize,
        scores: &mut [f32],
    ) {
        let mut keys: [&[f32]; M] = [&[]; M];
        for (m, key) in keys.iter_mut().enumerate() {
            *key = self.keys.get(first + m, self.group);
            // While the first head looks at the keys, the values come.
            if self.group == 0 {
                self.values.fetch(self.slots[first + m], self.keys.groups());
            }
        }
        let sums = products(simd, queries, keys);
        for n in 0..N {
            let scores = &mut scores[n * self.padded + first..][..M];
            for m in 0..M {
                scores[m] = simd.reduce_sum_f32s(sums[n][m]) * self.scale;
            }
        }
    }
}

/// Each of `N` queries with each of `M` keys; the sum of a vector is the product. A key is loaded once for all queries.
///
/// Loops throughout: what `map` is given on an array is not compiled for these vectors where it is not inlined.
#[inline(always)]
fn products<S: Simd, const N: usize, const M: usize>(
    simd: S,
    queries: [&[f32]; N],
    keys: [&[f32]; M],
) -> [[S::f32s; M]; N] {
    let mut sums = [[simd.splat_f32s(0.0); M]; N];
    let (mut query, mut key) = ([const { Vectors::<S>::none() }; N], [const { Vectors::<S>::none() }; M]);
    for n in 0..N {
        query[n] = Vectors::of(queries[n]);
    }
    for m in 0..M {
        key[m] = Vectors::of(keys[m]);
    }
    for i in 0..key[0].whole.len() {
        for n in 0..N {
            for m in 0..M {
                sums[n][m] = simd.mul_add_f32s(query[n].whole[i], key[m].whole[i], sums[n][m]);
            }
        }
    }
    if !key[0].rest.is_empty() {
        for n in 0..N {
            let query = simd.partial_load_f32s(query[n].rest);
            for m in 0..M {
                sums[n][m] = simd.mul_add_f32s(query, simd.partial_load_f32s(key[m].rest), sums[n][m]);
            }
        }
    }
    sums
}

/// A slice as vectors.
struct Vectors<'a, S: Simd> {
    whole: &'a [S::f32s],
    rest: &'a [f32],
}

impl<'a, S: Simd> Vectors<'a, S> {
    const fn none() -> Self {
        Self { whole: &[], rest: &[] }
    }

    #[inline(always)]
    fn of(slice: &'a [f32]) -> Self {
        let (whole, rest) = S::as_simd_f32s(slice);
        Self { whole, rest }
    }
}

/// Values, weighted.
struct Weigh<'a> {
    values: &'a Lines<'a>,
    group: usize,
    /// How many there are.
    count: usize,
    /// From one head's shares to the next one's.
    padded: usize,
    /// `[N, padded]` and more.
    shares: &'a [f32],
}

impl Weigh<'_> {
    /// `output = Σ shares·values` for `N` heads, `[N, D]`.
    #[inline(always)]
    fn of<S: Simd, const N: usize>(&self, simd: S, output: &mut [f32]) {
        let width = output.len() / N;
        let whole = width / S::F32_LANES;
        let mut first = 0;
        while first < whole {
            // As many sums at once as are sure to stay in registers.
            first += match whole - first {
                1 => self.some::<S, N, 1>(simd, first, output),
                2 => self.some::<S, N, 2>(simd, first, output),
                3 => self.some::<S, N, 3>(simd, first, output),
                _ if S::F32_LANES < LANES => self.some::<S, N, 3>(simd, first, output),
                _ => self.some::<S, N, 4>(simd, first, output),
            };
        }
        let whole = whole * S::F32_LANES;
        if whole < width {
            for (shares, output) in self.shares.chunks(self.padded).zip(output.chunks_exact_mut(width)) {
                output[whole..].fill(0.0);
                for (number, &share) in shares[..self.count].iter().enumerate() {
                    add_scaled(simd, share, &self.values.get(number, self.group)[whole..], &mut output[whole..]);
                }
            }
        }
    }

    /// `M` vectors of it, from vector `first` on. Returns `M`.
    #[inline(always)]
    fn some<S: Simd, const N: usize, const M: usize>(&self, simd: S, first: usize, output: &mut [f32]) -> usize {
        let width = output.len() / N;
        let own = first * S::F32_LANES..(first + M) * S::F32_LANES;
        let mut sums = [[simd.splat_f32s(0.0); M]; N];
        for number in 0..self.count {
            let value = S::as_simd_f32s(&self.values.get(number, self.group)[own.clone()]).0;
            for (n, sums) in sums.iter_mut().enumerate() {
                let share = simd.splat_f32s(self.shares[n * self.padded + number]);
                for (sum, value) in sums.iter_mut().zip(value) {
                    *sum = simd.mul_add_f32s(*value, share, *sum);
                }
            }
        }
        for (sums, output) in sums.iter().zip(output.chunks_exact_mut(width)) {
            S::as_mut_simd_f32s(&mut output[own.clone()]).0[..M].copy_from_slice(sums);
        }
        M
    }
}

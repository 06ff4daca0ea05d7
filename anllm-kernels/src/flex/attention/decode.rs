//! Attention of one token: the cache's own rows are read, once, from front to back, and nothing is copied.
//!
//! Keys are cut into spans; each span gives every head the highest score, the sum of the shares and the weighted values
//! against that score, and the spans' parts are joined at the end.

use anllm_core::Reach;
use burn_flex::{Flex, FlexTensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::super::exp::exp2;
use super::super::lanes::{self, Lanes, OnLanes};
use super::super::tensors::{View, filled};
use super::super::vectors::add_scaled;
use super::Sizes;
use crate::attention::{Attended, Reaches};
use crate::packed::ROWS as LANES;

/// Keys that one thread takes at a time.
const SPAN: usize = 32;
/// Keys that are multiplied with a query at once.
const KEYS: usize = 8;

pub(super) fn forward(
    sizes: Sizes,
    query: &FlexTensor,
    key: &FlexTensor,
    value: &FlexTensor,
    reaches: &Reaches<Flex>,
) -> Attended<Flex> {
    let Sizes { rows, heads, width, .. } = sizes;
    let (query, key, value) = (View::of(query), View::of(key), View::of(value));
    let mut output = vec![0.0; rows * heads * width];
    let mut log_sum = vec![0.0; rows * heads];
    for row in 0..rows {
        let slots = slots(reaches.row(row));
        let spans = slots.par_chunks(SPAN).map(|slots| Span { sizes, query, key, value, slots, row }.part());
        let parts: Vec<Part> = spans.collect();
        let outputs = output[row * heads * width..].chunks_exact_mut(width);
        for (head, (output, log_sum)) in outputs.zip(&mut log_sum[row * heads..(row + 1) * heads]).enumerate() {
            *log_sum = join(&parts, head, output);
        }
    }
    Attended { output: filled(output, [rows, 1, heads, width]), log_sum: filled(log_sum, [rows, 1, heads]) }
}

/// The keys that the token reaches.
fn slots(reach: &Reach) -> Vec<usize> {
    let looks = reach.looks().iter().take(1);
    looks.flat_map(|look| reach.far()[look.far.clone()].iter().copied().chain(look.near.clone())).collect()
}

/// What one span gives.
struct Part {
    /// `[H]`, as powers of two.
    highest: Vec<f32>,
    /// `[H]`.
    sums: Vec<f32>,
    /// `[H, D]`.
    values: Vec<f32>,
}

impl Part {
    fn new(heads: usize, width: usize) -> Self {
        Self { highest: vec![f32::NEG_INFINITY; heads], sums: vec![0.0; heads], values: vec![0.0; heads * width] }
    }
}

/// One head's output and the logarithm of its sum.
fn join(parts: &[Part], head: usize, output: &mut [f32]) -> f32 {
    let width = output.len();
    let highest = parts.iter().map(|part| part.highest[head]).fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for part in parts {
        let weight = (part.highest[head] - highest).exp2();
        sum += part.sums[head] * weight;
        for (output, value) in output.iter_mut().zip(&part.values[head * width..]) {
            *output += value * weight;
        }
    }
    output.iter_mut().for_each(|output| *output /= sum);
    highest * std::f32::consts::LN_2 + sum.ln()
}

/// Some keys, for all heads.
struct Span<'a> {
    sizes: Sizes,
    query: View<'a>,
    key: View<'a>,
    value: View<'a>,
    slots: &'a [usize],
    row: usize,
}

impl Span<'_> {
    fn part(&self) -> Part {
        let Sizes { heads, width, .. } = self.sizes;
        // Whole vectors of each head's scores, however long they are; those beyond the keys come to nothing.
        let padded = self.slots.len().next_multiple_of(LANES);
        let mut scores = vec![f32::NEG_INFINITY; heads * padded];
        let mut part = Part::new(heads, width);
        lanes::run(Scores { span: self, padded, scores: &mut scores });
        Arch::new().dispatch(Shares { span: self, padded, scores: &mut scores, part: &mut part });
        part
    }
}

/// The products of queries and keys, as powers of two.
struct Scores<'a> {
    span: &'a Span<'a>,
    padded: usize,
    /// `[H, padded]`.
    scores: &'a mut [f32],
}

impl OnLanes for Scores<'_> {
    #[inline(always)]
    fn on<L: Lanes>(self, lanes: L) {
        let Self { span: Span { sizes, query, key, slots, row, .. }, padded, scores } = self;
        let (sharing, scale) = (sizes.sharing(), sizes.scale());
        for (block, slots) in slots.chunks(KEYS).enumerate() {
            for group in 0..sizes.groups {
                // Where keys are missing the last one stands in for them.
                let mut keys = [key.get(*row, slots[slots.len() - 1], group); KEYS];
                for (keys, slot) in keys.iter_mut().zip(slots) {
                    *keys = key.get(*row, *slot, group);
                }
                for head in group * sharing..(group + 1) * sharing {
                    let found = products(lanes, query.get(*row, 0, head), keys);
                    let scores = &mut scores[head * padded + block * KEYS..][..slots.len()];
                    scores.iter_mut().zip(found).for_each(|(score, found)| *score = found * scale);
                }
            }
        }
    }
}

/// A query with each of the keys.
#[inline(always)]
fn products<L: Lanes>(lanes: L, query: &[f32], keys: [&[f32]; KEYS]) -> [f32; KEYS] {
    let (whole, rest) = query.as_chunks::<LANES>();
    let mut whole_keys = [whole; KEYS];
    for (whole_keys, key) in whole_keys.iter_mut().zip(keys) {
        *whole_keys = &key.as_chunks().0[..whole.len()];
    }
    let mut last = [0.0; LANES];
    last[..rest.len()].copy_from_slice(rest);
    let mut folded = [[0.0; KEYS]; KEYS];
    // Four keys at once: more sums would not fit into registers.
    for four in [0, 4] {
        let mut sums = [lanes.floats(0.0); 4];
        for (i, query) in whole.iter().enumerate() {
            let query = lanes.load(query);
            for n in 0..4 {
                sums[n] = lanes.add_each(query, &whole_keys[four + n][i], sums[n]);
            }
        }
        if !rest.is_empty() {
            for n in 0..4 {
                let mut key = [0.0; LANES];
                key[..rest.len()].copy_from_slice(&keys[four + n][LANES * whole.len()..]);
                sums[n] = lanes.add_each(lanes.load(&last), &key, sums[n]);
            }
        }
        for n in 0..4 {
            let sums = lanes.rows(sums[n]);
            for i in 0..KEYS {
                folded[four + n][i] = sums[i] + sums[i + KEYS];
            }
        }
    }
    let columns = lanes.turned(folded.each_ref());
    let mut sums = [0.0; KEYS];
    for column in &columns {
        for i in 0..KEYS {
            sums[i] += column[i];
        }
    }
    sums
}

/// From scores to shares, and the values weighted with them.
struct Shares<'a> {
    span: &'a Span<'a>,
    padded: usize,
    /// `[H, padded]`.
    scores: &'a mut [f32],
    part: &'a mut Part,
}

impl WithSimd for Shares<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { span: Span { sizes, value, slots, row, .. }, padded, scores, part } = self;
        for (head, scores) in scores.chunks_exact_mut(padded).enumerate() {
            let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let shift = simd.splat_f32s(highest);
            let mut sum = simd.splat_f32s(0.0);
            for scores in S::as_mut_simd_f32s(scores).0 {
                *scores = exp2(simd, simd.sub_f32s(*scores, shift));
                sum = simd.add_f32s(sum, *scores);
            }
            part.highest[head] = highest;
            part.sums[head] = simd.reduce_sum_f32s(sum);
        }
        let (width, sharing) = (sizes.width, sizes.sharing());
        for group in 0..sizes.groups {
            let values = |number: usize| value.get(*row, slots[number], group);
            let heads = group * sharing..(group + 1) * sharing;
            let mut outputs = part.values[heads.start * width..heads.end * width].chunks_mut(3 * width);
            for first in heads.clone().step_by(3) {
                let Some(output) = outputs.next() else { break };
                let shares = |n: usize| &scores[(first + n) * padded..][..slots.len()];
                match output.len() / width {
                    1 => weighted(simd, [shares(0)], values, output),
                    2 => weighted(simd, [shares(0), shares(1)], values, output),
                    _ => weighted(simd, [shares(0), shares(1), shares(2)], values, output),
                }
            }
        }
    }
}

/// `output = Σ shares·values` for `N` heads, `[N, D]`, with as many sums at once as are sure to stay in registers.
#[inline(always)]
fn weighted<'a, S: Simd, const N: usize>(
    simd: S,
    shares: [&[f32]; N],
    value: impl Fn(usize) -> &'a [f32],
    output: &mut [f32],
) {
    let (width, count) = (output.len() / N, shares[0].len());
    let at_once = 4 * S::F32_LANES;
    let whole = width / at_once * at_once;
    for first in (0..whole).step_by(at_once) {
        let mut sums = [[simd.splat_f32s(0.0); 4]; N];
        for (number, value) in (0..count).map(&value).enumerate() {
            if let [a, b, c, d] = S::as_simd_f32s(&value[first..first + at_once]).0 {
                for n in 0..N {
                    let share = simd.splat_f32s(shares[n][number]);
                    sums[n][0] = simd.mul_add_f32s(*a, share, sums[n][0]);
                    sums[n][1] = simd.mul_add_f32s(*b, share, sums[n][1]);
                    sums[n][2] = simd.mul_add_f32s(*c, share, sums[n][2]);
                    sums[n][3] = simd.mul_add_f32s(*d, share, sums[n][3]);
                }
            }
        }
        for n in 0..N {
            let output = &mut output[n * width + first..][..at_once];
            for (output, sum) in S::as_mut_simd_f32s(output).0.iter_mut().zip(sums[n]) {
                *output = sum;
            }
        }
    }
    if whole < width {
        for (shares, output) in shares.iter().zip(output.chunks_exact_mut(width)) {
            for (number, &share) in shares.iter().enumerate() {
                add_scaled(simd, share, &value(number)[whole..], &mut output[whole..]);
            }
        }
    }
}

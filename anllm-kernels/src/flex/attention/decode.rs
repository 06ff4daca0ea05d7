//! Attention of one token: the cache's own rows are read, once, from front to back, and nothing is copied.
//!
//! Keys are cut into spans; each span gives every head the highest score, the sum of the shares and the weighted values
//! against that score, and the spans' parts are joined at the end.

use anllm_core::Reach;
use burn_flex::{Flex, FlexTensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::super::exp::exp2;
use super::super::tensors::{View, filled};
use super::super::vectors::{add_scaled, product};
use super::Sizes;
use crate::attention::{Attended, Reaches};

/// Keys that one thread takes at a time.
const SPAN: usize = 64;

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
        let parts = slots.par_chunks(SPAN).map(|slots| {
            let mut part = Part::new(heads, width);
            Arch::new().dispatch(Span { sizes, query, key, value, slots, row, part: &mut part });
            part
        });
        let parts: Vec<Part> = parts.collect();
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
    part: &'a mut Part,
}

impl WithSimd for Span<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sizes, query, key, value, slots, row, part } = self;
        let Sizes { heads, groups, width, .. } = sizes;
        let sharing = sizes.sharing();
        // `[H, n]`, with whole vectors of each head's scores; those beyond the keys come to nothing.
        let padded = slots.len().next_multiple_of(S::F32_LANES);
        let mut scores = vec![f32::NEG_INFINITY; heads * padded];
        for (number, &slot) in slots.iter().enumerate() {
            for group in 0..groups {
                let key = key.get(row, slot, group);
                for head in group * sharing..(group + 1) * sharing {
                    scores[head * padded + number] = product(simd, query.get(row, 0, head), key) * sizes.scale();
                }
            }
        }
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
        for (head, output) in part.values.chunks_exact_mut(width).enumerate() {
            let shares = &scores[head * padded..head * padded + slots.len()];
            weighted(simd, shares, |number| value.get(row, slots[number], head / sharing), output);
        }
    }
}

/// `output = Σ shares·values`, with as many sums at once as are sure to stay in registers.
#[inline(always)]
fn weighted<'a, S: Simd>(simd: S, shares: &[f32], value: impl Fn(usize) -> &'a [f32], output: &mut [f32]) {
    let at_once = 4 * S::F32_LANES;
    let whole = output.len() / at_once * at_once;
    let (blocks, rest) = output.split_at_mut(whole);
    for (block, output) in blocks.chunks_exact_mut(at_once).enumerate() {
        let mut sums = [simd.splat_f32s(0.0); 4];
        for (number, &share) in shares.iter().enumerate() {
            let share = simd.splat_f32s(share);
            let values = S::as_simd_f32s(&value(number)[block * at_once..(block + 1) * at_once]).0;
            if let [a, b, c, d] = values {
                sums[0] = simd.mul_add_f32s(*a, share, sums[0]);
                sums[1] = simd.mul_add_f32s(*b, share, sums[1]);
                sums[2] = simd.mul_add_f32s(*c, share, sums[2]);
                sums[3] = simd.mul_add_f32s(*d, share, sums[3]);
            }
        }
        for (output, sum) in S::as_mut_simd_f32s(output).0.iter_mut().zip(sums) {
            *output = sum;
        }
    }
    if !rest.is_empty() {
        for (number, &share) in shares.iter().enumerate() {
            add_scaled(simd, share, &value(number)[whole..], rest);
        }
    }
}

//! Attention of one token: the cache's own rows are read, once, from front to back, and nothing is copied. Entries of 16
//! bits become floats of 32 a span at a time.
//!
//! Keys are cut into spans; each span gives every head the highest score, the sum of the shares and the weighted values
//! against that score, and the spans' parts are joined at the end.

use std::ops::Range;

use anllm_core::Reach;
use burn_flex::{Flex, FlexTensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::super::exp::exp2;
use super::super::tensors::{View, filled};
use super::super::vectors::add_scaled;
use super::Sizes;
use super::entries::Entries;
use crate::attention::{Attended, Reaches, SequencePrimitives};

/// Keys that are looked at together.
const SPAN: usize = 32;
/// Heads that look at a key together.
const HEADS: usize = 3;
/// At least as many scores as a vector of any processor holds.
const LANES: usize = 16;

/// Products of a query's and a key's numbers that are worth a thread's attention.
const WORK: usize = 1 << 16;

/// `query` `[B, 1, H, D]` over `key` and `value` `[B, S, K, D]`.
pub(super) fn forward(
    sizes: Sizes,
    query: &FlexTensor,
    key: &FlexTensor,
    value: &FlexTensor,
    reaches: &Reaches<Flex>,
) -> Attended<Flex> {
    let Sizes { rows, heads, width, .. } = sizes;
    let (query, key, value) = (View::of(query), Entries::of(key), Entries::of(value));
    let mut output = vec![0.0; rows * heads * width];
    let mut log_sum = vec![0.0; rows * heads];
    let outputs = output.chunks_exact_mut(heads * width).zip(log_sum.chunks_exact_mut(heads));
    for (row, (output, log_sum)) in outputs.enumerate() {
        let Some(slots) = Slots::of(reaches.row(row)) else { continue };
        let token = Token { sizes, query: query.from(row, 0), key: key.row(row), value: value.row(row), slots };
        token.attend(output, log_sum);
    }
    Attended { output: filled(output, [rows, 1, heads, width]), log_sum: filled(log_sum, [rows, 1, heads]) }
}

/// `query` `[1, N, H, D]`, each over what its sequence holds.
pub(super) fn next(query: &FlexTensor, held: &[SequencePrimitives<'_, Flex>]) -> FlexTensor {
    let shape = query.layout().shape().clone();
    let (heads, width) = (shape[2], shape[3]);
    let query = View::of(query);
    // All reach something: none is left out, and tokens and outputs go in step.
    let tokens = held.iter().enumerate().filter_map(|(number, held)| {
        let groups = held.keys.layout().shape()[2];
        let sizes = Sizes { rows: 1, tokens: 1, heads, keys: held.entries + 1, groups, width };
        let (key, value) = (Entries::of(&held.keys), Entries::of(&held.values));
        Some(Token { sizes, query: query.from(0, number), key, value, slots: Slots::of(held.reaches.row(0))? })
    });
    let tokens: Vec<_> = tokens.collect();
    let keys: usize = tokens.iter().map(|token| token.slots.count()).sum();
    let at_once = WORK * tokens.len() / (keys * heads * width).max(1);
    let mut output = vec![0.0; shape.num_elements()];
    let each = output.par_chunks_exact_mut(heads * width).zip(&tokens).with_min_len(at_once.max(1));
    each.for_each(|(output, token)| token.attend(output, &mut vec![0.0; heads]));
    filled(output, shape)
}

/// One query and what it reaches.
struct Token<'a> {
    sizes: Sizes,
    /// `[1, 1, H, D]`.
    query: View<'a>,
    /// `[1, S, K, D]`.
    key: Entries<'a>,
    /// `[1, S, K, D]`.
    value: Entries<'a>,
    slots: Slots<'a>,
}

impl Token<'_> {
    /// Writes `output`, `[H, D]`, and `log_sum`, `[H]`.
    fn attend(&self, output: &mut [f32], log_sum: &mut [f32]) {
        let Sizes { heads, width, .. } = self.sizes;
        let count = self.slots.count();
        let spans = count.div_ceil(SPAN);
        if spans == 1 {
            // Nothing to join, and too little for several threads.
            let (mut highest, mut sums) = (vec![0.0; heads], vec![0.0; heads]);
            let span = Span { token: self, range: 0..count };
            span.take(Part { highest: &mut highest, sums: &mut sums, values: output });
            for (head, output) in output.chunks_exact_mut(width).enumerate() {
                output.iter_mut().for_each(|value| *value /= sums[head]);
                log_sum[head] = highest[head] * std::f32::consts::LN_2 + sums[head].ln();
            }
            return;
        }
        let mut parts = Parts::new(spans, heads, width);
        let each = parts.highest.par_chunks_mut(heads).zip(parts.sums.par_chunks_mut(heads));
        let each = each.zip(parts.values.par_chunks_mut(heads * width)).enumerate();
        each.for_each(|(number, ((highest, sums), values))| {
            let span = Span { token: self, range: number * SPAN..((number + 1) * SPAN).min(count) };
            span.take(Part { highest, sums, values });
        });
        for (head, (output, log_sum)) in output.chunks_exact_mut(width).zip(log_sum).enumerate() {
            *log_sum = parts.join(head, output);
        }
    }
}

/// The keys that the token reaches, where they are: no list is made of them.
#[derive(Clone, Copy)]
struct Slots<'a> {
    far: &'a [usize],
    /// The first near one.
    near: usize,
    near_count: usize,
}

impl<'a> Slots<'a> {
    fn of(reach: &'a Reach) -> Option<Self> {
        let look = reach.looks().first()?;
        Some(Self { far: &reach.far()[look.far.clone()], near: look.near.start, near_count: look.near.len() })
    }

    fn count(&self) -> usize {
        self.far.len() + self.near_count
    }

    #[inline(always)]
    fn get(&self, number: usize) -> usize {
        match self.far.get(number) {
            Some(slot) => *slot,
            None => self.near + (number - self.far.len()),
        }
    }
}

/// What the spans give.
struct Parts {
    heads: usize,
    /// `[spans, H]`, as powers of two.
    highest: Vec<f32>,
    /// `[spans, H]`.
    sums: Vec<f32>,
    /// `[spans, H, D]`.
    values: Vec<f32>,
}

impl Parts {
    fn new(spans: usize, heads: usize, width: usize) -> Self {
        let (highest, sums) = (vec![0.0; spans * heads], vec![0.0; spans * heads]);
        Self { heads, highest, sums, values: vec![0.0; spans * heads * width] }
    }

    /// One head's output and the logarithm of its sum.
    fn join(&self, head: usize, output: &mut [f32]) -> f32 {
        let of_head = |all: &[f32]| -> Vec<f32> { all.iter().skip(head).step_by(self.heads).copied().collect() };
        let (highest, sums) = (of_head(&self.highest), of_head(&self.sums));
        let most = highest.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weights: Vec<f32> = highest.iter().map(|highest| (highest - most).exp2()).collect();
        let sum: f32 = sums.iter().zip(&weights).map(|(sum, weight)| sum * weight).sum();
        let values = self.values.chunks_exact(output.len()).skip(head).step_by(self.heads);
        for (values, weight) in values.zip(&weights) {
            let weight = weight / sum;
            output.iter_mut().zip(values).for_each(|(output, value)| *output += value * weight);
        }
        most * std::f32::consts::LN_2 + sum.ln()
    }
}

/// Where one span writes.
struct Part<'a> {
    /// `[H]`, as powers of two.
    highest: &'a mut [f32],
    /// `[H]`.
    sums: &'a mut [f32],
    /// `[H, D]`.
    values: &'a mut [f32],
}

/// Some keys, for all heads.
struct Span<'a> {
    token: &'a Token<'a>,
    /// Which of those that the token reaches.
    range: Range<usize>,
}

impl Span<'_> {
    fn take(&self, part: Part<'_>) {
        // Whole vectors of each head's scores, however long they are; those beyond the keys come to nothing.
        let padded = self.range.len().next_multiple_of(LANES);
        let mut scores = vec![f32::NEG_INFINITY; self.token.sizes.heads * padded];
        Arch::new().dispatch(Look { span: self, padded, scores: &mut scores, part });
    }
}

/// `scores` `[N, …]`: `N` queries with each key, times `scale`. A key is loaded once for all of them.
#[inline(always)]
fn products<'a, S: Simd, const N: usize>(
    simd: S,
    queries: [&[f32]; N],
    key: impl Fn(usize) -> &'a [f32],
    scale: f32,
    scores: [&mut [f32]; N],
) {
    let (whole, rest) = (queries.map(|query| S::as_simd_f32s(query).0), queries.map(|query| S::as_simd_f32s(query).1));
    for number in 0..scores[0].len() {
        let (key, last) = S::as_simd_f32s(key(number));
        let mut sums = [simd.splat_f32s(0.0); N];
        for (i, key) in key.iter().enumerate() {
            for n in 0..N {
                sums[n] = simd.mul_add_f32s(whole[n][i], *key, sums[n]);
            }
        }
        if !last.is_empty() {
            let key = simd.partial_load_f32s(last);
            for n in 0..N {
                sums[n] = simd.mul_add_f32s(simd.partial_load_f32s(rest[n]), key, sums[n]);
            }
        }
        for n in 0..N {
            scores[n][number] = simd.reduce_sum_f32s(sums[n]) * scale;
        }
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
        let count = range.len();
        let (width, sharing) = (sizes.width, sizes.sharing());
        let slot = |number: usize| slots.get(range.start + number);
        let mut room = Vec::new();
        for group in 0..sizes.groups {
            let keys = key.of_group(group, count, slot, &mut room);
            let keys = |number: usize| keys.get(number);
            let queries = |head: usize| query.get(0, 0, group * sharing + head);
            let scores = &mut scores[group * sharing * padded..(group + 1) * sharing * padded];
            for (number, scores) in scores.chunks_mut(HEADS * padded).enumerate() {
                let first = number * HEADS;
                let mut lines = scores.chunks_exact_mut(padded).map(|scores| &mut scores[..count]);
                match [lines.next(), lines.next(), lines.next()] {
                    [Some(a), Some(b), Some(c)] => {
                        let queries = [queries(first), queries(first + 1), queries(first + 2)];
                        products(simd, queries, keys, sizes.scale(), [a, b, c]);
                    }
                    [Some(a), Some(b), None] => {
                        products(simd, [queries(first), queries(first + 1)], keys, sizes.scale(), [a, b]);
                    }
                    [Some(a), ..] => products(simd, [queries(first)], keys, sizes.scale(), [a]),
                    [None, ..] => {}
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
        for group in 0..sizes.groups {
            let values = value.of_group(group, count, slot, &mut room);
            let values = |number: usize| values.get(number);
            let heads = group * sharing..(group + 1) * sharing;
            let mut outputs = part.values[heads.start * width..heads.end * width].chunks_mut(HEADS * width);
            for first in heads.clone().step_by(HEADS) {
                let Some(output) = outputs.next() else { break };
                let shares = |n: usize| &scores[(first + n) * padded..][..count];
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

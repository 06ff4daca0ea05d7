//! The gradients of attention. Shares are worked out again from the scores and their sums, so that memory stays of the
//! order of the inputs.
//!
//! ```text
//! share = exp(q·k/√D − log_sum)          ∂v += share·g
//! slope = share·(g·v − g·o)              ∂q += slope·k/√D        ∂k += slope·q/√D
//! ```

use anllm_core::Reach;
use burn_flex::{Flex, FlexTensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::super::exp::exp2;
use super::super::tensors::{View, filled, values};
use super::Sizes;
use super::pack::{STRIP, quads, strips};
use super::span::Part;
use super::tile::{BLOCK, HIDDEN, Lanes, Quads, gather, lie, products, scatter, stand};
use crate::attention::{AttentionGradients, Reaches};

/// Tokens of a span, at least. Each span sums the gradients of its keys by itself; the sums are added in order.
const SPAN: usize = 128;
/// Spans of a row, at most: under full attention each may hold sums for every key.
const SPANS: usize = 16;

/// What the backward pass reads.
pub(super) struct Inputs<'a> {
    query: View<'a>,
    key: View<'a>,
    value: View<'a>,
    output: View<'a>,
    slope: View<'a>,
    /// `[B, T, H]`.
    log_sum: std::borrow::Cow<'a, [f32]>,
}

impl<'a> Inputs<'a> {
    pub(super) fn new(
        query: &'a FlexTensor,
        key: &'a FlexTensor,
        value: &'a FlexTensor,
        output: &'a FlexTensor,
        slope: &'a FlexTensor,
        log_sum: &'a FlexTensor,
    ) -> Self {
        let [query, key, value, output, slope] = [query, key, value, output, slope].map(View::of);
        Self { query, key, value, output, slope, log_sum: values(log_sum) }
    }
}

pub(super) fn backward(sizes: Sizes, inputs: &Inputs<'_>, reaches: &Reaches<Flex>) -> AttentionGradients<Flex> {
    let Sizes { rows, tokens, heads, keys, groups, width } = sizes;
    let span = SPAN.max(tokens.div_ceil(SPANS));
    let mut of_query = vec![0.0; rows * tokens * heads * width];
    let spans: Vec<_> = of_query
        .chunks_mut(tokens * heads * width)
        .enumerate()
        .flat_map(|(row, of_query)| {
            of_query.chunks_mut(span * heads * width).enumerate().map(move |(number, of_query)| Span {
                sizes,
                inputs,
                reach: reaches.row(row),
                row,
                first: number * span,
                of_query,
            })
        })
        .collect();
    let sums: Vec<Sums> = spans.into_par_iter().map(|span| Arch::new().dispatch(span)).collect();

    let mut of_key = vec![0.0; rows * keys * groups * width];
    let mut of_value = vec![0.0; rows * keys * groups * width];
    for sums in &sums {
        let start = sums.row * keys * groups * width;
        for part in &sums.parts {
            part.add_to(&mut of_key[start..], &mut of_value[start..], groups, width);
        }
    }
    let shape = [rows, keys, groups, width];
    AttentionGradients {
        query: filled(of_query, [rows, tokens, heads, width]),
        key: filled(of_key, shape),
        value: filled(of_value, shape),
    }
}

struct Span<'a> {
    sizes: Sizes,
    inputs: &'a Inputs<'a>,
    reach: &'a Reach,
    row: usize,
    /// The span's first token.
    first: usize,
    /// `[tokens of the span, H, D]`.
    of_query: &'a mut [f32],
}

/// What a span adds to the gradients of keys and values.
struct Sums {
    row: usize,
    parts: Vec<PartSums>,
}

/// The sums of one part's keys, `[K, keys, padded D]` each.
struct PartSums {
    slots: Vec<usize>,
    padded: usize,
    of_key: Vec<f32>,
    of_value: Vec<f32>,
}

impl PartSums {
    /// Into one row's gradients, `[S, K, D]`.
    fn add_to(&self, of_key: &mut [f32], of_value: &mut [f32], groups: usize, width: usize) {
        let held = self.slots.len().next_multiple_of(STRIP);
        for group in 0..groups {
            for (number, slot) in self.slots.iter().enumerate() {
                let from = (group * held + number) * self.padded;
                let to = (slot * groups + group) * width;
                add(&self.of_key[from..from + width], &mut of_key[to..to + width]);
                add(&self.of_value[from..from + width], &mut of_value[to..to + width]);
            }
        }
    }
}

fn add(from: &[f32], to: &mut [f32]) {
    to.iter_mut().zip(from).for_each(|(sum, x)| *sum += x);
}

/// A part's keys and values in both layouts.
#[derive(Default)]
struct Packed {
    key_strips: Vec<f32>,
    key_quads: Vec<f32>,
    value_strips: Vec<f32>,
}

/// Where a tile's tokens are.
#[derive(Clone, Copy)]
struct TilePlace {
    row: usize,
    /// The first.
    token: usize,
    head: usize,
    count: usize,
}

/// A tile's queries and gradients in both layouts.
struct Tile<S: Simd> {
    /// `[D]`, lanes are tokens, scaled for scores.
    queries: Vec<S::f32s>,
    /// `[D]`, lanes are tokens.
    slopes: Vec<S::f32s>,
    /// `[lanes, W]`, vectors along the width.
    query_lines: Vec<S::f32s>,
    /// `[lanes, W]`, vectors along the width.
    slope_lines: Vec<S::f32s>,
    /// `[D]`, lanes are tokens.
    of_queries: Vec<S::f32s>,
    log_sum: S::f32s,
    /// `g·o`.
    mean: S::f32s,
}

impl WithSimd for Span<'_> {
    type Output = Sums;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Sums {
        let Self { sizes, inputs, reach, row, first, of_query } = self;
        let Sizes { heads, groups, width, .. } = sizes;
        let lanes = S::F32_LANES;
        let vectors = width.div_ceil(lanes);
        let tokens = of_query.len() / (heads * width);
        let parts = [Part::far(reach, first..first + tokens), Part::near(reach, first..first + tokens)];
        let held = |part: &Part| part.slots.len().next_multiple_of(STRIP) * vectors;
        let zeros = |part: &Part| vec![simd.splat_f32s(0.0); held(part) * groups];
        let mut of_keys = [zeros(&parts[0]), zeros(&parts[1])];
        let mut of_values = [zeros(&parts[0]), zeros(&parts[1])];
        let mut packed = [Packed::default(), Packed::default()];
        let mut tile = Tile::<S>::new(simd, width, vectors);
        let unscale = 1.0 / (width as f32).sqrt();

        for group in 0..groups {
            for (part, packed) in parts.iter().zip(&mut packed) {
                strips(inputs.key, row, &part.slots, group, width, &mut packed.key_strips);
                quads(inputs.key, row, &part.slots, group, width, &mut packed.key_quads);
                strips(inputs.value, row, &part.slots, group, width, &mut packed.value_strips);
            }
            for head in group * sizes.sharing()..(group + 1) * sizes.sharing() {
                for start in (0..tokens).step_by(lanes) {
                    let count = lanes.min(tokens - start);
                    tile.fill(simd, inputs, sizes, TilePlace { row, token: first + start, head, count });
                    for (number, part) in parts.iter().enumerate() {
                        let place = group * held(part)..(group + 1) * held(part);
                        let of_keys = &mut of_keys[number][place.clone()];
                        let of_values = &mut of_values[number][place];
                        tile.walk(simd, part, start..start + count, &packed[number], of_keys, of_values);
                    }
                    for lane in 0..count {
                        let place = (start + lane) * heads + head;
                        let line = &mut of_query[place * width..(place + 1) * width];
                        lie::<S>(&tile.of_queries, lane, unscale, line);
                    }
                }
            }
        }
        let flat = |sums: Vec<S::f32s>| bytemuck::cast_slice::<S::f32s, f32>(&sums).to_vec();
        let sums = parts.into_iter().zip(of_keys.into_iter().zip(of_values));
        let sums = sums.map(|(part, (of_key, of_value))| PartSums {
            slots: part.slots,
            padded: vectors * lanes,
            of_key: flat(of_key),
            of_value: flat(of_value),
        });
        Sums { row, parts: sums.collect() }
    }
}

impl<S: Simd> Tile<S> {
    #[inline(always)]
    fn new(simd: S, width: usize, vectors: usize) -> Self {
        let zero = simd.splat_f32s(0.0);
        Self {
            queries: vec![zero; width],
            slopes: vec![zero; width],
            query_lines: vec![zero; S::F32_LANES * vectors],
            slope_lines: vec![zero; S::F32_LANES * vectors],
            of_queries: vec![zero; width],
            log_sum: zero,
            mean: zero,
        }
    }

    /// Reads the tokens at `place`.
    #[inline(always)]
    fn fill(&mut self, simd: S, inputs: &Inputs<'_>, sizes: Sizes, place: TilePlace) {
        let TilePlace { row, token, head, count } = place;
        let query = |lane: usize| inputs.query.get(row, token + lane, head);
        let slope = |lane: usize| inputs.slope.get(row, token + lane, head);
        stand::<S>(query, count, sizes.scale(), &mut self.queries);
        stand::<S>(slope, count, 1.0, &mut self.slopes);
        lay::<S>(query, count, sizes.scale() * std::f32::consts::LN_2, &mut self.query_lines);
        lay::<S>(slope, count, 1.0, &mut self.slope_lines);
        self.of_queries.fill(simd.splat_f32s(0.0));
        // Lanes without a token: the sum is so high that every share is 0.
        self.log_sum = simd.splat_f32s(-HIDDEN);
        self.mean = simd.splat_f32s(0.0);
        let sums: &mut [f32] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut self.log_sum));
        let means: &mut [f32] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut self.mean));
        for lane in 0..count {
            let output = inputs.output.get(row, token + lane, head);
            let log_sum = inputs.log_sum[(row * sizes.tokens + token + lane) * sizes.heads + head];
            sums[lane] = log_sum * std::f32::consts::LOG2_E;
            means[lane] = slope(lane).iter().zip(output).map(|(g, o)| g * o).sum();
        }
    }

    /// Goes over the keys of a part that the queries `tokens` of the span reach.
    #[inline(always)]
    fn walk(
        &mut self,
        simd: S,
        part: &Part,
        tokens: std::ops::Range<usize>,
        packed: &Packed,
        of_keys: &mut [S::f32s],
        of_values: &mut [S::f32s],
    ) {
        let width = self.of_queries.len();
        let vectors = self.query_lines.len() / S::F32_LANES;
        let walk = part.walk(tokens.clone());
        if walk.is_empty() {
            return;
        }
        let lanes = Lanes::new(simd, &part.ranges[tokens]);
        let mut shares = [[simd.splat_f32s(0.0); BLOCK]];
        let mut slopes = [[simd.splat_f32s(0.0); BLOCK]];
        for first in (walk.start / STRIP * STRIP..walk.end).step_by(BLOCK) {
            let count = (walk.end - first).min(BLOCK);
            let whole = count.next_multiple_of(STRIP);
            let place = first * width..(first + whole) * width;
            products::<S, 1, STRIP>(simd, &self.queries, &packed.key_strips[place.clone()], &mut shares);
            products::<S, 1, STRIP>(simd, &self.slopes, &packed.value_strips[place], &mut slopes);
            lanes.hide(simd, first, &mut shares[0][..count], HIDDEN);
            for (share, slope) in shares[0][..count].iter_mut().zip(&mut slopes[0]) {
                *share = exp2(simd, simd.sub_f32s(*share, self.log_sum));
                *slope = simd.mul_f32s(*share, simd.sub_f32s(*slope, self.mean));
            }
            let keys = Quads { elements: &packed.key_quads, keys: part.slots.len() };
            let decay = [simd.splat_f32s(1.0)];
            gather::<S, 1, 2>(simd, &slopes, keys, first..first + count, decay, &mut self.of_queries);
            let place = first * vectors..(first + count) * vectors;
            scatter(simd, &slopes[0][..count], &self.query_lines, &mut of_keys[place.clone()]);
            scatter(simd, &shares[0][..count], &self.slope_lines, &mut of_values[place]);
        }
    }
}

/// A tile's tokens one after another, `[lanes, W]`; lanes beyond the last token are 0.
#[inline(always)]
fn lay<'a, S: Simd>(token: impl Fn(usize) -> &'a [f32], count: usize, scale: f32, out: &mut [S::f32s]) {
    let padded = out.len() / S::F32_LANES * S::F32_LANES;
    let flat: &mut [f32] = bytemuck::cast_slice_mut(out);
    flat.fill(0.0);
    for (lane, line) in flat.chunks_exact_mut(padded).take(count).enumerate() {
        for (out, x) in line.iter_mut().zip(token(lane)) {
            *out = *x * scale;
        }
    }
}

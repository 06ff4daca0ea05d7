//! Attention of many tokens.

use anllm_core::Reach;
use burn_flex::{Flex, FlexTensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::super::exp::exp2;
use super::super::tensors::{View, filled};
use super::Sizes;
use super::pack::{STRIP, lines, strips};
use super::span::Part;
use super::tile::{BLOCK, HIDDEN, Lanes, gather, lie, products, stand};
use crate::attention::{Attended, Reaches};

/// Tokens that one thread takes at a time. Keys are laid out again for each span.
const SPAN: usize = 64;

pub(super) fn forward(
    sizes: Sizes,
    query: &FlexTensor,
    key: &FlexTensor,
    value: &FlexTensor,
    reaches: &Reaches<Flex>,
) -> Attended<Flex> {
    let Sizes { rows, tokens, heads, width, .. } = sizes;
    let (query, key, value) = (View::of(query), View::of(key), View::of(value));
    let mut output = vec![0.0; rows * tokens * heads * width];
    let mut log_sum = vec![0.0; rows * tokens * heads];
    // Spans do not reach from one row into the next.
    let of_rows = output.chunks_mut(tokens * heads * width).zip(log_sum.chunks_mut(tokens * heads)).enumerate();
    let spans: Vec<_> = of_rows
        .flat_map(|(row, (output, log_sum))| {
            let spans = output.chunks_mut(SPAN * heads * width).zip(log_sum.chunks_mut(SPAN * heads));
            spans.enumerate().map(move |(number, (output, log_sum))| Span {
                sizes,
                query,
                key,
                value,
                reach: reaches.row(row),
                row,
                first: number * SPAN,
                output,
                log_sum,
            })
        })
        .collect();
    spans.into_par_iter().for_each(|span| Arch::new().dispatch(span));
    Attended { output: filled(output, [rows, tokens, heads, width]), log_sum: filled(log_sum, [rows, tokens, heads]) }
}

struct Span<'a> {
    sizes: Sizes,
    query: View<'a>,
    key: View<'a>,
    value: View<'a>,
    reach: &'a Reach,
    row: usize,
    /// The span's first token.
    first: usize,
    /// `[tokens of the span, H, D]`.
    output: &'a mut [f32],
    /// `[tokens of the span, H]`.
    log_sum: &'a mut [f32],
}

/// A tile's running softmax.
struct Running<S: Simd> {
    highest: S::f32s,
    sum: S::f32s,
    /// `[D]`.
    values: Vec<S::f32s>,
}

impl WithSimd for Span<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sizes, query, key, value, reach, row, first, output, log_sum } = self;
        let Sizes { heads, groups, width, .. } = sizes;
        let lanes = S::F32_LANES;
        let tokens = log_sum.len() / heads;
        let parts = [Part::far(reach, first..first + tokens), Part::near(reach, first..first + tokens)];
        let mut keys = [Vec::new(), Vec::new()];
        let mut values = [Vec::new(), Vec::new()];
        let mut tile: Vec<S::f32s> = Vec::new();
        let mut running = Running::<S> {
            highest: simd.splat_f32s(HIDDEN),
            sum: simd.splat_f32s(0.0),
            values: vec![simd.splat_f32s(0.0); width],
        };
        for group in 0..groups {
            for (number, part) in parts.iter().enumerate() {
                strips(key, row, &part.slots, group, width, &mut keys[number]);
                lines(value, row, &part.slots, group, width, &mut values[number]);
            }
            for head in group * sizes.sharing()..(group + 1) * sizes.sharing() {
                for start in (0..tokens).step_by(lanes) {
                    let count = lanes.min(tokens - start);
                    let token = |lane: usize| query.get(row, first + start + lane, head);
                    stand::<S>(token, count, sizes.scale(), width, &mut tile);
                    running.clear(simd);
                    for (part, (keys, values)) in parts.iter().zip(keys.iter().zip(&values)) {
                        running.walk(simd, &tile, part, start..start + count, keys, values);
                    }
                    let highest: &[f32] = bytemuck::cast_slice(std::slice::from_ref(&running.highest));
                    let sum: &[f32] = bytemuck::cast_slice(std::slice::from_ref(&running.sum));
                    for lane in 0..count {
                        let place = (start + lane) * heads + head;
                        let line = &mut output[place * width..(place + 1) * width];
                        lie::<S>(&running.values, lane, 1.0 / sum[lane], line);
                        log_sum[place] = highest[lane] * std::f32::consts::LN_2 + sum[lane].ln();
                    }
                }
            }
        }
    }
}

impl<S: Simd> Running<S> {
    #[inline(always)]
    fn clear(&mut self, simd: S) {
        self.highest = simd.splat_f32s(HIDDEN);
        self.sum = simd.splat_f32s(0.0);
        self.values.fill(simd.splat_f32s(0.0));
    }

    /// Takes in the keys of a part that the queries `tokens` of the span reach.
    #[inline(always)]
    fn walk(
        &mut self,
        simd: S,
        tile: &[S::f32s],
        part: &Part,
        tokens: std::ops::Range<usize>,
        keys: &[f32],
        values: &[f32],
    ) {
        let width = tile.len();
        let walk = part.walk(tokens.clone());
        if walk.is_empty() {
            return;
        }
        let lanes = Lanes::new(simd, &part.ranges[tokens]);
        let mut scores = [simd.splat_f32s(0.0); BLOCK];
        for first in (walk.start / STRIP * STRIP..walk.end).step_by(BLOCK) {
            let count = (walk.end - first).min(BLOCK);
            let strips = count.div_ceil(STRIP);
            let scores = &mut scores[..strips * STRIP];
            products(simd, tile, &keys[first * width..(first + strips * STRIP) * width], scores);
            let scores = &mut scores[..count];
            lanes.hide(simd, first, scores, HIDDEN);
            let mut highest = self.highest;
            for score in &*scores {
                highest = simd.max_f32s(highest, *score);
            }
            let shrink = exp2(simd, simd.sub_f32s(self.highest, highest));
            let mut sum = simd.mul_f32s(self.sum, shrink);
            for score in &mut *scores {
                *score = exp2(simd, simd.sub_f32s(*score, highest));
                sum = simd.add_f32s(sum, *score);
            }
            for value in &mut self.values {
                *value = simd.mul_f32s(*value, shrink);
            }
            gather(simd, scores, &values[first * width..(first + count) * width], &mut self.values);
            self.highest = highest;
            self.sum = sum;
        }
    }
}

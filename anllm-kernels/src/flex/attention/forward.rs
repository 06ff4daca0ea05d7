//! Attention of many tokens.

use std::ops::{Range, RangeInclusive};

use anllm_core::Reach;
use burn_flex::{Flex, FlexTensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::super::exp::exp2;
use super::super::tensors::{View, filled};
use super::Sizes;
use super::pack::{STRIP, quads, strips};
use super::span::Part;
use super::tile::{BLOCK, HIDDEN, Lanes, Quads, gather, lie, products, stand};
use crate::attention::{Attended, Reaches};

/// Into how many pieces a row of tokens and heads of keys is cut, if that allows: threads are to come to the end together.
const PIECES: usize = 12;
/// Tokens that one thread takes at a time. Keys are laid out again for each span.
const SPAN: RangeInclusive<usize> = 32..=128;
/// Keys that are laid out together: they stay in the second nearest cache while all queries of the span, and of the heads
/// that share them, go over them.
const KEYS: usize = 4 * BLOCK;
/// Vectors of queries that go over keys together where they can: a number of a key, once in a register, is multiplied into
/// all of them.
const TOGETHER: usize = 2;

pub(super) fn forward(
    sizes: Sizes,
    query: &FlexTensor,
    key: &FlexTensor,
    value: &FlexTensor,
    reaches: &Reaches<Flex>,
) -> Attended<Flex> {
    let Sizes { rows, tokens, heads, groups, width, .. } = sizes;
    let (query, key, value) = (View::of(query), View::of(key), View::of(value));
    let mut output = vec![0.0; rows * tokens * heads * width];
    let mut log_sum = vec![0.0; rows * tokens * heads];
    let span = (tokens * groups / PIECES).next_multiple_of(16).clamp(*SPAN.start(), *SPAN.end());
    let mut spans = Vec::new();
    // Spans do not reach from one row into the next.
    let of_rows = output.chunks_mut(tokens * heads * width).zip(log_sum.chunks_mut(tokens * heads)).enumerate();
    for (row, (output, log_sum)) in of_rows {
        let of_spans = output.chunks_mut(span * heads * width).zip(log_sum.chunks_mut(span * heads)).enumerate();
        for (number, (output, log_sum)) in of_spans {
            let output = by_group(output, groups, sizes.sharing() * width);
            let log_sum = by_group(log_sum, groups, sizes.sharing());
            spans.extend(output.into_iter().zip(log_sum).enumerate().map(|(group, (output, log_sum))| Span {
                sizes,
                query,
                key,
                value,
                reach: reaches.row(row),
                row,
                group,
                first: number * span,
                output,
                log_sum,
            }));
        }
    }
    // The last spans have the most keys under full attention: they go first, so that threads come to the end together.
    spans.into_par_iter().rev().with_max_len(1).for_each(|span| Arch::new().dispatch(span));
    Attended { output: filled(output, [rows, tokens, heads, width]), log_sum: filled(log_sum, [rows, tokens, heads]) }
}

/// Cuts `numbers`, `[tokens, groups, each]`, into what belongs to each group: a slice of each token's.
fn by_group(numbers: &mut [f32], groups: usize, each: usize) -> Vec<Vec<&mut [f32]>> {
    let tokens = numbers.len() / (groups * each).max(1);
    let mut parts: Vec<Vec<_>> = (0..groups).map(|_| Vec::with_capacity(tokens)).collect();
    for token in numbers.chunks_exact_mut((groups * each).max(1)) {
        token.chunks_exact_mut(each).zip(&mut parts).for_each(|(own, part)| part.push(own));
    }
    parts
}

/// Some tokens of a row, and the heads of queries that share one head of keys.
struct Span<'a, 'b> {
    sizes: Sizes,
    query: View<'a>,
    key: View<'a>,
    value: View<'a>,
    reach: &'a Reach,
    row: usize,
    /// The head of keys.
    group: usize,
    /// The span's first token.
    first: usize,
    /// Of each token, `[heads of the group, D]`.
    output: Vec<&'b mut [f32]>,
    /// Of each token, `[heads of the group]`.
    log_sum: Vec<&'b mut [f32]>,
}

impl WithSimd for Span<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sizes, query, key, value, reach, row, group, first, mut output, mut log_sum } = self;
        let Sizes { width, .. } = sizes;
        let sharing = sizes.sharing();
        let tokens = output.len();
        let head = group * sharing;
        let mut tiles = Tiles::new(simd, sharing, tokens, width);
        tiles.fill(sizes.scale(), |own, token| query.get(row, first + token, head + own));
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for part in [Part::far(reach, first..first + tokens), Part::near(reach, first..first + tokens)] {
            let sights = sights(simd, &part, tokens);
            for start in (0..part.slots.len()).step_by(KEYS) {
                let chunk = start..(start + KEYS).min(part.slots.len());
                strips(key, row, &part.slots[chunk.clone()], group, width, &mut keys);
                quads(value, row, &part.slots[chunk.clone()], group, width, &mut values);
                let values = Quads { elements: &values, keys: chunk.len() };
                tiles.walk(simd, &sights, Chunk { keys: &keys, values, range: chunk });
            }
        }
        tiles.finish(|own, token, values, lane, highest, sum| {
            lie::<S>(values, lane, 1.0 / sum, &mut output[token][own * width..(own + 1) * width]);
            log_sum[token][own] = highest * std::f32::consts::LN_2 + sum.ln();
        });
    }
}

/// What a vector of queries goes over, of a part's keys.
struct Sight<S: Simd> {
    /// From the first key that one of them reaches to the last.
    walk: Range<usize>,
    lanes: Lanes<S>,
}

/// Of each vector of a span's queries.
#[inline(always)]
fn sights<S: Simd>(simd: S, part: &Part, tokens: usize) -> Vec<Sight<S>> {
    let mut sights = Vec::new();
    for start in (0..tokens).step_by(S::F32_LANES) {
        let own = start..(start + S::F32_LANES).min(tokens);
        sights.push(Sight { walk: part.walk(own.clone()), lanes: Lanes::new(simd, &part.ranges[own]) });
    }
    sights
}

/// Some of a part's keys, laid out.
struct Chunk<'a> {
    /// In strips.
    keys: &'a [f32],
    values: Quads<'a>,
    /// Which of the part's keys they are.
    range: Range<usize>,
}

impl Chunk<'_> {
    /// What a walk has in common with the chunk.
    #[inline(always)]
    fn part_of(&self, walk: &Range<usize>) -> Range<usize> {
        walk.start.max(self.range.start)..walk.end.min(self.range.end)
    }
}

/// A span's queries of the heads that share keys, with their running softmaxes.
struct Tiles<S: Simd> {
    /// Of each head.
    tokens: usize,
    width: usize,
    /// `[heads, vectors, D]`.
    queries: Vec<S::f32s>,
    /// `[heads, vectors]`.
    highest: Vec<S::f32s>,
    /// `[heads, vectors]`.
    sums: Vec<S::f32s>,
    /// `[heads, vectors, D]`.
    values: Vec<S::f32s>,
}

impl<S: Simd> Tiles<S> {
    #[inline(always)]
    fn new(simd: S, heads: usize, tokens: usize, width: usize) -> Self {
        let vectors = heads * tokens.div_ceil(S::F32_LANES);
        let zero = simd.splat_f32s(0.0);
        Self {
            tokens,
            width,
            queries: vec![zero; vectors * width],
            highest: vec![simd.splat_f32s(HIDDEN); vectors],
            sums: vec![zero; vectors],
            values: vec![zero; vectors * width],
        }
    }

    /// Takes in the queries; `query` is told a head and a token.
    #[inline(always)]
    fn fill<'a>(&mut self, scale: f32, query: impl Fn(usize, usize) -> &'a [f32]) {
        let of_head = self.tokens.div_ceil(S::F32_LANES);
        for (number, queries) in self.queries.chunks_exact_mut(self.width).enumerate() {
            let (head, start) = (number / of_head, number % of_head * S::F32_LANES);
            let count = S::F32_LANES.min(self.tokens - start);
            stand::<S>(|lane| query(head, start + lane), count, scale, queries);
        }
    }

    /// Takes in the keys of a chunk. Vectors go over them together where that takes in few more keys than each would by
    /// itself: segments are often shorter than such a tile.
    #[inline(always)]
    fn walk(&mut self, simd: S, sights: &[Sight<S>], chunk: Chunk<'_>) {
        for first in (0..self.highest.len()).step_by(sights.len()) {
            let mut number = 0;
            while number < sights.len() {
                match sights[number..].first_chunk::<TOGETHER>().and_then(|sights| together(sights, &chunk)) {
                    Some(keys) => {
                        let sights = &sights[number..];
                        match S::REGISTER_COUNT > 16 {
                            true => self.take::<TOGETHER, 8, 2>(simd, first + number, sights, keys, &chunk),
                            false => self.take::<TOGETHER, 4, 1>(simd, first + number, sights, keys, &chunk),
                        }
                        number += TOGETHER;
                    }
                    None => {
                        let keys = chunk.part_of(&sights[number].walk);
                        if !keys.is_empty() {
                            self.take::<1, 8, 2>(simd, first + number, &sights[number..], keys, &chunk);
                        }
                        number += 1;
                    }
                }
            }
        }
    }

    /// Takes in the `keys` of a chunk for `V` vectors, from number `first` on, `K` keys at a time.
    #[inline(always)]
    fn take<const V: usize, const K: usize, const Q: usize>(
        &mut self,
        simd: S,
        first: usize,
        sights: &[Sight<S>],
        keys: Range<usize>,
        chunk: &Chunk<'_>,
    ) {
        let width = self.width;
        let queries = &self.queries[first * width..(first + V) * width];
        let values = &mut self.values[first * width..(first + V) * width];
        let (highest, sums) = (&mut self.highest[first..first + V], &mut self.sums[first..first + V]);
        let sights = &sights[..V];
        let mut scores = [[simd.splat_f32s(0.0); BLOCK]; V];
        let (start, end) = (keys.start - chunk.range.start, keys.end - chunk.range.start);
        for block in (start / STRIP * STRIP..end).step_by(BLOCK) {
            let count = (end - block).min(BLOCK);
            let whole = count.next_multiple_of(STRIP);
            products::<S, V, K>(simd, queries, &chunk.keys[block * width..(block + whole) * width], &mut scores);
            let mut decay = [simd.splat_f32s(0.0); V];
            for v in 0..V {
                let scores = &mut scores[v][..count];
                sights[v].lanes.hide(simd, chunk.range.start + block, scores, HIDDEN);
                let mut most = highest[v];
                for score in &*scores {
                    most = simd.max_f32s(most, *score);
                }
                decay[v] = exp2(simd, simd.sub_f32s(highest[v], most));
                let mut sum = simd.mul_f32s(sums[v], decay[v]);
                for score in &mut *scores {
                    *score = exp2(simd, simd.sub_f32s(*score, most));
                    sum = simd.add_f32s(sum, *score);
                }
                (highest[v], sums[v]) = (most, sum);
            }
            gather::<S, V, Q>(simd, &scores, chunk.values, block..block + count, decay, values);
        }
    }

    /// Tells `finish`, for each head and token, its vector of values, `[D]`, its lane there, and the highest score and
    /// the sum against which they are.
    #[inline(always)]
    fn finish(&self, mut finish: impl FnMut(usize, usize, &[S::f32s], usize, f32, f32)) {
        let of_head = self.tokens.div_ceil(S::F32_LANES);
        let (highest, sums): (&[f32], &[f32]) = (bytemuck::cast_slice(&self.highest), bytemuck::cast_slice(&self.sums));
        for (number, values) in self.values.chunks_exact(self.width).enumerate() {
            let (head, start) = (number / of_head, number % of_head * S::F32_LANES);
            for lane in 0..S::F32_LANES.min(self.tokens - start) {
                let place = number * S::F32_LANES + lane;
                finish(head, start + lane, values, lane, highest[place], sums[place]);
            }
        }
    }
}

/// The keys of a chunk that vectors go over together, where that is worth it.
#[inline(always)]
fn together<S: Simd>(sights: &[Sight<S>; TOGETHER], chunk: &Chunk<'_>) -> Option<Range<usize>> {
    let mut each = 0;
    let mut all = chunk.range.end..chunk.range.start;
    for sight in sights {
        let keys = chunk.part_of(&sight.walk);
        if keys.is_empty() {
            return None;
        }
        each += keys.len();
        all = all.start.min(keys.start)..all.end.max(keys.end);
    }
    (4 * TOGETHER * all.len() <= 5 * each).then_some(all)
}

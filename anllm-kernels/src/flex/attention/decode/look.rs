//! What one token sees of some keys, block by block with an online softmax (Milakov and Gimelshein 2018).

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::super::super::exp::exp2;
use super::entries::Lines;
use super::score::{KEYS, Score};
use super::weigh::Weigh;
use super::{BLOCK, HEADS, Part, Token};

/// Some keys, for all heads.
pub(super) struct Span<'a> {
    pub(super) token: &'a Token<'a>,
    /// Which of those that the token reaches.
    pub(super) range: Range<usize>,
}

impl Span<'_> {
    /// Leaves `part` as it is where there are no keys.
    pub(super) fn take(&self, part: Part<'_>) {
        let heads = self.token.sizes.heads;
        let (scores, kept) = (vec![0.0; heads * BLOCK], vec![0.0; heads]);
        Arch::new().dispatch(Look { span: self, scores, kept, part });
    }
}

/// Scores, as powers of two, from them shares, and the values weighted with these. While a block's keys are looked at its
/// values come from memory, and while these are, the next block's keys: little by little, so
/// that memory is busy while there is work.
struct Look<'a> {
    span: &'a Span<'a>,
    /// `[H, BLOCK]`.
    scores: Vec<f32>,
    /// `[H]`, what is kept of what there is when higher scores come.
    kept: Vec<f32>,
    part: Part<'a>,
}

impl WithSimd for Look<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Span { token: Token { sizes, key, value, slots, .. }, range } = self.span;
        let mut rest = range.clone();
        let mut next = [0; BLOCK];
        let mut coming = slots.take(&mut rest, &mut next);
        for slot in &next[..coming] {
            key.fetch(*slot, sizes.groups);
        }
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        while coming > 0 {
            let these = next;
            let block = &these[..coming];
            coming = slots.take(&mut rest, &mut next);
            self.score(simd, &key.lines(block, sizes.groups, &mut keys), block);
            self.share(simd);
            self.weigh(simd, &value.lines(block, sizes.groups, &mut values), block.len(), &next[..coming]);
        }
    }
}

impl Look<'_> {
    /// The scores of a block of `keys`, whose slots these are; their values are asked for.
    #[inline(always)]
    fn score<S: Simd>(&mut self, simd: S, keys: &Lines<'_>, block: &[usize]) {
        let Token { sizes, query, value, .. } = self.span.token;
        let sharing = sizes.sharing();
        // Whole vectors of each head's scores: those beyond the keys come to nothing.
        if block.len() < BLOCK {
            self.scores.fill(f32::NEG_INFINITY);
        }
        for (number, slots) in block.chunks(KEYS).enumerate() {
            for slot in slots {
                value.fetch(*slot, sizes.groups);
            }
            // All heads before the next keys: memory is read in order.
            for group in 0..sizes.groups {
                let heads = group * sharing..(group + 1) * sharing;
                let scores = self.scores[heads.start * BLOCK..heads.end * BLOCK].chunks_mut(HEADS * BLOCK);
                for (head, scores) in heads.step_by(HEADS).zip(scores) {
                    let keys = Score { keys, group, first: number * KEYS, count: slots.len(), scale: sizes.scale() };
                    let [a, b, c] = [head, head + 1, head + 2];
                    match scores.len() / BLOCK {
                        1 => keys.of(simd, [query.get(0, 0, a)], scores),
                        2 => keys.of(simd, [query.get(0, 0, a), query.get(0, 0, b)], scores),
                        _ => keys.of(simd, [query.get(0, 0, a), query.get(0, 0, b), query.get(0, 0, c)], scores),
                    }
                }
            }
        }
    }

    /// Scores become shares, against the highest of those so far.
    #[inline(always)]
    fn share<S: Simd>(&mut self, simd: S) {
        let Self { scores, kept, part, .. } = self;
        for (head, scores) in scores.chunks_exact(BLOCK).enumerate() {
            let mut highest = simd.splat_f32s(part.highest[head]);
            for scores in S::as_simd_f32s(scores).0 {
                highest = simd.max_f32s(highest, *scores);
            }
            let highest = simd.reduce_max_f32s(highest);
            kept[head] = part.highest[head] - highest;
            part.highest[head] = highest;
        }
        powers(simd, kept);
        for (head, scores) in scores.chunks_exact_mut(BLOCK).enumerate() {
            let shift = simd.splat_f32s(part.highest[head]);
            let mut sum = simd.splat_f32s(0.0);
            for scores in S::as_mut_simd_f32s(scores).0 {
                *scores = exp2(simd, simd.sub_f32s(*scores, shift));
                sum = simd.add_f32s(sum, *scores);
            }
            part.sums[head] = part.sums[head] * kept[head] + simd.reduce_sum_f32s(sum);
        }
    }

    /// Adds `count` values by their shares; the keys in the slots `coming` are asked for.
    #[inline(always)]
    fn weigh<S: Simd>(&mut self, simd: S, values: &Lines<'_>, count: usize, coming: &[usize]) {
        let Token { sizes, key, .. } = self.span.token;
        let (width, sharing) = (sizes.width, sizes.sharing());
        for group in 0..sizes.groups {
            let heads = group * sharing..(group + 1) * sharing;
            let outputs = self.part.values[heads.start * width..heads.end * width].chunks_mut(HEADS * width);
            for (first, output) in heads.step_by(HEADS).zip(outputs) {
                let (shares, kept) = (&self.scores[first * BLOCK..], &self.kept[first..]);
                // Asked for once.
                let coming = if first == 0 { coming } else { &[] };
                let weigh = Weigh { values, group, count, shares, kept, keys: key, coming, groups: sizes.groups };
                match output.len() / width {
                    1 => weigh.of::<S, 1>(simd, output),
                    2 => weigh.of::<S, 2>(simd, output),
                    _ => weigh.of::<S, HEADS>(simd, output),
                }
            }
        }
    }
}

/// `2^x` of each.
#[inline(always)]
fn powers<S: Simd>(simd: S, numbers: &mut [f32]) {
    let (whole, rest) = S::as_mut_simd_f32s(numbers);
    for numbers in whole {
        *numbers = exp2(simd, *numbers);
    }
    if !rest.is_empty() {
        let powers = exp2(simd, simd.partial_load_f32s(rest));
        simd.partial_store_f32s(rest, powers);
    }
}

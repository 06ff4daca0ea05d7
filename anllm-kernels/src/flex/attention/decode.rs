//! Attention of one token: the cache's own rows are read, once, and nothing is copied.

use anllm_core::{Look, Reach};
use burn_flex::{Flex, FlexTensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::super::exp::exp2;
use super::super::tensors::{View, filled};
use super::super::vectors::{add_scaled, product};
use super::Sizes;
use crate::attention::{Attended, Reaches};

/// Products below which a second thread costs more than it brings.
const WORTH_SHARING: usize = 1 << 17;

pub(super) fn forward(
    sizes: Sizes,
    query: &FlexTensor,
    key: &FlexTensor,
    value: &FlexTensor,
    reaches: &Reaches<Flex>,
) -> Attended<Flex> {
    let Sizes { rows, heads, groups, width, .. } = sizes;
    let (query, key, value) = (View::of(query), View::of(key), View::of(value));
    let sharing = sizes.sharing();
    let mut output = vec![0.0; rows * heads * width];
    let mut log_sum = vec![0.0; rows * heads];
    let work: usize = (0..rows).map(|row| reaches.row(row).pairs() * heads * width).sum();
    let pieces = output.par_chunks_mut(sharing * width).zip(log_sum.par_chunks_mut(sharing)).enumerate();
    let at_least = if work < WORTH_SHARING { rows * groups } else { 1 };
    pieces.with_min_len(at_least.max(1)).for_each(|(number, (output, log_sum))| {
        let (row, group) = (number / groups, number % groups);
        let reach = reaches.row(row);
        for look in &reach.looks()[..1] {
            let heads = Heads {
                sizes,
                query,
                key,
                value,
                reach,
                look,
                row,
                group,
                output: &mut *output,
                log_sum: &mut *log_sum,
            };
            Arch::new().dispatch(heads);
        }
    });
    Attended { output: filled(output, [rows, 1, heads, width]), log_sum: filled(log_sum, [rows, 1, heads]) }
}

/// The query heads that share one key head.
struct Heads<'a> {
    sizes: Sizes,
    query: View<'a>,
    key: View<'a>,
    value: View<'a>,
    reach: &'a Reach,
    look: &'a Look,
    row: usize,
    group: usize,
    /// `[H/K, D]`.
    output: &'a mut [f32],
    /// `[H/K]`.
    log_sum: &'a mut [f32],
}

impl WithSimd for Heads<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sizes, query, key, value, reach, look, row, group, output, log_sum } = self;
        let Sizes { width, .. } = sizes;
        let (lanes, sharing) = (S::F32_LANES, sizes.sharing());
        let slots = || reach.far()[look.far.clone()].iter().copied().chain(look.near.clone());
        let count = look.count();
        let mut scores = vec![0.0; sharing * count];
        for (number, slot) in slots().enumerate() {
            let key = key.get(row, slot, group);
            for head in 0..sharing {
                let query = query.get(row, 0, group * sharing + head);
                scores[head * count + number] = product(simd, query, key) * sizes.scale();
            }
        }
        for (scores, log_sum) in scores.chunks_exact_mut(count).zip(log_sum) {
            let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let shift = simd.splat_f32s(highest);
            for scores in scores.chunks_mut(lanes) {
                simd.partial_store_f32s(scores, exp2(simd, simd.sub_f32s(simd.partial_load_f32s(scores), shift)));
            }
            let sum: f32 = scores.iter().sum();
            *log_sum = highest * std::f32::consts::LN_2 + sum.ln();
            scores.iter_mut().for_each(|score| *score /= sum);
        }
        for (number, slot) in slots().enumerate() {
            let value = value.get(row, slot, group);
            for (head, output) in output.chunks_exact_mut(width).enumerate() {
                add_scaled(simd, scores[head * count + number], value, output);
            }
        }
    }
}

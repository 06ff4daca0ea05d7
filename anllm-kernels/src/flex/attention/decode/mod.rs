//! Attention of one token: the cache's own rows are read, once, from front to back, and nothing is copied. Entries of 16
//! bits become floats of 32 a block at a time.
//!
//! Keys are cut into spans; each span gives every head the highest score, the sum of the shares and the weighted values
//! against that score, and the spans' parts are joined at the end.

mod entries;
mod look;
mod parts;
mod score;
mod slots;
mod weigh;

use burn_flex::{Flex, FlexTensor};
use rayon::prelude::*;

use self::entries::Entries;
use self::look::Span;
use self::parts::{Part, Parts};
use self::slots::Slots;
use super::super::share::share;
use super::super::tensors::{View, filled};
use super::Sizes;
use crate::attention::{Attended, Reaches, SequencePrimitives};

/// Keys whose scores become shares together: whole vectors of them on any processor.
const BLOCK: usize = 16;
/// Heads that look at a key together.
const HEADS: usize = 3;
/// Keys that are left to one thread, at most.
const LEAST: usize = 2 * BLOCK;
/// Keys of a span, at most.
const SPAN: usize = 128;
/// Products of a query's and a key's numbers that are worth a thread's attention, where others have tokens of their own.
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
        let spans = spans(count);
        if spans == 1 {
            // Nothing to join, and too little for several threads.
            let (mut highest, mut sums) = (vec![f32::NEG_INFINITY; heads], vec![0.0; heads]);
            let span = Span { token: self, range: 0..count };
            span.take(Part { highest: &mut highest, sums: &mut sums, values: output });
            for (head, output) in output.chunks_exact_mut(width).enumerate() {
                output.iter_mut().for_each(|value| *value /= sums[head]);
                log_sum[head] = highest[head] * std::f32::consts::LN_2 + sums[head].ln();
            }
            return;
        }
        let each = count.div_ceil(spans);
        let mut parts = Parts::new(spans, heads, width);
        let mut each_part: Vec<_> = parts.each().collect();
        share(&mut each_part, 1, |number, part| {
            let range = (number * each).min(count)..((number + 1) * each).min(count);
            part.iter_mut().for_each(|part| Span { token: self, range: range.clone() }.take(part.again()));
        });
        parts.join(output, log_sum);
    }
}

/// How many spans of equal length so many keys make: an even number, for threads to share.
fn spans(keys: usize) -> usize {
    match keys <= LEAST {
        true => 1,
        false => 2 * keys.div_ceil(2 * SPAN),
    }
}

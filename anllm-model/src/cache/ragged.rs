//! Attention of several sequences in one layer, each over its own cache.

use anllm_kernels::{Kernels, Next, Reaches, ShapeError, convert};
use burn::tensor::backend::Backend;
use burn::tensor::{FloatDType, Tensor};

use super::chunk::{Chunk, Sight};
use super::layer::{Held, LayerCache};
use crate::decoder::Projected;

/// One sequence's part of a pass, in one layer.
pub(crate) struct Part<'a, B: Backend> {
    pub(crate) chunk: &'a Chunk<B>,
    pub(crate) layer: &'a mut LayerCache<B>,
}

/// The sequences' tokens stand one after another in `projected`, `ΣT` of them, in the order of `parts`. Returns their
/// heads `[1, ΣT, H, D]`; the caches hold what survives.
pub(crate) fn attend<B: Kernels>(projected: Projected<B>, parts: &mut [Part<'_, B>]) -> Tensor<B, 4> {
    let steps: Option<Vec<_>> = parts.iter().map(|part| part.chunk.step()).collect();
    match steps {
        Some(reaches) => attend_next(projected, parts, &reaches),
        None => attend_each(&projected, parts),
    }
}

/// One token of each sequence: all in one operation.
fn attend_next<B: Kernels>(
    Projected { query, key, value }: Projected<B>,
    parts: &mut [Part<'_, B>],
    reaches: &[&Reaches<B>],
) -> Tensor<B, 4> {
    let sequences =
        parts.iter_mut().zip(reaches).map(|(part, reaches)| part.layer.lend(&key, &value, part.chunk, reaches));
    let sequences = sequences.collect();
    match anllm_kernels::attend_next(query, key, value, sequences) {
        Ok(Next { heads, held }) => {
            for (part, held) in parts.iter_mut().zip(held) {
                part.layer.take_back(held, part.chunk);
            }
            heads
        }
        // The decoder cut all of it out of the same tokens.
        Err(misfit) => unreachable!("{misfit}"),
    }
}

/// Any tokens: sequences go side by side where the backend can. One token alone attends as in a step, which copies
/// nothing of its cache.
fn attend_each<B: Kernels>(projected: &Projected<B>, parts: &mut [Part<'_, B>]) -> Tensor<B, 4> {
    let mut start = 0;
    let mut each = Vec::with_capacity(parts.len());
    for part in parts {
        let tokens = part.chunk.tokens;
        each.push((part, start));
        start += tokens;
    }
    let mut heads = B::each(each, |(part, start)| {
        let chunk = part.chunk;
        let own = projected.tokens(start, chunk.tokens);
        match chunk.step() {
            Some(reaches) => attend_next(own, std::slice::from_mut(part), &[reaches]),
            None => attend_one(own, part),
        }
    });
    match heads.len() {
        1 => heads.remove(0),
        _ => Tensor::cat(heads, 1),
    }
}

/// One sequence: its heads `[1, T, H, D]`.
fn attend_one<B: Kernels>(
    Projected { query, key, value }: Projected<B>,
    Part { chunk, layer }: &mut Part<'_, B>,
) -> Tensor<B, 4> {
    let held = layer.enter(key, value, chunk);
    let heads = match look(query, &held, chunk) {
        Ok(heads) => heads,
        // The decoder cut all of it out of the same tokens.
        Err(misfit) => unreachable!("{misfit}"),
    };
    layer.settle(held, chunk);
    heads
}

/// What the queries make of what they see.
fn look<B: Kernels>(query: Tensor<B, 4>, held: &Held<B>, chunk: &Chunk<B>) -> Result<Tensor<B, 4>, ShapeError> {
    let seen = |of: &Tensor<B, 4>| convert(of.clone(), FloatDType::from(query.dtype()));
    let (key, value) = (seen(&held.keys), seen(&held.values));
    match &chunk.sight {
        Sight::Reaches(reaches) => anllm_kernels::attend(query, key, value, reaches),
        Sight::Renumbered(renumbered) => renumbered.attend(query, key, value),
    }
}

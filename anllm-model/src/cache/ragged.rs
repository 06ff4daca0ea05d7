//! Attention of several sequences in one layer, each over its own cache.

use anllm_kernels::{Kernels, Sequence, ShapeError, attend_each};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

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
    let Projected { query, key, value } = projected;
    let mut start = 0;
    let mut entered = Vec::with_capacity(parts.len());
    for part in &mut *parts {
        let tokens = part.chunk.tokens;
        let own = |all: &Tensor<B, 4>| all.clone().narrow(1, start, tokens);
        let held = part.layer.enter(own(&key), own(&value), part.chunk);
        entered.push((own(&query), held, part.chunk));
        start += tokens;
    }
    let mut heads = match look(&entered) {
        Ok(heads) => heads,
        // The decoder cut all of it out of the same tokens.
        Err(misfit) => unreachable!("{misfit}"),
    };
    for (part, (_, held, chunk)) in parts.iter_mut().zip(entered) {
        part.layer.settle(held, chunk);
    }
    match heads.len() {
        1 => heads.remove(0),
        _ => Tensor::cat(heads, 1),
    }
}

/// The heads of each sequence, `[1, T, H, D]`: those at original positions side by side, renumbered ones by themselves.
fn look<B: Kernels>(entered: &[(Tensor<B, 4>, Held<B>, &Chunk<B>)]) -> Result<Vec<Tensor<B, 4>>, ShapeError> {
    let mut together = Vec::with_capacity(entered.len());
    let mut alone = Vec::new();
    for (query, held, chunk) in entered {
        let (query, key, value) = (query.clone(), held.keys.clone(), held.values.clone());
        match &chunk.sight {
            Sight::Reaches(reaches) => together.push(Sequence { query, key, value, reaches }),
            Sight::Renumbered(renumbered) => alone.push(renumbered.attend(query, key, value)?),
        }
    }
    let (mut together, mut alone) = (attend_each(together)?.into_iter(), alone.into_iter());
    let next = |chunk: &Chunk<B>| match &chunk.sight {
        Sight::Reaches(_) => together.next(),
        Sight::Renumbered(_) => alone.next(),
    };
    Ok(entered.iter().map(|(_, _, chunk)| *chunk).filter_map(next).collect())
}

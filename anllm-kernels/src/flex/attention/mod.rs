//! Attention on the CPU.
//!
//! Queries stand side by side in the lanes of a vector, a *tile* of them, and keys come one after another: each key's
//! element is multiplied into all queries of the tile at once. A tile walks over the far keys that any of its queries
//! reaches, then over the near ones, in blocks with an online softmax (Milakov and Gimelshein 2018); lanes that do not
//! reach a key are masked there. The work is the visible pairs, rounded up to whole tiles; memory is the inputs' size.
//!
//! One token alone has no tile to fill, and a cache is not to be copied for it: `decode` walks over the cache's own
//! rows.

mod backward;
mod decode;
mod forward;
mod pack;
mod span;
mod tile;

use burn_flex::{Flex, FlexTensor};

use super::tensors::laid_out;
use crate::attention::{Attended, AttentionGradients, Reaches, SequencePrimitives};

/// Sizes of one call.
#[derive(Clone, Copy)]
struct Sizes {
    rows: usize,
    tokens: usize,
    heads: usize,
    keys: usize,
    groups: usize,
    width: usize,
}

impl Sizes {
    fn of(query: &FlexTensor, key: &FlexTensor) -> Self {
        let (q, k) = (query.layout().shape(), key.layout().shape());
        Self { rows: q[0], tokens: q[1], heads: q[2], keys: k[1], groups: k[2], width: q[3] }
    }

    /// Query heads that share a key head.
    fn sharing(&self) -> usize {
        self.heads / self.groups
    }

    /// What scores are multiplied by: `1/√D`, and `log₂ e`, so that powers of two serve as exponentials.
    fn scale(&self) -> f32 {
        std::f32::consts::LOG2_E / (self.width as f32).sqrt()
    }
}

/// `query` `[B, T, H, D]` over `key` and `value` `[B, S, K, D]`.
pub(super) fn forward(
    query: FlexTensor,
    key: FlexTensor,
    value: FlexTensor,
    reaches: &Reaches<Flex>,
) -> Attended<Flex> {
    let sizes = Sizes::of(&query, &key);
    let (query, key, value) = (laid_out(query), laid_out(key), laid_out(value));
    match sizes.tokens {
        1 => decode::forward(sizes, &query, &key, &value, reaches),
        _ => forward::forward(sizes, &query, &key, &value, reaches),
    }
}

/// One token of each sequence, `query` `[1, N, H, D]`, over what it holds.
pub(super) fn next(query: FlexTensor, held: &[SequencePrimitives<'_, Flex>]) -> FlexTensor {
    decode::next(&laid_out(query), held)
}

/// The gradients of the three inputs.
pub(super) fn backward(
    query: FlexTensor,
    key: FlexTensor,
    value: FlexTensor,
    attended: Attended<Flex>,
    slope: FlexTensor,
    reaches: &Reaches<Flex>,
) -> AttentionGradients<Flex> {
    let sizes = Sizes::of(&query, &key);
    let [query, key, value, output, slope] = [query, key, value, attended.output, slope].map(laid_out);
    let inputs = backward::Inputs::new(&query, &key, &value, &output, &slope, &attended.log_sum);
    backward::backward(sizes, &inputs, reaches)
}

//! One layer's part of a cache: what the next tokens look at, and what stays of it.

use anllm_kernels::{Kernels, Reaches, Sequence, convert};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, FloatDType, Tensor};

use super::buffer::Buffer;
use super::chunk::{Chunk, Keep, Settle};

/// Keys and values of one layer.
#[derive(Debug, Clone)]
pub struct LayerCache<B: Backend> {
    keys: Buffer<B>,
    values: Buffer<B>,
}

/// What a chunk's queries look at: the entries that were there and the chunk's own, `[1, S + T, K, D]` each, of the
/// cache's type.
pub(super) struct Held<B: Backend> {
    pub(super) keys: Tensor<B, 4>,
    pub(super) values: Tensor<B, 4>,
}

impl<B: Kernels> LayerCache<B> {
    /// An empty layer for entries of `dtype`.
    pub(super) fn new(dtype: DType) -> Self {
        Self { keys: Buffer::new(dtype), values: Buffer::new(dtype) }
    }

    /// A layer that holds these entries, `[1, S, K, D]` each.
    pub(super) fn holding(keys: Tensor<B, 4>, values: Tensor<B, 4>, dtype: DType) -> Self {
        let mut layer = Self::new(dtype);
        layer.keys.write(0, keys);
        layer.values.write(0, values);
        layer
    }

    /// The first `len` entries: keys and values, `[1, len, K, D]` each.
    pub(super) fn entries(&self, len: usize) -> [Tensor<B, 4>; 2] {
        [self.keys.view(len), self.values.view(len)]
    }

    pub(super) fn capacity(&self) -> usize {
        self.keys.capacity()
    }

    /// Before attention: takes in the chunk's own `key` and `value`, `[1, T, K, D]`.
    pub(super) fn enter(&mut self, key: Tensor<B, 4>, value: Tensor<B, 4>, chunk: &Chunk<B>) -> Held<B> {
        let (cached, total) = (chunk.cached, chunk.cached + chunk.tokens);
        if let Some(Settle { start, count, rotary }) = &chunk.settle {
            let keys = self.keys.view(cached).narrow(1, *start, *count);
            let turned = rotary.apply(convert(keys, FloatDType::from(key.dtype())));
            self.keys.write(*start, turned);
        }
        match &chunk.keep {
            // Many tokens: those that will be dropped never enter the cache, so that a long prompt does not grow it.
            Keep::Some { .. } if chunk.tokens > 1 => {
                Held { keys: self.keys.joined(cached, key), values: self.values.joined(cached, value) }
            }
            // One token, or all stay: appended in place.
            _ => {
                self.keys.write(cached, key);
                self.values.write(cached, value);
                Held { keys: self.keys.view(total), values: self.values.view(total) }
            }
        }
    }

    /// For attention that writes one token's `key` and `value`, `[1, N, K, D]` with those of others, by itself: what is
    /// held, until it comes [back](Self::take_back).
    pub(super) fn lend<'a>(
        &mut self,
        key: &Tensor<B, 4>,
        value: &Tensor<B, 4>,
        chunk: &Chunk<B>,
        reaches: &'a Reaches<B>,
    ) -> Sequence<'a, B> {
        let entries = chunk.cached;
        let (keys, values) = (self.keys.take(entries, 1, key), self.values.take(entries, 1, value));
        Sequence { keys, values, entries, reaches }
    }

    /// After it.
    pub(super) fn take_back(&mut self, [keys, values]: [Tensor<B, 4>; 2], chunk: &Chunk<B>) {
        self.keys.give(keys);
        self.values.give(values);
        if let Keep::Some { .. } = &chunk.keep {
            let total = chunk.cached + chunk.tokens;
            self.settle(Held { keys: self.keys.view(total), values: self.values.view(total) }, chunk);
        }
    }

    /// After attention: moves the survivors to where they stay. `held` is given up first, so that the cache is the only
    /// holder of its buffers again.
    pub(super) fn settle(&mut self, held: Held<B>, chunk: &Chunk<B>) {
        if let Keep::Some { unmoved, moved: Some(moved) } = &chunk.keep {
            self.keys.write(*unmoved, held.keys.select(1, moved.clone()));
            self.values.write(*unmoved, held.values.select(1, moved.clone()));
        }
    }
}

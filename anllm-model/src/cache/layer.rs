//! One layer's part of a cache: attention over what it holds, and what stays of it.

use anllm_kernels::Kernels;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::buffer::Buffer;
use super::chunk::{Chunk, Keep, Settle};
use crate::decoder::attend;

/// Keys and values of one layer.
#[derive(Debug, Clone)]
pub struct LayerCache<B: Backend> {
    keys: Buffer<B>,
    values: Buffer<B>,
}

impl<B: Kernels> Default for LayerCache<B> {
    fn default() -> Self {
        Self { keys: Buffer::default(), values: Buffer::default() }
    }
}

impl<B: Kernels> LayerCache<B> {
    pub(super) fn capacity(&self) -> usize {
        self.keys.capacity()
    }

    /// Attention of the chunk's queries `[1, T, H, D]` over the cache and the chunk's own `key` and `value`
    /// `[1, T, K, D]`; afterwards the cache holds the survivors.
    pub(crate) fn attend(
        &mut self,
        query: Tensor<B, 4>,
        key: Tensor<B, 4>,
        value: Tensor<B, 4>,
        chunk: &Chunk<B>,
    ) -> Tensor<B, 4> {
        let (cached, total) = (chunk.cached, chunk.cached + chunk.tokens);
        let mask = &chunk.mask;
        if let Some(Settle { start, count, rotary }) = &chunk.settle {
            let turned = rotary.apply(self.keys.view(cached).narrow(1, *start, *count));
            self.keys.write(*start, turned);
        }
        match &chunk.keep {
            Keep::All => {
                self.keys.write(cached, key);
                self.values.write(cached, value);
                attend(query, self.keys.view(total), self.values.view(total), mask)
            }
            // One token: append in place, look, then move what survives.
            Keep::Some { unmoved, moved } if chunk.tokens == 1 => {
                self.keys.write(cached, key);
                self.values.write(cached, value);
                let heads = attend(query, self.keys.view(total), self.values.view(total), mask);
                if let Some(moved) = moved {
                    let (keys, values) = (self.keys.view(total), self.values.view(total));
                    self.keys.write(*unmoved, keys.select(1, moved.clone()));
                    self.values.write(*unmoved, values.select(1, moved.clone()));
                }
                heads
            }
            // Many tokens: those that will be dropped never enter the cache, so that a long prompt does not grow it.
            Keep::Some { unmoved, moved } => {
                let keys = self.keys.joined(cached, key);
                let values = self.values.joined(cached, value);
                let heads = attend(query, keys.clone(), values.clone(), mask);
                if let Some(moved) = moved {
                    self.keys.write(*unmoved, keys.select(1, moved.clone()));
                    self.values.write(*unmoved, values.select(1, moved.clone()));
                }
                heads
            }
        }
    }
}

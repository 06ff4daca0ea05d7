//! Keys and values of what a sequence may still look at. The ledger decides what stays; this file moves tensors.
//!
//! Each layer has two buffers `[1, capacity, K, D]` that grow by doubling, filled from the front with the entries in
//! order of their row index: under the anchor policy `[anchors | tail]`. Keys are stored turned by their original
//! positions and never touched again. A decode step appends in place; an anchor's step then moves one entry.

use anllm_core::{CachePolicy, CacheStats, ChunkPlan, Ledger, Place};
use anllm_kernels::{Kernels, Reaches, put};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Int, Tensor, TensorData};

use crate::config::ModelConfig;
use crate::decoder::{AttentionMask, Rotary, attend};

/// The cache of one sequence. It belongs to a request; the decoder holds none.
#[derive(Debug, Clone)]
pub struct KvCache<B: Backend> {
    policy: &'static dyn CachePolicy,
    ledger: Ledger,
    layers: Vec<LayerCache<B>>,
    /// Elements of keys and values for one entry, over all layers.
    elements_per_entry: usize,
    dtype: DType,
}

impl<B: Kernels> KvCache<B> {
    /// An empty cache for a decoder of this configuration whose activations are `dtype`.
    pub fn new(config: &ModelConfig, policy: &'static dyn CachePolicy, dtype: DType) -> Self {
        Self {
            policy,
            ledger: Ledger::default(),
            layers: vec![LayerCache::default(); config.layers],
            elements_per_entry: config.kv_elements(),
            dtype,
        }
    }

    /// Seen, kept, peak and bytes so far.
    pub fn stats(&self) -> CacheStats {
        self.ledger.stats(self.policy, self.elements_per_entry * self.dtype.size())
    }

    /// Which entries are held.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Bytes that the buffers occupy, empty slots included.
    pub fn allocated_bytes(&self) -> usize {
        self.layers.iter().map(|layer| layer.capacity()).sum::<usize>() * self.elements_per_entry * self.dtype.size()
            / self.layers.len().max(1)
    }

    pub(crate) fn advance(&mut self, places: &[Place]) -> ChunkPlan {
        self.ledger.advance(self.policy, places)
    }

    pub(crate) fn layers_mut(&mut self) -> impl Iterator<Item = &mut LayerCache<B>> {
        self.layers.iter_mut()
    }
}

/// What all layers share while they process the same tokens: the plan, on the device.
#[derive(Debug, Clone)]
pub struct Chunk<B: Backend> {
    pub(crate) rotary: Rotary<B>,
    mask: AttentionMask<B>,
    keep: Keep<B>,
    /// `S`, entries before the chunk.
    cached: usize,
    /// `T`.
    tokens: usize,
}

/// What a layer does with the keys after attention.
#[derive(Debug, Clone)]
enum Keep<B: Backend> {
    /// All `S + T` stay.
    All,
    /// The first `unmoved` stay where they are; behind them come those at `moved`, out of `S + T`.
    Some { unmoved: usize, moved: Option<Tensor<B, 1, Int>> },
}

impl<B: Kernels> Chunk<B> {
    pub(crate) fn new(plan: ChunkPlan, rotary: Rotary<B>, device: &B::Device) -> Self {
        let (cached, tokens) = (plan.cached, plan.new_tokens());
        let keep = if plan.survivors.len() == cached + tokens {
            Keep::All
        } else {
            let unmoved = plan.unmoved();
            let moved: Vec<i32> = plan.survivors.iter().skip(unmoved).map(|&slot| slot as i32).collect();
            let count = moved.len();
            let moved = (count > 0).then(|| Tensor::from_data(TensorData::new(moved, [count]), device));
            Keep::Some { unmoved, moved }
        };
        Self { rotary, mask: AttentionMask::Reaches(Reaches::new(vec![plan.reach])), keep, cached, tokens }
    }
}

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
    fn capacity(&self) -> usize {
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

/// A tensor `[1, capacity, K, D]` filled from the front.
#[derive(Debug, Clone)]
struct Buffer<B: Backend>(Option<Tensor<B, 4>>);

impl<B: Kernels> Default for Buffer<B> {
    fn default() -> Self {
        Self(None)
    }
}

impl<B: Kernels> Buffer<B> {
    /// The smallest buffer, in entries.
    const SMALLEST: usize = 64;

    fn capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |t| t.dims()[1])
    }

    /// Writes `entries` `[1, N, K, D]` from slot `start` on, growing as needed. In place where this is the only
    /// holder of the buffer.
    fn write(&mut self, start: usize, entries: Tensor<B, 4>) {
        let [_, count, heads, width] = entries.dims();
        let end = start + count;
        let buffer = match self.0.take() {
            Some(buffer) if buffer.dims()[1] >= end => buffer,
            old => {
                let capacity = end.next_power_of_two().max(Self::SMALLEST);
                let options = (&entries.device(), entries.dtype());
                let grown = Tensor::zeros([1, capacity, heads, width], options);
                match old {
                    Some(old) => {
                        let held = start.min(old.dims()[1]);
                        grown.slice_assign([0..1, 0..held, 0..heads, 0..width], old.narrow(1, 0, held))
                    }
                    None => grown,
                }
            }
        };
        self.0 = Some(put(buffer, start, entries));
    }

    /// The first `len` entries, `[1, len, K, D]`.
    fn view(&self, len: usize) -> Tensor<B, 4> {
        match &self.0 {
            Some(buffer) => buffer.clone().narrow(1, 0, len),
            // Nothing was written, so that `len` is 0 and nobody looks; an empty tensor has no backend-neutral form.
            None => Tensor::zeros([1, 1, 1, 1], &B::Device::default()),
        }
    }

    /// The first `len` entries followed by `entries`, `[1, len + N, K, D]`, as a tensor of its own.
    fn joined(&self, len: usize, entries: Tensor<B, 4>) -> Tensor<B, 4> {
        if len == 0 { entries } else { Tensor::cat(vec![self.view(len), entries], 1) }
    }
}

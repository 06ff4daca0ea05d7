//! Keys and values of what a sequence may still look at. The ledger decides what stays; this file moves tensors.
//!
//! Each layer has two buffers `[1, capacity, K, D]` that grow by doubling, filled from the front with the entries in
//! order of their row index: under the anchor policy `[anchors | tail]`. Keys are stored turned by their original
//! positions and never touched again, but that under a policy that renumbers, an entry that will never be near again is
//! turned to its rank, once. A decode step appends in place; an anchor's step then moves one entry. Entries may be floats
//! of fewer bits than the activations; a chunk's own tokens see each other's as they are held, too.

mod buffer;
mod chunk;
mod layer;
mod ragged;
mod snapshot;

use anllm_core::{Branches, CachePolicy, CacheStats, ChunkPlan, Ledger, Place, Policy};
use anllm_kernels::Kernels;
use burn::tensor::DType;
use burn::tensor::backend::Backend;

use buffer::Buffer;
pub use chunk::Chunk;
pub use layer::LayerCache;
pub(crate) use ragged::{Part, attend};

use crate::config::ModelConfig;

/// The cache of one sequence. It belongs to a request; the decoder holds none.
#[derive(Debug, Clone)]
pub struct KvCache<B: Backend> {
    policy: Policy,
    ledger: Ledger,
    layers: Vec<LayerCache<B>>,
    /// Elements of keys and values for one entry, over all layers.
    elements_per_entry: usize,
    dtype: DType,
}

impl<B: Kernels> KvCache<B> {
    /// An empty cache for a decoder of this configuration. Entries are held as floats of `dtype`, which need not be that of
    /// the activations: one of 16 bits takes half of the memory, and rounds what is written.
    pub fn new(config: &ModelConfig, policy: Policy, dtype: DType) -> Self {
        Self {
            policy,
            ledger: Ledger::default(),
            layers: vec![LayerCache::new(dtype); config.layers],
            elements_per_entry: config.kv_elements(),
            dtype,
        }
    }

    /// Seen, kept, peak and bytes so far.
    pub fn stats(&self) -> CacheStats {
        self.ledger.stats(&*self.policy, self.bytes_per_entry())
    }

    /// What tokens see, and what is kept.
    pub fn policy(&self) -> &dyn CachePolicy {
        &*self.policy
    }

    /// The policy, for other sequences to share.
    pub fn shared_policy(&self) -> Policy {
        self.policy.clone()
    }

    /// The type of the entries.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Which entries are held.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Bytes that the buffers occupy, empty slots included.
    pub fn allocated_bytes(&self) -> usize {
        self.layers.iter().map(|layer| layer.capacity()).sum::<usize>() * self.bytes_per_entry()
            / self.layers.len().max(1)
    }

    /// Bytes that buffers which grew to hold `entries` occupy.
    pub fn bytes_for(&self, entries: usize) -> usize {
        Buffer::<B>::capacity_for(entries) * self.bytes_per_entry()
    }

    fn bytes_per_entry(&self) -> usize {
        self.elements_per_entry * self.dtype.size()
    }

    pub(crate) fn advance(&mut self, places: &[Place]) -> ChunkPlan {
        self.ledger.advance(&*self.policy, places)
    }

    /// What continuations of the sequence see. They leave nothing in the cache.
    pub(crate) fn plan(&self, branches: &Branches) -> ChunkPlan {
        branches.plan(&*self.policy, self.ledger.entries())
    }

    pub(crate) fn layer_mut(&mut self, number: usize) -> &mut LayerCache<B> {
        &mut self.layers[number]
    }
}

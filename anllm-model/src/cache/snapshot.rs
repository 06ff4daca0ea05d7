//! What a cache holds, taken out and put back: how a sequence outlives the process.

use anllm_core::{Ledger, Policy};
use anllm_kernels::Kernels;
use burn::tensor::{DType, Tensor};

use super::{KvCache, LayerCache};
use crate::config::ModelConfig;

impl<B: Kernels> KvCache<B> {
    /// Keys and values of one layer's entries, in the ledger's order, `[1, S, K, D]` each and of the cache's type; `None`
    /// beyond the layers.
    pub fn entries(&self, layer: usize) -> Option<[Tensor<B, 4>; 2]> {
        self.layers.get(layer).map(|layer| layer.entries(self.ledger.entries().len()))
    }

    /// The cache that `ledger` tells of, of entries of `dtype`. `layer` gives the keys and values of each layer's entries, as
    /// [`entries`](Self::entries) does.
    ///
    /// # Errors
    /// Those of `layer`.
    pub fn restore<E>(
        config: &ModelConfig,
        policy: Policy,
        dtype: DType,
        ledger: Ledger,
        layer: impl FnMut(usize) -> Result<[Tensor<B, 4>; 2], E>,
    ) -> Result<Self, E> {
        let held = |[keys, values]: [Tensor<B, 4>; 2]| LayerCache::holding(keys, values, dtype);
        let layers = (0..config.layers).map(layer).map(|entries| entries.map(held)).collect::<Result<_, E>>()?;
        Ok(Self { ledger, layers, ..Self::new(config, policy, dtype) })
    }
}

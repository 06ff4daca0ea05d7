//! Going on from a prefix.

use std::sync::Arc;

use anllm_core::{Ledger, PolicyKind};
use anllm_kernels::Kernels;
use anllm_model::KvCache;
use burn::tensor::{Tensor, TensorData};

use super::Prefix;
use super::error::PrefixError;
use super::head::{Geometry, Identity, PrefixHead};
use crate::engine::{Engine, Session};

/// A session that stands at the end of a prefix.
#[derive(Debug, Clone)]
pub struct Resumed<B: Kernels> {
    /// The sequence so far.
    pub session: Session<B>,
    /// Its last token ids, which text and penalties go on from.
    pub recent: Vec<u32>,
}

impl<B: Kernels> Resumed<B> {
    /// An empty sequence.
    pub fn new(session: Session<B>) -> Self {
        Self { session, recent: Vec::new() }
    }
}

impl PrefixHead {
    /// The policy that the prefix was read under.
    ///
    /// # Errors
    /// When this program knows none of that name. `name` is the prefix's, for the message.
    pub fn policy(&self, name: &str) -> Result<PolicyKind, PrefixError> {
        let policy = self.record.policy.parse();
        policy
            .map_err(|e: anllm_core::PolicyError| PrefixError::Policy { name: name.to_owned(), reason: e.to_string() })
    }
}

impl<B: Kernels> Engine<B> {
    /// A session that goes on where `prefix` ends, under its policy. `identity` is that of what this engine runs.
    ///
    /// Entries that were stored as wide as caches hold them make it the same session, to the last bit.
    ///
    /// # Errors
    /// When the prefix was built with something else, or cannot be read.
    pub fn resume(&self, prefix: &dyn Prefix, identity: &Identity) -> Result<Resumed<B>, PrefixError> {
        let (head, name) = (prefix.head(), prefix.name());
        let record = &head.record;
        record.identity.check(&name, identity)?;
        let policy = head.policy(&name)?;
        let geometry = Geometry::of(self.config());
        if record.geometry != geometry {
            let what = format!("its entries are those of {:?}, the model's of {geometry:?}", record.geometry);
            return Err(PrefixError::damaged(&name, what));
        }
        let ledger = Ledger::restore(head.places.clone(), record.settled, record.tokens, record.peak);
        let ledger = ledger.ok_or_else(|| PrefixError::damaged(&name, "its entries are not those of a cache"))?;
        let (device, dtype) = (self.decoder().device(), self.entry_dtype());
        let shape = [1, head.places.len(), geometry.kv_heads, geometry.head_dim];
        let tensor = |values: Vec<f32>| Tensor::<B, 4>::from_data(TensorData::new(values, shape), (&device, dtype));
        let cache = KvCache::restore(self.config(), policy.policy(), dtype, ledger, |layer| {
            let entries = prefix.layer(layer)?;
            let expected = shape.iter().product::<usize>();
            match entries.keys.len() == expected && entries.values.len() == expected {
                true => Ok([tensor(entries.keys), tensor(entries.values)]),
                false => Err(PrefixError::damaged(&name, format!("layer {layer} has not one value for each entry"))),
            }
        })?;
        let session = Session::restore(cache, record.tracker, Arc::clone(self.shared_matcher()));
        Ok(Resumed { session, recent: head.recent.clone() })
    }
}

//! The engine: a loaded model, and how a sequence moves through it.

mod attention;
mod branches;
mod context;
mod feed;
mod groups;
mod room;
mod session;

use std::sync::Arc;

use anllm_core::{AnchorMatcher, CachePolicy, Policy};
use anllm_kernels::Kernels;
use anllm_model::checkpoint::MatrixForm;
use anllm_model::{Checkpoint, Decoder, KvCache, ModelConfig};
use burn::tensor::{DType, Tensor};

pub use attention::AttentionMap;
pub use branches::Continuations;
pub use feed::{Feed, Scores, Wanted};
pub use session::Session;

use crate::error::InferError;

/// How a model is loaded and run.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Type of activations, and of weights unless `matrices` says otherwise: `F32`, `F16` or `BF16`.
    pub dtype: DType,
    /// Type of what the cache holds, if not that of the activations. One of 16 bits takes half of the memory, and rounds
    /// keys and values.
    pub entries: Option<DType>,
    /// How matrices are held.
    pub matrices: MatrixForm,
    /// Tokens processed at once during prefill. It bounds memory; results do not depend on it.
    pub prefill_chunk: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { dtype: DType::F32, entries: None, matrices: MatrixForm::Stored, prefill_chunk: 512 }
    }
}

/// A loaded model with the anchor rule it runs under.
#[derive(Debug)]
pub struct Engine<B: Kernels> {
    decoder: Decoder<B>,
    config: ModelConfig,
    matcher: Arc<AnchorMatcher>,
    prefill_chunk: usize,
    /// Type of what caches hold.
    entries: DType,
    /// How many groups of sequences may go through the layers side by side.
    groups: usize,
}

impl<B: Kernels> Engine<B> {
    /// Parameters up to which sequences go through the layers in groups: so many stay in the processor's caches, and
    /// reading them for each group costs little.
    const SMALL: usize = 1 << 23;

    /// Loads a checkpoint onto `device`. `matcher` says which tokens are anchors.
    ///
    /// # Errors
    /// When the weights cannot be read.
    pub fn load(
        checkpoint: &Checkpoint,
        matcher: AnchorMatcher,
        device: &B::Device,
        options: &EngineOptions,
    ) -> Result<Self, InferError> {
        let decoder = checkpoint.load_as(device, options.dtype, options.matrices)?;
        let engine = Self::new(decoder, checkpoint.config().clone(), matcher, options.prefill_chunk);
        Ok(Self { entries: options.entries.unwrap_or(options.dtype), ..engine })
    }

    /// An engine over a decoder in memory, `config` its settings. Its caches hold what the decoder computes, unrounded.
    pub fn new(decoder: Decoder<B>, config: ModelConfig, matcher: AnchorMatcher, prefill_chunk: usize) -> Self {
        let groups = if config.parameters() <= Self::SMALL { B::side_by_side() } else { 1 };
        let entries = decoder.dtype();
        Self { decoder, config, matcher: Arc::new(matcher), prefill_chunk: prefill_chunk.max(1), entries, groups }
    }

    /// The weights.
    pub fn decoder(&self) -> &Decoder<B> {
        &self.decoder
    }

    /// The settings.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Which tokens are anchors.
    pub fn matcher(&self) -> &AnchorMatcher {
        &self.matcher
    }

    /// The type of what caches hold.
    pub fn entry_dtype(&self) -> DType {
        self.entries
    }

    /// Bytes of one entry of a cache, over all layers.
    pub fn bytes_per_entry(&self) -> usize {
        self.config.kv_elements() * self.entries.size()
    }

    /// Of the types of activations and of what caches hold, the one that rounds more: how closely what comes through a
    /// cache can be expected to agree with what was computed at once.
    pub fn coarsest_dtype(&self) -> DType {
        let bits_lost = |dtype: &DType| match dtype {
            DType::BF16 => 2,
            DType::F16 => 1,
            _ => 0,
        };
        let activations = self.decoder.dtype();
        if bits_lost(&self.entries) > bits_lost(&activations) { self.entries } else { activations }
    }

    /// The rule, for sessions to share.
    pub(crate) fn shared_matcher(&self) -> &Arc<AnchorMatcher> {
        &self.matcher
    }

    /// An empty sequence under `policy`.
    pub fn session(&self, policy: impl Into<Policy>) -> Session<B> {
        let cache = KvCache::new(&self.config, policy.into(), self.entries);
        Session::new(cache, Arc::clone(&self.matcher))
    }

    /// Processes `ids` in chunks and returns the scores `[V]` of the token after the last.
    ///
    /// # Errors
    /// When there are no ids, one is unknown, or the context ends.
    pub fn prefill(&self, session: &mut Session<B>, ids: &[u32]) -> Result<Vec<f32>, InferError> {
        self.check(session, ids)?;
        let mut scores = Err(InferError::EmptyPrompt);
        let mut left = ids.len();
        for chunk in ids.chunks(self.prefill_chunk) {
            left -= chunk.len();
            let wanted = if left == 0 { Wanted::Last } else { Wanted::Nothing };
            scores = Ok(self.feed(&mut [Feed { session: &mut *session, ids: chunk, wanted }])?);
        }
        scores.map(Scores::into_values)
    }

    /// Processes `ids` and hands the scores of every position to `each`, chunk by chunk: first token of the chunk,
    /// scores `[1, T, V]`.
    ///
    /// # Errors
    /// As [`Self::prefill`], and whatever `each` returns.
    pub fn score<E: From<InferError>>(
        &self,
        session: &mut Session<B>,
        ids: &[u32],
        chunk_size: usize,
        mut each: impl FnMut(usize, Tensor<B, 3>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.check(session, ids)?;
        let mut start = 0;
        for chunk in ids.chunks(chunk_size.max(1)) {
            let hidden = session.forward(&self.decoder, chunk);
            each(start, self.decoder.logits(hidden))?;
            start += chunk.len();
        }
        Ok(())
    }

    /// The scores `[T, V]`, row-major, of every position, under the dense mask and without a cache.
    ///
    /// # Errors
    /// When there are no ids, one is unknown, or they are more than the context.
    pub fn dense_logits(&self, ids: &[u32], policy: &dyn CachePolicy) -> Result<Vec<f32>, InferError> {
        if ids.is_empty() {
            return Err(InferError::EmptyPrompt);
        }
        self.check_ids(ids)?;
        self.check_length(policy, ids.len())?;
        let segments = self.matcher.segments(ids);
        read(self.decoder.logits(self.decoder.forward(ids, segments.places(), policy)))
    }

    /// Tokens processed at once during prefill.
    pub fn prefill_chunk(&self) -> usize {
        self.prefill_chunk
    }

    /// Checks that every id has an embedding.
    ///
    /// # Errors
    /// Names the first that has none.
    pub fn check_ids(&self, ids: &[u32]) -> Result<(), InferError> {
        let vocab = self.config.vocab_size;
        match ids.iter().find(|id| **id as usize >= vocab) {
            Some(&id) => Err(InferError::UnknownToken { id, vocab }),
            None => Ok(()),
        }
    }
}

/// Brings a tensor's values to the host, as `f32`.
pub(crate) fn read<B: Kernels, const N: usize>(tensor: Tensor<B, N>) -> Result<Vec<f32>, InferError> {
    let data = tensor.try_into_data().map_err(|e| InferError::Device(format!("{e:?}")))?;
    data.convert::<f32>().into_vec().map_err(|e| InferError::Device(format!("{e:?}")))
}

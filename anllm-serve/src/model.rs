//! The model that is served, as far as requests need to know it.

use std::time::{SystemTime, UNIX_EPOCH};

use anllm_core::{AnchorInserter, AnchorMatcher, AnchorRule, PolicyKind};
use anllm_infer::{ChatFormat, Sampling};
use anllm_model::{Framing, Message, ModelConfig, PieceEncoder, Tokenizer, TokenizerError};

/// The model that is served: all but its weights.
#[derive(Debug)]
pub struct Model {
    /// The name by which clients know it.
    pub name: String,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// How conversations are written.
    pub format: ChatFormat,
    /// The cache policy of requests that name none.
    pub policy: PolicyKind,
    /// Which tokens are anchors: the engine's.
    pub matcher: AnchorMatcher,
    /// Its settings.
    pub config: ModelConfig,
    /// Bytes of one entry of the cache, over all layers.
    pub bytes_per_entry: usize,
    /// How tokens are chosen where a request does not say.
    pub sampling: Sampling,
    /// Seed of the draws where a request has none; without it each draws its own.
    pub seed: Option<u64>,
    /// What puts `<AC>` behind the sentences of prompts and messages, if anything does.
    pub inserter: Option<AnchorInserter>,
    /// Tokens that stand before every prompt: those of the prefix that [`Server::run_behind`](crate::Server::run_behind)
    /// is given, else 0.
    pub prefix_tokens: usize,
}

impl Model {
    /// A text as the model reads it.
    pub(crate) fn anchored(&self, text: &str) -> String {
        self.inserter.as_ref().map_or_else(|| text.to_owned(), |inserter| inserter.insert(text))
    }

    /// A text's tokens. Behind a prefix no text begins anew, however it is framed.
    pub(crate) fn encode(&self, text: &str, framing: Framing) -> Result<Vec<u32>, TokenizerError> {
        if self.prefix_tokens == 0 {
            return self.tokenizer.encode(text, framing);
        }
        let mut encoder = PieceEncoder::behind(&self.tokenizer);
        let mut ids = encoder.push(text)?;
        ids.extend(encoder.finish()?);
        Ok(ids)
    }

    /// Messages as the model reads them.
    pub(crate) fn messages(&self, messages: Vec<Message>) -> Vec<Message> {
        messages.into_iter().map(|m| Message { content: self.anchored(&m.content), ..m }).collect()
    }

    /// Whether the model has anchors at all.
    pub(crate) fn has_anchors(&self) -> bool {
        *self.matcher.rule() != AnchorRule::None
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

//! What a prefix says of itself.

use anllm_core::{AnchorMatcher, Place, SegmentTracker, Settled};
use anllm_model::{Checkpoint, CheckpointError, ModelConfig, Tokenizer};
use serde::{Deserialize, Serialize};

use super::error::PrefixError;

/// Hashes of what a prefix depends on: with another model, tokenizer or anchor rule its entries would be others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// [`Checkpoint::fingerprint`].
    pub model_hash: String,
    /// [`Tokenizer::hash`].
    pub tokenizer_hash: String,
    /// The anchor rule, as text.
    pub anchors: String,
    /// The rule as resolved: which ids it names in this vocabulary.
    pub anchors_hash: String,
}

impl Identity {
    /// Of what runs.
    ///
    /// # Errors
    /// When the weights cannot be read.
    pub fn of(
        checkpoint: &Checkpoint,
        tokenizer: &Tokenizer,
        matcher: &AnchorMatcher,
    ) -> Result<Self, CheckpointError> {
        let anchors = matcher.rule().to_string();
        let mut hasher = blake3::Hasher::new();
        hasher.update(anchors.as_bytes());
        for id in matcher.ids().unwrap_or_default() {
            hasher.update(&id.to_le_bytes());
        }
        Ok(Self {
            model_hash: checkpoint.fingerprint()?,
            tokenizer_hash: tokenizer.hash().to_owned(),
            anchors,
            anchors_hash: short(&hasher),
        })
    }

    /// For prefixes that never leave the engine that made them.
    pub(super) fn unknown(matcher: &AnchorMatcher) -> Self {
        let (model_hash, tokenizer_hash, anchors_hash) = (String::new(), String::new(), String::new());
        Self { model_hash, tokenizer_hash, anchors: matcher.rule().to_string(), anchors_hash }
    }

    /// Checks that a prefix with this identity, called `name`, fits what runs.
    ///
    /// # Errors
    /// Names the first thing that differs.
    pub fn check(&self, name: &str, runs: &Self) -> Result<(), PrefixError> {
        let differs = |what, found: &str, expected: &str, hint| PrefixError::Other {
            name: name.to_owned(),
            what,
            found: found.to_owned(),
            expected: expected.to_owned(),
            hint,
        };
        if self.model_hash != runs.model_hash {
            let hint = "name the checkpoint it was built with, in the same form, or build it again";
            return Err(differs("model", &self.model_hash, &runs.model_hash, hint));
        }
        if self.tokenizer_hash != runs.tokenizer_hash {
            let hint = "the model's tokenizer has changed: build the prefix again";
            return Err(differs("tokenizer", &self.tokenizer_hash, &runs.tokenizer_hash, hint));
        }
        if self.anchors != runs.anchors {
            let hint = "leave --anchors out, or build the prefix again with this rule";
            return Err(differs("anchor rule", &self.anchors, &runs.anchors, hint));
        }
        if self.anchors_hash != runs.anchors_hash {
            let hint = "the rule means other tokens now: build the prefix again";
            return Err(differs("anchor rule", &self.anchors_hash, &runs.anchors_hash, hint));
        }
        Ok(())
    }
}

/// The first 32 digits of a hash.
pub(super) fn short(hasher: &blake3::Hasher) -> String {
    hasher.finalize().to_hex()[..32].to_owned()
}

/// The shape of a model's cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Geometry {
    /// Number of layers.
    pub layers: usize,
    /// `K`.
    pub kv_heads: usize,
    /// `D`.
    pub head_dim: usize,
}

impl Geometry {
    /// Of a model.
    pub fn of(config: &ModelConfig) -> Self {
        Self { layers: config.layers, kv_heads: config.kv_heads, head_dim: config.head_dim }
    }

    /// Elements of one entry's keys in one layer, `K·D`.
    pub(super) fn width(&self) -> usize {
        self.kv_heads * self.head_dim
    }
}

/// A text that was read on its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRecord {
    /// Its tokens.
    pub tokens: usize,
    /// How many of them lead: begin-of-sequence, which a part that is not the first loses when parts are joined.
    pub lead: usize,
    /// A hash of its token ids. A text that was continued has that of the hash before and the ids added.
    pub ids_hash: String,
}

/// What a prefix says of itself in a line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrefixRecord {
    /// The cache policy.
    pub policy: String,
    /// Tokens that it stands for.
    pub tokens: usize,
    /// The most entries held at a time.
    pub peak: usize,
    /// Which entries at the front stand at their rank: only under a policy that renumbers.
    #[serde(default)]
    pub settled: Settled,
    /// What it belongs to.
    #[serde(flatten)]
    pub identity: Identity,
    /// The cache's shape.
    #[serde(flatten)]
    pub geometry: Geometry,
    /// Where the next token stands.
    pub tracker: SegmentTracker,
    /// Whether there is nothing but whitespace behind its last anchor, so that nobody misses it.
    #[serde(default)]
    pub blank_tail: bool,
    /// The texts that it was joined from; one, where it was read at once.
    pub parts: Vec<PartRecord>,
    /// What was read behind joined parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub following: Option<PartRecord>,
}

/// All of a prefix but its keys and values.
#[derive(Debug, Clone, PartialEq)]
pub struct PrefixHead {
    /// What it says of itself.
    pub record: PrefixRecord,
    /// Where the entries stand, `S` of them.
    pub places: Vec<Place>,
    /// The last token ids, at most [`Self::RECENT`]: text and penalties go on from them.
    pub recent: Vec<u32>,
    /// Radians per position of each pair of channels, `D/2`: how keys are turned to other positions.
    pub frequencies: Vec<f64>,
}

impl PrefixHead {
    /// How many token ids are remembered: as many as a repeat penalty looks at.
    pub const RECENT: usize = 64;

    /// Bytes of the entries in 32-bit floats, and those that a full cache would hold for the same tokens.
    pub fn float_bytes(&self) -> [usize; 2] {
        let entry = self.record.geometry.layers * 2 * self.record.geometry.width() * 4;
        [self.places.len() * entry, self.record.tokens * entry]
    }
}

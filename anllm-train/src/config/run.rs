//! The settings of a training run: one TOML file, saved beside the results with every default filled in.

use std::path::PathBuf;

use anllm_core::{AnchorRule, LastSentence, SplitterKind};
use anllm_model::checkpoint::StoredType;
use burn::tensor::DType;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::{Filling, source::SourceConfig};
use crate::engine::OptimizerConfig;
use crate::schedule::ScheduleConfig;

/// A whole run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Where every random choice starts.
    pub seed: u64,
    /// What is trained.
    pub model: ModelSection,
    /// What it is trained on.
    pub data: DataSection,
    /// How far, under which mask.
    pub train: TrainSection,
    /// AdamW.
    pub optimizer: OptimizerConfig,
    /// The learning rate over time.
    pub schedule: ScheduleConfig,
    /// Low-rank adapters instead of all weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraSection>,
    /// Where results go.
    pub save: SaveSection,
    /// What is measured.
    pub log: LogSection,
}

/// Where the weights start.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSection {
    /// A Hugging Face folder or a GGUF file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    /// From scratch: the keys of a Hugging Face `config.json`; `vocab_size` and special tokens come from the tokenizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scratch: Option<serde_json::Map<String, Value>>,
    /// From scratch: the size of a vocabulary to train on the data (byte-level BPE), or a `tokenizer.json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<TokenizerChoice>,
    /// Which tokens are anchors; without it what the checkpoint says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchors: Option<AnchorRule>,
    /// Adds `<AC>`: `mean`, or `copy:TOKEN`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_ac: Option<String>,
}

/// The tokenizer of a model from scratch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TokenizerChoice {
    /// Train one with this many tokens.
    Train(usize),
    /// Take this `tokenizer.json`.
    File(PathBuf),
}

/// The text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataSection {
    /// Where documents come from.
    pub sources: Vec<SourceConfig>,
    /// Documents for validation only.
    pub validation: Vec<SourceConfig>,
    /// Share of the training documents that is kept for validation instead.
    pub validation_fraction: f64,
    /// Rows of this many tokens at most.
    pub context: usize,
    /// How documents fill rows.
    pub rows: Filling,
    /// Ends every document with the end-of-sequence token.
    pub end_token: bool,
    /// How sentences are found for `<AC>`.
    pub splitter: SplitterKind,
    /// Whether `<AC>` stands behind the last sentence too.
    pub ac_last: LastSentence,
    /// Where tokenised text is kept; by default in the output folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
}

impl Default for DataSection {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            validation: Vec::new(),
            validation_fraction: 0.0,
            context: 512,
            rows: Filling::default(),
            end_token: true,
            splitter: SplitterKind::default(),
            ac_last: LastSentence::default(),
            cache: None,
        }
    }
}

/// The mask under which a model learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskMode {
    /// The anchor mask.
    #[default]
    Anchor,
    /// Full attention, for a twin to compare with.
    Full,
    /// From full attention to the anchor mask: what will be hidden counts less and less over `anneal_steps`.
    Anneal,
}

/// The type of activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compute {
    /// 32-bit floats.
    #[default]
    F32,
    /// 16-bit brain floats, where the device has them: half the memory, and on most GPUs several times the speed.
    Bf16,
}

impl Compute {
    /// Burn's name for it.
    pub(crate) fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
        }
    }
}

impl std::fmt::Display for Compute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

/// The loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainSection {
    /// The length of the run in optimiser steps. Exactly one of `steps`, `tokens` and `epochs` is set; 0 counts as not
    /// set, so that an override can take a file's length back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// The length of the run in tokens: it ends with the step that reaches them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<usize>,
    /// The length of the run in rounds: one is as many rows as the training text has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<f64>,
    /// Rows of one step.
    pub rows_per_step: usize,
    /// Rows that go through the model at once; the gradients of a step's parts are summed.
    pub rows_at_once: usize,
    /// The mask.
    pub mask: MaskMode,
    /// Steps over which `anneal` closes the mask.
    pub anneal_steps: usize,
    /// Share of the divergence from a teacher under full attention in the loss.
    pub distill: f64,
    /// The teacher's checkpoint. Without it the teacher is the model that learns, with the same weights (with LoRA: the
    /// base, whose row of `<AC>` is the trained one).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher: Option<PathBuf>,
    /// Drops each block's intermediate results and computes them again: less memory, a third more work.
    pub gradient_checkpointing: bool,
    /// What activations and their gradients are computed in. Weights, their gradients, AdamW and the loss are `f32`
    /// always; so is validation.
    pub compute: Compute,
    /// Megabytes that a chunk of logits may take.
    pub logits_mb: usize,
}

impl Default for TrainSection {
    fn default() -> Self {
        Self {
            steps: None,
            tokens: None,
            epochs: None,
            rows_per_step: 8,
            rows_at_once: 8,
            mask: MaskMode::default(),
            anneal_steps: 0,
            distill: 0.0,
            teacher: None,
            gradient_checkpointing: false,
            compute: Compute::default(),
            logits_mb: 64,
        }
    }
}

/// Low-rank adapters (LoRA).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoraSection {
    /// Width of the low-rank matrices.
    pub rank: usize,
    /// Their sum counts `alpha / rank`.
    pub alpha: f64,
    /// Share of inputs left out while training. A backend has one random state for the whole process: two runs at
    /// once in one process would disturb each other's choices.
    pub dropout: f64,
    /// Which layers, by the last part of their names.
    pub targets: Vec<String>,
    /// Under the rule `ac`, trains the row of `<AC>` too: in the embedding, and in the output matrix where that is
    /// another. All other rows stay as they are.
    pub train_ac: bool,
}

impl Default for LoraSection {
    fn default() -> Self {
        let targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
        Self { rank: 16, alpha: 32.0, dropout: 0.0, targets: targets.map(str::to_owned).to_vec(), train_ac: true }
    }
}

/// Checkpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SaveSection {
    /// The run's folder.
    pub output: PathBuf,
    /// Steps between checkpoints; 0 saves at the end alone.
    pub every: usize,
    /// How many checkpoints stay.
    pub keep: usize,
    /// How the finished model's weights are stored: `f32`, `f16` or `bf16`. Checkpoints are always `f32`.
    pub dtype: StoredType,
}

impl Default for SaveSection {
    fn default() -> Self {
        Self { output: PathBuf::from("runs/anllm"), every: 0, keep: 2, dtype: StoredType::default() }
    }
}

/// Measurements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    /// Steps between lines.
    pub every: usize,
    /// Steps between validations; 0 validates at the end alone.
    pub validate_every: usize,
    /// Rows of one validation.
    pub validate_rows: usize,
    /// TensorBoard events beside the JSON Lines.
    pub tensorboard: bool,
    /// Steps between samples of what the model writes; 0 takes none. They change nothing of the training.
    pub sample_every: usize,
    /// The texts that samples continue.
    pub sample_prompts: Vec<String>,
    /// Tokens of one sample, at most.
    pub sample_tokens: usize,
    /// Scores are divided by it; 0 always takes the best token. Draws start from `seed` each time.
    pub sample_temperature: f32,
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            every: 1,
            validate_every: 0,
            validate_rows: 64,
            tensorboard: true,
            sample_every: 0,
            sample_prompts: Vec::new(),
            sample_tokens: 64,
            sample_temperature: 0.0,
        }
    }
}

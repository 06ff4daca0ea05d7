//! The options that say which model runs, where, and under which rules.

use std::path::PathBuf;

use anllm_core::{PolicyKind, RuleChoice};
use anllm_model::checkpoint::MatrixForm;
use anllm_model::{Checkpoint, CheckpointError, RopeChoice, ScalingChoice};
use burn::tensor::DType;
use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};

use crate::bundled;
use crate::device::DeviceChoice;

/// Which checkpoint.
#[derive(Debug, Clone, Args)]
pub(crate) struct ModelArgs {
    /// A Hugging Face model folder, a .gguf file, or one of the two story tellers in the program: bundled:ep, whose
    /// anchors are the tokens that end sentences, and bundled:ac, with <AC> after each sentence.
    #[arg(long, short, env = "ANLLM_MODEL", value_name = "PATH", default_value = bundled::DEFAULT)]
    pub(crate) model: PathBuf,

    /// Which tokens are anchors: model (what the checkpoint says), ep (the token "."), ac (the token <AC>),
    /// tokens:A|B, ids:30,1673, endswith:.|!|?, every:N, none.
    #[arg(long, env = "ANLLM_ANCHORS", value_name = "RULE", default_value = "model")]
    pub(crate) anchors: RuleChoice,

    /// Rotary scaling in place of the checkpoint's: none, linear:F, yarn:F or llama3:F, F times the context of the first
    /// training, which ,original=N names where the checkpoint does not.
    #[arg(long, env = "ANLLM_ROPE_SCALING", value_name = "KIND", help_heading = "Context")]
    pub(crate) rope_scaling: Option<ScalingChoice>,

    /// Base of the rotary wavelengths in place of the checkpoint's.
    #[arg(long, env = "ANLLM_ROPE_THETA", value_name = "X", help_heading = "Context")]
    pub(crate) rope_theta: Option<f64>,

    /// Let texts go on to position N, beyond what the model was trained for: it was not, and what comes of it is yours to
    /// judge. Policies that look back less far, such as sink:S+N or anchor:renumber, do not need it.
    #[arg(long, env = "ANLLM_MAX_POSITIONS", value_name = "N", help_heading = "Context",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) max_positions: Option<usize>,
}

impl ModelArgs {
    /// Opens the checkpoint.
    pub(crate) fn open(&self) -> Result<Checkpoint, CheckpointError> {
        let checkpoint = bundled::open(&self.model).unwrap_or_else(|| Checkpoint::open(&self.model))?;
        let rope = RopeChoice { theta: self.rope_theta, scaling: self.rope_scaling };
        let mut checkpoint = checkpoint.with_rope(rope)?;
        if let Some(positions) = self.max_positions {
            let trained = checkpoint.config().max_positions;
            if positions > trained {
                tracing::warn!(
                    "positions up to {positions}, but the model's context ends at {trained}: beyond it scores are \
                     those of positions that were never trained"
                );
            }
            checkpoint.set_context(positions);
        }
        Ok(checkpoint)
    }
}

/// How a model runs.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// Where to compute: auto, cpu, ndarray, cuda[:N], wgpu[:N], vulkan[:N].
    #[arg(long, env = "ANLLM_DEVICE", default_value = "auto")]
    pub(crate) device: DeviceChoice,

    /// Type of activations.
    #[arg(long, env = "ANLLM_DTYPE", value_enum, default_value_t = Dtype::F32)]
    pub(crate) dtype: Dtype,

    /// Type of the keys and values that the cache holds; without it --dtype's. One of 16 bits takes half of the
    /// memory; keys and values are rounded to it.
    #[arg(long, env = "ANLLM_CACHE_DTYPE", value_enum, value_name = "DTYPE")]
    pub(crate) cache_dtype: Option<Dtype>,

    /// How the matrices of linear layers, embedding and head are held: native (as the file stores them: Q8_0, Q4_0 and
    /// Q4_1 blocks stay packed, 16-bit floats stay 16 bits), float (in --dtype), q8 or q4 (the nearest blocks of 8 or 4
    /// bits; with q8, projections to values have 16, with q4, embedding and head 8). GPUs hold 16-bit floats in --dtype,
    /// ndarray all values.
    #[arg(long, env = "ANLLM_WEIGHTS", value_enum, default_value_t = Weights::Native)]
    pub(crate) weights: Weights,

    /// What tokens see and the cache keeps: full (causal attention), anchor (anchor mask, reduced cache; with :recent=R
    /// the last R closed segments whole, :keep=A..B the tokens A to B - 1 too, :last=M the last M anchors alone, :renumber
    /// positions counted anew; options are joined by commas), window:N (the last N tokens), sink:S+N (StreamingLLM: the first S and the last N,
    /// renumbered), sepllm:S+N (SepLLM: all anchors as well; ,renumber), random:N (N drawn by ,seed=S, and the open
    /// segment). Without it: anchor where the checkpoint records an anchor rule or --anchors gives one, else full.
    #[arg(long, env = "ANLLM_CACHE", value_name = "POLICY")]
    pub(crate) cache: Option<PolicyKind>,

    /// Tokens processed at once while a prompt is read. It bounds memory; results do not depend on it.
    #[arg(long, env = "ANLLM_PREFILL_CHUNK", value_name = "N", default_value_t = 512,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) prefill_chunk: usize,

    /// Threads for the CPU backends; 0 is one per core.
    #[arg(long, env = "ANLLM_THREADS", value_name = "N", default_value_t = 0,
        value_parser = RangedU64ValueParser::<usize>::new().range(..=1024))]
    pub(crate) threads: usize,
}

/// Number types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dtype {
    /// 32-bit floats.
    F32,
    /// 16-bit IEEE floats.
    F16,
    /// 16-bit brain floats.
    Bf16,
}

/// Widths of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Weights {
    /// As stored.
    Native,
    /// In the type of activations.
    Float,
    /// 8 bits.
    Q8,
    /// 4 bits.
    Q4,
}

impl Weights {
    pub(crate) fn form(self) -> MatrixForm {
        match self {
            Self::Native => MatrixForm::Stored,
            Self::Float => MatrixForm::Float,
            Self::Q8 => MatrixForm::Eight,
            Self::Q4 => MatrixForm::Four,
        }
    }
}

impl Dtype {
    pub(crate) fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::BF16,
        }
    }
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}

impl std::fmt::Display for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Float => "float",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        })
    }
}

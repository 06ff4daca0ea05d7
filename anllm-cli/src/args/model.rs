//! The options that say which model runs, where, and under which rules.

use std::path::PathBuf;

use anllm_core::{PolicyKind, RuleChoice};
use anllm_model::checkpoint::MatrixForm;
use anllm_model::{Checkpoint, CheckpointError};
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
}

impl ModelArgs {
    /// Opens the checkpoint.
    pub(crate) fn open(&self) -> Result<Checkpoint, CheckpointError> {
        bundled::open(&self.model).unwrap_or_else(|| Checkpoint::open(&self.model))
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

    /// Type of activations and cache.
    #[arg(long, env = "ANLLM_DTYPE", value_enum, default_value_t = Dtype::F32)]
    pub(crate) dtype: Dtype,

    /// How the matrices of linear layers, embedding and head are held: native (as the file stores them: Q8_0, Q4_0 and
    /// Q4_1 blocks stay packed, 16-bit floats stay 16 bits), float (in --dtype), q8 or q4 (the nearest blocks of 8 or 4
    /// bits; with q4, embedding and head have 8). GPUs and ndarray hold the values of packed weights in --dtype.
    #[arg(long, env = "ANLLM_WEIGHTS", value_enum, default_value_t = Weights::Native)]
    pub(crate) weights: Weights,

    /// Cache policy: full (causal attention) or anchor (anchor mask, reduced cache). Without it: anchor where the
    /// checkpoint records an anchor rule or --anchors gives one, else full.
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

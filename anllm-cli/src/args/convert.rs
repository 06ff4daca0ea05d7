//! `anllm convert`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::model::{Dtype, ModelArgs};

/// Options of `anllm convert`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConvertArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// The folder to write; it must not exist, or be empty.
    #[arg(long, env = "ANLLM_TO", value_name = "DIR")]
    pub(crate) to: PathBuf,

    /// Add the token <AC> to the vocabulary. Its embedding starts as the mean of all (mean), or as a copy of another
    /// token's (copy:.). The rule ac is recorded.
    #[arg(long, env = "ANLLM_ADD_AC", value_name = "HOW")]
    pub(crate) add_ac: Option<AddAc>,

    /// Add the low-rank adapters in this folder (PEFT's adapter_config.json and adapter_model.safetensors) to the
    /// weights. With --add-ac, <AC> is added first. The anchor rule that they were trained under is recorded.
    #[arg(long, env = "ANLLM_MERGE_LORA", value_name = "DIR")]
    pub(crate) merge_lora: Option<PathBuf>,

    /// How weights are stored; without it as in the source, where that is a float type, else f32.
    #[arg(long, env = "ANLLM_DTYPE", value_enum)]
    pub(crate) dtype: Option<Dtype>,

    /// Weights are split into files of at most this many megabytes.
    #[arg(long, env = "ANLLM_SHARD_MB", value_name = "N", default_value_t = 5000,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) shard_mb: usize,
}

/// First values of the embedding of `<AC>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AddAc {
    /// The mean of all rows.
    Mean,
    /// A copy of this token's row.
    Copy(String),
}

impl FromStr for AddAc {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("copy:")) {
            ("mean", _) => Ok(Self::Mean),
            (_, Some(token)) if !token.is_empty() => Ok(Self::Copy(token.to_owned())),
            _ => Err(format!("expected `mean` or `copy:TOKEN`, found `{text}`")),
        }
    }
}

//! `anllm eval …`.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Subcommand};

use super::model::RunArgs;

/// Options of `anllm eval`.
#[derive(Debug, Clone, Args)]
pub(crate) struct EvalArgs {
    /// What to measure.
    #[command(subcommand)]
    pub(crate) command: EvalCommand,
}

/// The measures.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum EvalCommand {
    /// Perplexity of a text: encoded once, cut into windows, each scored alone.
    Ppl(PplArgs),
}

/// Options of `anllm eval ppl`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PplArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,

    /// The text file; - is standard input.
    #[arg(long, env = "ANLLM_TEXT", value_name = "FILE")]
    pub(crate) text: PathBuf,

    /// Tokens in a window; without it 2048, or the model's context where that is shorter.
    #[arg(long, env = "ANLLM_WINDOW", value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(2..))]
    pub(crate) window: Option<usize>,

    /// Tokens between window starts; without it the window. With less, later windows are scored on what they add.
    #[arg(long, env = "ANLLM_STRIDE", value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) stride: Option<usize>,

    /// Use only the first N tokens of the text.
    #[arg(long, env = "ANLLM_LIMIT_TOKENS", value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(2..))]
    pub(crate) limit_tokens: Option<usize>,
}

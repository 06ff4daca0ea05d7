//! `anllm inspect`, `anllm completions`, `anllm man`.

use std::path::PathBuf;

use clap::Args;

use super::model::ModelArgs;

/// Options of `anllm inspect`.
#[derive(Debug, Clone, Args)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// List every tensor.
    #[arg(long, env = "ANLLM_TENSORS", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) tensors: bool,
}

/// Options of `anllm completions`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
}

/// Options of `anllm man`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ManArgs {
    /// Write a page for each command into this folder.
    #[arg(long, env = "ANLLM_TO", value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,
}

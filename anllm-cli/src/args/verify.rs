//! `anllm verify` and `anllm logits`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{FalseyValueParser, RangedU64ValueParser};

use super::model::RunArgs;

/// Options of `anllm verify`.
#[derive(Debug, Clone, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,

    /// The text to verify on; - is standard input. Without it a short one of its own.
    #[arg(long, env = "ANLLM_TEXT", value_name = "FILE")]
    pub(crate) text: Option<PathBuf>,

    /// Check merged prefix caches instead: the demonstrations of this file, which blank lines separate, are each read
    /// alone, merged as `anllm cache merge` does, and continued with the text.
    #[arg(long, env = "ANLLM_DEMONSTRATIONS", value_name = "FILE")]
    pub(crate) demonstrations: Option<PathBuf>,

    /// Use only the first N tokens of the text. The dense mask it is compared with takes memory by their square.
    #[arg(long, env = "ANLLM_LIMIT_TOKENS", value_name = "N", default_value_t = 1000,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) limit_tokens: usize,

    /// Chunk sizes to compare, each a number or all.
    #[arg(long, env = "ANLLM_CHUNKS", value_name = "N,…", value_delimiter = ',', default_value = "1,7,64,all")]
    pub(crate) chunks: Vec<String>,
}

/// Options of `anllm logits`.
#[derive(Debug, Clone, Args)]
pub(crate) struct LogitsArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,

    /// Token ids, separated by commas.
    #[arg(long, env = "ANLLM_IDS", value_name = "ID,…", value_delimiter = ',', required = true)]
    pub(crate) ids: Vec<u32>,

    /// Compute under the dense mask in one pass, without a cache.
    #[arg(long, env = "ANLLM_DENSE", value_parser = FalseyValueParser::new())]
    pub(crate) dense: bool,
}

//! `anllm anchors`.

use std::path::PathBuf;

use clap::Args;

use super::model::ModelArgs;

/// Options of `anllm anchors`.
#[derive(Debug, Clone, Args)]
pub(crate) struct AnchorsArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// The text file; - is standard input. Without it a short text of its own.
    #[arg(long, env = "ANLLM_TEXT", value_name = "FILE")]
    pub(crate) text: Option<PathBuf>,

    /// Use only the first N tokens of the text.
    #[arg(long, env = "ANLLM_LIMIT_TOKENS", value_name = "N")]
    pub(crate) limit_tokens: Option<usize>,

    /// Draw the attention mask.
    #[arg(long, env = "ANLLM_MASK", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) mask: bool,

    /// Say which rule lets token I see token J, or not.
    #[arg(long, env = "ANLLM_EXPLAIN", value_name = "I,J", value_delimiter = ',', num_args = 1)]
    pub(crate) explain: Vec<usize>,

    /// Write the mask as a picture.
    #[arg(long, env = "ANLLM_SVG", value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,

    /// Write the coloured text as a page.
    #[arg(long, env = "ANLLM_HTML", value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

//! `anllm eval kl`, `anllm eval passkey`, `anllm eval frontier`.

use std::path::PathBuf;

use anllm_core::{PolicyKind, SplitterKind};
use clap::Args;
use clap::builder::{FalseyValueParser, RangedU64ValueParser};

use super::model::RunArgs;

/// Options of `anllm eval kl`.
#[derive(Debug, Clone, Args)]
pub(crate) struct KlArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,

    /// The text file; - is standard input.
    #[arg(long, env = "ANLLM_TEXT", value_name = "FILE")]
    pub(crate) text: PathBuf,

    /// Tokens in a window; without it 2048, or the model's context where that is shorter.
    #[arg(long, env = "ANLLM_WINDOW", value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(2..))]
    pub(crate) window: Option<usize>,

    /// Use only the first N tokens.
    #[arg(long, env = "ANLLM_LIMIT_TOKENS", value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(2..))]
    pub(crate) limit_tokens: Option<usize>,

    /// Tokens in a row of the divergence by position; without it an eighth of the window.
    #[arg(long, env = "ANLLM_BY_POSITION", value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) by_position: Option<usize>,
}

/// Options of `anllm eval passkey`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PasskeyArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,

    /// Tokens of the whole prompt, at most. [default: 256,512,1024,2048, as far as the model's context goes]
    #[arg(long, env = "ANLLM_LENGTH", value_name = "N,…", value_delimiter = ',',
        value_parser = RangedU64ValueParser::<usize>::new().range(2..))]
    pub(crate) length: Vec<usize>,

    /// Where in the filler the key stands, from 0 (the beginning) to 1.
    #[arg(long, env = "ANLLM_DEPTH", value_name = "X,…", value_delimiter = ',', default_value = "0,0.25,0.5,0.75,1")]
    pub(crate) depth: Vec<f64>,

    /// Keys tried at each length and depth.
    #[arg(long, env = "ANLLM_TRIALS", value_name = "N", default_value_t = 10,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) trials: usize,

    /// Seed of the keys.
    #[arg(long, env = "ANLLM_SEED", value_name = "N", default_value_t = 1234)]
    pub(crate) seed: u64,

    /// Put <AC> after each sentence of the prompt, as a model with the rule ac was trained.
    #[arg(long, env = "ANLLM_ADD_ANCHORS", value_parser = FalseyValueParser::new())]
    pub(crate) add_anchors: bool,

    /// How --add-anchors finds sentences: sentencex[:LANG], unicode, punkt:FILE, or demonstrations[:SEPARATOR].
    #[arg(long, env = "ANLLM_SPLITTER", value_name = "KIND", default_value = "sentencex:en")]
    pub(crate) splitter: SplitterKind,
}

/// Options of `anllm eval frontier`.
#[derive(Debug, Clone, Args)]
pub(crate) struct FrontierArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,

    /// The text file; - is standard input.
    #[arg(long, env = "ANLLM_TEXT", value_name = "FILE")]
    pub(crate) text: PathBuf,

    /// Lengths of windows, in tokens. [default: 512,2048, as far as the model's context and the text go]
    #[arg(long, env = "ANLLM_CONTEXT", value_name = "N,…", value_delimiter = ',',
        value_parser = RangedU64ValueParser::<usize>::new().range(2..))]
    pub(crate) context: Vec<usize>,

    /// Entries for the policies that take a number: window, sink, sepllm (sinks and window; separators come on top) and
    /// random.
    #[arg(long, env = "ANLLM_BUDGET", value_name = "N,…", value_delimiter = ',', default_value = "64,128,256",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) budget: Vec<usize>,

    /// Measure these policies instead, separated by semicolons.
    #[arg(long, env = "ANLLM_POLICIES", value_name = "POLICY;…", value_delimiter = ';', conflicts_with = "budget")]
    pub(crate) policies: Vec<PolicyKind>,

    /// Use only the first N tokens. Each length takes as many whole windows of them as there are.
    #[arg(long, env = "ANLLM_LIMIT_TOKENS", value_name = "N", default_value_t = 8192,
        value_parser = RangedU64ValueParser::<usize>::new().range(2..))]
    pub(crate) limit_tokens: usize,

    /// Tokens decoded at the end of a window to measure the speed; 0 leaves that out.
    #[arg(long, env = "ANLLM_NEW_TOKENS", value_name = "N", default_value_t = 32)]
    pub(crate) new_tokens: usize,

    /// Repetitions of the decoding, after one to warm up: the median is reported.
    #[arg(long, env = "ANLLM_REPS", value_name = "R", default_value_t = 3,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) reps: usize,
}

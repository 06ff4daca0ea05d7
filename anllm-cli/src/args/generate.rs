//! `anllm generate`.

use std::path::PathBuf;

use anllm_core::SplitterKind;
use clap::builder::RangedU64ValueParser;
use clap::{ArgGroup, Args};

use super::model::RunArgs;
use super::sampling::SamplingArgs;

/// Options of `anllm generate`.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("source").args(["prompt", "prompt_file", "prompts", "stdin"]))]
pub(crate) struct GenerateArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,

    /// The prompt. A bundled model without one begins with "Once upon a time".
    #[arg(long, short, env = "ANLLM_PROMPT", value_name = "TEXT")]
    pub(crate) prompt: Option<String>,

    /// Read the prompt from a file; - is standard input.
    #[arg(long, env = "ANLLM_PROMPT_FILE", value_name = "FILE")]
    pub(crate) prompt_file: Option<PathBuf>,

    /// Continue every prompt of a file, several at once: one a line, or JSON Lines with "prompt" and, where a prompt has
    /// settings of its own, "max_new_tokens", "temperature", "top_k", "top_p", "min_p", "repeat_penalty",
    /// "presence_penalty", "frequency_penalty", "seed", "stop". Results come in the file's order; with --json one object
    /// a line. - is standard input.
    #[arg(long, env = "ANLLM_PROMPTS", value_name = "FILE")]
    pub(crate) prompts: Option<PathBuf>,

    /// With --prompts: how many are continued at once.
    #[arg(long, env = "ANLLM_BATCH", value_name = "N", default_value_t = 16,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) batch: usize,

    /// Read the prompt from standard input.
    #[arg(value_name = "-", value_parser = ["-"], hide_possible_values = true)]
    pub(crate) stdin: Option<String>,

    /// Put <AC> after each sentence of the prompt that has none, as a model with the rule ac was trained. A last
    /// sentence that is not finished is left open.
    #[arg(long, env = "ANLLM_ADD_ANCHORS", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) add_anchors: bool,

    /// How --add-anchors finds sentences: sentencex[:LANG], unicode, punkt:FILE, or
    /// demonstrations[:SEPARATOR], which puts one <AC> at the end of each demonstration of a few-shot prompt.
    #[arg(long, env = "ANLLM_SPLITTER", value_name = "KIND", default_value = "sentencex:en")]
    pub(crate) splitter: SplitterKind,

    /// Continue this prefix cache (`anllm cache build`): the prompt, or each of several, stands right behind its text,
    /// without a begin-of-sequence token. Policy and anchors are the file's.
    #[arg(long, env = "ANLLM_PREFIX_CACHE", value_name = "FILE")]
    pub(crate) prefix_cache: Option<PathBuf>,

    /// The most tokens to add.
    #[arg(
        long,
        short = 'n',
        env = "ANLLM_MAX_NEW_TOKENS",
        value_name = "N",
        default_value_t = 128,
        allow_negative_numbers = true
    )]
    pub(crate) max_new_tokens: usize,

    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,

    /// End where the continuation reaches this text; may be given several times.
    #[arg(long, env = "ANLLM_STOP", value_name = "TEXT")]
    pub(crate) stop: Vec<String>,

    /// Go on past end-of-sequence tokens.
    #[arg(long, env = "ANLLM_IGNORE_EOS", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) ignore_eos: bool,

    /// Write what the cache held after each token, as JSON Lines. `anllm anchors --trace FILE --svg F` draws it.
    #[arg(long, env = "ANLLM_TRACE", value_name = "FILE", conflicts_with_all = ["prompts", "prefix_cache"])]
    pub(crate) trace: Option<PathBuf>,

    /// Print the prompt before its continuation.
    #[arg(long, env = "ANLLM_ECHO", value_parser = clap::builder::FalseyValueParser::new(), conflicts_with = "json")]
    pub(crate) echo: bool,
}

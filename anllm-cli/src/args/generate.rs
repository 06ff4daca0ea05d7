//! `anllm generate`. Negative numbers are allowed as values, so that they are refused as such rather than as unknown
//! options.

use std::path::PathBuf;

use anllm_core::SplitterKind;
use clap::builder::RangedU64ValueParser;
use clap::{ArgGroup, Args};

use super::model::RunArgs;

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
    #[arg(long, env = "ANLLM_PROMPTS", value_name = "FILE", conflicts_with = "prefix_cache")]
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

    /// Continue this prefix cache (`anllm cache build`): the prompt stands right behind its text, without a
    /// begin-of-sequence token. Policy and anchors are the file's.
    #[arg(long, env = "ANLLM_PREFIX_CACHE", value_name = "FILE", conflicts_with = "prompts")]
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

    /// Scores are divided by it; 0 always takes the best token. [default: 0; bundled models 0.6]
    #[arg(long, env = "ANLLM_TEMPERATURE", value_name = "X", allow_negative_numbers = true)]
    pub(crate) temperature: Option<f32>,

    /// Draw from the K best tokens only; 0 is all.
    #[arg(long, env = "ANLLM_TOP_K", value_name = "K", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) top_k: usize,

    /// Draw from the fewest best tokens whose probabilities reach P. [default: 1; bundled models 0.9]
    #[arg(long, env = "ANLLM_TOP_P", value_name = "P", allow_negative_numbers = true)]
    pub(crate) top_p: Option<f32>,

    /// Leave out tokens below P times the best one's probability.
    #[arg(long, env = "ANLLM_MIN_P", value_name = "P", default_value_t = 0.0, allow_negative_numbers = true)]
    pub(crate) min_p: f32,

    /// Make the tokens of the last 64 less likely by this factor; 1 does nothing. [default: 1; bundled models 1.1]
    #[arg(long, env = "ANLLM_REPEAT_PENALTY", value_name = "X", allow_negative_numbers = true)]
    pub(crate) repeat_penalty: Option<f32>,

    /// Take this much of a token's score once it was made; 0 does nothing.
    #[arg(
        long,
        env = "ANLLM_PRESENCE_PENALTY",
        value_name = "X",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    pub(crate) presence_penalty: f32,

    /// Take this much of a token's score each time it was made; 0 does nothing.
    #[arg(
        long,
        env = "ANLLM_FREQUENCY_PENALTY",
        value_name = "X",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    pub(crate) frequency_penalty: f32,

    /// Seed of the draws; without it a random one, which is printed.
    #[arg(long, env = "ANLLM_SEED", value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// End where the continuation reaches this text; may be given several times.
    #[arg(long, env = "ANLLM_STOP", value_name = "TEXT")]
    pub(crate) stop: Vec<String>,

    /// Go on past end-of-sequence tokens.
    #[arg(long, env = "ANLLM_IGNORE_EOS", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) ignore_eos: bool,

    /// Print the prompt before its continuation.
    #[arg(long, env = "ANLLM_ECHO", value_parser = clap::builder::FalseyValueParser::new(), conflicts_with = "json")]
    pub(crate) echo: bool,
}

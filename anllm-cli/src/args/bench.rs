//! `anllm bench`.

use std::path::PathBuf;

use anllm_core::SplitterKind;
use clap::Args;
use clap::builder::{FalseyValueParser, RangedU64ValueParser};

use super::model::RunArgs;

/// Options of `anllm bench`.
#[derive(Debug, Clone, Args)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,

    /// Lengths to measure at, in tokens.
    #[arg(long, env = "ANLLM_CONTEXT", value_name = "N,…", value_delimiter = ',', default_value = "128,512,2048",
        value_parser = RangedU64ValueParser::<usize>::new().range(2..))]
    pub(crate) context: Vec<usize>,

    /// Tokens decoded after each prompt.
    #[arg(long, env = "ANLLM_NEW_TOKENS", value_name = "N", default_value_t = 32,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) new_tokens: usize,

    /// Repetitions, after one to warm up. Medians are reported, with the slowest and the fastest.
    #[arg(long, env = "ANLLM_REPS", value_name = "R", default_value_t = 5,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) reps: usize,

    /// Measure decoding of so many sequences at once instead, such as 1,4,16,32: what they make together.
    #[arg(long, env = "ANLLM_BATCH", value_name = "N,…", value_delimiter = ',', conflicts_with = "train",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=4096))]
    pub(crate) batch: Vec<usize>,

    /// The text to read; - is standard input. It is repeated where it is too short. Without it a short one of its own.
    #[arg(long, env = "ANLLM_TEXT", value_name = "FILE")]
    pub(crate) text: Option<PathBuf>,

    /// Measure prefix caches: the time of a question at the end of a few-shot prompt, with everything read again, with a
    /// full prefix cache and with an anchor prefix cache. The text is the prompt; the question stands behind its last
    /// blank line, the prefix before it.
    #[arg(long, env = "ANLLM_PREFIX", requires = "text", conflicts_with = "train",
        value_parser = FalseyValueParser::new())]
    pub(crate) prefix: bool,

    /// With --prefix: put <AC> after each sentence, or as --splitter says.
    #[arg(long, env = "ANLLM_ADD_ANCHORS", requires = "prefix", value_parser = FalseyValueParser::new())]
    pub(crate) add_anchors: bool,

    /// How --add-anchors finds sentences: sentencex[:LANG], unicode, punkt:FILE, or demonstrations[:SEPARATOR].
    #[arg(long, env = "ANLLM_SPLITTER", value_name = "KIND", default_value = "sentencex:en")]
    pub(crate) splitter: SplitterKind,

    /// Measure training steps of one row each, under the anchor mask and under full attention.
    #[arg(long, env = "ANLLM_TRAIN", value_parser = FalseyValueParser::new())]
    pub(crate) train: bool,

    /// With --train: adapters of this rank learn, not all weights.
    #[arg(long, env = "ANLLM_LORA", value_name = "RANK", requires = "train",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) lora: Option<usize>,
}

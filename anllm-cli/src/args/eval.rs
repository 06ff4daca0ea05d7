//! `anllm eval …`.

use std::path::PathBuf;

use anllm_core::SplitterKind;
use clap::builder::{FalseyValueParser, RangedU64ValueParser};
use clap::{Args, Subcommand};

use super::compare::CompareArgs;
use super::measures::{FrontierArgs, KlArgs, PasskeyArgs};
use super::model::RunArgs;
use super::qa::QaArgs;
use super::translation::TranslationArgs;

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
    Ppl(Box<PplArgs>),
    /// Questions with choices, answered by likelihood: accuracy, and what the demonstrations' cache saves.
    Qa(Box<QaArgs>),
    /// Divergence from full attention: how far a policy's predictions are from those of the whole context.
    Kl(Box<KlArgs>),
    /// Retrieval: a number is hidden in a long text and asked for at its end, by length and depth.
    Passkey(Box<PasskeyArgs>),
    /// Quality against memory and speed: every policy, at every budget and length, on one text.
    Frontier(Box<FrontierArgs>),
    /// Translation of sentences: BLEU, chrF, and what the cache saves, with the source kept or not.
    Translation(Box<TranslationArgs>),
    /// Two runs on the same data: the difference with its interval, by paired bootstrap.
    Compare(CompareArgs),
}

/// Options of `anllm eval ppl`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PplArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,

    /// The text file; - is standard input. Of a .jsonl file each record's field "text" is a document, scored alone.
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

    /// Use only the first N tokens.
    #[arg(long, env = "ANLLM_LIMIT_TOKENS", value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(2..))]
    pub(crate) limit_tokens: Option<usize>,

    /// Leave out documents of fewer tokens than N, added anchors not counted.
    #[arg(long, env = "ANLLM_MIN_TOKENS", value_name = "N", default_value_t = 2,
        value_parser = RangedU64ValueParser::<usize>::new().range(2..))]
    pub(crate) min_tokens: usize,

    /// Read the text as one stream in one session, without windows, however long it is: nothing is held but the cache.
    /// Policies that look back less far than the text is long go beyond the context.
    #[arg(long, env = "ANLLM_STREAM", value_parser = FalseyValueParser::new(),
        conflicts_with_all = ["window", "stride", "add_anchors"])]
    pub(crate) stream: bool,

    /// Tokens in a row of the perplexity by position; without it an eighth of the window, with --stream 1024.
    #[arg(long, env = "ANLLM_BY_POSITION", value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) by_position: Option<usize>,

    /// Write a line of JSON for each window, for `anllm eval compare`.
    #[arg(long, env = "ANLLM_LOG_WINDOWS", value_name = "FILE", conflicts_with = "stream")]
    pub(crate) log_windows: Option<PathBuf>,

    /// With --stream: draw the perplexity by position and the entries held.
    #[arg(long, env = "ANLLM_SVG", value_name = "FILE", requires = "stream")]
    pub(crate) svg: Option<PathBuf>,

    /// Put <AC> after each sentence, as a model with the rule ac was trained. Added anchors are read, not scored, so
    /// that the perplexity is that of the text.
    #[arg(long, env = "ANLLM_ADD_ANCHORS", value_parser = FalseyValueParser::new())]
    pub(crate) add_anchors: bool,

    /// Read every window behind this prefix cache (`anllm cache build`). Policy and anchors are the file's; the window
    /// and the prefix together must fit the context, and the first token of a window is not scored.
    #[arg(long, env = "ANLLM_PREFIX_CACHE", value_name = "FILE", conflicts_with = "stream")]
    pub(crate) prefix_cache: Option<PathBuf>,

    /// How --add-anchors finds sentences: sentencex[:LANG], unicode, punkt:FILE, or
    /// demonstrations[:SEPARATOR].
    #[arg(long, env = "ANLLM_SPLITTER", value_name = "KIND", default_value = "sentencex:en")]
    pub(crate) splitter: SplitterKind,
}

//! `anllm cache …`.

use std::path::PathBuf;

use anllm_core::SplitterKind;
use anllm_infer::prefix::EntryType;
use clap::builder::FalseyValueParser;
use clap::{ArgGroup, Args, Subcommand};

use super::model::RunArgs;

/// Options of `anllm cache`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CacheArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: CacheCommand,
}

/// What can be done with prefix caches.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum CacheCommand {
    /// Read a text once and keep what its cache holds in a file.
    ///
    /// The text can be of any length: it is read and encoded as a stream. `generate` and `eval ppl` continue it with
    /// --prefix-cache FILE.
    Build(Box<BuildArgs>),
    /// Show what a prefix cache holds.
    Info(InfoArgs),
    /// Put the prefix caches of separate texts side by side in one file, in the order given.
    ///
    /// No text sees another; what follows sees of each what its cache holds, all its anchors. Each text is read alone
    /// and with its own begin-of-sequence token, which all but the first lose. All but the last must end in an anchor.
    Merge(MergeArgs),
}

/// Where a prefix cache is written, and how.
#[derive(Debug, Clone, Args)]
pub(crate) struct TargetArgs {
    /// The file to write.
    #[arg(long, env = "ANLLM_TO", value_name = "FILE")]
    pub(crate) to: PathBuf,

    /// Replace the file if it exists.
    #[arg(long, env = "ANLLM_FORCE", value_parser = FalseyValueParser::new())]
    pub(crate) force: bool,

    /// How entries are stored: f32 (what follows is the same to the last bit), f16, or q8 (8 bits and a scale for each
    /// 32 values).
    #[arg(long, env = "ANLLM_ENTRIES", value_name = "TYPE", default_value = "f32")]
    pub(crate) entries: EntryType,
}

/// Options of `anllm cache build`.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("source").args(["prompt", "text", "stdin"]).required(true))]
pub(crate) struct BuildArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,

    /// The text itself.
    #[arg(long, short, env = "ANLLM_PROMPT", value_name = "TEXT")]
    pub(crate) prompt: Option<String>,

    /// The text file; - is standard input.
    #[arg(long, alias = "prompt-file", env = "ANLLM_TEXT", value_name = "FILE")]
    pub(crate) text: Option<PathBuf>,

    /// Read the text from standard input.
    #[arg(value_name = "-", value_parser = ["-"], hide_possible_values = true)]
    pub(crate) stdin: Option<String>,

    #[command(flatten)]
    pub(crate) target: TargetArgs,

    /// Go on from this prefix cache, under its policy and its anchors; the file itself stays as it is.
    #[arg(long, env = "ANLLM_PREFIX_CACHE", value_name = "FILE")]
    pub(crate) prefix_cache: Option<PathBuf>,

    /// Put <AC> after each sentence that has none, the last one included, as a model with the rule ac was trained.
    #[arg(long, env = "ANLLM_ADD_ANCHORS", value_parser = FalseyValueParser::new())]
    pub(crate) add_anchors: bool,

    /// How --add-anchors finds sentences: sentencex[:LANG], unicode, punkt:FILE, or demonstrations[:SEPARATOR], which
    /// puts one <AC> at the end of each demonstration of a few-shot prompt (blank lines separate them).
    #[arg(long, env = "ANLLM_SPLITTER", value_name = "KIND", default_value = "sentencex:en")]
    pub(crate) splitter: SplitterKind,
}

/// Options of `anllm cache info`.
#[derive(Debug, Clone, Args)]
pub(crate) struct InfoArgs {
    /// The prefix cache.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Check as well that it belongs to this model: a Hugging Face folder, a .gguf file, bundled:ep or bundled:ac.
    #[arg(long, short, value_name = "PATH")]
    pub(crate) model: Option<PathBuf>,
}

/// Options of `anllm cache merge`.
#[derive(Debug, Clone, Args)]
pub(crate) struct MergeArgs {
    /// The prefix caches, in the order in which their texts are to stand.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) target: TargetArgs,

    /// Check as well that they belong to this model, and fit its context.
    #[arg(long, short, value_name = "PATH")]
    pub(crate) model: Option<PathBuf>,
}

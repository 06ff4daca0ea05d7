//! `anllm eval translation`.

use std::path::PathBuf;

use anllm_eval::translation::Template;
use clap::Args;
use clap::builder::{FalseyValueParser, RangedU64ValueParser};

use super::model::RunArgs;

/// Options of `anllm eval translation`.
#[derive(Debug, Clone, Args)]
pub(crate) struct TranslationArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,

    /// Sentences with their translations, as a JSON array or JSON Lines of {"translation": {"de": …, "en": …}} or
    /// {"de": …, "en": …}.
    #[arg(long, env = "ANLLM_DATA", value_name = "FILE")]
    pub(crate) data: PathBuf,

    /// The field of the sentence to translate.
    #[arg(long, env = "ANLLM_FROM", value_name = "LANG", default_value = "de")]
    pub(crate) from: String,

    /// The field of its translation.
    #[arg(long, env = "ANLLM_INTO", value_name = "LANG", default_value = "en")]
    pub(crate) into: String,

    /// The prompt; {source} is the sentence, \n a line break. The translation ends with its line.
    #[arg(long, env = "ANLLM_TEMPLATE", value_name = "TEXT", default_value = r"German: {source}\nEnglish:",
        value_parser = template)]
    pub(crate) template: Template,

    /// Never drop the entries of the sentence to translate: under --cache anchor, with a span of its own for each.
    #[arg(long, env = "ANLLM_KEEP_SOURCE", value_parser = FalseyValueParser::new())]
    pub(crate) keep_source: bool,

    /// Demonstrations before each sentence: the first K of --shots-from.
    #[arg(long, env = "ANLLM_SHOTS", value_name = "K", default_value_t = 0)]
    pub(crate) shots: usize,

    /// Where demonstrations come from; without it the last ones of --data, which are then not translated.
    #[arg(long, env = "ANLLM_SHOTS_FROM", value_name = "FILE")]
    pub(crate) shots_from: Option<PathBuf>,

    /// Translate only the first N sentences.
    #[arg(long, env = "ANLLM_LIMIT", value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) limit: Option<usize>,

    /// The most tokens of a translation.
    #[arg(long, env = "ANLLM_MAX_NEW_TOKENS", value_name = "N", default_value_t = 128,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) max_new_tokens: usize,

    /// Sentences translated side by side.
    #[arg(long, env = "ANLLM_BATCH", value_name = "N", default_value_t = 16,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=4096))]
    pub(crate) batch: usize,

    /// Write a line of JSON for each sentence, in the order of the sentences, for `anllm eval compare`.
    #[arg(long, env = "ANLLM_LOG_SAMPLES", value_name = "FILE")]
    pub(crate) log_samples: Option<PathBuf>,
}

fn template(text: &str) -> Result<Template, String> {
    text.replace("\\n", "\n").parse().map_err(|e: anllm_eval::translation::TemplateError| e.to_string())
}

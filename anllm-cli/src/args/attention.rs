//! `anllm attention`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::model::RunArgs;

/// Options of `anllm attention`.
#[derive(Debug, Clone, Args)]
pub(crate) struct AttentionArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,

    /// The text.
    #[arg(long, env = "ANLLM_PROMPT", value_name = "TEXT", conflicts_with = "text")]
    pub(crate) prompt: Option<String>,

    /// The text file; - is standard input. Without either a short text of its own.
    #[arg(long, env = "ANLLM_TEXT", value_name = "FILE")]
    pub(crate) text: Option<PathBuf>,

    /// Use only the first N tokens of the text.
    #[arg(long, env = "ANLLM_LIMIT_TOKENS", value_name = "N", default_value_t = 48,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=512))]
    pub(crate) limit_tokens: usize,

    /// Which layer, counted from 0; without it the middle one.
    #[arg(long, env = "ANLLM_LAYER", value_name = "N")]
    pub(crate) layer: Option<usize>,

    /// Which head, counted from 0, or mean.
    #[arg(long, env = "ANLLM_HEAD", value_name = "N|mean", default_value = "mean")]
    pub(crate) head: HeadChoice,

    /// Draw the maps: full attention, and the policy's below it.
    #[arg(long, env = "ANLLM_SVG", value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

/// Whose shares are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadChoice {
    /// The mean over all.
    Mean,
    /// One head's.
    One(usize),
}

/// Text that is no head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeadError;

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a head's number, counted from 0, or `mean`")
    }
}

impl std::error::Error for HeadError {}

impl FromStr for HeadChoice {
    type Err = HeadError;

    fn from_str(text: &str) -> Result<Self, HeadError> {
        match text {
            "mean" => Ok(Self::Mean),
            number => number.parse().map(Self::One).map_err(|_| HeadError),
        }
    }
}

impl fmt::Display for HeadChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mean => f.write_str("mean"),
            Self::One(number) => number.fmt(f),
        }
    }
}

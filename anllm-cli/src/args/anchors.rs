//! `anllm anchors`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use anllm_core::PolicyKind;
use clap::Args;
use clap::builder::{FalseyValueParser, RangedU64ValueParser};

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
    #[arg(long, env = "ANLLM_LIMIT_TOKENS", value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) limit_tokens: Option<usize>,

    /// Whose mask and cache to show: full, anchor[:recent=R,keep=A..B,last=M,renumber], window:N, sink:S+N,
    /// sepllm:S+N[,renumber], random:N[,seed=S].
    #[arg(long, env = "ANLLM_CACHE", value_name = "POLICY", default_value = "anchor")]
    pub(crate) cache: PolicyKind,

    /// Draw the attention mask in place of the text; with --svg into the picture.
    #[arg(long, env = "ANLLM_MASK", value_parser = FalseyValueParser::new())]
    pub(crate) mask: bool,

    /// Say which rule of the policy lets token I see token J, or not; tokens count from 0.
    #[arg(long, env = "ANLLM_EXPLAIN", value_name = "I,J")]
    pub(crate) explain: Option<Pair>,

    /// Show what `anllm generate --trace FILE` recorded, in place of a text; with --svg as a picture. May be given
    /// several times, to compare.
    #[arg(long, env = "ANLLM_TRACE", value_name = "FILE",
        conflicts_with_all = ["text", "limit_tokens", "mask", "explain", "html"])]
    pub(crate) trace: Vec<PathBuf>,

    /// Write the coloured text as a picture; with --mask the mask, with --trace the cache's timeline.
    #[arg(long, env = "ANLLM_SVG", value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,

    /// Write the coloured text and its summary as a page.
    #[arg(long, env = "ANLLM_HTML", value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// A token that looks and the token it looks at, by their index: `7,3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) query: usize,
    pub(crate) key: usize,
}

/// Text that is not a pair of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PairError;

impl fmt::Display for PairError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected the indices of two tokens, counted from 0 and separated by a comma, such as `7,3`")
    }
}

impl std::error::Error for PairError {}

impl FromStr for Pair {
    type Err = PairError;

    fn from_str(text: &str) -> Result<Self, PairError> {
        let (query, key) = text.split_once(',').ok_or(PairError)?;
        let number = |text: &str| text.trim().parse().map_err(|_| PairError);
        Ok(Self { query: number(query)?, key: number(key)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_exactly_two_numbers() {
        assert_eq!("7,3".parse(), Ok(Pair { query: 7, key: 3 }));
        assert_eq!(" 7 , 3 ".parse(), Ok(Pair { query: 7, key: 3 }));
        for wrong in ["", "7", "7,", ",3", "7,3,1", "7;3", "-1,0", "a,b"] {
            assert_eq!(wrong.parse::<Pair>(), Err(PairError), "{wrong:?}");
        }
    }
}

//! `anllm eval compare`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::RangedU64ValueParser;

/// Options of `anllm eval compare`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CompareArgs {
    /// The first run: a file of `eval qa --log-samples`, `eval ppl --log-windows` or `eval translation --log-samples`, or
    /// a folder with lm-evaluation-harness's samples_*.jsonl.
    pub(crate) a: PathBuf,

    /// The second run, on the same questions, windows or sentences.
    pub(crate) b: PathBuf,

    /// Draws of the bootstrap.
    #[arg(long, env = "ANLLM_DRAWS", value_name = "N", default_value_t = 10_000,
        value_parser = RangedU64ValueParser::<usize>::new().range(100..))]
    pub(crate) draws: usize,

    /// Seed of the draws.
    #[arg(long, env = "ANLLM_SEED", value_name = "N", default_value_t = 1234)]
    pub(crate) seed: u64,
}

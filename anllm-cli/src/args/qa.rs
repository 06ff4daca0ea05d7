//! `anllm eval qa`.

use std::path::PathBuf;

use clap::builder::{FalseyValueParser, RangedU64ValueParser};
use clap::{Args, ValueEnum};

use super::model::RunArgs;

/// Options of `anllm eval qa`.
#[derive(Debug, Clone, Args)]
pub(crate) struct QaArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,

    /// Tasks, separated by commas: openbookqa, winogrande, arc_easy, arc_challenge, piqa, hellaswag, sciq, boolq, or the
    /// path of a .toml file of your own.
    #[arg(long, env = "ANLLM_TASK", value_name = "T,…", value_delimiter = ',', required = true)]
    pub(crate) task: Vec<String>,

    /// The questions, as the data set's own JSON Lines: a file for each task, in their order, or a folder with a folder
    /// for each, in which test.jsonl, validation.jsonl, dev.jsonl, sample.jsonl and train.jsonl are looked for.
    #[arg(long, env = "ANLLM_DATA", value_name = "FILE|DIR,…", value_delimiter = ',', required = true)]
    pub(crate) data: Vec<PathBuf>,

    /// Demonstrations before each question; several numbers are run one after the other.
    #[arg(long, env = "ANLLM_SHOTS", value_name = "K,…", value_delimiter = ',', default_value = "0")]
    pub(crate) shots: Vec<usize>,

    /// Where demonstrations come from: files or a folder, as for --data, where train.jsonl is looked for first. Without
    /// it from the questions themselves, none of which shows itself.
    #[arg(long, env = "ANLLM_SHOTS_FROM", value_name = "FILE|DIR,…", value_delimiter = ',')]
    pub(crate) shots_from: Vec<PathBuf>,

    /// Which demonstrations: first (the same first ones before every question, so that their cache is computed once) or
    /// drawn (anew for each question by --seed, as lm-evaluation-harness does).
    #[arg(long, env = "ANLLM_SAMPLER", value_enum, default_value_t = SamplerKind::First)]
    pub(crate) sampler: SamplerKind,

    /// Seed of --sampler drawn.
    #[arg(long, env = "ANLLM_SEED", value_name = "N", default_value_t = 1234)]
    pub(crate) seed: u64,

    /// Put <AC> behind each demonstration, as a model with the rule ac was trained.
    #[arg(long, env = "ANLLM_ADD_ANCHORS", value_parser = FalseyValueParser::new())]
    pub(crate) add_anchors: bool,

    /// Ask only the first N questions of each task.
    #[arg(long, env = "ANLLM_LIMIT", value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) limit: Option<usize>,

    /// Time N questions of each task without a cache, with a full cache of the demonstrations and with the policy's, and
    /// check that the last agrees with the mask in one pass; 0 leaves that out.
    #[arg(long, env = "ANLLM_TIME", value_name = "N", default_value_t = 10)]
    pub(crate) time: usize,

    /// The paper's table: answer with full attention, under the policy's mask in one pass, and through its reduced cache;
    /// the last two must agree.
    #[arg(long, env = "ANLLM_PAPER", value_parser = FalseyValueParser::new())]
    pub(crate) paper: bool,

    /// Write a line of JSON for each question, with its prompts and likelihoods.
    #[arg(long, env = "ANLLM_LOG_SAMPLES", value_name = "FILE", conflicts_with = "paper")]
    pub(crate) log_samples: Option<PathBuf>,

    /// Write results_*.json and samples_*.jsonl into this folder, as lm-evaluation-harness lays them out. Answers are
    /// kept there as they come.
    #[arg(long, env = "ANLLM_OUTPUT", value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,

    /// Go on with the answers that an interrupted run has left in --output.
    #[arg(long, env = "ANLLM_RESUME", value_parser = FalseyValueParser::new(), requires = "output")]
    pub(crate) resume: bool,
}

/// Which demonstrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SamplerKind {
    /// The first ones.
    First,
    /// Drawn for each question.
    Drawn,
}

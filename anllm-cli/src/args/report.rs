//! `anllm report`.

use std::path::PathBuf;

use clap::Args;

/// Options of `anllm report`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReportArgs {
    /// A folder of runs, looked through with the folders inside it: what measures printed with --json (.json and .jsonl),
    /// the log.jsonl of training runs, results_*.json.
    pub(crate) runs: PathBuf,

    /// The page to write: one file that needs nothing else. Without it report.html in the folder.
    #[arg(long, env = "ANLLM_TO", value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,

    /// Write the report as Markdown too, with its figures as SVG files beside it.
    #[arg(long, env = "ANLLM_MARKDOWN", value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,

    /// What stands above it.
    #[arg(long, env = "ANLLM_TITLE", value_name = "TEXT", default_value = "Runs")]
    pub(crate) title: String,
}

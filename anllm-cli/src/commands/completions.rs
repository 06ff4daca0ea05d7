//! `anllm completions`: a shell's completion script.

use std::io::Write;

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs};

pub(crate) fn run(args: CompletionsArgs) -> anyhow::Result<()> {
    // Written to memory first: the generator panics where a pipe closes.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "anllm", &mut script);
    Ok(std::io::stdout().lock().write_all(&script)?)
}

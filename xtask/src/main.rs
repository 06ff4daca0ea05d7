//! The project's chores: `cargo xtask help` lists them.
//!
//! One file per task, each with a `run`. Tasks call the same programs a contributor would call by hand, and print the
//! commands, so that a failing step can be repeated alone.

mod check;
mod features;
mod fixtures;
mod kernels;
mod model;
mod readme;
mod test;
mod valgrind;
mod workspace;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The project's chores")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything a change must pass: format, lints, documentation, tests, the README's commands
    Check(test::Options),
    /// Run the tests: the workspace, its documentation examples, the other backends
    Test(test::Options),
    /// Type-check every backend feature alone, and all of them together
    Features,
    /// Run the commands that README.md shows
    Readme,
    /// Download a real checkpoint to `models/`, for trying things out and for the longer tests
    Model(model::Options),
    /// Measure the CPU's kernels, beside what the machine can do at most
    Kernels,
    /// Run the kernels' tests under Valgrind
    Valgrind,
    /// Regenerate the golden checkpoints in `testdata/` with PyTorch
    Fixtures(fixtures::Options),
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            error.chain().skip(1).for_each(|cause| eprintln!("caused by: {cause}"));
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    let shell = workspace::shell()?;
    match task {
        Task::Check(options) => check::run(&shell, &options),
        Task::Test(options) => test::run(&shell, &options),
        Task::Features => features::run(&shell),
        Task::Readme => readme::run(&shell),
        Task::Model(options) => model::run(&shell, &options),
        Task::Kernels => kernels::run(&shell),
        Task::Valgrind => valgrind::run(&shell),
        Task::Fixtures(options) => fixtures::run(&shell, &options),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}

//! The `anllm` command. Arguments are parsed into plain records (`args`), each command resolves its own and runs
//! (`commands`), and one function turns a device name into a Burn backend (`device`). This file only dispatches and
//! maps outcomes to exit codes: 0 done, 1 failed, 2 bad usage, 130 interrupted.

mod args;
mod bundled;
mod commands;
mod device;
mod figures;
mod output;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::output::{Interrupted, Output, Reported};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match &cli.command {
        Command::Serve(args) => output::start_server_log(cli.verbose, args.log_format),
        _ => output::start_logging(cli.verbose),
    }
    let output = Output::new(cli.json);
    let outcome = run(cli.command, &output);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if error.is::<Interrupted>() => ExitCode::from(130),
        Err(error) if error.is::<Reported>() => ExitCode::FAILURE,
        Err(error) => {
            output::report(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, output: &Output) -> anyhow::Result<()> {
    match command {
        Command::Generate(args) => commands::generate::run(args, output),
        Command::Chat(args) => commands::chat::run(args, output),
        Command::Serve(args) => commands::serve::run(args, output),
        Command::Train(args) => commands::train::run(args, output),
        Command::Eval(args) => commands::eval::run(args, output),
        Command::Verify(args) => commands::verify::run(args, output),
        Command::Logits(args) => commands::logits::run(args, output),
        Command::Bench(args) => commands::bench::run(&args, output),
        Command::Anchors(args) => commands::anchors::run(args, output),
        Command::Attention(args) => commands::attention::run(*args, output),
        Command::Report(args) => commands::report::run(&args, output),
        Command::Cache(args) => commands::cache::run(args, output),
        Command::Inspect(args) => commands::inspect::run(args, output),
        Command::Convert(args) => commands::convert::run(args, output),
        Command::Devices => commands::devices::run(output),
        Command::Completions(args) => commands::completions::run(args),
        Command::Man(args) => commands::man::run(args),
    }
}

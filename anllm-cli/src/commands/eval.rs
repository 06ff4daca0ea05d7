//! `anllm eval …`: measures.

mod compare;
mod frontier;
mod head;
mod kl;
mod markdown;
mod passkey;
mod ppl;
mod qa;
mod translation;
mod written;

use crate::args::{EvalArgs, EvalCommand};
use crate::output::Output;

pub(crate) use head::Head;
pub(crate) use markdown::{Side, table};
pub(crate) use ppl::quality;

pub(crate) fn run(args: EvalArgs, output: &Output) -> anyhow::Result<()> {
    match args.command {
        EvalCommand::Ppl(args) => ppl::run(*args, output),
        EvalCommand::Qa(args) => qa::run(*args, output),
        EvalCommand::Kl(args) => kl::run(*args, output),
        EvalCommand::Passkey(args) => passkey::run(*args, output),
        EvalCommand::Frontier(args) => frontier::run(*args, output),
        EvalCommand::Translation(args) => translation::run(*args, output),
        EvalCommand::Compare(args) => compare::run(&args, output),
    }
}

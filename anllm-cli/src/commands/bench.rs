//! `anllm bench`: how fast this machine runs or trains a checkpoint.

mod batch;
mod inference;
mod prefix;
mod spread;
mod training;

use anllm_core::PolicyKind;

use super::setup;
use crate::args::BenchArgs;
use crate::output::Output;

pub(crate) fn run(args: &BenchArgs, output: &Output) -> anyhow::Result<()> {
    setup::threads(&args.run)?;
    let text = match &args.text {
        Some(file) => setup::read_text(file)?,
        None => setup::SAMPLE_TEXT.to_owned(),
    };
    anyhow::ensure!(!text.trim().is_empty(), "the text is empty\n  hint: name a file with text, or leave --text out");
    match (args.train, args.prefix) {
        (true, _) => training::run(args, &text, *output),
        (false, true) => prefix::run(args, &text, *output),
        (false, false) => inference::run(args, &text, *output),
    }
}

/// What is compared: what was asked for, or both.
fn policies(args: &BenchArgs) -> Vec<PolicyKind> {
    args.run.cache.map_or_else(|| vec![PolicyKind::Full, PolicyKind::Anchor], |kind| vec![kind])
}

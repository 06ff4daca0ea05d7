//! `anllm bench`: how fast this machine runs or trains a checkpoint.

mod batch;
mod inference;
mod prefix;
mod spread;
mod training;

use anllm_core::PolicyKind;
use comfy_table::{Table, presets};
use serde::Serialize;

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

/// Measures every length under every policy; rows are shown as they come with `--json`, else as a table at the end.
fn each<R: Serialize>(
    args: &BenchArgs,
    output: Output,
    header: &[&str],
    mut measure: impl FnMut(usize, PolicyKind) -> anyhow::Result<R>,
    cells: impl Fn(R) -> Vec<String>,
) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    for &context in &args.context {
        for kind in policies(args) {
            output.progress(&format!("{context} tokens, {kind}"));
            let row = measure(context, kind);
            output.progress_done();
            let row = row?;
            if output.is_json() {
                output.json(&row)?;
            }
            table.add_row(cells(row));
        }
    }
    if output.is_json() { Ok(()) } else { output.text(&format!("{table}\n")) }
}

/// What is compared: what was asked for, or both.
fn policies(args: &BenchArgs) -> Vec<PolicyKind> {
    args.run.cache.map_or_else(|| vec![PolicyKind::Full, PolicyKind::Anchor], |kind| vec![kind])
}

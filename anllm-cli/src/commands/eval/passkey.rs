//! `anllm eval passkey`: retrieval by length and depth.

use std::sync::atomic::Ordering;

use anllm_core::{PolicyKind, Span};
use anllm_eval::likelihood::Encoder;
use anllm_eval::{Haystack, PasskeyOptions, Retrieval, passkey};
use anllm_kernels::Kernels;
use anllm_model::{Checkpoint, Tokenizer};

use super::super::added::Adder;
use super::super::interrupt;
use super::super::setup::{self, Rules};
use super::head::Head;
use super::markdown::{Side, table};
use crate::args::PasskeyArgs;
use crate::device::{Task, run_on};
use crate::output::{Interrupted, Output};

pub(super) fn run(mut args: PasskeyArgs, output: &Output) -> anyhow::Result<()> {
    setup::threads(&args.run)?;
    for depth in &args.depth {
        anyhow::ensure!(
            (0.0..=1.0).contains(depth),
            "--depth {depth} is outside the text\n  hint: give shares from 0 (the beginning) to 1 (the end)"
        );
    }
    let checkpoint = args.run.model.open()?;
    let tokenizer = checkpoint.tokenizer()?;
    let rules = setup::rules(&args.run, &checkpoint, PolicyKind::Full)?;
    let context = checkpoint.config().max_positions;
    if args.length.is_empty() {
        args.length = up_to(context, &[256, 512, 1024, 2048]);
    }
    let longest = args.length.iter().max().copied().unwrap_or(0);
    anyhow::ensure!(
        longest <= context || rules.policy.span() != Span::Text,
        "--length {longest} is longer than this model's context of {context} tokens\n  hint: use --length {context} or \
         less"
    );
    let adder = Adder::new(args.add_anchors, &args.splitter, &args.run, &rules, &tokenizer)?;
    let device = args.run.device;
    run_on(device, Passkey { args, output: *output, checkpoint, tokenizer, rules, adder })
}

/// Those of the usual `lengths` that are no more than `most`; without any, `most` itself.
pub(super) fn up_to(most: usize, lengths: &[usize]) -> Vec<usize> {
    let fitting: Vec<usize> = lengths.iter().copied().filter(|length| *length <= most).collect();
    if fitting.is_empty() { vec![most] } else { fitting }
}

struct Passkey {
    args: PasskeyArgs,
    output: Output,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    rules: Rules,
    adder: Adder,
}

impl Task for Passkey {
    type Output = ();

    fn run<B: Kernels>(self, device: B::Device) -> anyhow::Result<()> {
        let Self { args, output, checkpoint, tokenizer, rules, adder } = self;
        let engine = setup::engine::<B>(&args.run, &checkpoint, rules.matcher.clone(), &device)?;
        let stop = interrupt::flag();
        // Prompts are as long as was asked: none is cut by the encoder.
        let encoder = Encoder::unlimited(&tokenizer, engine.config());
        let head = Head::new("passkey", &args.run, &rules);
        let options = PasskeyOptions { policy: rules.policy, trials: args.trials, seed: args.seed };
        let mut rows = Vec::new();
        for &length in &args.length {
            for &depth in &args.depth {
                output.progress(&format!("{length} tokens, depth {depth}"));
                let found = passkey(&engine, &encoder, Haystack { length, depth }, &options, |text| adder.add(text));
                output.progress_done();
                let found = found?;
                if output.is_json() {
                    output.json(&head.clone().with(&found))?;
                }
                rows.push(found);
                if stop.load(Ordering::Relaxed) {
                    show(&rows, &args, output)?;
                    return Err(Interrupted.into());
                }
            }
        }
        show(&rows, &args, output)
    }
}

/// A table with a row for each length and a column for each depth.
fn show(rows: &[Retrieval], args: &PasskeyArgs, output: Output) -> anyhow::Result<()> {
    if output.is_json() {
        return Ok(());
    }
    let depths: Vec<String> = args.depth.iter().map(|depth| format!("at {:.0} %", 100.0 * depth)).collect();
    let mut columns = vec![("length", Side::Right), ("entries", Side::Right), ("C⇓", Side::Right)];
    columns.extend(depths.iter().map(|depth| (depth.as_str(), Side::Right)));
    let lines = rows.chunks(args.depth.len()).map(|row| {
        let mean = |value: fn(&Retrieval) -> f64| row.iter().map(value).sum::<f64>() / row.len() as f64;
        let mut cells = vec![
            row[0].length.to_string(),
            format!("{:.0}", mean(|found| found.entries)),
            format!("{:.1} %", 100.0 * mean(|found| found.kv_reduction)),
        ];
        cells.extend(row.iter().map(|found| format!("{:.0} %", 100.0 * found.accuracy)));
        cells.resize(columns.len(), String::new());
        cells
    });
    output.text(&table(&columns, &lines.collect::<Vec<_>>()))
}

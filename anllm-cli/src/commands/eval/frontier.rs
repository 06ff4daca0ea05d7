//! `anllm eval frontier`: quality against memory and speed.

use std::sync::atomic::Ordering;

use anllm_core::{PolicyKind, Span};
use anllm_eval::{FrontierOptions, FrontierPoint, compared_policies, frontier};
use anllm_kernels::Kernels;
use anllm_model::{Checkpoint, Tokenizer};
use serde::Serialize;

use super::super::interrupt;
use super::super::setup::{self, Rules};
use super::head::Head;
use super::markdown::{Side, table};
use super::passkey::up_to;
use crate::args::FrontierArgs;
use crate::device::{Task, run_on};
use crate::output::{Interrupted, Output, bytes};

pub(super) fn run(mut args: FrontierArgs, output: &Output) -> anyhow::Result<()> {
    setup::threads(&args.run)?;
    anyhow::ensure!(
        args.run.cache.is_none(),
        "--cache names one policy, and a frontier has many\n  hint: give --policies 'full;anchor', or leave it out"
    );
    let text = setup::read_text(&args.text)?;
    let checkpoint = args.run.model.open()?;
    let tokenizer = checkpoint.tokenizer()?;
    // Whatever is compared, the same tokens are anchors.
    let rules = setup::rules(&args.run, &checkpoint, PolicyKind::Anchor)?;
    let ids = setup::encode(&tokenizer, &text, Some(args.limit_tokens))?;
    let limit = checkpoint.config().max_positions;
    if args.context.is_empty() {
        args.context = up_to(limit.min(ids.len()).max(2), &[512, 2048]);
    }
    let longest = args.context.iter().max().copied().unwrap_or(0);
    let points = points(&args);
    let whole = points.iter().any(|(_, kind)| kind.policy().span() == Span::Text);
    anyhow::ensure!(
        longest <= limit || !whole,
        "--context {longest} is longer than this model's context of {limit} tokens\n  hint: measure at shorter lengths, \
         or name policies that look back less far with --policies"
    );
    anyhow::ensure!(
        ids.len() >= longest,
        "{}: {} tokens, fewer than the longest --context of {longest}\n  hint: give a longer text, or a higher \
         --limit-tokens",
        args.text.display(),
        ids.len(),
    );
    let device = args.run.device;
    run_on(device, Frontier { args, output: *output, checkpoint, tokenizer, rules, ids, points })
}

/// Every length with the policies to measure at it.
fn points(args: &FrontierArgs) -> Vec<(usize, PolicyKind)> {
    let mut points = Vec::new();
    for &context in &args.context {
        let kinds = match args.policies.is_empty() {
            true => compared_policies(&args.budget, context),
            false => args.policies.clone(),
        };
        points.extend(kinds.into_iter().map(|kind| (context, kind)));
    }
    points
}

struct Frontier {
    args: FrontierArgs,
    output: Output,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    rules: Rules,
    ids: Vec<u32>,
    points: Vec<(usize, PolicyKind)>,
}

/// What `--json` prints for each point.
#[derive(Serialize)]
struct Row {
    text: String,
    #[serde(flatten)]
    point: FrontierPoint,
}

impl Task for Frontier {
    type Output = ();

    fn run<B: Kernels>(self, device: B::Device) -> anyhow::Result<()> {
        let Self { args, output, checkpoint, tokenizer, rules, ids, points } = self;
        let engine = setup::engine::<B>(&args.run, &checkpoint, rules.matcher.clone(), &device)?;
        let stop = interrupt::flag();
        let bytes_of = |id| tokenizer.bytes(id).map_or(0, |b| b.len());
        let mut rows = Vec::new();
        for (number, (context, kind)) in points.iter().enumerate() {
            let options = FrontierOptions {
                context: *context,
                decoded: args.new_tokens,
                reps: args.reps,
                chunk: args.run.prefill_chunk.min(256),
            };
            let policy = kind.policy();
            let show = |done, all| {
                output.progress(&format!(
                    "{} of {}: {kind} at {context} tokens, window {done} of {all}",
                    number + 1,
                    points.len()
                ));
            };
            let point = frontier(&engine, &ids, &policy, &options, bytes_of, show);
            output.progress_done();
            let point = point?;
            rows.push((kind.to_string(), point.clone()));
            if output.is_json() {
                let head = Head::of("frontier", &args.run, &policy, rules.matcher.rule());
                output.json(&head.with(Row { text: args.text.display().to_string(), point }))?;
            }
            if stop.load(Ordering::Relaxed) {
                show_all(&rows, output)?;
                return Err(Interrupted.into());
            }
        }
        show_all(&rows, output)
    }
}

fn show_all(rows: &[(String, FrontierPoint)], output: Output) -> anyhow::Result<()> {
    if output.is_json() {
        return Ok(());
    }
    let columns = [
        ("context", Side::Right),
        ("policy", Side::Left),
        ("perplexity", Side::Right),
        ("second half", Side::Right),
        ("entries", Side::Right),
        ("peak", Side::Right),
        ("C⇓", Side::Right),
        ("bytes", Side::Right),
        ("decode tok/s", Side::Right),
    ];
    let lines = rows.iter().map(|(policy, point)| {
        vec![
            point.context.to_string(),
            policy.clone(),
            format!("{:.3}", point.quality.ppl),
            point.ppl_second_half.map_or_else(String::new, |ppl| format!("{ppl:.3}")),
            format!("{:.0}", point.entries),
            point.peak.to_string(),
            format!("{:.1} %", 100.0 * point.kv_reduction),
            bytes(point.bytes.round() as usize),
            point.decode_tps.map_or_else(String::new, |speed| format!("{speed:.1}")),
        ]
    });
    output.text(&table(&columns, &lines.collect::<Vec<_>>()))
}

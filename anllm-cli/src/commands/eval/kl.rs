//! `anllm eval kl`: how far a policy's predictions are from those of full attention.

use anllm_core::PolicyKind;
use anllm_eval::{Divergence, DivergenceOptions, Gap, Stretch, divergence};
use anllm_kernels::Kernels;
use anllm_model::{Checkpoint, Tokenizer};
use serde::Serialize;

use super::super::setup::{self, Rules};
use super::head::Head;
use super::markdown::{Side, table};
use super::ppl::span;
use crate::args::KlArgs;
use crate::device::{Task, run_on};
use crate::output::Output;

pub(super) fn run(args: KlArgs, output: &Output) -> anyhow::Result<()> {
    setup::threads(&args.run)?;
    let text = setup::read_text(&args.text)?;
    let checkpoint = args.run.model.open()?;
    let tokenizer = checkpoint.tokenizer()?;
    let rules = setup::rules(&args.run, &checkpoint, PolicyKind::Anchor)?;
    let ids = setup::encode(&tokenizer, &text, args.limit_tokens)?;
    let context = checkpoint.config().max_positions;
    let window = args.window.unwrap_or(2048.min(context));
    anyhow::ensure!(
        window <= context,
        "--window {window} is longer than this model's context of {context} tokens, which full attention needs\n  hint: \
         use --window {context} or less"
    );
    let head = Head::new("kl", &args.run, &rules);
    let (device, name) = (args.run.device, args.text.display().to_string());
    let found = run_on(device, Kl { args, output: *output, checkpoint, tokenizer, rules, ids, window })?;
    match output.is_json() {
        true => output.json(&head.with(Row { text: name, window, found })),
        false => output.text(&summary(&found)),
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Row {
    text: String,
    window: usize,
    #[serde(flatten)]
    found: Divergence,
}

struct Kl {
    args: KlArgs,
    output: Output,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    rules: Rules,
    ids: Vec<u32>,
    window: usize,
}

impl Task for Kl {
    type Output = Divergence;

    fn run<B: Kernels>(self, device: B::Device) -> anyhow::Result<Divergence> {
        let engine = setup::engine::<B>(&self.args.run, &self.checkpoint, self.rules.matcher, &device)?;
        let options = DivergenceOptions {
            window: self.window,
            policy: self.rules.policy,
            chunk: self.args.run.prefill_chunk.min(256),
            bucket: self.args.by_position.unwrap_or_else(|| self.window.div_ceil(8)),
        };
        let bytes_of = |id| self.tokenizer.bytes(id).map_or(0, |b| b.len());
        let show = |done, all| self.output.progress(&format!("window {done} of {all}"));
        let found = divergence(&engine, &self.ids, &options, bytes_of, show);
        self.output.progress_done();
        Ok(found?)
    }
}

fn summary(found: &Divergence) -> String {
    format!(
        "KL(full ‖ policy)  {:.4} nats per token (median {:.4}, 99th percentile {:.3}, maximum {:.3})\n\
         top-1 agreement    {:.2} %\n\
         perplexity         {:.4} in full, {:.4} under the policy\n\
         tokens             {} in {} windows\n\
         anchors            {}\n\
         cache              {:.1} % saved\n\n{}\n{}",
        found.kl,
        found.kl_median,
        found.kl_p99,
        found.kl_max,
        100.0 * found.top1_agreement,
        found.full.ppl,
        found.reduced.ppl,
        found.tokens,
        found.windows,
        found.anchors,
        100.0 * found.kv_reduction,
        groups("position", &found.by_position),
        groups("behind the anchor", &found.by_distance),
    )
}

fn groups(name: &str, groups: &[Stretch<Gap>]) -> String {
    let columns = [(name, Side::Right), ("tokens", Side::Right), ("KL", Side::Right), ("top-1", Side::Right)];
    let rows = groups.iter().filter_map(|group| {
        let (kl, agreement) = group.of.kl.zip(group.of.top1_agreement)?;
        let tokens = group.of.tokens.to_string();
        Some(vec![span(group.from, group.to), tokens, format!("{kl:.4}"), format!("{:.1} %", 100.0 * agreement)])
    });
    table(&columns, &rows.collect::<Vec<_>>())
}

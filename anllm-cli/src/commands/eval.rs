//! `anllm eval …`: measures.

use anllm_core::PolicyKind;
use anllm_eval::{Perplexity, PerplexityOptions, perplexity};
use anllm_kernels::Kernels;
use anllm_model::{Checkpoint, Tokenizer};

use super::setup::{self, Rules};
use crate::args::{EvalArgs, EvalCommand, PplArgs};
use crate::device::{Task, run_on};
use crate::output::Output;

pub(crate) fn run(args: EvalArgs, output: &Output) -> anyhow::Result<()> {
    match args.command {
        EvalCommand::Ppl(args) => ppl(args, output),
    }
}

fn ppl(args: PplArgs, output: &Output) -> anyhow::Result<()> {
    setup::threads(&args.run)?;
    let checkpoint = args.run.model.open()?;
    let tokenizer = checkpoint.tokenizer()?;
    let rules = setup::rules(&args.run, &checkpoint, PolicyKind::Full)?;
    let ids = setup::encode(&tokenizer, &setup::read_text(&args.text)?, args.limit_tokens)?;
    anyhow::ensure!(
        ids.len() >= 2,
        "{}: the text has {} token(s), and scoring one needs at least 2\n  hint: give a longer text",
        args.text.display(),
        ids.len()
    );
    let limit = checkpoint.config().max_positions;
    let window = args.window.unwrap_or(2048.min(limit));
    anyhow::ensure!(
        window <= limit,
        "--window {window} is longer than this model's context of {limit} tokens\n  hint: use --window {limit} or less"
    );
    let stride = args.stride.unwrap_or(window);
    anyhow::ensure!(
        stride <= window,
        "--stride {stride} is longer than the window of {window} tokens: tokens between windows would be left out\n  \
         hint: use --stride {window} or less"
    );
    let policy = rules.policy;
    let device = args.run.device;
    let task = Ppl { args, output: *output, checkpoint, tokenizer, rules, ids, window, stride };
    let result = run_on(device, task)?;
    match output.is_json() {
        true => output.json(&result),
        false => output.text(&summary(&result, &policy.name())),
    }
}

struct Ppl {
    args: PplArgs,
    output: Output,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    rules: Rules,
    ids: Vec<u32>,
    window: usize,
    stride: usize,
}

impl Task for Ppl {
    type Output = Perplexity;

    fn run<B: Kernels>(self, device: B::Device) -> anyhow::Result<Perplexity> {
        let engine = setup::engine::<B>(&self.args.run, &self.checkpoint, self.rules.matcher, &device)?;
        let options = PerplexityOptions {
            window: self.window,
            stride: self.stride,
            policy: self.rules.policy,
            chunk: self.args.run.prefill_chunk.min(256),
        };
        let bytes_of = |id| self.tokenizer.bytes(id).map_or(0, |b| b.len());
        let show = |done, all| self.output.progress(&format!("window {done} of {all}"));
        let result = perplexity(&engine, &self.ids, &options, bytes_of, show);
        self.output.progress_done();
        Ok(result?)
    }
}

fn summary(result: &Perplexity, policy: &str) -> String {
    format!(
        "perplexity     {:.4}\nnll            {:.5} nats per token\nbits per byte  {:.4}\ntokens         {} in {} windows\n\
         anchors        {}\ncache {policy:<8} {:.1} % saved\n",
        result.ppl,
        result.nll,
        result.bits_per_byte,
        result.tokens,
        result.windows,
        result.anchors,
        100.0 * result.kv_reduction,
    )
}

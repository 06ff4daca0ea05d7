//! `anllm verify`: the masked full forward against the reduced cache.

use std::path::Path;

use anllm_core::{Demonstrations, PolicyKind, SentenceSplitter, Span};
use anllm_infer::Verification;
use anllm_infer::prefix::Demonstration;
use anllm_kernels::Kernels;
use anllm_model::{Checkpoint, Framing, Tokenizer};

use super::prefix;
use super::setup::{self, Rules};
use crate::args::{Dtype, VerifyArgs};
use crate::device::{Task, run_on};
use crate::output::Output;

pub(crate) fn run(args: VerifyArgs, output: &Output) -> anyhow::Result<()> {
    setup::threads(&args.run)?;
    let checkpoint = args.run.model.open()?;
    let rules = setup::rules(&args.run, &checkpoint, PolicyKind::Anchor)?;
    let text = match &args.text {
        Some(file) => setup::read_text(file)?,
        None => setup::SAMPLE_TEXT.to_owned(),
    };
    let tokenizer = checkpoint.tokenizer()?;
    let demonstrations = match &args.demonstrations {
        Some(file) => demonstrations(&tokenizer, file)?,
        None => Vec::new(),
    };
    let before: usize = demonstrations.iter().map(|demonstration| demonstration.ids.len()).sum();
    let context = checkpoint.config().max_positions;
    let limit = match rules.policy.span() {
        Span::Text => args.limit_tokens.min(context.saturating_sub(before)),
        Span::Tokens(_) | Span::Entries => args.limit_tokens,
    };
    anyhow::ensure!(
        limit > 0,
        "the demonstrations have {before} tokens, which leaves no room in this model's context of {context}\n  hint: give \
         fewer of them"
    );
    let mut ids = match demonstrations.is_empty() {
        true => tokenizer.encode(&text, Framing::Framed)?,
        false => prefix::behind(&tokenizer, &text)?,
    };
    ids.truncate(limit);
    let chunks = args.chunks.iter().map(|text| chunk_size(text, ids.len())).collect::<anyhow::Result<Vec<_>>>()?;
    let policy = rules.policy.name();
    let device = args.run.device;
    let rounds = args.run.cache_dtype.is_some_and(|entries| entries != args.run.dtype && entries != Dtype::F32);
    let result = run_on(device, Verify { args, checkpoint, rules, demonstrations, ids, chunks })?;
    match output.is_json() {
        true => output.json(&result)?,
        false => output.text(&summary(&result, &policy, rounds))?,
    }
    anyhow::ensure!(
        result.ok,
        "the cache and the masked full forward differ by {:.3e} of the largest score, more than the {:.0e} that rounding \
         explains (or most positions differ)",
        result.max_rel_diff,
        result.tolerance
    );
    Ok(())
}

/// The demonstrations of a file, each as a text of its own.
fn demonstrations(tokenizer: &Tokenizer, file: &Path) -> anyhow::Result<Vec<Demonstration>> {
    let text = setup::read_text(file)?;
    let parts = Demonstrations::default().sentences(&text);
    anyhow::ensure!(
        !parts.is_empty(),
        "{}: there are no demonstrations in it\n  hint: write them one after the other, with blank lines between",
        file.display()
    );
    parts.into_iter().map(|part| prefix::demonstration(tokenizer, &text[part])).collect()
}

fn chunk_size(text: &str, all: usize) -> anyhow::Result<usize> {
    match text.trim() {
        "all" => Ok(all),
        number => match number.parse() {
            Ok(n) if n > 0 => Ok(n),
            _ => anyhow::bail!(
                "--chunks: expected `all` or a number of tokens, 1 or more, found `{text}`\n  \
                 hint: separate several by commas: --chunks 1,64,all"
            ),
        },
    }
}

struct Verify {
    args: VerifyArgs,
    checkpoint: Checkpoint,
    rules: Rules,
    demonstrations: Vec<Demonstration>,
    ids: Vec<u32>,
    chunks: Vec<usize>,
}

impl Task for Verify {
    type Output = Verification;

    fn run<B: Kernels>(self, device: B::Device) -> anyhow::Result<Verification> {
        let engine = setup::engine::<B>(&self.args.run, &self.checkpoint, self.rules.matcher, &device)?;
        let policy = &self.rules.policy;
        match self.demonstrations.is_empty() {
            true => Ok(engine.verify(&self.ids, policy, &self.chunks)?),
            false => Ok(engine.verify_merged(&self.demonstrations, &self.ids, policy, &self.chunks)?),
        }
    }
}

/// `rounds` where entries are of 16 bits and what is computed with is not of the same type.
fn summary(result: &Verification, policy: &str, rounds: bool) -> String {
    let mut text = format!("{} tokens, {} anchors, cache {policy}\n", result.tokens, result.anchors);
    for row in &result.chunks {
        text.push_str(&format!(
            "chunks of {:>5}: largest difference {:.1e}, {:.1e} of the largest score (median {:.1e}); best token differs at {} positions\n",
            row.chunk, row.max_abs_diff, row.max_rel_diff, row.median_rel_diff, row.different_best
        ));
    }
    text.push_str(match (result.ok, rounds) {
        (true, false) => "ok: the cache changes nothing\n",
        (true, true) => "ok: the cache changes no more than rounding its entries to 16 bits does\n",
        (false, _) => "FAILED\n",
    });
    text
}

//! `anllm eval translation`: BLEU and chrF of translated sentences, and what the cache saved.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anllm_core::PolicyKind;
use anllm_eval::translation::{
    Kept, Pair, Translated, TranslationError, TranslationOptions, TranslationScore, pairs, translate,
};
use anllm_kernels::Kernels;
use anllm_model::{Checkpoint, Tokenizer};
use serde::Serialize;
use serde_json::json;

use super::super::interrupt;
use super::super::setup::{self, Rules};
use super::head::Head;
use super::written;
use crate::args::TranslationArgs;
use crate::device::{Task, run_on};
use crate::output::{Interrupted, Output, bytes};

pub(super) fn run(args: TranslationArgs, output: &Output) -> anyhow::Result<()> {
    setup::threads(&args.run)?;
    let mut sentences = pairs(&args.data, &args.from, &args.into)?;
    let shots = shots(&args, &mut sentences)?;
    sentences.truncate(args.limit.unwrap_or(usize::MAX));
    let checkpoint = args.run.model.open()?;
    let tokenizer = checkpoint.tokenizer()?;
    let kind = setup::policy(&args.run, checkpoint.config(), PolicyKind::Full);
    let rules = setup::rules(&args.run, &checkpoint, PolicyKind::Full)?;
    let device = args.run.device;
    run_on(device, Translation { args, output: *output, checkpoint, tokenizer, rules, kind, sentences, shots })
}

/// The demonstrations; those that come from the sentences themselves are taken out of them.
fn shots(args: &TranslationArgs, sentences: &mut Vec<Pair>) -> anyhow::Result<Vec<Pair>> {
    let (source, mut found) = match &args.shots_from {
        Some(file) => (file, pairs(file, &args.from, &args.into)?),
        None => (&args.data, sentences.split_off(sentences.len().saturating_sub(args.shots))),
    };
    anyhow::ensure!(
        found.len() >= args.shots && !sentences.is_empty(),
        "{}: {} demonstrations were asked for, but there are only {} sentences\n  hint: ask for fewer with --shots, or \
         take them from a longer file with --shots-from",
        source.display(),
        args.shots,
        found.len()
    );
    found.truncate(args.shots);
    Ok(found)
}

struct Translation {
    args: TranslationArgs,
    output: Output,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    rules: Rules,
    kind: PolicyKind,
    sentences: Vec<Pair>,
    shots: Vec<Pair>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Row {
    data: String,
    shots: usize,
    keep_source: bool,
    #[serde(flatten)]
    score: TranslationScore,
    seconds: f64,
    sentences_per_s: f64,
}

impl Task for Translation {
    type Output = ();

    fn run<B: Kernels>(self, device: B::Device) -> anyhow::Result<()> {
        let Self { args, output, checkpoint, tokenizer, rules, kind, sentences, shots } = self;
        let head = Head::new("translation", &args.run, &rules);
        let engine = setup::engine::<B>(&args.run, &checkpoint, rules.matcher, &device)?;
        let stop = interrupt::flag();
        let options = TranslationOptions {
            template: args.template.clone(),
            policy: kind,
            kept: if args.keep_source { Kept::Source } else { Kept::AsPolicy },
            max_new_tokens: args.max_new_tokens,
            rows: args.batch,
            shots,
        };
        let began = Instant::now();
        let mut done: Vec<Translated> = Vec::with_capacity(sentences.len());
        let flow = translate::<B, TranslationError>(
            &engine,
            &tokenizer,
            &sentences,
            &options,
            |_| true,
            |translated| {
                done.push(translated);
                let left = (sentences.len() - done.len()) as f64 * began.elapsed().as_secs_f64() / done.len() as f64;
                output.progress(&format!("{} of {} sentences, {left:.0} s left", done.len(), sentences.len()));
                Ok(if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            },
        );
        output.progress_done();
        let interrupted = flow?.is_break() && done.len() < sentences.len();
        let seconds = began.elapsed().as_secs_f64();
        done.sort_by_key(|translated| translated.sentence);
        if let Some(file) = &args.log_samples {
            written::lines(file, done.iter().map(|translated| json!(translated)))?;
        }
        let row = Row {
            data: args.data.display().to_string(),
            shots: args.shots,
            keep_source: args.keep_source,
            score: TranslationScore::of(&done),
            seconds,
            sentences_per_s: done.len() as f64 / seconds,
        };
        if interrupted {
            output.note(&format!("interrupted after {} of {} sentences", done.len(), sentences.len()));
        }
        match output.is_json() {
            true => output.json(&head.with(&row))?,
            false => output.text(&summary(&row))?,
        }
        if interrupted { Err(Interrupted.into()) } else { Ok(()) }
    }
}

fn summary(row: &Row) -> String {
    let score = &row.score;
    format!(
        "BLEU       {:.2}  ({})\nchrF       {:.2}  ({})\nsentences  {}, {:.1} % ended before the limit; {:.2} a second\n\
         cache      {:.1} % saved: {:.1} entries, {} of {}, peak {}\n",
        score.bleu,
        score.bleu_signature,
        score.chrf,
        score.chrf_signature,
        score.n,
        100.0 * score.ended,
        row.sentences_per_s,
        100.0 * score.kv_reduction,
        score.entries,
        bytes(score.bytes.round() as usize),
        bytes(score.full_bytes.round() as usize),
        bytes(score.peak_bytes.round() as usize),
    )
}

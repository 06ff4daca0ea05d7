//! `anllm generate --prompts`: the prompts of a file, side by side. Results come in the order of the file.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anllm_infer::{Event, Generation, InferError, Limits, Request, Sampling, Scheduler, StopReason};
use anllm_kernels::Kernels;
use anllm_model::{Checkpoint, Framing, Tokenizer};

use super::super::added::Adder;
use super::super::interrupt;
use super::super::prefix::{self, Opened};
use super::super::setup::{self, Rules};
use super::prompts::{self, Prompt};
use super::report;
use crate::args::GenerateArgs;
use crate::device::{Task, run_on};
use crate::output::{Interrupted, Output};

/// A prompt, ready for the scheduler.
struct Ready {
    text: String,
    request: Request,
}

pub(super) fn run(
    args: GenerateArgs,
    file: &Path,
    sampling: &Sampling,
    start: Instant,
    output: Output,
) -> anyhow::Result<()> {
    let found = prompts::read(file)?;
    let checkpoint = args.run.model.open()?;
    let tokenizer = checkpoint.tokenizer()?;
    let (prefix, rules) = prefix::or_rules(args.prefix_cache.as_deref(), &args.run, &checkpoint, &tokenizer)?;
    let adder = Adder::new(args.add_anchors, &args.splitter, &args.run, &rules, &tokenizer)?;
    let ready = found.into_iter().enumerate().map(|(number, (line, prompt))| {
        let at = |reason: String| anyhow::anyhow!("{}: line {line}: {reason}", file.display());
        let text = adder.add(&prompt.prompt);
        let ids = match &prefix {
            Some(_) => prefix::behind(&tokenizer, &text),
            None => tokenizer.encode(&text, Framing::Framed).map_err(Into::into),
        };
        let ids = ids.map_err(|e| at(e.to_string()))?;
        let Prompt { max_new_tokens, .. } = prompt;
        let sampling = prompt.sampling(number, sampling);
        anllm_infer::Sampler::new(sampling.clone()).map_err(|e| at(format!("{e}\n  hint: correct the line")))?;
        let request = Request {
            max_new_tokens: max_new_tokens.unwrap_or(args.max_new_tokens),
            sampling,
            stop: prompt.stop.unwrap_or_else(|| args.stop.clone()),
            ignore_eos: args.ignore_eos,
            ..Request::new(ids, rules.policy.clone())
        };
        Ok((line, Ready { text: prompt.prompt, request }))
    });
    let ready: Vec<(usize, Ready)> = ready.collect::<anyhow::Result<_>>()?;
    let (device, file) = (args.run.device, file.display().to_string());
    run_on(device, Many { file, args, ready, checkpoint, tokenizer, rules, prefix, start, output })
}

struct Many {
    file: String,
    args: GenerateArgs,
    ready: Vec<(usize, Ready)>,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    rules: Rules,
    prefix: Option<Opened>,
    start: Instant,
    output: Output,
}

/// What came of a prompt.
type Outcome = Result<Generation, InferError>;

impl Task for Many {
    type Output = ();

    fn run<B: Kernels>(self, device: B::Device) -> anyhow::Result<()> {
        let Self { file, args, ready, checkpoint, tokenizer, rules, prefix, start, output } = self;
        let engine = setup::engine::<B>(&args.run, &checkpoint, rules.matcher, &device)?;
        let load_s = start.elapsed().as_secs_f64();
        let interrupted = interrupt::flag();
        let outcomes: RefCell<BTreeMap<usize, Outcome>> = RefCell::default();
        let mut scheduler = Scheduler::new(&engine, &tokenizer, Limits { rows: args.batch, ..Limits::default() });
        if let Some(prefix) = prefix {
            scheduler = scheduler.behind(prefix.resume(&engine)?);
        }
        let begun = Instant::now();
        let mut ids = Vec::with_capacity(ready.len());
        for (number, (line, ready)) in ready.iter().enumerate() {
            let outcomes = &outcomes;
            let listen = move |event: Event<'_>| {
                let outcome = match event {
                    Event::Piece(_) => return ControlFlow::Continue(()),
                    Event::Finished(generation) => Ok(generation),
                    Event::Failed(error) => Err(error),
                };
                outcomes.borrow_mut().insert(number, outcome);
                ControlFlow::Continue(())
            };
            let submitted = scheduler.submit(ready.request.clone(), listen);
            ids.push(submitted.map_err(|e| anyhow::anyhow!("{file}: line {line}: {e}"))?);
        }
        let mut totals = Totals::default();
        let mut next = 0;
        while next < ready.len() {
            if interrupted.load(Ordering::Relaxed) {
                ids.iter().for_each(|id| _ = scheduler.cancel(*id));
            } else {
                scheduler.step()?;
            }
            while let Some(outcome) = outcomes.borrow_mut().remove(&next) {
                let (line, ready) = &ready[next];
                let generation = outcome.map_err(|e| anyhow::anyhow!("{file}: line {line}: {e}"))?;
                totals.add(ready, &generation);
                // Prompts that were not begun have nothing to show.
                if generation.stop_reason != StopReason::Interrupted || !generation.tokens.is_empty() {
                    show(next, *line, ready, &generation, load_s, output)?;
                }
                next += 1;
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        output.note(&totals.line(args.batch, load_s, seconds));
        if interrupted.load(Ordering::Relaxed) { Err(Interrupted.into()) } else { Ok(()) }
    }
}

fn show(
    number: usize,
    line: usize,
    ready: &Ready,
    generation: &Generation,
    load_s: f64,
    output: Output,
) -> anyhow::Result<()> {
    if !output.is_json() {
        let gap = if number > 0 { "\n" } else { "" };
        return output.text(&format!("{gap}{}{}\n", ready.text, generation.text));
    }
    let mut value = report(generation, ready.request.prompt.len(), load_s, ready.request.sampling.seed);
    value["line"] = line.into();
    value["prompt"] = ready.text.clone().into();
    output.json(&value)
}

/// What all prompts came to.
#[derive(Default)]
struct Totals {
    prompts: usize,
    read: usize,
    made: usize,
}

impl Totals {
    fn add(&mut self, ready: &Ready, generation: &Generation) {
        self.prompts += 1;
        self.read += ready.request.prompt.len();
        self.made += generation.tokens.len();
    }

    fn line(&self, rows: usize, load_s: f64, seconds: f64) -> String {
        let Self { prompts, read, made } = self;
        let rate = *made as f64 / seconds.max(f64::MIN_POSITIVE);
        format!(
            "[{prompts} prompts, at most {rows} at a time: {read} + {made} tokens | load {load_s:.2} s, then \
             {seconds:.2} s: {rate:.1} new tok/s]"
        )
    }
}

//! `anllm generate`: a prompt and its continuation.

mod many;
mod prompts;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anllm_core::CacheStats;
use anllm_infer::prefix::Resumed;
use anllm_infer::{Generation, Request, Sampling, StopReason};
use anllm_kernels::Kernels;
use anllm_model::{Checkpoint, Framing, Tokenizer};
use clap::CommandFactory;
use clap::error::ErrorKind;
use serde_json::json;

use super::added::Adder;
use super::prefix::{self, Opened};
use super::setup::{self, Rules};
use super::{aside, interrupt, trace};
use crate::args::{Cli, GenerateArgs};
use crate::bundled;
use crate::device::{Task, run_on};
use crate::output::{Interrupted, Output, bytes};

pub(crate) fn run(args: Box<GenerateArgs>, output: &Output) -> anyhow::Result<()> {
    let start = Instant::now();
    setup::threads(&args.run)?;
    // Settings are judged before anything is loaded.
    let sampling = args.sampling.settings(bundled::sampling(&args.run.model.model), "generate")?;
    args.trace.as_deref().map_or(Ok(()), aside::check)?;
    if let Some(file) = args.prompts.clone() {
        return many::run(*args, &file, &sampling, start, *output);
    }
    let text = prompt(&args)?;
    anyhow::ensure!(!text.is_empty(), "the prompt is empty\n  hint: give --prompt TEXT, --prompt-file FILE or -");
    let checkpoint = args.run.model.open()?;
    let tokenizer = checkpoint.tokenizer()?;
    let (prefix, rules) = prefix::or_rules(args.prefix_cache.as_deref(), &args.run, &checkpoint, &tokenizer)?;
    let adder = Adder::new(args.add_anchors, &args.splitter, &args.run, &rules, &tokenizer)?;
    let prompt = match prefix {
        Some(_) => prefix::behind(&tokenizer, &adder.add(&text))?,
        None => tokenizer.encode(&adder.add(&text), Framing::Framed)?,
    };
    let device = args.run.device;
    run_on(
        device,
        Generate { args: *args, output: *output, start, checkpoint, tokenizer, rules, prefix, text, prompt, sampling },
    )
}

fn prompt(args: &GenerateArgs) -> anyhow::Result<String> {
    match (&args.prompt, &args.prompt_file) {
        (Some(text), _) => Ok(text.clone()),
        (None, Some(file)) => setup::read_text(file),
        (None, None) if args.stdin.is_some() => setup::read_text(Path::new("-")),
        (None, None) if bundled::names(&args.run.model.model) => Ok(bundled::PROMPT.to_owned()),
        (None, None) => {
            let reason = "there is no prompt: give one of <--prompt <TEXT>|--prompt-file <FILE>|--prompts <FILE>|->";
            Cli::command().error(ErrorKind::MissingRequiredArgument, reason).exit()
        }
    }
}

struct Generate {
    args: GenerateArgs,
    output: Output,
    start: Instant,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    rules: Rules,
    prefix: Option<Opened>,
    text: String,
    prompt: Vec<u32>,
    sampling: Sampling,
}

impl Task for Generate {
    type Output = ();

    fn run<B: Kernels>(self, device: B::Device) -> anyhow::Result<()> {
        let Self { args, output, rules, .. } = self;
        let engine = setup::engine::<B>(&args.run, &self.checkpoint, rules.matcher, &device)?;
        let load_s = self.start.elapsed().as_secs_f64();
        let interrupted = interrupt::flag();
        // A beginning that the reader did not write belongs to the story.
        let nobody_asked =
            args.prompt.is_none() && args.prompt_file.is_none() && args.stdin.is_none() && !output.is_json();

        if args.echo || nobody_asked {
            output.text(&self.text)?;
        }
        let prompt_tokens = self.prompt.len();
        let mut ids = if args.trace.is_some() { self.prompt.clone() } else { Vec::new() };
        let seed = self.sampling.seed;
        let drawn = self.sampling.temperature > 0.0;
        let Resumed { mut session, recent: before } = match &self.prefix {
            Some(prefix) => prefix.resume(&engine)?,
            None => Resumed::new(engine.session(rules.policy.clone())),
        };
        let prefix_tokens = self.prefix.as_ref().map(Opened::tokens);
        let request = Request {
            max_new_tokens: args.max_new_tokens,
            sampling: self.sampling,
            stop: args.stop,
            ignore_eos: args.ignore_eos,
            before,
            ..Request::new(self.prompt, rules.policy.clone())
        };
        let mut shown = Ok(());
        let generation = engine.generate_in(&mut session, &self.tokenizer, request, |piece, _| {
            if !output.is_json() {
                shown = output.text(piece.text);
            }
            let stop = shown.is_err() || interrupted.load(Ordering::Relaxed);
            if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        shown?;
        if let Some(file) = &args.trace {
            ids.extend(&generation.tokens);
            // The last token is written and not read.
            ids.truncate(generation.kv.seen);
            let entry = generation.kv.full_bytes / generation.kv.seen.max(1);
            let rows = trace::rows(&*rules.policy, engine.matcher(), &self.tokenizer, &ids, prompt_tokens, entry);
            trace::write(file, &rows)?;
        }
        if output.is_json() {
            let mut row = report(&generation, prompt_tokens, load_s, seed);
            if let Some(tokens) = prefix_tokens {
                row["prefix_tokens"] = json!(tokens);
            }
            output.json(&row)?;
        } else {
            output.text("\n")?;
            output.note(&statistics(&generation, prompt_tokens, prefix_tokens, load_s, drawn.then_some(seed)));
        }
        match generation.stop_reason {
            StopReason::Interrupted => Err(Interrupted.into()),
            _ => Ok(()),
        }
    }
}

fn report(generation: &Generation, prompt_tokens: usize, load_s: f64, seed: u64) -> serde_json::Value {
    let timing = &generation.timing;
    json!({
        "text": generation.text,
        "prompt_tokens": prompt_tokens,
        "tokens": generation.tokens,
        "stop_reason": generation.stop_reason,
        "seed": seed,
        "kv": generation.kv,
        "timing": {
            "load_s": load_s,
            "prefill_s": timing.prefill_s,
            "prefill_tps": timing.prefill_tps,
            "decode_s": timing.decode_s,
            "decode_tps": timing.decode_tps,
            "ttft_s": timing.ttft_s,
        },
    })
}

fn statistics(
    generation: &Generation,
    prompt_tokens: usize,
    prefix_tokens: Option<usize>,
    load_s: f64,
    seed: Option<u64>,
) -> String {
    let Generation { kv, timing, tokens, .. } = generation;
    let seed = seed.map_or(String::new(), |seed| format!(" | seed {seed}"));
    let prefix = prefix_tokens.map_or(String::new(), |tokens| format!("{tokens} from the prefix + "));
    format!(
        "[{prefix}{prompt_tokens} + {} tokens | {} | load {load_s:.2} s, prefill {:.0} tok/s, decode {:.1} tok/s, first token \
         {:.2} s{seed}]",
        tokens.len(),
        account(kv),
        timing.prefill_tps,
        timing.decode_tps,
        timing.ttft_s,
    )
}

/// What the cache holds, for people.
pub(super) fn account(kv: &CacheStats) -> String {
    format!(
        "cache {}: {} seen, {} kept, peak {}, {} ({} saved, {:.1} %)",
        kv.policy,
        kv.seen,
        kv.kept,
        kv.peak,
        bytes(kv.bytes),
        bytes(kv.full_bytes - kv.bytes),
        100.0 * kv.reduction(),
    )
}

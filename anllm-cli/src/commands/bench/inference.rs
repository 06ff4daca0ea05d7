//! Reading a prompt and decoding behind it.
//!
//! Decoding is fed with the text's own tokens, so that anchors come as often as in text, whatever the model would say.
//! All lengths and policies take turns in each round: what else the machine does in the meantime meets all of them alike.

use std::time::Instant;

use anllm_core::{AnchorMatcher, PolicyKind, Span};
use anllm_infer::Engine;
use anllm_kernels::Kernels;
use anllm_model::Checkpoint;
use comfy_table::{Table, presets};
use serde::Serialize;

use super::super::memory::Memory;
use super::super::setup;
use super::batch;
use super::spread::Spread;
use crate::args::BenchArgs;
use crate::device::{Task, run_on};
use crate::output::{Output, bytes};

pub(super) fn run(args: &BenchArgs, text: &str, output: Output) -> anyhow::Result<()> {
    let checkpoint = args.run.model.open()?;
    let rules = setup::rules(&args.run, &checkpoint, PolicyKind::Anchor)?;
    let longest = args.context.iter().max().copied().unwrap_or(0) + args.new_tokens;
    // One token more is decoded before the clock starts where several sequences are measured.
    let longest = longest + usize::from(!args.batch.is_empty());
    let limit = checkpoint.config().max_positions;
    let bound = super::policies(args).into_iter().any(|kind| kind.policy().span() == Span::Text);
    anyhow::ensure!(
        longest <= limit || !bound,
        "--context: {longest} tokens, the new ones included, are more than the model's context of {limit}\n  hint: \
         measure at shorter lengths"
    );
    let ids = tokens(&checkpoint, text, batch::tokens(args, longest))?;
    let bench = Bench { args, checkpoint: &checkpoint, matcher: rules.matcher, ids, output };
    run_on(args.run.device, bench)
}

/// `count` tokens of the text, repeated as often as it takes. No more of the text is encoded than is needed, since a
/// tokenizer takes many times the text's own memory, which would be measured as the model's.
fn tokens(checkpoint: &Checkpoint, text: &str, count: usize) -> anyhow::Result<Vec<u32>> {
    const CHARACTERS_PER_TOKEN: usize = 8;
    let tokenizer = checkpoint.tokenizer()?;
    let start = text.char_indices().nth(count * CHARACTERS_PER_TOKEN).map_or(text, |(end, _)| &text[..end]);
    let mut ids = setup::encode(&tokenizer, start, Some(count))?;
    if ids.len() < count {
        let again = tokenizer.encode(text, anllm_model::Framing::Bare)?;
        anyhow::ensure!(!again.is_empty(), "the text has no tokens\n  hint: give --text a longer file");
        while ids.len() < count {
            ids.extend(again.iter().take(count - ids.len()));
        }
    }
    Ok(ids)
}

/// One line of results.
#[derive(Debug, Serialize)]
struct Row {
    context: usize,
    policy: String,
    weights: String,
    cache_dtype: String,
    prefill_tps: Spread,
    prefill_tps_range: [f64; 2],
    decode_tps: Spread,
    decode_tps_range: [f64; 2],
    kv_bytes: usize,
    peak_rss_bytes: Option<u64>,
    reps: usize,
    threads: usize,
}

struct Bench<'a> {
    args: &'a BenchArgs,
    checkpoint: &'a Checkpoint,
    matcher: AnchorMatcher,
    ids: Vec<u32>,
    output: Output,
}

impl Task for Bench<'_> {
    type Output = ();

    fn run<B: Kernels>(self, device: B::Device) -> anyhow::Result<()> {
        let Self { args, checkpoint, matcher, ids, output } = self;
        let engine = setup::engine::<B>(&args.run, checkpoint, matcher, &device)?;
        if !args.batch.is_empty() {
            return batch::run(&engine, &ids, args, output);
        }
        let kinds = super::policies(args);
        let each = args.context.iter().flat_map(|context| kinds.iter().map(|kind| Series::new(*context, *kind)));
        let mut each: Vec<Series> = each.collect();
        // The first round warms up: shaders compile, buffers are found, pages come in.
        for round in 0..=args.reps {
            for series in &mut each {
                output.progress(&format!("round {round} of {}: {} tokens, {}", args.reps, series.context, series.kind));
                let measured = series.measure(&engine, &ids, args.new_tokens, round > 0);
                output.progress_done();
                measured?;
            }
        }
        let mut table = Table::new();
        let header = ["context", "policy", "prefill tok/s", "decode tok/s", "cache", "peak memory"];
        table.load_preset(presets::NOTHING).set_header(header);
        for series in each {
            let row = series.row(args);
            if output.is_json() {
                output.json(&row)?;
            }
            table.add_row(vec![
                row.context.to_string(),
                row.policy,
                row.prefill_tps.show(),
                row.decode_tps.show(),
                bytes(row.kv_bytes),
                Memory::show(row.peak_rss_bytes),
            ]);
        }
        if output.is_json() { Ok(()) } else { output.text(&format!("{table}\n")) }
    }
}

/// The rounds of one length under one policy.
struct Series {
    context: usize,
    kind: PolicyKind,
    /// Tokens per second.
    prefill: Vec<f64>,
    /// Tokens per second.
    decode: Vec<f64>,
    /// Behind the last token.
    kv_bytes: usize,
    /// The most that a round took; of all rounds the least, since the allocator keeps what longer texts needed.
    peak_rss_bytes: Option<u64>,
}

impl Series {
    fn new(context: usize, kind: PolicyKind) -> Self {
        Self { context, kind, prefill: Vec::new(), decode: Vec::new(), kv_bytes: 0, peak_rss_bytes: None }
    }

    fn measure<B: Kernels>(
        &mut self,
        engine: &Engine<B>,
        ids: &[u32],
        new_tokens: usize,
        counts: bool,
    ) -> anyhow::Result<()> {
        let (context, following) = ids.split_at(self.context);
        Memory::forget_peak();
        let mut session = engine.session(self.kind.policy());
        let start = Instant::now();
        engine.prefill(&mut session, context)?;
        let read = start.elapsed().as_secs_f64();
        let start = Instant::now();
        for id in &following[..new_tokens] {
            engine.prefill(&mut session, std::slice::from_ref(id))?;
        }
        let written = start.elapsed().as_secs_f64();
        self.kv_bytes = session.stats().bytes;
        let peak = Memory::now().peak_memory_bytes;
        self.peak_rss_bytes = self.peak_rss_bytes.into_iter().chain(peak).min();
        if counts {
            self.prefill.push(self.context as f64 / read);
            self.decode.push(new_tokens as f64 / written);
        }
        Ok(())
    }

    fn row(self, args: &BenchArgs) -> Row {
        let (prefill, decode) = (Spread::new(self.prefill), Spread::new(self.decode));
        Row {
            context: self.context,
            policy: self.kind.to_string(),
            weights: args.run.weights.to_string(),
            cache_dtype: args.run.cache_dtype.unwrap_or(args.run.dtype).to_string(),
            prefill_tps_range: prefill.ends(),
            prefill_tps: prefill,
            decode_tps_range: decode.ends(),
            decode_tps: decode,
            kv_bytes: self.kv_bytes,
            peak_rss_bytes: self.peak_rss_bytes,
            reps: args.reps,
            threads: rayon::current_num_threads(),
        }
    }
}

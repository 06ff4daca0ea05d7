//! Reading a prompt and decoding behind it.
//!
//! Decoding is fed with the text's own tokens, so that anchors come as often as in text, whatever the model would say.

use std::time::Instant;

use anllm_core::{AnchorMatcher, PolicyKind, Span};
use anllm_infer::Engine;
use anllm_kernels::Kernels;
use anllm_model::Checkpoint;
use serde::Serialize;

use super::super::memory::Memory;
use super::super::setup;
use super::batch;
use super::each;
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
        let header = ["context", "policy", "prefill tok/s", "decode tok/s", "cache", "peak memory"];
        let measure = |context, kind| measure(&engine, &ids, context, kind, args);
        each(args, output, &header, measure, |row: Row| {
            vec![
                row.context.to_string(),
                row.policy,
                row.prefill_tps.show(),
                row.decode_tps.show(),
                bytes(row.kv_bytes),
                Memory::show(row.peak_rss_bytes),
            ]
        })
    }
}

fn measure<B: Kernels>(
    engine: &Engine<B>,
    ids: &[u32],
    context: usize,
    kind: PolicyKind,
    args: &BenchArgs,
) -> anyhow::Result<Row> {
    let (mut prefill, mut decode) = (Vec::new(), Vec::new());
    let mut kv_bytes = 0;
    Memory::forget_peak();
    // The first round warms up: shaders compile, buffers are found, pages come in.
    for round in 0..=args.reps {
        let mut session = engine.session(kind.policy());
        let start = Instant::now();
        engine.prefill(&mut session, &ids[..context])?;
        let read = start.elapsed().as_secs_f64();
        let start = Instant::now();
        for id in &ids[context..context + args.new_tokens] {
            engine.prefill(&mut session, std::slice::from_ref(id))?;
        }
        let written = start.elapsed().as_secs_f64();
        kv_bytes = session.stats().bytes;
        if round > 0 {
            prefill.push(context as f64 / read);
            decode.push(args.new_tokens as f64 / written);
        }
    }
    let (prefill, decode) = (Spread::new(prefill), Spread::new(decode));
    Ok(Row {
        context,
        policy: kind.to_string(),
        weights: args.run.weights.to_string(),
        prefill_tps_range: prefill.ends(),
        prefill_tps: prefill,
        decode_tps_range: decode.ends(),
        decode_tps: decode,
        kv_bytes,
        peak_rss_bytes: Memory::now().peak_memory_bytes,
        reps: args.reps,
        threads: rayon::current_num_threads(),
    })
}

//! Decoding several sequences at once: what they make together.
//!
//! Each sequence is fed with the text's own tokens from a place of its own, so that anchors come to each at another time.

use std::time::Instant;

use anllm_core::PolicyKind;
use anllm_infer::{Engine, Feed, Session, Wanted};
use anllm_kernels::Kernels;
use comfy_table::{Table, presets};
use serde::Serialize;

use super::policies;
use super::spread::Spread;
use crate::args::BenchArgs;
use crate::output::{Output, bytes};

/// One line of results.
#[derive(Debug, Serialize)]
struct Row {
    context: usize,
    policy: String,
    weights: String,
    cache_dtype: String,
    /// Sequences at once.
    batch: usize,
    /// Tokens of all of them, per second.
    decode_tps: Spread,
    decode_tps_range: [f64; 2],
    /// Of all of them.
    kv_bytes: usize,
    reps: usize,
    threads: usize,
}

/// Measures every number of sequences at every length under every policy.
pub(super) fn run<B: Kernels>(engine: &Engine<B>, ids: &[u32], args: &BenchArgs, output: Output) -> anyhow::Result<()> {
    let mut table = Table::new();
    let header = ["context", "policy", "sequences", "decode tok/s, all", "cache, all"];
    table.load_preset(presets::NOTHING).set_header(header);
    for (&context, kind) in
        args.context.iter().flat_map(|context| policies(args).into_iter().map(move |k| (context, k)))
    {
        for &batch in &args.batch {
            output.progress(&format!("{context} tokens, {kind}, {batch} sequences"));
            let row = measure(engine, ids, context, kind, batch, args);
            output.progress_done();
            let row = row?;
            if output.is_json() {
                output.json(&row)?;
            }
            let (context, batch) = (row.context.to_string(), row.batch.to_string());
            table.add_row(vec![context, row.policy, batch, row.decode_tps.show(), bytes(row.kv_bytes)]);
        }
    }
    if output.is_json() { Ok(()) } else { output.text(&format!("{table}\n")) }
}

/// `ids` are at least [`tokens`] long.
fn measure<B: Kernels>(
    engine: &Engine<B>,
    ids: &[u32],
    context: usize,
    kind: PolicyKind,
    batch: usize,
    args: &BenchArgs,
) -> anyhow::Result<Row> {
    let starts: Vec<usize> = (0..batch).map(|number| number * STRIDE).collect();
    let mut prefilled = Vec::with_capacity(batch);
    for start in &starts {
        let mut session = engine.session(kind.policy());
        engine.prefill(&mut session, &ids[*start..start + context])?;
        prefilled.push(session);
    }
    let mut rates = Vec::new();
    let mut kv_bytes = 0;
    for round in 0..=args.reps {
        let mut sessions = prefilled.clone();
        // Buffers part from those that all rounds share when they are first written to, which is no part of decoding.
        step(engine, &mut sessions, ids, &starts, context)?;
        let start = Instant::now();
        for token in 1..=args.new_tokens {
            step(engine, &mut sessions, ids, &starts, context + token)?;
        }
        let seconds = start.elapsed().as_secs_f64();
        kv_bytes = sessions.iter().map(|session| session.stats().bytes).sum();
        if round > 0 {
            rates.push((batch * args.new_tokens) as f64 / seconds);
        }
    }
    let decode = Spread::new(rates);
    Ok(Row {
        context,
        policy: kind.to_string(),
        weights: args.run.weights.to_string(),
        cache_dtype: args.run.cache_dtype.unwrap_or(args.run.dtype).to_string(),
        batch,
        decode_tps_range: decode.ends(),
        decode_tps: decode,
        kv_bytes,
        reps: args.reps,
        threads: rayon::current_num_threads(),
    })
}

/// Tokens between the beginnings of two sequences.
const STRIDE: usize = 7;

/// Tokens of text that the longest measurement needs.
pub(super) fn tokens(args: &BenchArgs, longest: usize) -> usize {
    longest + 1 + args.batch.iter().max().map_or(0, |batch| batch * STRIDE)
}

fn step<B: Kernels>(
    engine: &Engine<B>,
    sessions: &mut [Session<B>],
    ids: &[u32],
    starts: &[usize],
    at: usize,
) -> anyhow::Result<()> {
    let feeds = sessions.iter_mut().zip(starts);
    let mut feeds: Vec<_> = feeds
        .map(|(session, start)| Feed { session, ids: &ids[start + at..start + at + 1], wanted: Wanted::Last })
        .collect();
    engine.feed(&mut feeds)?;
    Ok(())
}

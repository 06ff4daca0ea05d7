//! A question behind a long prefix: everything read again, against a full prefix cache and an anchor prefix cache.
//!
//! What is timed is what a user waits for: from the question to the scores of the token after it. The prefix is in
//! memory, as a server holds it, and each question gets a session of its own; the time it takes to read it from its file
//! stands beside.

use std::time::Instant;

use anllm_core::{AnchorMatcher, PolicyKind};
use anllm_infer::Engine;
use anllm_infer::prefix::{EntryType, Identity, Prefix, PrefixBuilder, PrefixFile, write_prefix};
use anllm_kernels::Kernels;
use anllm_model::checkpoint::Existing;
use anllm_model::{Checkpoint, Framing};
use comfy_table::{Table, presets};
use serde::Serialize;

use super::super::added::Adder;
use super::super::prefix;
use super::super::setup;
use super::spread::Spread;
use crate::args::BenchArgs;
use crate::device::{Task, run_on};
use crate::output::{Output, bytes};

pub(super) fn run(args: &BenchArgs, text: &str, output: Output) -> anyhow::Result<()> {
    let checkpoint = args.run.model.open()?;
    let tokenizer = checkpoint.tokenizer()?;
    let rules = setup::rules(&args.run, &checkpoint, PolicyKind::Anchor)?;
    let adder = Adder::new(args.add_anchors, &args.splitter, &args.run, &rules, &tokenizer)?;
    let text = text.trim_end();
    let Some(start) = text.rfind("\n\n").map(|at| at + 2).filter(|at| !text[..*at].trim().is_empty()) else {
        anyhow::bail!(
            "the text has no blank line: where does the question begin?\n  hint: write the demonstrations, a blank \
             line, and the question"
        );
    };
    let before = tokenizer.encode(&adder.add(&text[..start]), Framing::Framed)?;
    let question = prefix::behind(&tokenizer, &adder.add(&text[start..]))?;
    let identity = Identity::of(&checkpoint, &tokenizer, &rules.matcher)?;
    run_on(
        args.run.device,
        Bench { args, checkpoint: &checkpoint, matcher: rules.matcher, identity, prefix: before, question, output },
    )
}

/// One line of results.
#[derive(Debug, Serialize)]
struct Row {
    /// Where the prefix comes from: `none`, it is read again, or `cache`.
    prefix: &'static str,
    policy: String,
    prefix_tokens: usize,
    question_tokens: usize,
    /// Entries that stand for the prefix.
    entries: usize,
    /// Bytes of the cache behind the question.
    kv_bytes: usize,
    /// Bytes of the prefix's file.
    file_bytes: Option<u64>,
    /// Seconds from the question to the scores behind it.
    time_s: Spread,
    time_s_range: [f64; 2],
    /// Seconds to read the file, check it, and have the entries on the device.
    load_s: Option<Spread>,
    reps: usize,
    threads: usize,
}

struct Bench<'a> {
    args: &'a BenchArgs,
    checkpoint: &'a Checkpoint,
    matcher: AnchorMatcher,
    identity: Identity,
    prefix: Vec<u32>,
    question: Vec<u32>,
    output: Output,
}

impl Task for Bench<'_> {
    type Output = ();

    fn run<B: Kernels>(mut self, device: B::Device) -> anyhow::Result<()> {
        let matcher = std::mem::replace(&mut self.matcher, AnchorMatcher::none());
        let engine = setup::engine::<B>(&self.args.run, self.checkpoint, matcher, &device)?;
        let folder = tempfile::tempdir()?;
        let mut table = Table::new();
        let header = ["prefix", "policy", "tokens", "entries", "file", "question ms", "load ms"];
        table.load_preset(presets::NOTHING).set_header(header);
        for cached in [false, true] {
            for kind in super::policies(self.args) {
                self.output.progress(&format!("{kind}, {}", if cached { "cached" } else { "read again" }));
                let file = cached.then(|| folder.path().join(format!("{cached}.{}", table.row_count())));
                let row = self.measure(&engine, &kind, file.as_deref());
                self.output.progress_done();
                let row = row?;
                if self.output.is_json() {
                    self.output.json(&row)?;
                }
                table.add_row(cells(row));
            }
        }
        if self.output.is_json() { Ok(()) } else { self.output.text(&format!("{table}\n")) }
    }
}

impl Bench<'_> {
    /// Times questions behind a prefix that is read again, or that was stored in `file`.
    fn measure<B: Kernels>(
        &self,
        engine: &Engine<B>,
        kind: &PolicyKind,
        file: Option<&std::path::Path>,
    ) -> anyhow::Result<Row> {
        let mut builder = PrefixBuilder::new(engine, kind.policy(), 0);
        builder.push(&self.prefix)?;
        let built = builder.finish(self.identity.clone())?;
        let entries = built.head().places.len();
        let mut file_bytes = None;
        if let Some(file) = file {
            file_bytes = Some(write_prefix(&built, file, EntryType::F32, Existing::Refuse)?);
        }
        drop(built);
        let (mut times, mut loads, mut kv_bytes) = (Vec::new(), Vec::new(), 0);
        let load = || -> anyhow::Result<_> {
            let start = Instant::now();
            let session = match file {
                Some(file) => Some(engine.resume(&PrefixFile::open(file)?, &self.identity)?.session),
                None => None,
            };
            Ok((session, start.elapsed().as_secs_f64()))
        };
        // The first round warms up.
        for round in 0..=self.args.reps {
            let (held, loaded) = load()?;
            let start = Instant::now();
            let mut session = match &held {
                Some(session) => session.clone(),
                None => {
                    let mut session = engine.session(kind.policy());
                    engine.prefill(&mut session, &self.prefix)?;
                    session
                }
            };
            engine.prefill(&mut session, &self.question)?;
            let time = start.elapsed().as_secs_f64();
            kv_bytes = session.stats().bytes;
            if round > 0 {
                times.push(time);
                loads.push(loaded);
            }
        }
        let times = Spread::new(times);
        Ok(Row {
            prefix: if file.is_some() { "cache" } else { "none" },
            policy: kind.to_string(),
            prefix_tokens: self.prefix.len(),
            question_tokens: self.question.len(),
            entries,
            kv_bytes,
            file_bytes,
            time_s_range: times.ends(),
            time_s: times,
            load_s: file.map(|_| Spread::new(loads)),
            reps: self.args.reps,
            threads: rayon::current_num_threads(),
        })
    }
}

fn cells(row: Row) -> Vec<String> {
    vec![
        row.prefix.to_owned(),
        row.policy,
        format!("{} + {}", row.prefix_tokens, row.question_tokens),
        row.entries.to_string(),
        row.file_bytes.map_or_else(|| "-".to_owned(), |count| bytes(usize::try_from(count).unwrap_or(usize::MAX))),
        row.time_s.scaled(1e3).show(),
        row.load_s.map_or_else(|| "-".to_owned(), |load| load.scaled(1e3).show()),
    ]
}

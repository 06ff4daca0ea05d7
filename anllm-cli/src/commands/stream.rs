//! `anllm eval ppl --stream`: a text of any length, read, tokenised and scored as it comes.

mod plot;

use anllm_core::PolicyKind;
use anllm_eval::{StreamOptions, StreamPerplexity, stream_perplexity};
use anllm_kernels::Kernels;
use anllm_model::{Checkpoint, PieceEncoder, Tokenizer};
use comfy_table::{Table, presets};

use super::aside;
use super::eval::{Head, quality};
use super::setup::{self, Rules};
use super::text_pieces::TextPieces;
use crate::args::PplArgs;
use crate::device::{Task, run_on};
use crate::output::{Output, bytes};

/// Tokens in a row of the perplexity by position, where nobody says otherwise.
const BUCKET: usize = 1024;

pub(super) fn run(args: PplArgs, output: Output) -> anyhow::Result<()> {
    setup::threads(&args.run)?;
    anyhow::ensure!(
        args.text.extension().is_none_or(|extension| extension != "jsonl"),
        "{}: --stream reads one text, and a .jsonl file holds many\n  hint: give a text file, or leave --stream out",
        args.text.display()
    );
    let pieces = TextPieces::open(&args.text)?;
    let checkpoint = args.run.model.open()?;
    let tokenizer = checkpoint.tokenizer()?;
    let rules = setup::rules(&args.run, &checkpoint, PolicyKind::Full)?;
    let device = args.run.device;
    let head = Head::new("stream", &args.run, &rules);
    let file = args.svg.clone();
    let result = run_on(device, Stream { args, output, checkpoint, tokenizer, rules, pieces })?;
    if let Some(file) = file {
        aside::write(&file, &plot::picture(&result)?)?;
        output.note(&format!("wrote {}", file.display()));
    }
    match output.is_json() {
        true => output.json(&head.with(&result)),
        false => output.text(&summary(&result)),
    }
}

struct Stream {
    args: PplArgs,
    output: Output,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    rules: Rules,
    pieces: TextPieces,
}

impl Task for Stream {
    type Output = StreamPerplexity;

    fn run<B: Kernels>(self, device: B::Device) -> anyhow::Result<StreamPerplexity> {
        let Self { args, output, checkpoint, tokenizer, rules, pieces } = self;
        let engine = setup::engine::<B>(&args.run, &checkpoint, rules.matcher, &device)?;
        let options = StreamOptions {
            policy: rules.policy,
            unscored: None,
            chunk: args.run.prefill_chunk.min(256),
            bucket: args.by_position.unwrap_or(BUCKET),
        };
        let bytes_of = |id| tokenizer.bytes(id).map_or(0, |b| b.len());
        let mut encoder = Some(PieceEncoder::new(&tokenizer));
        let mut pieces = pieces;
        let portions = std::iter::from_fn(|| match pieces.next() {
            Some(piece) => Some(piece.and_then(|piece| match &mut encoder {
                Some(encoder) => Ok(encoder.push(&piece)?),
                None => Ok(Vec::new()),
            })),
            None => encoder.take().map(|mut encoder| Ok(encoder.finish()?)),
        });
        let limited = limited(portions, args.limit_tokens.unwrap_or(usize::MAX));
        let result = stream_perplexity::<B, anyhow::Error>(&engine, limited, &options, bytes_of, |row| {
            let ppl = row.loss.ppl.unwrap_or(f64::NAN);
            output.progress(&format!("{} tokens, perplexity here {ppl:.3}, {} entries", row.to, row.entries));
            Ok(())
        });
        output.progress_done();
        result
    }
}

/// The first `limit` tokens.
fn limited(
    portions: impl Iterator<Item = anyhow::Result<Vec<u32>>>,
    limit: usize,
) -> impl Iterator<Item = anyhow::Result<Vec<u32>>> {
    portions.scan(limit, |left, portion| {
        if *left == 0 {
            return None;
        }
        Some(portion.map(|mut ids| {
            ids.truncate(*left);
            *left -= ids.len();
            ids
        }))
    })
}

fn summary(result: &StreamPerplexity) -> String {
    /// More rows than this tell a reader nothing.
    const ROWS: usize = 40;
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["tokens", "perplexity", "entries", "cache"]);
    let step = result.by_position.len().div_ceil(ROWS).max(1);
    for row in result.by_position.iter().step_by(step) {
        table.add_row([
            format!("{}–{}", row.from, row.to - 1),
            row.loss.ppl.map_or_else(String::new, |ppl| format!("{ppl:.3}")),
            row.entries.to_string(),
            bytes(row.allocated_bytes),
        ]);
    }
    format!(
        "{table}\n\n{}tokens         {} in one stream\nanchors        {}\ncache {}: {} kept of {} seen, {} with empty slots\n",
        quality(&result.quality),
        result.quality.tokens,
        result.anchors,
        result.kv.policy,
        result.kv.kept,
        result.kv.seen,
        bytes(result.allocated_bytes),
    )
}

//! `anllm cache build`: a text of any length, read as a stream, kept as what its cache holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anllm_core::{LastSentence, PieceInserter, PolicyKind};
use anllm_infer::InferError;
use anllm_infer::prefix::{Identity, Prefix, PrefixBuilder, PrefixFile, write_prefix};
use anllm_kernels::Kernels;
use anllm_model::{Checkpoint, PieceEncoder, Tokenizer};

use super::super::added::Adder;
use super::super::interrupt;
use super::super::prefix;
use super::super::setup::{self, Rules};
use super::super::text_pieces::TextPieces;
use super::{about, check_target, existing, line};
use crate::args::BuildArgs;
use crate::device::{Task, run_on};
use crate::output::{Interrupted, Output};

pub(super) fn run(args: BuildArgs, output: &Output) -> anyhow::Result<()> {
    setup::threads(&args.run)?;
    check_target(&args.target)?;
    let texts = texts(&args)?;
    let checkpoint = args.run.model.open()?;
    let tokenizer = checkpoint.tokenizer()?;
    let before = args.prefix_cache.as_deref().map(PrefixFile::open).transpose()?;
    let rules = match &before {
        Some(file) => prefix::rules(file, &args.run, &checkpoint)?,
        None => setup::rules(&args.run, &checkpoint, PolicyKind::Full)?,
    };
    let adder = Adder::new(args.add_anchors, &args.splitter, &args.run, &rules, &tokenizer)?;
    let identity = Identity::of(&checkpoint, &tokenizer, &rules.matcher)?;
    let device = args.run.device;
    let interrupted = interrupt::flag();
    let output = *output;
    run_on(device, Build { args, output, checkpoint, tokenizer, rules, adder, identity, before, texts, interrupted })
}

/// The text, in pieces.
fn texts(args: &BuildArgs) -> anyhow::Result<TextPieces> {
    match (&args.prompt, &args.text) {
        (Some(text), _) => Ok(TextPieces::of("--prompt", text)),
        (None, Some(file)) => TextPieces::open(file),
        (None, None) => TextPieces::open("-".as_ref()),
    }
}

struct Build {
    args: BuildArgs,
    output: Output,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    rules: Rules,
    adder: Adder,
    identity: Identity,
    before: Option<PrefixFile>,
    texts: TextPieces,
    interrupted: Arc<AtomicBool>,
}

impl Task for Build {
    type Output = ();

    fn run<B: Kernels>(self, device: B::Device) -> anyhow::Result<()> {
        let Self { args, output, identity, .. } = self;
        let Rules { policy, matcher } = self.rules;
        let engine = setup::engine::<B>(&args.run, &self.checkpoint, matcher, &device)?;
        let (mut builder, mut encoder) = match &self.before {
            Some(file) => {
                (Some(PrefixBuilder::resume(&engine, file, &identity)?), PieceEncoder::behind(&self.tokenizer))
            }
            None => (None, PieceEncoder::new(&self.tokenizer)),
        };
        // A document is whole: its last sentence gets its anchor too.
        let inserter = self.adder.inserter().map(|inserter| inserter.clone().with_last(LastSentence::Marked));
        let mut texts = Marked { texts: self.texts, inserter: inserter.as_ref().map(PieceInserter::new) };
        let mut ended = false;
        while !ended {
            let ids = match texts.next().transpose()? {
                Some(text) => encoder.push(&text)?,
                None => {
                    ended = true;
                    encoder.finish()?
                }
            };
            if ids.is_empty() {
                continue;
            }
            let builder = builder.get_or_insert_with(|| PrefixBuilder::new(&engine, policy.clone(), encoder.lead()));
            for ids in ids.chunks(args.run.prefill_chunk) {
                if self.interrupted.load(Ordering::Relaxed) {
                    return Err(Interrupted.into());
                }
                builder.push(ids)?;
                let stats = builder.session().stats();
                output.progress(&format!("{} tokens read, {} entries kept", stats.seen, stats.kept));
            }
        }
        output.progress_done();
        let mut read = builder.ok_or(InferError::EmptyPrompt)?.finish(identity)?;
        let empty = read.head().record.parts.iter().all(|part| part.tokens == part.lead);
        anyhow::ensure!(!empty, "the text is empty\n  hint: give --prompt TEXT, --text FILE or -");
        let blank = read.tail().map(|ids| self.tokenizer.decode(ids)).transpose()?;
        if blank.is_some_and(|tail| tail.trim().is_empty()) {
            read = read.with_blank_tail();
        }
        let target = &args.target;
        let bytes = write_prefix(&read, &target.to, target.entries, existing(target))?;
        if output.is_json() {
            return output.json(&about(&read, target.entries, bytes));
        }
        output.text(&format!("{}: {}\n", target.to.display(), line(&read, target.entries, bytes)))
    }
}

/// A text with anchors put in as it comes, or as it is.
struct Marked<'a> {
    texts: TextPieces,
    inserter: Option<PieceInserter<'a>>,
}

impl Iterator for Marked<'_> {
    type Item = anyhow::Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        match (self.texts.next(), &mut self.inserter) {
            (Some(Err(error)), _) => Some(Err(error)),
            (Some(Ok(text)), None) => Some(Ok(text)),
            (Some(Ok(text)), Some(inserter)) => Some(Ok(inserter.push(&text))),
            (None, inserter) => inserter.take().map(|inserter| Ok(inserter.finish())),
        }
    }
}
